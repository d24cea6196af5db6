"""Spark's classes, read and checked once: an archive that a JVM maps instead of loading its jars.

It halves the time to start Spark. The first JVM writes it when it ends, after the step that started
it, and later ones use it. A JVM that an archive does not fit ignores it.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyspark.find_spark_home import _find_spark_home

from retraining.digests import digest
from retraining.spark import cache

if TYPE_CHECKING:
    from collections.abc import Mapping

_OPTIONS: Final = "spark.driver.extraJavaOptions"
_WRITE: Final = "-XX:ArchiveClassesAtExit="
# Which classes do not get in, or that the archive does not fit, is of use to nobody.
_QUIET: Final = "-Xlog:cds=off -Xlog:cds+dynamic=off"
# By these, folders come before Spark's jars; a JVM takes no archive then.
_MORE_CLASSES: Final = ("SPARK_DIST_CLASSPATH", "HADOOP_CONF_DIR", "YARN_CONF_DIR")
# A JVM that has not written it by then may have been killed.
_SECONDS_TO_WRITE: Final = 120
_SECONDS_UNUSED: Final = 30 * 24 * 3600


def used_by(settings: Mapping[str, str]) -> dict[str, str]:
    """Settings of a JVM to start; if they are for this machine, with the archive.

    The JVM uses it or, where there is none, writes it when it ends.
    """
    if _OPTIONS not in settings:
        return dict(settings)
    return {**settings, _OPTIONS: f"{settings[_OPTIONS]} {_java_options()}".strip()}


def is_written_by(settings: Mapping[str, str]) -> bool:
    """Whether a JVM with these settings takes some seconds to end, since it writes the archive."""
    return _WRITE in settings.get(_OPTIONS, "")


def _java_options() -> str:
    path = _path()
    if path is None:
        return ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _tidy(path)
        if path.is_file():
            os.utime(path)
            return f"'-XX:SharedArchiveFile={path}' {_QUIET}"
        if any(path.parent.glob(f"{path.name}.*")):
            return ""  # another JVM writes it
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.touch()
    except OSError:  # no place to write to, or another process tidied at this moment
        return ""
    return f"'{_WRITE}{draft}' {_QUIET}"


def _path() -> Path | None:
    """Where the archive of these jars for this Java is; None where it could not be used."""
    java, home = _java_home(), Path(_find_spark_home())
    if java is None or (home / "conf").exists() or any(map(os.environ.get, _MORE_CLASSES)):
        return None
    files = [java / "release", *sorted((home / "jars").glob("*.jar"))]
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return cache.folder() / f"spark-{digest(repr(states))}.jsa"


def _java_home() -> Path | None:
    """The Java that Spark starts, if it is one that can write and use such an archive."""
    program = shutil.which("java")
    named = os.environ.get("JAVA_HOME")
    home = Path(named) if named else Path(program).resolve().parents[1] if program else None
    if home is None or not (home / "lib" / "server" / "classes.jsa").is_file():
        return None  # the archive of Java's own classes, which the other one adds to
    with suppress(OSError):
        version = re.search(r'^JAVA_VERSION="(\d+)', (home / "release").read_text(), re.MULTILINE)
        return home if version and int(version[1]) >= 17 else None
    return None


def _tidy(path: Path) -> None:
    """Put a draft that is complete in place, and remove what nobody completes or uses."""
    for draft in path.parent.glob("spark-*.jsa.*"):
        # A JVM writes the head last.
        with draft.open("rb") as file:
            complete = any(file.read(4))
        if complete and draft.stem == path.name and not path.exists():
            draft.rename(path)
        elif complete or time.time() - draft.stat().st_mtime > _SECONDS_TO_WRITE:
            draft.unlink()
    for other in path.parent.glob("spark-*.jsa"):
        if time.time() - other.stat().st_mtime > _SECONDS_UNUSED:
            other.unlink()
