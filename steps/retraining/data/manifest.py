"""Prepared data sets on storage: complete, or absent.

    <root>/<name>/<version>/
        rows/day=2018-07-25/    the days that this version computed (data with event times only)
        splits/split=train/     and split=validation, split=holdout, unless they are whole days
        quarantine/
        _MANIFEST.json          written last

A folder without a manifest is not a data set. Nothing is renamed: object stores cannot do that.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pyspark.sql import functions as F

from retraining.data import integrity
from retraining.data.account import (  # noqa: TC001 (pydantic needs them at run time)
    Account,
    Coverage,
)
from retraining.data.columns import quote
from retraining.data.files.sources import RawFile  # noqa: TC001 (pydantic needs it at run time)
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
        uri: Their folder; the data set's own, if they are whole days.
        days: The days whose rows they are, of `Manifest.days`; none if they have a folder.
        n_rows: Number of rows.
        n_positives: Number of positives.
        weight: Of all rows; None if rows have no weight.
        positive_weight: Of the positives.
        fingerprint: Of their content.
        start: First moment of the window, by the clock of its zone; None without event times.
        end: First moment after the window.
    """

    uri: str
    days: tuple[date, ...] = ()
    n_rows: int
    n_positives: int
    weight: float | None = None
    positive_weight: float | None = None
    fingerprint: str
    start: datetime | None = None
    end: datetime | None = None

    @property
    def masses(self) -> tuple[float, float]:
        """What all rows and the positives count for: their weights, or their numbers."""
        if self.weight is None or self.positive_weight is None:
            return self.n_rows, self.n_positives
        return self.weight, self.positive_weight


class StoredQuarantine(Record):
    """The rows that this version rejected: their folder, number by reason, and examples."""

    uri: str
    n_rows: int
    by_reason: dict[str, int]
    examples: dict[str, tuple[str, ...]] = Field(default_factory=dict)


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
        days: Folders of prepared rows by local day; those of reused days are in earlier versions.
        splits: Train, validation and holdout.
        quarantine: The rejected rows.
        n_rows_read: Raw rows that were read for this version.
        fingerprint: Of the rows of all splits.
        as_of: The moment for which the splits were placed, if one was given.
        new_days: The days that this version computed.
        reused_days: The days that it reuses from earlier versions.
        why: Why all files, or only new ones, were read.
        day_rows: Rows by day.
        account: What became of every row; None in manifests of earlier releases.
        coverage: For how much of its time the holdout speaks; None if all labels are known.
        warnings: What a reader should know of the splits.
        parts: Bytes of the files of each split and day, by folder and file name; `publish` sets it.
        digest: Of all of the above; `publish` sets it.
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
    day_rows: dict[date, int] = {}
    account: Account | None = None
    coverage: Coverage | None = None
    warnings: tuple[str, ...] = ()
    parts: dict[str, dict[str, int]] = {}
    digest: str = ""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader should know of the splits, labels that are not known included."""
        return (*([self.coverage.explain()] if self.coverage else []), *self.warnings)

    def folders_of(self, name: str) -> list[str]:
        """The folders with the rows of a split."""
        split = self.splits[name]
        return [self.days[day] for day in split.days] or [split.uri]

    def describe(self) -> Description:
        """Return the description with which the data set was prepared."""
        return reading.from_mapping(self.description, where=f"{self.uri}/{MANIFEST}")

    @property
    def trained_until(self) -> str | None:
        """The moment (ISO 8601, UTC) before which all rows of train and validation lie."""
        ends = [self.splits[name].end for name in ("train", "validation")]
        known = [end for end in ends if end is not None]
        return max(known).astimezone(UTC).isoformat() if known else None


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


def publish(spark: SparkSession, manifest: Manifest, base: Manifest | None = None) -> Manifest:
    """Write the manifest, which turns a version into a data set.

    Args:
        spark: The session.
        manifest: What the version holds.
        base: The version whose days it reuses, if there is one.

    Returns:
        The manifest with what later reads are checked against.
    """
    parts = (base.parts if base else {}) | integrity.files_of(spark, manifest.uri)
    folders = (uri for name in manifest.splits for uri in manifest.folders_of(name))
    read_later = {*manifest.days.values(), *folders}
    known = {uri: parts[uri] for uri in sorted(read_later) if uri in parts}
    content = manifest.model_copy(update={"parts": known}).model_dump(mode="json")
    content["digest"] = integrity.seal(content)
    text = json.dumps(content, indent=2, ensure_ascii=False)
    storage.write_text(spark, f"{manifest.uri}/{MANIFEST}", text)
    return Manifest.model_validate_json(text)


def is_data_set(spark: SparkSession, uri: str) -> bool:
    """Whether a folder holds a complete data set."""
    return storage.exists(spark, f"{uri.rstrip('/')}/{MANIFEST}")


def read_manifest(spark: SparkSession, uri: str) -> Manifest:
    """Read the manifest of a data set.

    Args:
        spark: The session.
        uri: The folder of the data set.

    Raises:
        RetrainingError: If the folder is not a data set, or its manifest cannot be read or was
            changed.
    """
    path = f"{uri.rstrip('/')}/{MANIFEST}"
    if not storage.exists(spark, path):
        raise RetrainingError(f"{uri} is not a data set (no {MANIFEST})", _PREPARE_AGAIN)
    text = storage.read_text(spark, path)
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or first["msg"]
        raise RetrainingError(f"{path} cannot be read ({key})", _PREPARE_AGAIN) from error
    if manifest.digest and manifest.digest != integrity.seal(json.loads(text)):
        raise RetrainingError(f"{path} was changed after it had been written", _PREPARE_AGAIN)
    return manifest


def read_split(spark: SparkSession, manifest: Manifest, name: str) -> DataFrame:
    """Read train, validation or holdout: raw columns and features.

    Its files are compared with those that were written, by a listing; Spark checks their content
    while it reads them.

    Raises:
        RetrainingError: If there is no such split, or it is not as it was written.
    """
    if name not in manifest.splits:
        raise RetrainingError(
            f"there is no split {name!r}", f"choose one of {', '.join(manifest.splits)}"
        )
    split = manifest.splits[name]
    folders = manifest.folders_of(name)
    change = integrity.find_change(spark, manifest.parts, folders)
    if change or not manifest.parts.keys() >= {*folders}:
        n_rows = integrity.count_rows(spark, folders)
        if n_rows not in (None, split.n_rows):
            change = f"{split.uri} holds {n_rows:,} rows, its manifest says {split.n_rows:,}"
    if change:
        raise RetrainingError(change, _PREPARE_AGAIN)
    return read_folders(spark, folders, manifest.columns)


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
