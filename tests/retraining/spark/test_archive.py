"""The archive of Spark's classes: written once, then used, and no obstacle where it cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from retraining.spark import archive, cache
from retraining.tracking.checkout import ROOT

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = "spark.driver.extraJavaOptions"
SETTINGS = {"spark.master": "local[*]", OPTIONS: "-XX:+UseParallelGC"}
COMPLETE, BEGUN = b"\xa8\xab\x0b\xf0 classes", bytes(12)
# Prints the archives that its JVM has mapped.
OPEN = """
from pathlib import Path
from pyspark import SparkContext
from retraining.spark.session import open_session

with open_session("opens") as spark:
    maps = Path(f"/proc/{SparkContext._gateway.proc.pid}/maps").read_text().splitlines()
    mapped = {line.split()[-1] for line in maps if ".jsa" in line and "spark-" in line}
    print(spark.range(3).count(), mapped)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and nothing in the environment that keeps archives from use."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in archive._MORE_CLASSES:
        monkeypatch.delenv(name, raising=False)
    if archive._path() is None:
        pytest.skip("Java here cannot make archives of classes")
    return tmp_path / "cache"


def place() -> Path:
    """Where the archive belongs; its folder is there."""
    path = archive._path()
    assert path is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def added() -> str:
    return archive.used_by(SETTINGS)[OPTIONS]


def test_the_first_jvm_writes_and_later_ones_use() -> None:
    path = place()
    first = archive.used_by(SETTINGS)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    assert first[OPTIONS].startswith(f"-XX:+UseParallelGC '-XX:ArchiveClassesAtExit={draft}'")
    assert archive.is_written_by(first)
    assert added() == "-XX:+UseParallelGC"  # the first is still at it

    draft.write_bytes(COMPLETE)
    later = archive.used_by(SETTINGS)

    assert f"'-XX:SharedArchiveFile={path}'" in later[OPTIONS]
    assert not archive.is_written_by(later)
    assert path.read_bytes() == COMPLETE
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_jvm_began_is_begun_again() -> None:
    path = place()
    begun = path.with_name(f"{path.name}.1")
    begun.write_bytes(BEGUN)
    assert added() == "-XX:+UseParallelGC"

    os.utime(begun, (0, 0))

    assert archive.is_written_by(archive.used_by(SETTINGS))
    assert not begun.exists()


def test_the_second_of_two_complete_drafts_is_removed() -> None:
    path = place()
    for number in (1, 2):
        path.with_name(f"{path.name}.{number}").write_bytes(COMPLETE)

    assert str(path) in added()
    assert list(path.parent.iterdir()) == [path]


def test_archives_of_other_jars_go_when_they_are_no_longer_used() -> None:
    path = place()
    young, old = path.with_name("spark-1.jsa"), path.with_name("spark-2.jsa")
    for other in (young, old):
        other.write_bytes(COMPLETE)
    os.utime(old, (0, 0))
    path.write_bytes(COMPLETE)
    os.utime(path, (0, time.time() - 24 * 3600))

    assert str(path) in added()
    assert sorted(path.parent.iterdir()) == sorted([path, young])
    assert time.time() - path.stat().st_mtime < 60


@pytest.mark.parametrize("name", archive._MORE_CLASSES)
def test_none_where_folders_come_before_the_jars(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "/etc/hadoop")
    assert added().strip() == "-XX:+UseParallelGC"
    assert not cache.folder().exists()


def test_none_where_the_cache_cannot_be_written(home: Path) -> None:
    home.write_text("a file, so that not even root can make the folder")
    assert added().strip() == "-XX:+UseParallelGC"


@pytest.mark.parametrize(
    "release", ['JAVA_VERSION="11.0.2"', 'JAVA_VERSION="9"', 'JAVA_VERSION="1.8.0_402"', ""]
)
def test_none_for_a_java_that_cannot_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str
) -> None:
    server = tmp_path / "java" / "lib" / "server"
    server.mkdir(parents=True)
    (server / "classes.jsa").touch()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    assert archive._path() is None
    (tmp_path / "java" / "release").write_text(release)
    assert archive._path() is None
    (tmp_path / "java" / "release").write_text('JAVA_VERSION="21.0.1"')
    assert archive._path() is not None


def test_a_session_that_others_decide_on_is_left_alone() -> None:
    assert archive.used_by({"spark.master": "yarn"}) == {"spark.master": "yarn"}
    assert not cache.folder().exists()


@pytest.mark.slow
def test_a_jvm_writes_it_and_the_next_one_maps_it(tmp_path: Path) -> None:
    path = place()

    def open_a_session() -> str:
        done = subprocess.run(
            [sys.executable, "-c", OPEN],
            env=os.environ | {"PYTHONPATH": str(ROOT / "steps"), "RETRAINING_JVM": ""},
            cwd=tmp_path,
            capture_output=True,  # which waits for the JVM too
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        # Of Java's own beginning, not of archives.
        assert done.stderr in ("", "WARNING: Using incubator modules: jdk.incubator.vector\n")
        (line,) = done.stdout.splitlines()
        return line

    assert open_a_session() == "3 set()"
    assert open_a_session() == f"3 {{'{path}'}}"
    path.unlink()
    path.write_bytes(COMPLETE)
    assert open_a_session() == "3 set()"
