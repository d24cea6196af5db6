"""Prepared data sets on storage: complete, or absent.

    <root>/<name>/<version>/
        rows/day=2018-07-25/    the days that this version computed (data with event times only)
        splits/split=train/     and split=validation, split=holdout
        quarantine/
        _MANIFEST.json          written last

A folder without a manifest is not a data set. Nothing is renamed: object stores cannot do that.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from datetime import date, datetime  # noqa: TC003 (pydantic needs them at run time)
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pyspark.sql import functions as F

from retraining.data.columns import quote
from retraining.data.sources import RawFile  # noqa: TC001 (pydantic needs it at run time)
from retraining.description import reading
from retraining.errors import RetrainingError
from retraining.spark import storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pyspark.sql import DataFrame, SparkSession

    from retraining.description.document import Description

MANIFEST = "_MANIFEST.json"
SPLITS = ("train", "validation", "holdout")
_PREPARE_AGAIN = "prepare the data set again"


class Record(BaseModel):
    """A section of a manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredSplit(Record):
    """The rows of train, validation or holdout on storage.

    Attributes:
        uri: Their folder.
        n_rows: Number of rows.
        n_positives: Number of positives.
        fingerprint: Of their content.
        start: First moment of the window in UTC; None if rows were not split by time.
        end: First moment after the window.
    """

    uri: str
    n_rows: int
    n_positives: int
    fingerprint: str
    start: datetime | None = None
    end: datetime | None = None


class StoredQuarantine(Record):
    """The rows that this version rejected: their folder, and their number by reason."""

    uri: str
    n_rows: int
    by_reason: dict[str, int]


class Manifest(Record):
    """What a data set holds and what it was prepared from.

    Attributes:
        name: The name of the description.
        version: The id of the run that prepared it.
        uri: Its folder.
        description: What `Description.to_mapping` wrote.
        description_digest: Digest of all of it.
        preparation_digest: Digest of the sections that decide the content of rows.
        files: The raw files behind it, including those that earlier versions read.
        columns: Spark SQL types of the rows by column.
        days: Folders of prepared rows by day (UTC); those of reused days are in earlier versions.
        splits: Train, validation and holdout.
        quarantine: The rejected rows.
        n_rows_read: Raw rows that were read for this version.
        fingerprint: Of the rows of all splits.
        as_of: The moment for which the splits were placed, if one was given.
        new_days: The days that this version computed.
        reused_days: The days that it reuses from earlier versions.
        why: Why all files, or only new ones, were read.
    """

    name: str
    version: str
    uri: str
    description: dict[str, Any]
    description_digest: str
    preparation_digest: str
    files: tuple[RawFile, ...]
    columns: dict[str, str]
    days: dict[date, str]
    splits: dict[str, StoredSplit]
    quarantine: StoredQuarantine
    n_rows_read: int
    fingerprint: str
    as_of: datetime | None
    new_days: tuple[date, ...]
    reused_days: tuple[date, ...]
    why: str

    def describe(self) -> Description:
        """Return the description with which the data set was prepared."""
        return reading.from_mapping(self.description, where=f"{self.uri}/{MANIFEST}")

    @property
    def trained_until(self) -> str | None:
        """The moment (ISO 8601, UTC) before which all rows of train and validation lie."""
        ends = [self.splits[name].end for name in ("train", "validation")]
        known = [end for end in ends if end is not None]
        return max(known).isoformat() if known else None


@contextmanager
def stage(spark: SparkSession, root: str, name: str, version: str) -> Iterator[str]:
    """Yield the folder for a version; it is removed if writing fails.

    What an interrupted run of the same version left behind is removed first.

    Raises:
        RetrainingError: If the version exists, or is not a folder name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", version):
        raise RetrainingError(f"version {version!r} is not a folder name", "use letters and digits")
    uri = f"{storage.make_absolute(spark, root).rstrip('/')}/{name}/{version}"
    if is_data_set(spark, uri):
        raise RetrainingError(f"{uri} exists", "choose another version")
    storage.remove(spark, uri)
    with storage.removed_on_failure(spark, uri):
        yield uri


def publish(spark: SparkSession, manifest: Manifest) -> None:
    """Write the manifest, which turns a version into a data set."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False)
    storage.write_text(spark, f"{manifest.uri}/{MANIFEST}", text)


def is_data_set(spark: SparkSession, uri: str) -> bool:
    """Whether a folder holds a complete data set."""
    return storage.exists(spark, f"{uri.rstrip('/')}/{MANIFEST}")


def read_manifest(spark: SparkSession, uri: str) -> Manifest:
    """Read the manifest of a data set.

    Args:
        spark: The session.
        uri: The folder of the data set.

    Raises:
        RetrainingError: If the folder is not a data set, or its manifest cannot be read.
    """
    path = f"{uri.rstrip('/')}/{MANIFEST}"
    if not storage.exists(spark, path):
        raise RetrainingError(f"{uri} is not a data set (no {MANIFEST})", _PREPARE_AGAIN)
    try:
        return Manifest.model_validate_json(storage.read_text(spark, path))
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        raise RetrainingError(f"{path} cannot be read ({key})", _PREPARE_AGAIN) from error


def read_split(spark: SparkSession, manifest: Manifest, name: str) -> DataFrame:
    """Read train, validation or holdout: raw columns and features.

    Raises:
        RetrainingError: If there is no such split.
    """
    if name not in manifest.splits:
        raise RetrainingError(
            f"there is no split {name!r}", f"choose one of {', '.join(manifest.splits)}"
        )
    return read_folders(spark, [manifest.splits[name].uri], manifest.columns)


def read_folders(
    spark: SparkSession, folders: Iterable[str], columns: Mapping[str, str]
) -> DataFrame:
    """Read prepared rows from several folders; without folders, a frame without rows.

    Args:
        spark: The session.
        folders: Folders of parquet files.
        columns: Spark SQL types by column; files need not be opened for their schema.
    """
    paths = list(folders)
    if not paths:
        return no_rows(spark, columns)
    schema = ", ".join(f"{quote(name)} {kind}" for name, kind in columns.items())
    return spark.read.schema(schema).parquet(*paths)


def no_rows(spark: SparkSession, columns: Mapping[str, str]) -> DataFrame:
    """Return a frame of these columns without rows.

    `createDataFrame([])` would start Python on the executors.
    """
    return spark.range(0).select(*(F.lit(None).cast(t).alias(name) for name, t in columns.items()))
