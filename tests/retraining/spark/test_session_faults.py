"""What Spark raises of damaged files and of folders that cannot be written, in one line."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pyspark.errors import PySparkException

from retraining.errors import RetrainingError
from retraining.spark import faults
from retraining.spark.session import open_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 60 kB, which is full."""
    folder = tmp_path / "full"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=60k", "tmpfs", str(folder)]
    mounted = shutil.which("mount") and subprocess.run(["mount", *options], capture_output=True)
    if not mounted or mounted.returncode:
        pytest.skip("file systems cannot be mounted: run as root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def told(error: pytest.ExceptionInfo[RetrainingError]) -> str:
    """The message, which is one line."""
    text = str(error.value)
    assert "\n" not in text
    return text


def test_text_that_is_cut_off(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "a b.csv.gz"
    path.write_bytes(gzip.compress(np.random.default_rng(0).bytes(50_000))[:20_000])
    with pytest.raises(RetrainingError) as error, open_session("t"):
        spark.read.csv(str(path)).count()
    assert "b.csv.gz is damaged (Unexpected end of input stream): " in told(error)


@pytest.mark.filterwarnings("ignore:toPandas attempted Arrow:UserWarning")
@pytest.mark.parametrize("action", ["count", "toPandas"])
def test_parquet_with_other_bytes(spark: SparkSession, tmp_path: Path, action: str) -> None:
    spark.range(1000).coalesce(1).write.parquet(str(tmp_path / "a"))
    (part,) = (tmp_path / "a").glob("*.parquet")
    part.with_name(f".{part.name}.crc").unlink()
    content = part.read_bytes()
    part.write_bytes(content[:100] + bytes(60) + content[160:])
    rows = spark.read.parquet(str(tmp_path / "a")).where("id > 0")
    with pytest.raises(RetrainingError) as error, open_session("t"):
        getattr(rows, action)()
    assert f"{part.name} is damaged (could not verify page integrity" in told(error)


def test_folder_that_cannot_be_written(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(RetrainingError) as error, open_session("t"):
        spark.range(9).write.parquet("/proc/scores")
    assert told(error).startswith("file:/proc/scores cannot be written (Mkdirs failed to create ")
    (tmp_path / "file").write_text("")
    with pytest.raises(RetrainingError) as error, open_session("t"):
        spark.range(9).write.parquet(str(tmp_path / "file" / "scores"))
    assert told(error).startswith(f"file:{tmp_path}/file is a file: ")


def test_full_disk(spark: SparkSession, full_disk: Path) -> None:
    with pytest.raises(RetrainingError) as error, open_session("t"):
        spark.range(100_000).selectExpr("uuid()").write.parquet(f"{full_disk}/scores")
    assert told(error).startswith(f"no space is left for file:{full_disk}/scores: ")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "Job aborted ... java.lang.OutOfMemoryError: Java heap space\n\tat a.b",
            "Java heap space",
        ),
        ("java.io.IOException: No space left on device", "SPARK_LOCAL_DIRS"),
        ("org.apache.hadoop.fs.s3a.AWSClientIOException: refused\n\tat a.b", "(refused)"),
        ("AccessControlException: Permission denied: user=me, access=WRITE", "user=me"),
    ],
)
def test_faults_that_no_test_can_make(said: str, expected: str) -> None:
    assert expected in str(faults.fault(PySparkException(said)))


def test_a_defect_stays_one() -> None:
    assert faults.fault(PySparkException("[UNRESOLVED_COLUMN] a")) is None
    assert faults.fault(OSError("disk")) is None
