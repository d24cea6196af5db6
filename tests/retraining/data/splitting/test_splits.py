"""Which rows a model may learn from: windows, shares of units, known positives."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from datetime import UTC, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from retraining.data.splitting import splits
from retraining.data.splitting.windows import place_windows
from retraining.description.reading import from_mapping, load
from retraining.description.splitting import TimeSplit
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from retraining.description.document import Description

pytestmark = pytest.mark.spark

SCHEMA = "id bigint, at timestamp, customer string, fraud int"
START = dt.datetime(2024, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
LENGTHS = {"train": "14 days", "gap": "7 days", "validation": "5 days", "holdout": "3 days"}
PERIODS = {
    "train": {"start": "2024-03-01", "end": "2024-03-05"},
    "validation": {"start": "2024-03-05", "end": "2024-03-08"},
    "holdout": {"start": "2024-03-15", "end": "2024-03-18"},
}
SHARES = {"by": "hash", "train": 0.6, "validation": 0.25, "holdout": 0.15, "seed": 7}
NEWEST = dt.datetime(2024, 5, 1, 23, 59, 59, tzinfo=UTC)


def describe(split: dict[str, Any], *, unit: str | None = None) -> Description:
    """Frauds of customers, known after 7 days."""
    mapping: dict[str, Any] = {
        "name": "frauds",
        "columns": {
            "id": {"type": "bigint"},
            "at": {"type": "timestamp"},
            "customer": {"type": "string"},
            "fraud": {"type": "int"},
        },
        "label": {"column": "fraud", "delay": "7 days"},
        "row_key": "id",
        "event_time": "at",
        "features": {"derived": {"hour": "hour(at)"}},
        "split": {"by": "time", **split},
        "estimator": {"name": "LogisticRegression"},
    }
    return from_mapping(mapping | ({"unit": unit} if unit else {}))


def past_the_rules(description: Description, **changes: Any) -> Description:  # noqa: ANN401
    """A description whose split nobody validated."""
    split = description.split.model_copy(update=changes)
    return description.model_copy(update={"split": split})


def split_of(frame: DataFrame) -> dict[int, str | None]:
    return {row["id"]: row["split"] for row in frame.select("id", "split").collect()}


def test_windows_count_backwards_from_mature_labels() -> None:
    found = place_windows(describe(LENGTHS), NEWEST)
    assert found is not None
    as_of = dt.datetime(2024, 5, 2, tzinfo=UTC)
    assert found.as_of == as_of
    assert found.holdout == (as_of - 10 * DAY, as_of - 7 * DAY)
    assert found.validation == (as_of - 22 * DAY, as_of - 17 * DAY)
    assert found.train == (as_of - 43 * DAY, as_of - 29 * DAY)


@pytest.mark.parametrize(
    "as_of",
    [
        dt.datetime(2024, 4, 1, 6, 30, tzinfo=UTC),
        dt.datetime(2024, 4, 1, 6, 30),
        dt.datetime(2024, 4, 1, 9, 30, tzinfo=dt.timezone(3 * timedelta(hours=1))),
    ],
)
def test_windows_are_placed_for_the_moment_asked_for(as_of: dt.datetime) -> None:
    found = place_windows(describe(LENGTHS), NEWEST, as_of)
    assert found is not None
    assert found.as_of == dt.datetime(2024, 4, 1, 6, 30, tzinfo=UTC)
    assert found.holdout.end == dt.datetime(2024, 3, 25, 6, 30, tzinfo=UTC)


def test_windows_after_a_newest_row_at_midnight_include_its_day() -> None:
    found = place_windows(describe(LENGTHS), dt.datetime(2024, 5, 1, tzinfo=UTC))
    assert found is not None
    assert found.as_of == dt.datetime(2024, 5, 2, tzinfo=UTC)


def test_windows_take_periods_as_they_are() -> None:
    found = place_windows(describe(PERIODS), NEWEST)
    assert found is not None
    assert found.train == (START, START + 4 * DAY)
    assert found.validation == (START + 4 * DAY, START + 7 * DAY)
    assert found.holdout == (START + 14 * DAY, START + 17 * DAY)


def test_windows_of_a_split_by_hash_are_none() -> None:
    assert place_windows(describe(SHARES), NEWEST) is None


def test_windows_refuse_an_overlap() -> None:
    description = describe(PERIODS)
    assert isinstance(description.split, TimeSplit)
    overlapping = past_the_rules(description, validation=description.split.train)
    with pytest.raises(RetrainingError, match=r"validation 2024-03-01 00:00 to .* train"):
        place_windows(overlapping, NEWEST)


def test_windows_refuse_a_holdout_before_labels_are_known() -> None:
    hasty = past_the_rules(describe(LENGTHS), gap=6 * DAY)
    with pytest.raises(RetrainingError, match="2024-04-23 00:00 or later"):
        place_windows(hasty, NEWEST)
    before = past_the_rules(describe(PERIODS), holdout=describe(PERIODS).split.train)
    with pytest.raises(RetrainingError, match=r"^holdout .*labels"):
        place_windows(before, NEWEST)


def test_assign_gives_each_row_the_window_of_its_time(spark: SparkSession) -> None:
    """Ends are exclusive to the microsecond; rows in a gap belong nowhere."""
    description = describe(PERIODS)
    moments = {
        START - timedelta(microseconds=1): None,
        START: "train",
        START + 4 * DAY - timedelta(microseconds=1): "train",
        START + 4 * DAY: "validation",
        START + 7 * DAY - timedelta(microseconds=1): "validation",
        START + 7 * DAY: None,
        START + 14 * DAY: "holdout",
        START + 17 * DAY: None,
    }
    rows = [(i, at, "a", 0) for i, at in enumerate(moments)]
    frame = spark.createDataFrame(rows, SCHEMA)
    assigned = splits.assign(frame, description, place_windows(description, NEWEST))
    assert assigned.columns == [*frame.columns, "split"]
    assert split_of(assigned) == dict(enumerate(moments.values()))


def test_assign_by_time_needs_windows(spark: SparkSession) -> None:
    with pytest.raises(RetrainingError, match=r"^frauds .*windows"):
        splits.assign(spark.createDataFrame([], SCHEMA), describe(LENGTHS), None)


def units(spark: SparkSession, n_rows: int, partitions: int = 2) -> DataFrame:
    return (
        spark.range(n_rows, numPartitions=partitions)
        .withColumn("at", F.timestamp_seconds("id"))
        .withColumn("customer", (F.col("id") % (n_rows // 4)).cast("string"))
        .withColumn("fraud", F.lit(0))
    )


def test_assign_by_hash_keeps_units_together(spark: SparkSession) -> None:
    assigned = splits.assign(units(spark, 4000), describe(SHARES, unit="customer"), None)
    spread = assigned.groupBy("customer").agg(F.countDistinct("split").alias("n"))
    assert spread.where("n <> 1").count() == 0
    assert assigned.where("split IS NULL").count() == 0


def test_assign_by_hash_gives_the_shares(spark: SparkSession) -> None:
    """20,000 row keys: a share is off by less than 5 standard errors (0.017)."""
    assigned = splits.assign(units(spark, 20_000), describe(SHARES), None)
    counts = Counter(split_of(assigned).values())
    for name in ("train", "validation", "holdout"):
        assert counts[name] / 20_000 == pytest.approx(float(str(SHARES[name])), abs=0.017)


def test_assign_by_hash_depends_on_unit_and_seed_alone(spark: SparkSession) -> None:
    """Pinned rows: another version of Spark or of this code must not move a unit."""
    description = describe(SHARES)
    found = split_of(splits.assign(units(spark, 400), description, None))
    again = split_of(splits.assign(units(spark, 200, 7).orderBy("fraud"), description, None))
    reseeded = split_of(splits.assign(units(spark, 400), past_the_rules(description, seed=8), None))
    assert again.items() <= found.items()
    assert reseeded != found
    assert " ".join(str(found[i]) for i in range(6)) == "train holdout train train holdout holdout"


KNOWN = {**PERIODS, "known_positives": {"key": "customer", "delay": "8 days"}}


def test_assign_drops_holdout_rows_of_known_positives(spark: SparkSession) -> None:
    """One customer a case, one holdout row a customer, at the end of the holdout's second day."""
    late = START + 15 * DAY + timedelta(hours=23)
    positives = {
        "never": [],
        "before train": [START - timedelta(seconds=1)],
        "first of train": [START],
        "in the gap, 8 days before": [START + 7 * DAY + timedelta(hours=23, minutes=59)],
        "7 days before": [START + 8 * DAY],
        "7 days before and in train": [START + 8 * DAY, START + DAY],
        "same day": [late],
        "later": [START + 20 * DAY],
    }
    kept = {"never", "before train", "7 days before", "same day", "later"}
    rows = [(i, late, who, 0) for i, who in enumerate(positives)]
    frauds = [(who, at) for who, moments in positives.items() for at in moments]
    rows += [(100 + i, at, who, 1) for i, (who, at) in enumerate(frauds)]
    description = describe(KNOWN)
    frame = spark.createDataFrame(rows, SCHEMA)
    assigned = splits.assign(frame, description, place_windows(description, NEWEST))
    found = split_of(assigned)
    assert assigned.columns == [*frame.columns, "split"]
    assert len(found) == assigned.count() == len(rows)
    for i, who in enumerate(positives):
        assert found[i] == ("holdout" if who in kept else None), who
    assert Counter(found.values())["train"] == 2  # positives in train stay there


def test_assign_keeps_rows_of_known_positives_without_a_key(spark: SparkSession) -> None:
    rows = [(0, START + 15 * DAY, None, 0), (1, START, None, 1)]
    description = describe(KNOWN)
    frame = spark.createDataFrame(rows, SCHEMA)
    assigned = splits.assign(frame, description, place_windows(description, NEWEST))
    assert split_of(assigned) == {0: "holdout", 1: "train"}


def test_check_disjoint_passes_rows_of_one_split(spark: SparkSession) -> None:
    rows = [(1, "train"), (1, "train"), (2, "holdout"), (2, None), (3, None)]
    frame = spark.createDataFrame(rows, "id bigint, split string")
    splits.check_disjoint(frame, describe(LENGTHS))
    assert frame.count() == 5


def test_check_disjoint_refuses_a_row_key_in_two_splits(spark: SparkSession) -> None:
    rows = [(1, "train"), (1, "holdout"), (2, "validation"), (3, "train"), (3, "validation")]
    frame = spark.createDataFrame(rows, "id bigint, split string")
    with pytest.raises(RetrainingError, match=r"^2 values of id .*example 1"):
        splits.check_disjoint(frame, describe(LENGTHS))


@pytest.mark.reference
def test_assign_agrees_with_the_handbook(spark: SparkSession, reference_data: Path) -> None:
    """Its published week: 67,240 and 598 in train, 58,264 and 385 in the test that is left."""
    raw = spark.read.parquet(str(reference_data / "handbook_fraud" / "raw"))
    raw = raw.withColumn("tx_datetime", F.col("tx_datetime").cast("timestamp"))
    fraud = load(Path(__file__).parents[4] / "steps" / "datasets" / "fraud.yaml").to_mapping()
    fraud["split"] = {
        "by": "time",
        "train": {"start": "2018-07-25", "end": "2018-08-01"},
        "validation": {"start": "2018-07-18", "end": "2018-07-25"},
        "holdout": {"start": "2018-08-08", "end": "2018-08-15"},
        "known_positives": {"key": "customer_id", "delay": "8 days"},
    }
    description = from_mapping(fraud)
    assigned = splits.assign(raw, description, place_windows(description, NEWEST))
    counts = assigned.groupBy("split").agg(F.count("*"), F.sum("tx_fraud")).collect()
    found = {name: (n_rows, frauds) for name, n_rows, frauds in counts}
    assert found["train"] == (67_240, 598)
    assert found["holdout"] == (58_264, 385)
