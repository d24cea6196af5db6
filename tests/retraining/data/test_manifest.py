"""Data sets on storage: there completely, or not at all."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import DataFrameWriter

from retraining.data.manifest import (
    Manifest,
    StoredQuarantine,
    StoredSplit,
    publish,
    read_folders,
    read_manifest,
    read_split,
    stage,
)
from retraining.data.sources import RawFile
from retraining.description.reading import load
from retraining.errors import RetrainingError
from retraining.spark import storage

if TYPE_CHECKING:
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
            frame.write.parquet(f"{folder}/splits/split={name}")
        manifest = make_manifest(folder)
        publish(spark, manifest)
    return manifest


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
