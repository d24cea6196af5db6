"""Data sets on storage: there completely, or not at all."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import DataFrameWriter

from retraining.data.manifest import read_folders, read_manifest, read_split
from retraining.description.reading import load
from retraining.errors import RetrainingError
from retraining.spark import storage
from tests.retraining.data.versions import COLUMNS, FRAUD, write_version

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


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


def open_manifest(root: Path) -> tuple[Path, dict[str, Any]]:
    """The manifest as a user's editor has it, which knows of no checksum beside it."""
    path = root / "fraud" / "v1" / "_MANIFEST.json"
    path.with_name("._MANIFEST.json.crc").unlink()
    return path, json.loads(path.read_text())


def test_a_manifest_that_was_changed_by_hand_is_refused(
    spark: SparkSession, tmp_path: Path
) -> None:
    manifest = write_version(spark, tmp_path)
    path, content = open_manifest(tmp_path)
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
    path, content = open_manifest(tmp_path)
    del content["parts"], content["digest"]
    path.write_text(json.dumps(content))
    old = read_manifest(spark, manifest.uri)
    assert read_split(spark, old, "holdout").count() == 2
    (part,) = tmp_path.glob("fraud/v1/splits/split=holdout/*.parquet")
    shutil.copy(part, part.with_name("part-9.parquet"))
    with pytest.raises(RetrainingError, match="holds 4 rows, its manifest says 2"):
        read_split(spark, old, "holdout")
