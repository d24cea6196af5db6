"""Prepared rows on storage: divided into days, and into train, validation and holdout."""

from __future__ import annotations

from datetime import date, datetime
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retraining.data import splits
from retraining.data.columns import is_positive
from retraining.data.fingerprint import fingerprint
from retraining.data.instants import day_of, from_micros, micros_of
from retraining.data.manifest import SPLITS, StoredSplit, read_folders
from retraining.description.names import DAY, SPLIT
from retraining.errors import RetrainingError
from retraining.spark import storage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import SparkSession

    from retraining.data.splits import Windows
    from retraining.description.document import Description

_ROWS_PER_FILE = 1_000_000


def write_days(spark: SparkSession, rows: DataFrame, event_time: str, folder: str) -> list[date]:
    """Write rows into one folder a day (UTC) and return the days."""
    by_day = rows.withColumn(DAY, day_of(event_time)).repartition(DAY)
    by_day.write.partitionBy(DAY).parquet(folder)
    entries = storage.list_folder(spark, folder)
    return [date.fromisoformat(entry.name.removeprefix(f"{DAY}=")) for entry in entries]


def split_folder(folder: str, name: str) -> str:
    """Return where `write_splits` puts the rows of a split."""
    return f"{folder}/splits/{SPLIT}={name}"


def day_folder(folder: str, day: date) -> str:
    """Return where `write_days` puts the rows of a day."""
    return f"{folder}/{DAY}={day.isoformat()}"


def place_windows(
    spark: SparkSession,
    description: Description,
    days: Mapping[date, str],
    columns: Mapping[str, str],
    as_of: datetime | None,
) -> Windows | None:
    """Place the windows of the splits by the newest event; None without event times."""
    if description.event_time is None:
        return None
    newest_day = read_folders(spark, [days[max(days)]], columns)
    (newest,) = newest_day.agg(F.max(micros_of(description.event_time))).collect()[0]
    return splits.windows(description, from_micros(newest), as_of)


def read_windows(
    spark: SparkSession,
    days: Mapping[date, str],
    columns: Mapping[str, str],
    windows: Windows | None,
) -> DataFrame:
    """Read the days that the windows touch; without windows, all days."""
    folders = list(days.values())
    if windows is not None:
        ranges = (windows.train, windows.validation, windows.holdout)
        start, end = min(r.start for r in ranges).date(), max(r.end for r in ranges).date()
        folders = [uri for day, uri in days.items() if start <= day <= end]
    return read_folders(spark, folders, columns)


def write_splits(
    rows: DataFrame,
    description: Description,
    windows: Windows | None,
    folder: str,
) -> None:
    """Write the rows of each split into a folder with its name.

    Files and the order of rows in them do not depend on the session's number of partitions.
    """
    assigned = splits.assign(rows, description, windows).where(F.col(SPLIT).isNotNull())
    n_files = 1 + rows.count() // _ROWS_PER_FILE
    in_order = assigned.repartition(n_files, description.row_key).sortWithinPartitions(
        SPLIT, description.row_key
    )
    in_order.write.partitionBy(SPLIT).parquet(f"{folder}/splits")


def examine_splits(
    spark: SparkSession,
    description: Description,
    columns: Mapping[str, str],
    windows: Windows | None,
    folder: str,
) -> dict[str, StoredSplit]:
    """Count and fingerprint what was written, and check that no row key is in two splits.

    Raises:
        RetrainingError: If a split has no rows, or train has rows of one class only.
    """
    for name in SPLITS:
        _check_written(spark, folder, name, windows)
    uris = {name: split_folder(folder, name) for name in SPLITS}
    rows = {name: read_folders(spark, [uri], columns) for name, uri in uris.items()}
    n_positives = _count_positives(rows, description)
    stored = {}
    for name, frame in rows.items():
        span = getattr(windows, name, None)
        start, end = span or (None, None)
        digest, n_rows = fingerprint(frame)
        stored[name] = StoredSplit(
            uri=uris[name],
            n_rows=n_rows,
            n_positives=n_positives[name],
            fingerprint=digest,
            start=start,
            end=end,
        )
    splits.check_classes(stored["train"].n_rows, stored["train"].n_positives)
    return stored


def _count_positives(rows: Mapping[str, DataFrame], description: Description) -> dict[str, int]:
    """Count positives by split, after a check that no row key is in two of them."""
    label = description.label
    marked = [
        frame.select(description.row_key, label.column, F.lit(name).alias(SPLIT))
        for name, frame in rows.items()
    ]
    together = reduce(DataFrame.unionByName, marked)
    splits.check_disjoint(together, description)
    positives = F.count_if(is_positive(label))
    return {row[0]: row[1] for row in together.groupBy(SPLIT).agg(positives).collect()}


def _check_written(spark: SparkSession, folder: str, name: str, windows: Windows | None) -> None:
    if not storage.exists(spark, split_folder(folder, name)):
        span = getattr(windows, name, None)
        days = f" from {span.start:%Y-%m-%d} to {span.end:%Y-%m-%d}" if span else ""
        raise RetrainingError(f"{name}{days} has no rows", "give more files or another as_of")
