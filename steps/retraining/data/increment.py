"""Which files must be read: all, or only those that an earlier version has not read."""

from __future__ import annotations

from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, NamedTuple

from pyspark.sql import functions as F
from pyspark.sql import types as T

from retraining.data.features import reach_of
from retraining.data.files.sources import FILE, MALFORMED
from retraining.data.instants import day_before, day_of, midnight
from retraining.data.integrity import find_change
from retraining.data.manifest import read_folders
from retraining.data.rows.quality import RAW, REASON, duplicate
from retraining.progress import all_files_are
from retraining.spark import storage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from pyspark.sql import Column, DataFrame, SparkSession

    from retraining.data.files.sources import RawFile
    from retraining.data.manifest import Manifest
    from retraining.description.document import Description

_KNOWN = "_known"  # not null in a row whose unique value a stored row has


class Plan(NamedTuple):
    """What to read.

    Attributes:
        files: The raw files to read; none if nothing is new.
        base: The earlier version whose rows are reused; None if all files are read.
        why: The reason, for the log and the manifest.
    """

    files: tuple[RawFile, ...]
    base: Manifest | None
    why: str


def plan(
    spark: SparkSession,
    description: Description,
    files: Sequence[RawFile],
    previous: Manifest | None,
) -> Plan:
    """Choose the files to read, so that the result is the same as from reading all of them.

    Args:
        spark: The session.
        description: The current one.
        files: All raw files.
        previous: The manifest of an earlier version, if there is one.
    """
    obstacle = _find_obstacle(spark, description, files, previous)
    if previous is None or obstacle is not None:
        return Plan(tuple(files), None, f"{all_files_are(len(files))} read: {obstacle}")
    new = tuple(sorted(set(files) - set(previous.files)))
    if new:
        are = "is" if len(new) == 1 else "are"
        why = f"{len(new)} of {len(files)} files {are} read: {previous.version} holds the others"
    else:
        held = "it" if len(files) == 1 else f"all {len(files)}"
        why = f"no file is read: {previous.version} holds {held}"
    return Plan(new, previous, why)


def _find_obstacle(
    spark: SparkSession,
    description: Description,
    files: Sequence[RawFile],
    previous: Manifest | None,
) -> str | None:
    """Return why the rows of an earlier version cannot be reused; None if they can."""
    if previous is None:
        return "there is no earlier version"
    if description.event_time is None:
        return "rows without event times cannot be reused by day"
    if len(description.unique_keys) > 1:
        # A row that becomes a duplicate by one key may have made other rows duplicates by
        # another key: those would have to come back from quarantine.
        return "duplicates by several keys can only be found in all rows together"
    if description.preparation_digest != previous.preparation_digest:
        return f"the description differs from that of {previous.version}"
    now = {file.path: file for file in files}
    for file in previous.files:
        if file.path not in now:
            return f"{file.path} of {previous.version} is missing"
        if file != now[file.path]:
            return f"{file.path} has changed since {previous.version}"
    if previous.days.keys() != previous.day_rows.keys():
        return f"{previous.version} does not say how many rows its days have"
    gone = _find_missing(spark, previous)
    if gone:
        return f"{gone} of {previous.version} is gone"
    return find_change(spark, previous.parts, previous.days.values())


def _find_missing(spark: SparkSession, previous: Manifest) -> str | None:
    there: set[str] = set()
    for parent in {uri.rpartition("/")[0] for uri in previous.days.values()}:
        if storage.exists(spark, parent):
            there.update(entry.path for entry in storage.list_folder(spark, parent))
    return next((uri for _, uri in sorted(previous.days.items()) if uri not in there), None)


def first_day(checked: DataFrame, event_time: str) -> tuple[date | None, int]:
    """Return the day of the earliest valid row (None without any) and the number of all rows."""
    day = day_of(F.when(F.col(REASON).isNull(), F.col(event_time)))
    start, n_rows = checked.agg(F.min(day), F.count(F.lit(1))).collect()[0]
    return start, n_rows


def _within(new: DataFrame, names: Sequence[str]) -> Column:
    """Return a filter for the values that rows have in some columns, between their outermost ones.

    Where ids grow with time, Parquet then skips the days before.
    """
    # What Python holds as exactly as Spark does.
    kinds = T.IntegralType | T.StringType | T.DateType
    ordered = [name for name in names if isinstance(new.schema[name].dataType, kinds)]
    ends = [end(F.col(name)) for name in ordered for end in (F.min, F.max)]
    valid = new.where(F.col(REASON).isNull())
    found = valid.agg(F.count(F.lit(1)), *ends).collect()[0][1:]
    pairs = zip(ordered, found[::2], found[1::2], strict=True)
    between = (F.col(name).between(low, high) for name, low, high in pairs)
    return reduce(and_, between, F.lit(True))  # noqa: FBT003 (a value)


def add_stored(
    spark: SparkSession,
    checked: DataFrame,
    description: Description,
    base: Manifest,
    start: date | None,
) -> DataFrame:
    """Combine new rows with the stored rows of the same and later days.

    A new row is a duplicate if a stored row of an earlier day has its unique values. Duplicates
    among the rows from `start` on are left to `quality.flag_duplicates`.

    Args:
        spark: The session.
        checked: New rows, from `quality.flag_invalid`.
        description: Of the data set.
        base: The version that holds the stored rows.
        start: The day of the earliest new row.
    """
    later = {day: uri for day, uri in base.days.items() if start is not None and day >= start}
    earlier = [uri for day, uri in base.days.items() if day not in later]
    new = checked
    for unique in description.unique_keys:
        known = read_folders(spark, earlier, base.columns).where(_within(checked, unique))
        known = known.select(*unique, F.lit(1).alias(_KNOWN))
        repeated = F.col(REASON).isNull() & F.col(_KNOWN).isNotNull()
        new = (
            checked.join(known, on=[*unique], how="left")
            .withColumn(REASON, F.when(repeated, duplicate(unique)).otherwise(F.col(REASON)))
            .select(*checked.columns)
        )
    stored = read_folders(spark, later.values(), base.columns).select(
        *description.columns,
        F.lit(None).cast(checked.schema[RAW].dataType).alias(RAW),
        F.lit(None).cast("string").alias(MALFORMED),
        (F.col("_metadata.file_path") if later else F.lit(None).cast("string")).alias(FILE),
        F.lit(None).cast("string").alias(REASON),
    )
    return new.unionByName(stored)


def days_of_history(description: Description, base: Manifest, start: date) -> list[str]:
    """Return the folders of the days before a day, as far back as features look."""
    oldest = day_before(midnight(start, description.zone), reach_of(description))
    return [uri for day, uri in base.days.items() if oldest <= day < start]


def read_history(
    spark: SparkSession, description: Description, base: Manifest, start: date
) -> DataFrame:
    """Read the stored rows of `days_of_history`."""
    folders = days_of_history(description, base, start)
    return read_folders(spark, folders, base.columns).select(*description.kept_columns)
