"""Prepared rows on storage: divided into days, and into train, validation and holdout."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from retraining.data.columns import is_positive
from retraining.data.fingerprint import fingerprints
from retraining.data.instants import day_after, day_of
from retraining.data.manifest import SPLITS, read_folders
from retraining.data.rows import labels
from retraining.data.splitting import splits
from retraining.description.durations import format_duration
from retraining.description.names import DAY, SPLIT
from retraining.description.splitting import OrderSplit
from retraining.errors import RetrainingError
from retraining.spark import storage

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date

    from pyspark.sql import Column, SparkSession

    from retraining.data.splitting.splits import Placement
    from retraining.data.splitting.windows import Windows
    from retraining.description.document import Description

_ROWS_PER_FILE = 1_000_000


def write_days(
    rows: DataFrame,
    description: Description,
    folder: str,
    counts: Mapping[date, int],
    *observed: Column,
) -> dict[str, int]:
    """Write rows into one folder a day, and return what aggregates of them found, by name.

    Args:
        rows: Computed once, as they are written.
        description: Names the event time and the row key.
        folder: A new one.
        counts: Rows by day.
        observed: Aggregates with a name.
    """
    # A single task writes a day, unless that has many rows: those are spread by their keys.
    large: dict[int, list[date]] = {}
    for day, n_rows in counts.items():
        if n_rows > _ROWS_PER_FILE:
            large.setdefault(1 + n_rows // _ROWS_PER_FILE, []).append(day)
    key = F.xxhash64(*description.key_columns)
    pieces = [F.when(F.col(DAY).isin(days), F.pmod(key, F.lit(n))) for n, days in large.items()]
    spread = [F.coalesce(*pieces)] if pieces else []
    by_day = rows.withColumn(DAY, day_of(str(description.event_time)))
    found = Observation()
    # Observed by the tasks that write: a task before them may be repeated, and count twice.
    by_day = by_day.repartition(DAY, *spread).observe(found, *observed)
    by_day.write.partitionBy(DAY).parquet(folder)
    return found.get


def split_folder(folder: str, name: str) -> str:
    """Return where `write_splits` puts the rows of a split."""
    return f"{folder}/splits/{SPLIT}={name}"


def day_folder(folder: str, day: date) -> str:
    """Return where `write_days` puts the rows of a day."""
    return f"{folder}/{DAY}={day.isoformat()}"


def read_windows(
    spark: SparkSession,
    days: Mapping[date, str],
    columns: Mapping[str, str],
    windows: Windows | None,
) -> DataFrame:
    """Read the days that the windows touch; without windows, all days."""
    folders = list(days.values())
    if windows is not None:
        start, end = windows.span
        folders = [uri for day, uri in days.items() if start.date() <= day <= end.date()]
    return read_folders(spark, folders, columns)


def write_splits(
    rows: DataFrame,
    description: Description,
    at: Placement,
    folder: str,
) -> dict[splits.Place, splits.Tally]:
    """Write the rows of each split into a folder with its name.

    Files and the order of rows in them do not depend on the session's number of partitions.

    Returns:
        The rows by where they are.
    """
    places = splits.count_places(rows, description, at)
    n_rows = sum(tally.n_rows for tally in places.values())
    assigned = splits.assign(rows, description, at).where(F.col(SPLIT).isNotNull())
    n_files = 1 + n_rows // _ROWS_PER_FILE
    key = description.key_columns
    in_order = assigned.repartition(n_files, *key).sortWithinPartitions(SPLIT, *key)
    in_order.write.partitionBy(SPLIT).parquet(f"{folder}/splits")
    return places


def find_splits(spark: SparkSession, folder: str) -> dict[str, list[str]]:
    """The folder of each split, if `write_splits` found rows for it."""
    uris = {name: split_folder(folder, name) for name in SPLITS}
    return {name: [uri] if storage.exists(spark, uri) else [] for name, uri in uris.items()}


def examine_splits(
    rows: DataFrame, description: Description, windows: Windows | None
) -> dict[str, dict[str, Any]]:
    """Count and fingerprint the rows of each split.

    Args:
        rows: From `read_splits`, as they are on storage.
        description: Names the label.
        windows: Where rows were split by time.

    Returns:
        For each split the fields of `StoredSplit`, without the place of its rows.

    Raises:
        RetrainingError: If train has rows of one class only.
    """
    found = _count(rows, description)
    splits.check_classes(found["train"]["n_rows"], found["train"]["n_positives"])
    for name, content in found.items():
        content["start"], content["end"] = getattr(windows, name, None) or (None, None)
    return found


def read_splits(
    spark: SparkSession, folders: Mapping[str, Sequence[str]], columns: Mapping[str, str]
) -> DataFrame:
    """Read the rows of all splits, with the name of theirs as the column `split`."""
    return reduce(
        DataFrame.unionByName,
        (
            read_folders(spark, held, columns).withColumn(SPLIT, F.lit(name))
            for name, held in folders.items()
        ),
    )


def _count(rows: DataFrame, description: Description) -> dict[str, dict[str, Any]]:
    """Count, weigh and fingerprint the rows of each split; no weight if rows have none."""
    label, weight = description.label, description.weight
    positive = is_positive(label)
    mass = F.col(weight) if weight else F.lit(None).cast("double")
    found = fingerprints(
        rows,
        SPLIT,
        F.count_if(positive),
        F.sum(mass),
        F.sum(F.when(positive, mass).otherwise(mass * 0)),
        *labels.outermost_negatives(description),
    )
    # Days that were prepared before and those that are new may have two values each.
    outermost = [value for _, counts in found.values() for value in counts[3:] if value is not None]
    labels.check_values(
        rows, description, min(outermost, default=None), max(outermost, default=None)
    )
    return {
        name: {
            "n_rows": content.n_rows,
            "n_positives": counts[0],
            "weight": _rounded(counts[1]),
            "positive_weight": _rounded(counts[2]),
            "fingerprint": content.digest,
        }
        for name, (content, counts) in found.items()
    }


def _rounded(total: float | None) -> float | None:
    """Twelve digits, which do not depend on the order in which weights were summed."""
    return None if total is None else float(f"{total:.12g}")


def check_filled(
    folders: Mapping[str, Sequence[str]],
    description: Description,
    windows: Windows | None,
    days: Collection[date],
) -> None:
    """Check that each split has rows.

    Args:
        folders: With the rows of each split.
        description: Has the split.
        windows: Where rows were split by time.
        days: Those that have rows.

    Raises:
        RetrainingError: With what there is, and what would help.
    """
    for name, held in folders.items():
        if not held:
            raise _empty(name, description, windows, days)


def _empty(
    name: str, description: Description, windows: Windows | None, days: Collection[date]
) -> RetrainingError:
    if windows is None or not days:
        why, remedy = _unplaced(description, days)
        return RetrainingError(f"{name} has no rows{why}", f"give more files, {remedy}")
    span = getattr(windows, name)
    end = day_after(max(days))
    remedy = f"give more files or another as_of, for example as_of={end}"
    if windows.as_of.date() == end:
        remedy = (
            "give more files, shorter windows in the description's split, or "
            f"{description.event_time} the rules min and max if such days are wrong"
        )
    return RetrainingError(
        f"{name} from {span.start:%Y-%m-%d} to {span.end:%Y-%m-%d} has no rows "
        f"(the rows are of {min(days)} to {max(days)})",
        remedy,
    )


def _unplaced(description: Description, days: Collection[date]) -> tuple[str, str]:
    """Why a split without windows may have no rows, and what helps besides more files."""
    split, delay = description.split, description.label.delay
    if days and delay:
        return (
            f": labels are known {format_duration(delay)} after {description.event_time}, "
            f"and the rows are of {min(days)} to {max(days)}",
            "or a later as_of if labels were reported up to then",
        )
    if isinstance(split, OrderSplit):
        names = " and ".join(split.columns)
        return f": rows with the same {names} stay together", "or order by more columns"
    if description.units:
        names = " and ".join(description.units)
        return f": rows of the same {names} stay together", "or a unit with more values"
    return "", "or a larger share for it in the description's split"
