"""Months, shares of the time, rows in order, and a validation within train."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from retraining.data.splitting import splits
from retraining.data.splitting.cutting import Prepared, cut
from retraining.data.splitting.ordering import Order, find_order
from retraining.data.splitting.windows import place_windows
from retraining.description.reading import from_mapping
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from retraining.description.document import Description

pytestmark = pytest.mark.spark

NEWEST = dt.datetime(2024, 5, 30, 12, tzinfo=UTC)
MONTHS = {"by": "time", "train": "1 year", "validation": "2 months", "holdout": "1 month"}
SHARES = {"by": "time", "train": "60%", "gap": "2 days", "validation": "20%", "holdout": "20%"}
INNER = {
    "by": "time",
    "train": {"start": "2009-01-01", "end": "2010-01-01"},
    "validation": "20% of train",
    "holdout": {"start": "2010-01-01", "end": "2011-01-01"},
}
ORDER = {"by": "order", "train": "50%", "validation": "25%", "holdout": "25%"}


def describe(split: dict[str, Any], **changes: Any) -> Description:  # noqa: ANN401
    mapping = {
        "name": "claims",
        "columns": {
            "id": {"type": "bigint"},
            "at": {"type": "timestamp"},
            "week": {"type": "int"},
            "tag": {"type": "string"},
            "shift": {"type": "int"},
            "who": {"type": "string"},
            "sure": {"type": "boolean"},
            "y": {"type": "int"},
        },
        "label": {"column": "y"},
        "row_key": "id",
        "event_time": "at",
        "features": {"plain": ["week"]},
        "split": split,
        "estimator": {"name": "LogisticRegression"},
    }
    return from_mapping(mapping | changes)


def test_months_are_those_of_the_calendar() -> None:
    """As of 05-31: a month before is 04-30, and two months before that 02-29."""
    zone = ZoneInfo("Europe/Berlin")
    found = place_windows(describe(MONTHS, timezone=zone.key), NEWEST)
    assert found is not None
    moments = [found.train.start, found.validation.start, found.holdout.start, found.as_of]
    days = [(2023, 2, 28), (2024, 2, 29), (2024, 4, 30), (2024, 5, 31)]
    assert moments == [dt.datetime(*day, tzinfo=zone) for day in days]
    assert found.train.end == found.validation.start
    assert found.validation.end == found.holdout.start


def test_weeks_are_seven_days() -> None:
    weeks = MONTHS | {"train": "4 weeks", "validation": "1 week", "holdout": "1 week"}
    days = MONTHS | {"train": "28 days", "validation": "7 days", "holdout": "7 days"}
    assert describe(weeks) == describe(days)


def test_shares_divide_the_time_between_gaps() -> None:
    """100 days to the end of known labels, 96 without gaps; whole days, the rest is unused."""
    description = describe(SHARES, label={"column": "y", "delay": "1 day"})
    as_of = dt.datetime(2024, 5, 31, tzinfo=UTC)
    oldest = as_of - timedelta(days=101)
    found = place_windows(description, NEWEST, oldest=oldest)
    assert found is not None
    assert (found.as_of, found.holdout.end) == (as_of, as_of - timedelta(days=1))
    lengths = [(part.end - part.start).days for part in found[:3]]
    assert lengths == [57, 19, 19]
    gaps = found.holdout.start - found.validation.end, found.validation.start - found.train.end
    assert gaps == (timedelta(days=2), timedelta(days=2))
    assert timedelta(0) <= found.train.start - oldest < timedelta(days=3)


def test_shares_of_too_short_a_time_are_refused() -> None:
    with pytest.raises(RetrainingError, match="no time left for three windows"):
        place_windows(describe(SHARES), NEWEST, oldest=NEWEST - timedelta(days=2))


@pytest.mark.parametrize(
    "split",
    [MONTHS, SHARES, INNER, {**ORDER, "column": ["week", "shift"]}, {**ORDER, "column": "at"}],
)
def test_a_written_split_is_read_back(split: dict[str, Any]) -> None:
    description = describe(split)
    again = from_mapping(description.to_mapping())
    assert again == description
    assert again.digest == description.digest


@pytest.mark.parametrize(
    ("split", "complaint"),
    [
        (
            MONTHS | {"train": "2009-01-01"},
            r"split\.train: '2009-01-01' is not a duration, .*months.*60%.*start",
        ),
        (MONTHS | {"train": "30% of train"}, "split.train: 30% of train, allowed: for valid"),
        (MONTHS | {"train": "0 months"}, "split.train: 0 months, allowed: above 0"),
        (MONTHS | {"train": "60%"}, "split: train given as a share of the time, allowed: all or"),
        (SHARES | {"train": "70%"}, r"train, validation and holdout sum to 110%, allowed: 100%"),
        (SHARES | {"train": "160%"}, "'160%' is not a part, allowed: above 0 and below 100%"),
        (SHARES | {"gap": "0 days"}, "split.gap: 0 days would test"),
        (INNER | {"gap": "1 day"}, "split.holdout: start 2010-01-01 is too early"),
        (INNER | {"train": "1 year"}, "split: holdout given as periods, allowed: all or none"),
        (ORDER | {"column": "weeks"}, "split.column: weeks is not a column .did you mean week"),
        (ORDER | {"column": "y"}, "split.column: y is the label"),
        (ORDER | {"column": "sure"}, "split.column: sure has type boolean"),
        (ORDER | {"column": "tag"}, "split.column: tag has type string, .* allowed: int, .* date"),
        (MONTHS | {"train": 0.6}, r"split\.train: 0\.6 is not a duration, .*'60%'.*'7 days'"),
        (MONTHS | {"holdout": 30}, r"split\.holdout: 30 is not a duration"),
        (MONTHS | {"validation": True}, r"split\.validation: True is not a duration"),
        (MONTHS | {"gap": 7}, r"split\.gap: 7 is not a duration, .*'7 days'"),
        (INNER | {"train": {"start": 0, "end": "2010-01-01"}}, "0 is not a day, .*2024-01-31"),
        (INNER | {"train": {"start": "2009", "end": "2010-01-01"}}, "'2009' is not a day"),
        (ORDER | {"column": "week"}, "split.by: order knows no time, and label.delay needs one"),
        ({**ORDER, "by": "hash", "train": "x"}, "split.train: 'x'"),
    ],
)
def test_splits_that_cannot_be_are_refused(split: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RetrainingError, match=complaint):
        describe(
            split,
            label={"column": "y", "delay": "1 day"}
            if "order knows" in complaint or "would test" in complaint
            else {"column": "y"},
        )


def test_one_unit_is_in_train_or_in_a_validation_within_it(spark: SparkSession) -> None:
    """400 customers, each with a claim in both years: about 80 are validation in the first."""
    moments = [dt.datetime(year, 7, 1, tzinfo=UTC) for year in (2009, 2010)]
    rows = [(2 * n + i, at, str(n), n % 2) for n in range(400) for i, at in enumerate(moments)]
    frame = spark.createDataFrame(rows, "id bigint, at timestamp, who string, y int")
    description = describe(INNER, unit="who")
    found = place_windows(description, NEWEST)
    assert found is not None
    assert found.validation == found.train
    placed = splits.assign(frame, description, found).select("id", "split").collect()
    counts = Counter(row["split"] for row in placed)
    assert counts["holdout"] == 400
    assert counts["validation"] == pytest.approx(80, abs=40)
    assert counts["train"] == 400 - counts["validation"]
    assert {row["id"] % 2 for row in placed if row["split"] == "holdout"} == {1}
    doubled = frame.union(frame.selectExpr("id + 1000", "at", "who", "y"))
    again = splits.assign(doubled, description, found).groupBy("who", "split").count()
    assert {row["count"] for row in again.collect()} == {2}


def test_rows_in_order_are_cut_between_ties(spark: SparkSession, tmp_path: Path) -> None:
    """Weeks 0 to 9 of 20 rows: half is week 4, three quarters are within week 7, so up to it."""
    rows = [(n, n % 10, n % 4 // 2, n % 3 % 2) for n in range(200)]
    schema = "id bigint, week int, shift int, y int"
    frame = spark.createDataFrame(rows, schema)
    description = describe({**ORDER, "column": "week"}, event_time=None)
    order = find_order(frame.repartition(5), description)
    assert order == Order((4,), (7,))
    placed = splits.assign(frame, description, order).collect()
    expected = {n: "train" if n < 5 else "validation" if n < 8 else "holdout" for n in range(10)}
    assert all(row["split"] == expected[row["week"]] for row in placed)

    columns = {f.name: f.dataType.simpleString() for f in frame.schema}
    prepared = Prepared(columns, {}, {}, frame)
    found = cut(spark, description, prepared, str(tmp_path / "v"), None, str)
    assert [split.n_rows for split in found.splits.values()] == [100, 60, 40]
    assert sum(found.unused.values()) == 0

    by_two = describe({**ORDER, "column": ["week", "shift"]}, event_time=None)
    assert find_order(frame, by_two) == ((4, 1), (7, 0))
    inner = {**ORDER, "column": "week", "train": "75%", "validation": "20% of train"}
    within = describe(inner, event_time=None)
    assert find_order(frame, within) == ((7,), (7,))
    counts = Counter(
        row["split"] for row in splits.assign(frame, within, find_order(frame, within)).collect()
    )
    assert counts["holdout"] == 40
    assert counts["validation"] == pytest.approx(32, abs=25)


def test_order_by_time_is_exact_to_the_microsecond(spark: SparkSession) -> None:
    start = dt.datetime(2024, 1, 1, tzinfo=UTC)
    rows = [(n, start + timedelta(microseconds=n), n % 2) for n in range(8)]
    frame = spark.createDataFrame(rows, "id bigint, at timestamp, y int")
    description = describe({**ORDER, "column": "at"})
    placed = splits.assign(frame, description, find_order(frame, description))
    names = [row["split"] for row in placed.orderBy("id").collect()]
    assert names == ["train"] * 4 + ["validation"] * 2 + ["holdout"] * 2
