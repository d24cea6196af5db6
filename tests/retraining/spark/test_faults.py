"""What Spark throws at damaged files, in one line."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from retraining.spark.faults import fault, unreadable_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100:3000] = bytes(255 - byte for byte in content[100:3000])
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("suffix", "damage", "words"),
    [
        ("gz", _half, "damaged (Unexpected end of input stream)"),
        ("gz", _flip, "damaged ("),
        ("parquet", _flip, "damaged ("),
        ("parquet", _half, "damaged ("),
        ("parquet", lambda path: path.write_text(""), "damaged ("),
        ("gz", lambda path: path.unlink(), "gone"),
        ("parquet", lambda path: path.unlink(), "gone"),
    ],
)
def test_a_damaged_file_is_named(
    spark: SparkSession, tmp_path: Path, suffix: str, damage: Callable[[Path], object], words: str
) -> None:
    """A name with a blank and a letter that URLs encode; read by an action, or by its schema."""
    path = tmp_path / f"a é.{suffix}"
    if suffix == "gz":
        path.write_bytes(gzip.compress(str([n**7 for n in range(20_000)]).encode()))
        frame = spark.read.text(str(path))
    else:
        folder = str(tmp_path / "written")
        spark.range(20_000).selectExpr("id", "sha1(string(id)) x").coalesce(1).write.parquet(folder)
        next((tmp_path / "written").glob("*.parquet")).rename(path)
        frame = spark.read.schema("id bigint, x string").parquet(str(path))
    damage(path)
    for checksum in tmp_path.rglob(".*.crc"):
        checksum.unlink()
    with pytest.raises(Py4JJavaError) as caught:
        frame.selectExpr("count(*)", "max(struct(*))").collect()
    told = unreadable_file(caught.value)
    assert told is not None
    assert "/a é." in str(told)
    assert words in str(told)
    assert "\n" not in str(told)


def test_other_failures_are_not_blamed_on_a_file(spark: SparkSession) -> None:
    with pytest.raises((Py4JJavaError, PySparkException), match="is not true") as caught:
        spark.sql("SELECT assert_true(id < 0) FROM range(1)").collect()
    assert unreadable_file(caught.value) is None
    assert unreadable_file(ValueError("x")) is None


def test_a_compressed_file_that_spark_does_not_name_is_damaged_all_the_same() -> None:
    """As Spark 3.5 puts it."""
    said = "Task 0 failed: java.io.EOFException: Unexpected end of input stream"
    assert str(unreadable_file(RuntimeError(said))).startswith("a compressed file is damaged (Unex")


@pytest.mark.parametrize(
    "said",
    [
        'ERROR: relation "public.people" does not exist',
        "An I/O error occurred while sending to the backend.",
        "Connection to db:5432 refused. Check that the hostname and port are correct.",
    ],
)
def test_a_database_that_fails_an_action_is_named(said: str) -> None:
    error = PySparkException(
        "Job aborted due to stage failure: Task 0 in stage 1.0 failed 1 times, most recent "
        f"failure: Lost task 0.0: org.postgresql.util.PSQLException: {said}\n  Position: 15\n\tat x"
    )
    told = fault(error)
    assert told is not None
    assert told.what == f"the database fails Spark ({said})"
    assert "\n" not in str(told)
