"""Train, validation and holdout: the rows that a model learns from, and those that test it."""

from __future__ import annotations

from collections import Counter
from datetime import time, timedelta
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pyspark.sql import functions as F

from retraining.data.columns import is_positive
from retraining.data.instants import day_of, micros_of, to_micros
from retraining.data.rows import keys
from retraining.data.splitting.ordering import Order, is_up_to
from retraining.data.splitting.windows import Windows
from retraining.description.names import SPLIT
from retraining.description.splitting import HashSplit, TimeSplit
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date

    from pyspark.sql import Column, DataFrame

    from retraining.data.splitting.lengths import Range
    from retraining.description.document import Description
    from retraining.description.splitting import KnownPositives

TRAIN, VALIDATION, HOLDOUT = "train", "validation", "holdout"
# Where else a row can be.
OLDER, GAP, NEWER = "older", "gap", "newer"

_BUCKETS = 1_000_000


Placement: TypeAlias = Windows | Order | None


class Place(NamedTuple):
    """Where a row is (a split, `OLDER`, `GAP` or `NEWER`), and whether its label is known."""

    name: str
    known: bool


class Tally(NamedTuple):
    """Rows of a place: their number, the sum of their weights, and how many have a weight."""

    n_rows: int
    weight: float
    n_weighted: int


def place(frame: DataFrame, description: Description, at: Placement) -> DataFrame:
    """Add the column `split` (string): train, validation, holdout, or older, gap, newer.

    A split by hash puts all rows of a unit (without a unit, of a row key) into one split, and so
    does a validation that is a share of train.

    Raises:
        RetrainingError: If a split by time has no windows.
    """
    split = description.split
    unit = [*map(F.col, description.units), keys.for_split(description)][0]
    if isinstance(split, HashSplit):
        return frame.withColumn(SPLIT, _by_hash(split, unit))
    if isinstance(at, Order):
        name = F.when(is_up_to(description, at.train), TRAIN)
        name = name.when(is_up_to(description, at.validation), VALIDATION).otherwise(HOLDOUT)
    elif at is None or description.event_time is None:
        remedy = "give the windows as well"
        raise RetrainingError(f"{description.name} is split by {split.by}", remedy)
    else:
        name = _by_time(micros_of(description.event_time), at)
    if split.inner is not None:
        is_inner = (name == TRAIN) & (_bucket(unit, 0) < round(split.inner.part * _BUCKETS))
        name = F.when(is_inner, VALIDATION).otherwise(name)
    return frame.withColumn(SPLIT, name)


def count_places(frame: DataFrame, description: Description, at: Placement) -> dict[Place, Tally]:
    """Count and weigh rows by where they are, in one aggregation."""
    weight = F.col(description.weight) if description.weight else F.lit(None).cast("double")
    known = F.col(description.label.column).isNotNull().alias("known")
    counts = place(frame, description, at).groupBy(SPLIT, known)
    found = counts.agg(F.count(F.lit(1)), F.sum(weight), F.count(weight)).collect()
    return {Place(*row[:2]): Tally(row[2], row[3] or 0.0, row[4]) for row in found}


def whole_days(
    description: Description, windows: Windows | None, rows: Mapping[date, int]
) -> dict[str, tuple[date, ...]] | None:
    """The days that each split is made of; None if some split is not the rows of whole days.

    Args:
        description: Has the split and the zone.
        windows: Where rows are split by time.
        rows: Rows by day.
    """
    split = description.split
    if windows is None or not isinstance(split, TimeSplit) or description.known_when:
        return None
    parts = _parts(windows)
    is_cut = any(moment.time() != time.min for window in parts.values() for moment in window)
    if is_cut or split.inner is not None or split.known_positives is not None:
        return None
    return {
        name: tuple(day for day in sorted(rows) if window.start.date() <= day < window.end.date())
        for name, window in parts.items()
    }


def count_days(
    windows: Windows, rows: Mapping[date, int], days: Mapping[str, Collection[date]]
) -> dict[Place, Tally]:
    """What `count_places` finds where splits are whole days, by the rows of each day."""
    names = {day: name for name, held in days.items() for day in held}
    start, end = windows.span
    counts: Counter[str] = Counter()
    for day, n_rows in rows.items():
        if start.date() <= day <= end.date():
            counts[names.get(day, GAP if day < end.date() else NEWER)] += n_rows
    return {Place(name, known=True): Tally(n_rows, 0.0, 0) for name, n_rows in counts.items()}


def assign(frame: DataFrame, description: Description, at: Placement) -> DataFrame:
    """Add the column `split` (string): train, validation, holdout, or null for none of them.

    Rows whose label is not known are in none of them. In a split by time, `known_positives` removes
    the holdout rows whose key had a positive between the first day of train and `delay` before the
    row's day: such a key would be known by then.

    Args:
        frame: Rows with label, event time, row key, unit. With `known_positives` the frame is read
            twice and must hold every row from the start of train on.
        description: Has the split.
        at: From `place_windows` or `find_order`.

    Raises:
        RetrainingError: If a split by time has no windows.
    """
    split = description.split
    is_used = F.col(SPLIT).isin(TRAIN, VALIDATION, HOLDOUT)
    is_used &= F.col(description.label.column).isNotNull()
    rows = place(frame, description, at)
    rows = rows.withColumn(SPLIT, F.when(is_used, F.col(SPLIT)))
    known = split.known_positives if isinstance(split, TimeSplit) else None
    if known is None or not isinstance(at, Windows) or description.event_time is None:
        return rows
    day = day_of(description.event_time)
    counted = is_positive(description.label) & (day >= F.lit(at.train.start.date()))
    return _without_known(rows, known, day, counted)


def check_disjoint(frame: DataFrame, description: Description) -> None:
    """Check that no row key is in two splits.

    Args:
        frame: Rows with the row key and `split`.
        description: Names the row key.

    Raises:
        RetrainingError: With the number of such keys, and one of them.
    """
    key = " and ".join(description.key_columns)
    twice = (
        frame.where(F.col(SPLIT).isNotNull())
        .groupBy(keys.as_value(description).alias("row_key"))
        .agg(F.min(SPLIT).alias("first"), F.max(SPLIT).alias("last"))
        .where(F.col("first") != F.col("last"))
        .agg(F.count(F.lit(1)), F.min("row_key"))
    )
    count, example = twice.collect()[0]
    if count:
        raise RetrainingError(
            f"{count} values of {key} are in two splits, for example {example}",
            f"make {key} unique (rule unique: true)",
        )


def check_classes(n_rows: float, n_positives: float) -> None:
    """Check that the rows of train are of both classes.

    Raises:
        RetrainingError: With both numbers.
    """
    if not 0 < n_positives < n_rows:
        raise RetrainingError(
            f"train has {n_positives:g} positives in {n_rows:g} rows",
            "a model needs both classes; give more files or a longer window",
        )


def _by_time(instant: Column, windows: Windows) -> Column:
    start, end = windows.span
    name = F.when(instant < to_micros(start), OLDER).when(instant >= to_micros(end), NEWER)
    for part, (start, end) in _parts(windows).items():
        name = name.when((instant >= to_micros(start)) & (instant < to_micros(end)), part)
    return name.otherwise(GAP)


def _parts(windows: Windows) -> dict[str, Range]:
    return {TRAIN: windows.train, VALIDATION: windows.validation, HOLDOUT: windows.holdout}


def _by_hash(split: HashSplit, unit: Column) -> Column:
    bucket = _bucket(unit, split.seed)
    return (
        F.when(bucket < round(split.train * _BUCKETS), TRAIN)
        .when(bucket < round((split.train + split.validation) * _BUCKETS), VALIDATION)
        .otherwise(HOLDOUT)
    )


def _bucket(unit: Column, seed: int) -> Column:
    """Place each unit in one of a million buckets, regardless of all other rows."""
    hashed = F.xxhash64(unit.cast("string"), F.lit(seed).cast("bigint"))
    return F.pmod(hashed, F.lit(_BUCKETS).cast("bigint"))


def _without_known(
    rows: DataFrame, known: KnownPositives, day: Column, counted: Column
) -> DataFrame:
    """Remove holdout rows from the split if the first counted row of their key is early enough."""
    firsts = (
        rows.where(counted).groupBy(F.col(known.key).alias("_key")).agg(F.min(day).alias("_first"))
    )
    days = -(-known.delay // timedelta(days=1))
    is_known = (F.col(SPLIT) == HOLDOUT) & (F.col("_first") <= F.date_sub(day, days))
    return (
        rows.join(firsts, on=F.col(known.key) == F.col("_key"), how="left")
        .withColumn(SPLIT, F.when(is_known, None).otherwise(F.col(SPLIT)))
        .drop("_key", "_first")
    )
