"""A fingerprint stands for the content of a frame and for nothing else."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from retraining.data.fingerprint import fingerprint
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

SCHEMA = "id bigint, amount double, name string, day date, at timestamp, flag boolean"
DAY = dt.date(2024, 2, 29)
AT = dt.datetime(2024, 2, 29, 12, 30, tzinfo=dt.UTC)
ROWS: list[tuple[Any, ...]] = [
    (1, 1.5, "a", DAY, AT, True),
    (2, -2.5, "b", DAY, AT, False),
    (3, 0.0, "", None, None, None),
    (4, float("nan"), None, DAY, AT, True),
]


def digest(frame: DataFrame) -> str:
    return fingerprint(frame).digest


def digest_of(spark: SparkSession, rows: list[tuple[Any, ...]], schema: str = SCHEMA) -> str:
    return digest(spark.createDataFrame(rows, schema))


def test_fingerprint_is_the_same_in_every_version_of_spark(spark: SparkSession) -> None:
    """The digest was written down once; Spark 3.5 and 4.2 both give it."""
    found = fingerprint(spark.createDataFrame(ROWS, SCHEMA))
    assert found == ("27692c4b610f0c09d6f34c1ce2206330", 4)


@pytest.mark.parametrize("partitions", [1, 2, 7, 200])
def test_fingerprint_ignores_partitions(spark: SparkSession, partitions: int) -> None:
    frame = spark.range(1000).withColumn("half", F.col("id") / 2)
    assert fingerprint(frame.repartition(partitions)) == fingerprint(frame)


def test_fingerprint_ignores_row_order(spark: SparkSession) -> None:
    assert digest_of(spark, ROWS[::-1]) == digest_of(spark, ROWS)


def test_fingerprint_ignores_column_order(spark: SparkSession) -> None:
    frame = spark.createDataFrame(ROWS, SCHEMA)
    assert digest(frame.select(*reversed(frame.columns))) == digest(frame)


def test_fingerprint_ignores_the_session_time_zone(spark: SparkSession) -> None:
    frame = spark.range(5).select(F.timestamp_seconds("id").alias("at"))
    before = digest(frame)
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    try:
        assert digest(frame) == before
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")


def test_fingerprint_takes_both_zeros_as_one(spark: SparkSession) -> None:
    assert digest_of(spark, [(0.0,)], "x double") == digest_of(spark, [(-0.0,)], "x double")


def test_fingerprint_takes_every_nan_as_one(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(float("nan"), float("inf"))], "x double, y double")
    computed = frame.select((F.col("y") - F.col("y")).alias("x"), "y")
    assert digest(computed) == digest(frame)


def test_fingerprint_survives_parquet(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame(ROWS, SCHEMA)
    frame.repartition(3).write.parquet(str(tmp_path / "rows"))
    assert fingerprint(spark.read.parquet(str(tmp_path / "rows"))) == fingerprint(frame)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param([(1, None), (None, 2), (4, 3)], id="value"),
        pytest.param([(None, 1), (None, 2), (3, 4)], id="null shifted"),
        pytest.param([(1, None), (2, None), (3, 4)], id="null shifted in the next row"),
        pytest.param([(1, None), (None, 2), (4, 3)], id="values swapped in a row"),
        pytest.param([(3, None), (None, 2), (1, 4)], id="values swapped between rows"),
        pytest.param([(1, None), (None, 2)], id="row missing"),
        pytest.param([(1, None), (None, 2), (3, 4), (None, None)], id="row of nulls"),
        pytest.param([(1, None), (None, 2), (3, 4), (3, 4)], id="row twice"),
    ],
)
def test_fingerprint_sees_another_content(
    spark: SparkSession, changed: list[tuple[int | None, int | None]]
) -> None:
    schema = "a bigint, b bigint"
    rows: list[tuple[Any, ...]] = [(1, None), (None, 2), (3, 4)]
    assert digest_of(spark, list(changed), schema) != digest_of(spark, rows, schema)


def test_fingerprint_counts_duplicates(spark: SparkSession) -> None:
    """Each mixture of the same two rows is another content."""
    digests = {digest_of(spark, [(1,)] * n + [(2,)] * (4 - n), "a bigint") for n in range(5)}
    assert len(digests) == 5


def test_fingerprint_sees_another_name_or_type(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(1, 2)], "a bigint, b bigint")
    others = [
        frame.withColumnRenamed("b", "c"),
        frame.select(F.col("a").alias("b"), F.col("b").alias("a")),
        frame.withColumn("b", F.col("b").cast("int")),
        frame.withColumn("b", F.col("b").cast("string")),
        frame.drop("b"),
    ]
    assert len({digest(other) for other in [frame, *others]}) == 6


def test_fingerprint_of_no_rows_depends_on_the_schema(spark: SparkSession) -> None:
    empty = fingerprint(spark.createDataFrame([], "a bigint"))
    assert empty.n_rows == 0
    assert len(empty.digest) == 32
    assert empty.digest != digest_of(spark, [], "b bigint")


def test_fingerprint_takes_any_column_name(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(1, 2)], ["a.b", "c`d"])
    assert fingerprint(frame).n_rows == 1


def test_fingerprint_refuses_nested_types(spark: SparkSession) -> None:
    frame = spark.range(1).withColumn("pair", F.array("id", "id"))
    with pytest.raises(RetrainingError, match=r"column pair has type array<bigint>"):
        fingerprint(frame)
