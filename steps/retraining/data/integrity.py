"""Whether the files of a data set are those that were written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from retraining.digests import digest
from retraining.spark import storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyspark.sql import SparkSession

    Parts = Mapping[str, Mapping[str, int]]  # bytes by folder and file name


def seal(content: Mapping[str, Any]) -> str:
    """Digest of what a manifest says, whatever its layout."""
    return digest(json.dumps({name: value for name, value in content.items() if name != "digest"}))


def files_of(spark: SparkSession, folder: str) -> dict[str, dict[str, int]]:
    """Bytes by file name, of each folder within a folder."""
    found: dict[str, dict[str, int]] = {}
    for path, size in sorted(storage.sizes(spark, folder).items()):
        parent, _, name = path.rpartition("/")
        found.setdefault(parent, {})[name] = size
    return found


def find_change(spark: SparkSession, parts: Parts, folders: Iterable[str]) -> str | None:
    """Say which file of some folders is not as it was written; None if all are.

    Folders without parts, as those of earlier releases, are taken as they are.
    """
    known = [uri for uri in folders if uri in parts]
    found: dict[str, dict[str, int]] = {}
    for parent in sorted({uri.rpartition("/")[0] for uri in known}):
        found |= files_of(spark, parent)
    for uri in known:
        there, written = found.get(uri, {}), parts[uri]
        for name in sorted({*there, *written}):
            if name not in there:
                return f"{uri}/{name} is missing"
            if name not in written:
                return f"{uri}/{name} does not belong to the data set"
            if there[name] != written[name]:
                size = f"{there[name]:,} bytes, {written[name]:,} when it was written"
                return f"{uri}/{name} has {size}"
    return None


def count_rows(spark: SparkSession, folders: Sequence[str]) -> int | None:
    """Rows by the footers of the files; None where they cannot be read."""
    try:
        return spark.read.parquet(*folders).count()
    except (Py4JJavaError, PySparkException):
        return None
