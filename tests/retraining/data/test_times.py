"""Times by the clock of a zone: what texts mean, and where days and windows begin."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from pyspark.errors import PySparkException

from retraining.data.files.sources import list_files, read_raw
from retraining.data.instants import clock_of, day_before, later, midnight, on_clock
from retraining.data.manifest import Manifest, read_split
from retraining.data.preparation import prepare
from retraining.data.profiling.profile import count_classes
from retraining.data.rows.quality import validate
from retraining.description.reading import from_mapping
from retraining.description.times import check_format

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from retraining.description.document import Description

pytestmark = pytest.mark.spark

BERLIN = ZoneInfo("Europe/Berlin")
BAD = "unparseable at"
SHOWN = "coalesce(_reason, date_format(at, \"yyyy-MM-dd'T'HH:mm:ss.SSSXXX\")) AS shown"


def describe(at: Mapping[str, Any], **sections: Any) -> Description:  # noqa: ANN401
    """Events in Berlin: two days of holdout, two of validation, three of train."""
    mapping = {
        "name": "events",
        "columns": {
            "id": {"type": "int"},
            "at": {"type": "timestamp", **at},
            "shop": {"type": "string"},
            "ill": {"type": "int"},
        },
        "timezone": "Europe/Berlin",
        "label": {"column": "ill"},
        "row_key": "id",
        "event_time": "at",
        "features": {
            "derived": {"hour": "hour(at)", "weekday": "dayofweek(to_date(at))"},
            "rolling": [
                {"key": "shop", "value": "ill", "aggregates": ["count"], "windows": ["1 day"],
                 "delay": "1 hour"}
            ],
        },
        "split": {"by": "time", "train": "3 days", "validation": "2 days", "holdout": "2 days"},
        "estimator": {"name": "LogisticRegression"},
    }  # fmt: skip
    return from_mapping({**mapping, **sections})


def judge(frame: DataFrame, description: Description) -> list[str]:
    """The moments by the clock of Berlin, or the reasons why rows are rejected."""
    with clock_of(frame.sparkSession, BERLIN):
        judged = validate(frame, description).selectExpr("id", "_reason", SHOWN).orderBy("id")
        return [row["shown"] for row in judged.collect()]


def in_text(spark: SparkSession, texts: Sequence[str]) -> DataFrame:
    rows = [(str(100 + n), text, "a", "0", None, "a.csv") for n, text in enumerate(texts)]
    schema = ("id", "at", "shop", "ill", "_malformed", "_file")
    return spark.createDataFrame(rows, ", ".join(f"{name} string" for name in schema))


CASES: list[tuple[dict[str, Any], dict[str, str]]] = [
    (
        {},
        {
            "2024-03-31 01:59:59": "2024-03-31T01:59:59.000+01:00",
            "2024-03-31 02:30:00": "2024-03-31T03:30:00.000+02:00",
            "2024-10-27 02:30:00": "2024-10-27T02:30:00.000+02:00",
            "2024-10-27 02:30:00+01:00": "2024-10-27T02:30:00.000+01:00",
            "2024-05-31T22:00:00Z": "2024-06-01T00:00:00.000+02:00",
            " 2024-06-01 ": "2024-06-01T00:00:00.000+02:00",
            "01.06.2024": BAD,
        },
    ),
    (
        {"format": "dd.MM.yyyy HH:mm"},
        {
            "31.03.2024 02:30": "2024-03-31T03:30:00.000+02:00",
            "1.06.2024 02:30": BAD,
            "31.02.2024 02:30": BAD,
            "2024-06-01 02:30": BAD,
        },
    ),
    ({"format": "yyyy"}, {"2009": "2009-01-01T00:00:00.000+01:00", "1009": BAD, "09": BAD}),
    (
        {"format": "M/d/yyyy h:mm a"},
        {
            "6/1/2024 2:30 PM": "2024-06-01T14:30:00.000+02:00",
            "6/1/2024 14:30 PM": BAD,
            "6/1/24 2:30 PM": BAD,
        },
    ),
    ({"format": "yyyyMMddXXX"}, {"20240601Z": "2024-06-01T02:00:00.000+02:00", "20240601": BAD}),
    (
        {"format": "seconds"},
        {
            "1717200000": "2024-06-01T02:00:00.000+02:00",
            "1717200000.25": "2024-06-01T02:00:00.250+02:00",
            "1.7172E9": "2024-06-01T02:00:00.000+02:00",
            "1717200000000": BAD,
            "2024-06-01": BAD,
        },
    ),
    ({"format": "milliseconds"}, {"1717200000125": "2024-06-01T02:00:00.125+02:00", "1e99": BAD}),
    (
        {"type": "date", "format": "yyyyMMdd"},
        {"20240331": "2024-03-31T00:00:00.000+01:00", "20241301": BAD},
    ),
    ({"type": "date", "format": "seconds"}, {"1717192800": "2024-06-01T00:00:00.000+02:00"}),
]


@pytest.mark.parametrize(("at", "expected"), CASES)
def test_texts_are_moments_on_the_clock_of_the_zone(
    spark: SparkSession, at: dict[str, Any], expected: dict[str, str]
) -> None:
    """A skipped hour is the next one, a doubled one its first; a stated zone is kept to."""
    found = judge(in_text(spark, [*expected]), describe(at))
    assert dict(zip(expected, found, strict=True)) == expected


@pytest.mark.parametrize("at", [{}, {"format": "dd.MM.yyyy"}])
def test_typed_times_need_no_format_and_no_zone(
    spark: SparkSession, tmp_path: Path, at: dict[str, Any]
) -> None:
    """The second 02:30 of a day with 25 hours; a time without a zone; a plain date."""
    moments = ("TIMESTAMP '2024-10-27T01:30:00Z'", "TIMESTAMP_NTZ '2024-10-27 12:00:00'")
    for number, moment in enumerate([*moments, "DATE '2024-10-27'"]):
        row = spark.sql(f"SELECT {number} AS id, {moment} AS at, 'a' AS shop, 0 AS ill")
        row.write.parquet(f"{tmp_path}/{number}.parquet")
    with clock_of(spark, BERLIN):
        raw = read_raw(spark, list_files(spark, str(tmp_path)), describe(at))
    assert judge(raw, describe(at)) == [
        "2024-10-27T02:30:00.000+01:00",
        "2024-10-27T12:00:00.000+01:00",
        "2024-10-27T00:00:00.000+02:00",
    ]


GOOD = [
    "dd.MM.yyyy HH:mm:ss.SSSSSS",
    "d/M/yyyy h:mm a",
    "yyyy-MM-dd'T'HH:mm:ss[.SSS]XXX",
    "yyyyDDD",
]
GOOD += ["dd MMM yyyy", "yyyy LLLL d", "yyyy-MM-dd HH:mm VV", "yyyyMMddHHmmssx", "y G"]
POOR = ["YYYY-MM-dd", "EEE dd.MM.yyyy", "yyyy-MM-dd HH:mm:ss.SSSSSSSSSS", "ddd.MM.yyyy", "yyyy nn"]
POOR += [
    "dd.MM.yyyy '",
    "yyyy {",
    "yyyy-MM-dd HH:mm V",
    "yyyy e",
    "yyyy ww",
    "yyyyyyy",
    "yyyy MMMMM",
]


def test_formats_are_those_that_spark_reads_by(spark: SparkSession) -> None:
    for pattern in GOOD:
        check_format(pattern)
    spark.sql(f"SELECT {', '.join(map(reading, GOOD))}").collect()
    for pattern in POOR:
        with pytest.raises(ValueError, match=r"allowed: seconds, milliseconds or a pattern"):
            check_format(pattern)
        with pytest.raises(PySparkException):
            spark.sql(f"SELECT {reading(pattern)}").collect()


def reading(pattern: str) -> str:
    escaped = pattern.replace("'", "\\'")
    return f"try_to_timestamp('-', '{escaped}')"


@pytest.mark.parametrize(
    ("pattern", "phrase"),
    [
        ("HH:mm", "no year"),
        ("", "no year"),
        ("dd.mm.yyyy", "month, which is MM"),
        ("yyyy-mm", "the month is M"),
        ("DD.MM.yyyy", "which is d"),
        ("dd.MM.yyyy HH:MM", "the minute is m"),
        ("dd.MM.yyyy hh:mm", "the hour of a day is H"),
        ("dd.MM.YYYY", "the year is yyyy"),
        ("dd.MM.yy", "85 is 2085"),
    ],
)
def test_formats_that_mean_something_else_are_refused(pattern: str, phrase: str) -> None:
    with pytest.raises(ValueError, match=phrase):
        check_format(pattern)


def test_whole_days_go_by_the_clock_and_hours_do_not() -> None:
    spring = midnight(date(2024, 4, 1), BERLIN)
    assert later(spring, timedelta(days=-1)) == datetime(2024, 3, 30, 23, tzinfo=UTC)
    assert later(spring, timedelta(hours=-25)) == datetime(2024, 3, 30, 21, tzinfo=UTC)
    assert day_before(spring, timedelta(days=1)) == date(2024, 3, 30)
    assert on_clock(datetime(2024, 4, 1), BERLIN) == spring
    assert on_clock(datetime(2024, 3, 31, 22, tzinfo=UTC), BERLIN) == spring


@pytest.fixture
def elsewhere(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine, and its Java, on the clock of New York."""
    zones = spark._jvm.java.util.TimeZone  # type: ignore[union-attr]
    before = zones.getDefault()
    zones.setDefault(zones.getTimeZone("America/New_York"))
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    zones.setDefault(before)
    monkeypatch.undo()
    time.tzset()


def write_days(folder: Path, days: Sequence[date]) -> None:
    """A row for each hour of a clock on the wall, also for the one that a day skips."""
    folder.mkdir(exist_ok=True)
    for day in days:
        lines = [
            f"{day:%m%d}{hour:02},{day:%d.%m.%Y} {hour:02}:00,a,{hour % 2}" for hour in range(24)
        ]
        (folder / f"{day}.csv").write_text("\n".join(lines) + "\n")


AT = {"format": "dd.MM.yyyy HH:mm"}
PERIODS = {
    "by": "time",
    "train": {"start": "2024-03-28", "end": "2024-03-30"},
    "validation": {"start": "2024-03-30", "end": "2024-03-31"},
    "holdout": {"start": "2024-03-31", "end": "2024-04-01"},
}


def run(spark: SparkSession, folder: Path, version: str, **options: Any) -> Manifest:  # noqa: ANN401
    description = options.pop("description", None) or describe(AT)
    files = list_files(spark, str(folder / "raw"))
    root = str(folder / "data")
    return prepare(spark, description, files=files, root=root, version=version, **options)


DAYS = [date(2024, 3, 28) + timedelta(days=number) for number in range(7)]


@pytest.fixture(scope="module")
def full(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Seven days of 24 rows, of which the fourth, the first of validation, has 23 hours."""
    folder = tmp_path_factory.mktemp("full")
    write_days(folder / "raw", DAYS)
    return run(spark, folder, "full")


def test_days_windows_and_features_go_by_the_local_clock(
    spark: SparkSession, full: Manifest
) -> None:
    """From 22:00 of 30 March to 23:00 of 31 March are 24 hours, and 25 rows begin after that."""
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    assert list(full.days) == DAYS
    spans = {name: (f"{split.start}", f"{split.end}") for name, split in full.splits.items()}
    assert spans == {
        "train": ("2024-03-28 00:00:00+01:00", "2024-03-31 00:00:00+01:00"),
        "validation": ("2024-03-31 00:00:00+01:00", "2024-04-02 00:00:00+02:00"),
        "holdout": ("2024-04-02 00:00:00+02:00", "2024-04-04 00:00:00+02:00"),
    }
    assert [full.splits[name].n_rows for name in spans] == [72, 48, 48]
    assert full.trained_until == "2024-04-01T22:00:00+00:00"
    rows = read_split(spark, full, "validation")
    assert count_classes(rows, full.describe()) == {"2024-03-31": (24, 12), "2024-04-01": (24, 12)}
    found = {row["id"]: row for row in rows.collect()}
    hours = {key: found[key]["hour"] for key in (33100, 33101, 33102, 33103, 40100)}
    assert hours == {33100: 0, 33101: 1, 33102: 3, 33103: 3, 40100: 0}
    assert {row["weekday"] for key, row in found.items() if key < 40000} == {1}
    assert found[40100]["shop_count_1d"] == 25


def test_new_days_alone_are_computed_wherever_the_machine_is(
    spark: SparkSession, full: Manifest, tmp_path: Path, elsewhere: None
) -> None:
    write_days(tmp_path / "raw", DAYS[:4])
    first = run(spark, tmp_path, "first", description=describe(AT, split=PERIODS))
    write_days(tmp_path / "raw", DAYS[4:])
    second = run(spark, tmp_path, "second", previous=first)

    assert first.splits["holdout"].start == datetime(2024, 3, 30, 23, tzinfo=UTC)
    assert second.new_days == tuple(DAYS[4:])
    assert second.reused_days == tuple(DAYS[:4])
    assert second.n_rows_read == 72
    assert second.splits == full.splits | {
        name: split.model_copy(update={"uri": second.splits[name].uri})
        for name, split in full.splits.items()
    }


def test_plain_dates_may_be_event_times(spark: SparkSession, tmp_path: Path) -> None:
    """The newest day is whole: it is the last one of the holdout."""
    write_days(tmp_path / "raw", DAYS)
    description = describe({"type": "date", **AT})
    made = run(spark, tmp_path, "v", description=description)
    assert list(made.days) == DAYS
    assert [made.splits[name].n_rows for name in ("train", "validation", "holdout")] == [72, 48, 48]
    assert made.splits["holdout"].end == datetime(2024, 4, 3, 22, tzinfo=UTC)
    rows = read_split(spark, made, "validation").select("shop_count_1d", "at", "hour").distinct()
    assert {tuple(row) for row in rows.collect()} == {
        (24, date(2024, 3, 31), 0),
        (24, date(2024, 4, 1), 0),
    }
