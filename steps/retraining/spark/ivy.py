"""Packages of Maven Central that Spark's own Ivy downloads once into the user's cache."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from pyspark.find_spark_home import _find_spark_home

from retraining.digests import digest
from retraining.errors import RetrainingError
from retraining.spark import cache


class Packages(NamedTuple):
    """Maven coordinates, and what of their dependencies Spark has already or nobody calls."""

    names: tuple[str, ...]
    excludes: tuple[str, ...] = ()


def jars(what: str, key: str, packages: Packages) -> list[Path]:
    """The jars in the user's cache, downloaded if they are not there; all of them or none.

    Args:
        what: They are, for messages.
        key: The beginning of their folder's name.
        packages: What to download.

    Raises:
        RetrainingError: If they cannot be had.
    """
    folder = cache.folder() / f"{key}-{digest(repr(packages), 8)}"
    if not folder.is_dir():
        sys.stderr.write(f"downloading {what} to {folder}, once\n")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
            _run(what, packages, Path(draft))
            if not folder.is_dir():  # another process may have been quicker
                (Path(draft) / "jars").rename(folder)
    return sorted(folder.glob("*.jar"))


def _run(what: str, packages: Packages, draft: Path) -> None:
    """Let `spark-submit` fetch packages into `draft/jars`, and start nothing."""
    settings = {
        "spark.master": "local",
        "spark.jars.packages": ",".join(packages.names),
        "spark.jars.excludes": ",".join(packages.excludes),
        "spark.jars.ivy": str(draft),
    }
    options = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    nothing = ["--class", "org.apache.ivy.Main", "spark-internal", "-version"]
    done = subprocess.run(  # noqa: S603
        [Path(_find_spark_home()) / "bin" / "spark-submit", *options, *nothing],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = [line.strip(" \t:") for line in (done.stdout + done.stderr).splitlines()]
        errors = [line for line in said if "not found" in line or "rror" in line]
        why = next(iter(errors or said[-1:]), "no output")
        raise RetrainingError(
            f"{what} cannot be downloaded ({why})",
            "let this machine reach Maven Central once, or name a mirror in "
            "DEFAULT_ARTIFACT_REPOSITORY",
        )
