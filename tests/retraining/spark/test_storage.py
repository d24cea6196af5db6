"""Files and folders through Hadoop's FileSystem API."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np
import pytest

from retraining.errors import RetrainingError
from retraining.spark import storage
from tests.hdfs import hdfs_by_default

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


def test_text_is_written_and_read_back(spark: SparkSession, tmp_path: Path) -> None:
    path = f"{tmp_path}/new folder/ä.json"
    storage.write_text(spark, path, "Größe\n")
    assert storage.read_text(spark, path) == "Größe\n"
    assert storage.read_start(spark, path, 4) == "Grö".encode()
    assert storage.read_start(spark, path, 100) == "Größe\n".encode()
    assert not storage.exists(spark, f"{path}.tmp")


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_the_start_of_a_long_file_is_read(spark: SparkSession, tmp_path: Path, suffix: str) -> None:
    content = np.random.default_rng(0).bytes(20_000)
    path = tmp_path / f"long{suffix}"
    path.write_bytes(gzip.compress(content, mtime=0) if suffix else content)
    for size in (5_999, 6_000, 6_001, 19_999):
        assert storage.read_start(spark, str(path), size) == content[:size]
    assert storage.read_start(spark, str(path), 30_000) == content


def test_folders_are_listed_and_removed(spark: SparkSession, tmp_path: Path) -> None:
    for name in ("b", "a", "_hidden", ".hidden"):
        storage.write_text(spark, f"{tmp_path}/one/{name}", name)
    entries = storage.list_folder(spark, f"{tmp_path}/one")
    assert [(entry.name, entry.size, entry.is_folder) for entry in entries] == [
        *(("a", 1, False), ("b", 1, False))
    ]
    storage.remove(spark, f"{tmp_path}/one")
    storage.remove(spark, f"{tmp_path}/one")
    assert not storage.exists(spark, f"{tmp_path}/one")


def test_a_folder_is_removed_only_if_its_writing_fails(spark: SparkSession, tmp_path: Path) -> None:
    folder = f"{tmp_path}/one"
    with storage.removed_on_failure(spark, folder):
        storage.write_text(spark, f"{folder}/a", "a")
    assert storage.exists(spark, f"{folder}/a")
    with pytest.raises(KeyboardInterrupt), storage.removed_on_failure(spark, folder):
        raise KeyboardInterrupt
    assert not storage.exists(spark, folder)


def test_paths_without_a_scheme_are_of_this_machine(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with hdfs_by_default(spark):
        storage.write_text(spark, "data/a b", "here")
        for path in ("data", "x/../data/", f"/{tmp_path}/data", f"file:{tmp_path}/data"):
            assert storage.make_absolute(spark, path) == f"file:{tmp_path}/data"
        assert [entry.path for entry in storage.find(spark, "d*/a*")] == [
            f"file:{tmp_path}/data/a b"
        ]
        assert storage.make_absolute(spark, "hdfs:///data") == "hdfs://127.0.0.1:1/data"
    assert (tmp_path / "data" / "a b").read_text() == "here"


def test_what_cannot_be_reached_is_told_in_one_line(spark: SparkSession, tmp_path: Path) -> None:
    for path, reason in {"nosuch://x/y": "nosuch", f"{tmp_path}/none": "none"}.items():
        with pytest.raises(RetrainingError, match=rf"{reason}.* cannot be reached \(.*\): check"):
            storage.read_text(spark, path)
