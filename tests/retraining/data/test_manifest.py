"""Data sets on storage: there completely, or not at all."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrameWriter

from retraining.data.files.sources import RawFile
from retraining.data.manifest import (
    Manifest,
    StoredQuarantine,
    StoredSplit,
    find_change,
    publish,
    read_folders,
    read_manifest,
    read_split,
    stage,
)
from retraining.description.reading import load
from retraining.errors import RetrainingError
from retraining.spark import storage

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

FRAUD = Path(__file__).parents[3] / "steps" / "datasets" / "fraud.yaml"
COLUMNS = {"a": "bigint", "b": "string"}


def make_manifest(folder: str) -> Manifest:
    description = load(FRAUD)
    moments = [datetime(2018, 8, day, tzinfo=UTC) for day in (1, 8, 15)]
    spans = {"train": moments[:2], "validation": moments[:2], "holdout": moments[1:]}
    return Manifest(
        name="fraud",
        version="v1",
        uri=folder,
        description=description.to_mapping(),
        description_digest=description.digest,
        preparation_digest=description.preparation_digest,
        files=(RawFile("file:/a.csv", 1, 2),),
        columns=COLUMNS,
        days={date(2018, 8, 1): f"{folder}/rows/day=2018-08-01"},
        splits={
            name: StoredSplit(
                uri=f"{folder}/splits/split={name}",
                n_rows=2,
                n_positives=1,
                fingerprint="f",
                start=start,
                end=end,
            )
            for name, (start, end) in spans.items()
        },
        quarantine=StoredQuarantine(uri=f"{folder}/quarantine", n_rows=1, by_reason={"x": 1}),
        n_rows_read=7,
        fingerprint="f",
        as_of=moments[2],
        new_days=(date(2018, 8, 1),),
        reused_days=(),
        why="there is no earlier version",
    )


def write_version(spark: SparkSession, root: Path, version: str = "v1") -> Manifest:
    with stage(spark, str(root), "fraud", version) as folder:
        for name in ("train", "validation", "holdout"):
            frame = spark.createDataFrame([(1, name), (2, name)], "a bigint, b string")
            frame.coalesce(1).write.parquet(f"{folder}/splits/split={name}")
        return publish(spark, make_manifest(folder))


def test_a_published_version_is_read_back(spark: SparkSession, tmp_path: Path) -> None:
    manifest = write_version(spark, tmp_path)
    assert manifest.uri == f"file:{tmp_path}/fraud/v1"
    assert read_manifest(spark, manifest.uri) == manifest
    assert read_manifest(spark, f"{tmp_path}/fraud/v1/") == manifest
    assert manifest.describe() == load(FRAUD)
    assert manifest.trained_until == "2018-08-08T00:00:00+00:00"
    rows = read_split(spark, manifest, "train").collect()
    assert sorted(map(tuple, rows)) == [(1, "train"), (2, "train")]
    assert sorted(path.name for path in (tmp_path / "fraud" / "v1").iterdir()) == [
        *("._MANIFEST.json.crc", "_MANIFEST.json", "splits")
    ]


@pytest.mark.parametrize(
    "step", [(DataFrameWriter, "parquet"), (storage, "write_text")], ids=["rows", "manifest"]
)
def test_an_interrupted_run_leaves_nothing(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: tuple[object, str]
) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    module, name = step
    monkeypatch.setattr(module, name, kill)
    with pytest.raises(KeyboardInterrupt):
        write_version(spark, tmp_path)
    assert not (tmp_path / "fraud" / "v1").exists()
    with pytest.raises(RetrainingError, match=r"fraud/v1 .*_MANIFEST.json"):
        read_manifest(spark, f"{tmp_path}/fraud/v1")
    monkeypatch.undo()
    assert read_manifest(spark, write_version(spark, tmp_path).uri).version == "v1"


def test_what_a_killed_process_left_is_removed(spark: SparkSession, tmp_path: Path) -> None:
    """A process that is killed outright runs no cleaning."""
    old = tmp_path / "fraud" / "v1" / "splits" / "split=train"
    old.mkdir(parents=True)
    (old / "old.parquet").write_text("torn")
    manifest = write_version(spark, tmp_path)
    assert read_split(spark, manifest, "train").count() == 2
    assert not list(tmp_path.rglob("old.parquet"))


def test_a_version_is_written_once(spark: SparkSession, tmp_path: Path) -> None:
    write_version(spark, tmp_path)
    with pytest.raises(RetrainingError, match=r"fraud/v1 exists"):
        write_version(spark, tmp_path)


@pytest.mark.parametrize("version", ["", "_staging", "../v1", "a/b", ".v1"])
def test_a_version_must_be_a_folder_name(spark: SparkSession, tmp_path: Path, version: str) -> None:
    with pytest.raises(RetrainingError, match=rf"version {re.escape(repr(version))} "):
        write_version(spark, tmp_path, version)


def test_a_split_is_refused_by_another_name(spark: SparkSession, tmp_path: Path) -> None:
    manifest = write_version(spark, tmp_path)
    with pytest.raises(RetrainingError, match=r"split 'test'.* train, validation, holdout"):
        read_split(spark, manifest, "test")


def test_a_manifest_of_another_kind_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "_MANIFEST.json").write_text('{"name": "fraud"}')
    with pytest.raises(RetrainingError, match=r"_MANIFEST.json .*\(version\)"):
        read_manifest(spark, str(tmp_path))


def test_no_folder_holds_no_rows(spark: SparkSession) -> None:
    frame = read_folders(spark, [], COLUMNS)
    assert frame.columns == ["a", "b"]
    assert frame.count() == 0


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


def test_a_manifest_that_was_changed_by_hand_is_refused(
    spark: SparkSession, tmp_path: Path
) -> None:
    manifest = write_version(spark, tmp_path)
    path = tmp_path / "fraud" / "v1" / "_MANIFEST.json"
    path.with_name("._MANIFEST.json.crc").unlink()
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content))
    assert read_manifest(spark, manifest.uri) == manifest  # another layout, the same content
    content["splits"]["train"]["n_positives"] = 2
    path.write_text(json.dumps(content))
    with pytest.raises(RetrainingError, match=r"_MANIFEST.json was changed .*: prepare"):
        read_manifest(spark, manifest.uri)
    for text, why in (("", "EOF"), (json.dumps(content)[:99], "EOF"), ("[]", "object")):
        path.write_text(text)
        with pytest.raises(RetrainingError, match=rf"cannot be read \(.*{why}.*\)"):
            read_manifest(spark, manifest.uri)


def test_a_manifest_of_an_earlier_release_knows_the_number_of_rows_alone(
    spark: SparkSession, tmp_path: Path
) -> None:
    manifest = write_version(spark, tmp_path)
    path = tmp_path / "fraud" / "v1" / "_MANIFEST.json"
    path.with_name("._MANIFEST.json.crc").unlink()
    content = json.loads(path.read_text())
    del content["parts"], content["digest"]
    path.write_text(json.dumps(content))
    old = read_manifest(spark, manifest.uri)
    assert read_split(spark, old, "holdout").count() == 2
    (part,) = tmp_path.glob("fraud/v1/splits/split=holdout/*.parquet")
    shutil.copy(part, part.with_name("part-9.parquet"))
    with pytest.raises(RetrainingError, match="holds 4 rows, its manifest says 2"):
        read_split(spark, old, "holdout")


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
    assert find_change(spark, again, again.days.values()) is None
    (part,) = tmp_path.glob("fraud/v1/rows/day=2018-08-01/*.parquet")
    part.unlink()
    assert find_change(spark, again, again.days.values()) == f"{day}/{part.name} is missing"
