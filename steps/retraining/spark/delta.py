"""Tables of Delta Lake: their addresses, and the package that Spark needs to read them.

The address of a table is `delta:` and its folder, and of one of its versions, `delta:FOLDER@v12`.
Without the package and its settings Spark would read the files of the folder, some of which hold
rows that were deleted.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pyspark
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from retraining.errors import RetrainingError
from retraining.spark import ivy, storage
from retraining.spark.faults import first_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import DataFrame, SparkSession

_SCHEME: Final = "delta:"
_LOG: Final = "_delta_log"
_EXTENSION: Final = "io.delta.sql.DeltaSparkSessionExtension"
SETTINGS: Final = {
    "spark.sql.extensions": _EXTENSION,
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
_PACKAGES: Final = {
    "4.2": "io.delta:delta-spark_4.2_2.13:4.4.0",
    "3.5": "io.delta:delta-spark_2.12:3.3.2",
}
# Spark has them, or they belong to Unity Catalog and to Delta's own reader without Spark.
_NOT_NEEDED: Final = ("com.*:*", "commons-*:*", "io.airlift:*", "io.unitycatalog:*", "javax.*:*")


class Version(NamedTuple):
    """A version of a table.

    Attributes:
        address: Names table and version.
        size: Bytes of the file that made it.
        modified: Milliseconds since 1970, of that file.
    """

    address: str
    size: int
    modified: int


def is_address(source: str) -> bool:
    """Whether a source is the address of a table."""
    return source.startswith(_SCHEME)


def address_of(folder: str) -> str:
    """The address of the newest version of a table."""
    return f"{_SCHEME}{folder}"


def is_table(spark: SparkSession, folder: str) -> bool:
    """Whether a folder is a table."""
    return storage.exists(spark, f"{folder}/{_LOG}")


def jars(paths: Iterable[str]) -> list[Path]:
    """What Spark needs to read tables, if one of the paths is one; downloaded once.

    A folder is known for a table only on this machine; elsewhere its address says it.

    Raises:
        RetrainingError: If it cannot be had.
    """
    parts = [part.strip() for path in paths for part in path.split(",")]
    if any(is_address(part) or (Path(part) / _LOG).is_dir() for part in parts):
        packages = ivy.Packages((_package(),), ("org.*:*", *_NOT_NEEDED))
        return ivy.jars("Delta Lake", "delta", packages)
    return []


def find(spark: SparkSession, source: str) -> Version:
    """The version of a table that an address names: the newest one, if it names none.

    Raises:
        RetrainingError: If there is no such table or version, or this Spark cannot read it.
    """
    folder, wanted = _parse(source)
    if not is_table(spark, folder):
        raise RetrainingError(f"{folder} is not a table of Delta Lake", "give the table's folder")
    _require_delta(spark, folder)
    folder = storage.make_absolute(spark, folder)
    commits: dict[int, storage.Entry] = {}
    for entry in storage.list_folder(spark, f"{folder}/{_LOG}"):
        # A checkpoint has the whole state of a version whose commit may be gone.
        if found := re.match(r"(\d{20})(\.json|\.checkpoint\..*)$", entry.name):
            kept = commits.get(int(found[1]))
            commits[int(found[1])] = kept if kept and kept.name.endswith(".json") else entry
    if wanted is None:
        wanted = max(commits, default=0)
    if wanted not in commits:
        raise RetrainingError(
            f"{folder} has no version {wanted}",
            f"its versions are {min(commits)} to {max(commits)}; older ones are removed with time"
            if commits
            else "give a table that holds rows",
        )
    entry = commits[wanted]
    return Version(f"{address_of(folder)}@v{wanted}", entry.size, entry.modified)


def read(spark: SparkSession, source: str) -> DataFrame:
    """Read the rows that a version of a table has.

    Raises:
        RetrainingError: If the version cannot be read any more.
    """
    folder, version = _parse(source)
    reader = spark.read.format("delta")
    if version is not None:
        reader = reader.option("versionAsOf", version)
    try:
        return reader.load(folder)
    except (Py4JJavaError, PySparkException) as error:
        raise RetrainingError(
            f"{source} cannot be read ({first_line(error)})",
            "give a version that the table still has, or the table without a version",
        ) from error


def _parse(source: str) -> tuple[str, int | None]:
    """The folder and the version that an address names; None is the newest one."""
    found = re.fullmatch(rf"{_SCHEME}(.+?)/?(?:@v(\d+))?", source)
    if found is None:
        raise RetrainingError(f"{source} names no table", f"write {address_of('FOLDER')}")
    return found[1], int(found[2]) if found[2] else None


def _require_delta(spark: SparkSession, folder: str) -> None:
    if _EXTENSION not in str(spark.conf.get("spark.sql.extensions", "")):
        options = " ".join(f"--conf {key}={value}" for key, value in SETTINGS.items())
        raise RetrainingError(
            f"{folder} is a table of Delta Lake, which this Spark is not set to read",
            f"write {address_of(folder)}; a Spark that spark-submit starts needs "
            f"--packages {_package()} {options}",
        )


def _package() -> str:
    spark = ".".join(pyspark.__version__.split(".")[:2])
    if spark not in _PACKAGES:
        raise RetrainingError(
            f"tables of Delta Lake are not read with Spark {spark}",
            f"take Spark {' or '.join(_PACKAGES)}, or write their rows to parquet files",
        )
    return _PACKAGES[spark]
