"""Files of a data set that are not those that were written."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from py4j.protocol import Py4JJavaError

from retraining.data.integrity import find_change
from retraining.data.manifest import publish, read_manifest, read_split, stage
from retraining.errors import RetrainingError
from tests.retraining.data.versions import make_manifest, write_version

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


def cut(part: Path, spark: SparkSession) -> str:
    """Write the part again with half of its rows, as Spark would."""
    half = spark.read.parquet(str(part)).limit(1).toPandas()
    half.to_parquet(part)
    return r"split=holdout holds 1 rows, its manifest says 2: prepare the data set again$"


def lose(part: Path, _: SparkSession) -> str:
    """Remove the only part."""
    part.unlink()
    return rf"{part.name} is missing: prepare"


def add(part: Path, _: SparkSession) -> str:
    """Put a copy beside it."""
    shutil.copy(part, part.with_name("part-9.parquet"))
    return r"split=holdout holds 4 rows, its manifest says 2: prepare"


def swap(part: Path, _: SparkSession) -> str:
    """Put as many rows of another split in its place."""
    (other,) = (part.parents[1] / "split=validation").glob("*.parquet")
    shutil.copy(other, part)
    return rf"{part.name} has \d+ bytes, \d+ when it was written: prepare"


def truncate(part: Path, _: SparkSession) -> str:
    """Leave the first half of the bytes, which is no parquet file."""
    part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    return rf"{part.name} has \d+ bytes, \d+ when it was written: prepare"


@pytest.mark.parametrize("damage", [cut, lose, add, swap, truncate])
def test_a_split_that_is_not_as_it_was_written_is_refused(
    spark: SparkSession, tmp_path: Path, damage: Callable[[Path, SparkSession], str]
) -> None:
    manifest = write_version(spark, tmp_path)
    (part,) = tmp_path.glob("fraud/v1/splits/split=holdout/*.parquet")
    part.with_name(f".{part.name}.crc").unlink()
    expected = damage(part, spark)
    with pytest.raises(RetrainingError, match=expected):
        read_split(spark, read_manifest(spark, manifest.uri), "holdout")
    assert read_split(spark, manifest, "train").count() == 2


def test_bytes_that_have_changed_are_noticed_while_they_are_read(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Of the same size, in a page without compression, where nothing else would notice."""
    manifest = write_version(spark, tmp_path)
    (part,) = tmp_path.glob("fraud/v1/splits/split=holdout/*.parquet")
    part.with_name(f".{part.name}.crc").unlink()
    content = part.read_bytes()
    part.write_bytes(content.replace(b"holdout", b"h0ldout", 1))
    assert part.read_bytes() != content
    with pytest.raises(Py4JJavaError, match="CRC"):
        read_split(spark, manifest, "holdout").collect()


def test_changed_days_are_found(spark: SparkSession, tmp_path: Path) -> None:
    with stage(spark, str(tmp_path), "fraud", "v1") as folder:
        day = f"{folder}/rows/day=2018-08-01"
        spark.range(3).coalesce(1).write.parquet(day)
        manifest = publish(spark, make_manifest(folder))
    assert list(manifest.parts) == [day]
    with stage(spark, str(tmp_path), "fraud", "v2") as folder:
        reusing = make_manifest(folder).model_copy(update={"days": manifest.days})
        again = publish(spark, reusing, manifest)
    assert again.parts == manifest.parts
    assert find_change(spark, again.parts, again.days.values()) is None
    (part,) = tmp_path.glob("fraud/v1/rows/day=2018-08-01/*.parquet")
    part.unlink()
    assert find_change(spark, again.parts, again.days.values()) == f"{day}/{part.name} is missing"
