"""Train, validation and holdout: the rows that a model learns from, and those that test it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from pyspark.sql import functions as F

from retraining.data import keys
from retraining.data.columns import is_positive
from retraining.data.instants import day_of, later, micros_of, midnight, on_clock, to_micros
from retraining.description.names import SPLIT
from retraining.description.sections import HashSplit, Period, TimeSplit
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from pyspark.sql import Column, DataFrame

    from retraining.description.document import Description
    from retraining.description.sections import KnownPositives

TRAIN, VALIDATION, HOLDOUT = "train", "validation", "holdout"
# Where else a row can be.
OLDER, GAP, NEWER = "older", "gap", "newer"

_BUCKETS = 1_000_000


class Range(NamedTuple):
    """A stretch of time on the clock of a description's zone; it excludes `end`."""

    start: datetime
    end: datetime


class Windows(NamedTuple):
    """The stretch of time that each split covers.

    Attributes:
        train: Rows that models learn from.
        validation: Rows by which a search chooses.
        holdout: Rows on which the gate compares.
        as_of: The moment up to which labels were reported.
    """

    train: Range
    validation: Range
    holdout: Range
    as_of: datetime

    @property
    def span(self) -> Range:
        """From the start of the earliest to the end of the latest."""
        ranges = (self.train, self.validation, self.holdout)
        return Range(min(r.start for r in ranges), max(r.end for r in ranges))


class Place(NamedTuple):
    """Where a row is (a split, `OLDER`, `GAP` or `NEWER`), and whether its label is known."""

    name: str
    known: bool


class Tally(NamedTuple):
    """Rows of a place: their number, the sum of their weights, and how many have a weight."""

    n_rows: int
    weight: float
    n_weighted: int


def windows(
    description: Description, newest: datetime, as_of: datetime | None = None
) -> Windows | None:
    """Place the windows of a time split; naive times are taken as of the description's zone.

    Lengths are counted backwards: the holdout ends at `as_of - label.delay`, since later labels are
    not known yet; before it come gap, validation, gap and train. Periods are taken as they are.
    Whole days go by the clock of the zone, so windows of days begin and end at midnight.

    Args:
        description: Has the split and the label's delay.
        newest: The event time of the newest row.
        as_of: The moment for which the windows are placed. None is the midnight after `newest`.

    Returns:
        The windows; None for a split by hash.

    Raises:
        RetrainingError: If windows overlap, or the holdout starts before all labels of train and
            validation were known.
    """
    split = description.split
    if not isinstance(split, TimeSplit):
        return None
    zone = description.zone
    if as_of is None:
        as_of = midnight(on_clock(newest, zone).date() + timedelta(days=1), zone)
    as_of = on_clock(as_of, zone)
    holdout = _place(split.holdout, later(as_of, -description.label.delay), zone)
    validation = _place(split.validation, later(holdout.start, -split.gap), zone)
    train = _place(split.train, later(validation.start, -split.gap), zone)
    placed = Windows(train, validation, holdout, as_of)
    _check_order(placed, description.label.delay)
    return placed


def place(frame: DataFrame, description: Description, windows: Windows | None) -> DataFrame:
    """Add the column `split` (string): train, validation, holdout, or older, gap, newer.

    A split by hash puts all rows of a unit (without a unit, of a row key) into one split.

    Raises:
        RetrainingError: If a split by time has no windows.
    """
    split = description.split
    if isinstance(split, HashSplit):
        return frame.withColumn(
            SPLIT, _by_hash(split, [*map(F.col, description.units), keys.for_split(description)][0])
        )
    if windows is None or description.event_time is None:
        raise RetrainingError(f"{description.name} is split by time", "give the windows as well")
    instant = micros_of(description.event_time)
    parts = {TRAIN: windows.train, VALIDATION: windows.validation, HOLDOUT: windows.holdout}
    start, end = windows.span
    name = F.when(instant < to_micros(start), OLDER).when(instant >= to_micros(end), NEWER)
    for part, (start, end) in parts.items():
        name = name.when((instant >= to_micros(start)) & (instant < to_micros(end)), part)
    return frame.withColumn(SPLIT, name.otherwise(GAP))


def count_places(
    frame: DataFrame, description: Description, windows: Windows | None
) -> dict[Place, Tally]:
    """Count and weigh rows by where they are, in one aggregation."""
    weight = F.col(description.weight) if description.weight else F.lit(None).cast("double")
    known = F.col(description.label.column).isNotNull().alias("known")
    counts = place(frame, description, windows).groupBy(SPLIT, known)
    found = counts.agg(F.count(F.lit(1)), F.sum(weight), F.count(weight)).collect()
    return {Place(*row[:2]): Tally(row[2], row[3] or 0.0, row[4]) for row in found}


def assign(frame: DataFrame, description: Description, windows: Windows | None) -> DataFrame:
    """Add the column `split` (string): train, validation, holdout, or null for none of them.

    Rows whose label is not known are in none of them. In a split by time, `known_positives` removes
    the holdout rows whose key had a positive between the first day of train and `delay` before the
    row's day: such a key would be known by then.

    Args:
        frame: Rows with label, event time, row key, unit. With `known_positives` the frame is read
            twice and must hold every row from the start of train on.
        description: Has the split.
        windows: From the function `windows`.

    Raises:
        RetrainingError: If a split by time has no windows.
    """
    split = description.split
    is_used = F.col(SPLIT).isin(TRAIN, VALIDATION, HOLDOUT)
    is_used &= F.col(description.label.column).isNotNull()
    rows = place(frame, description, windows)
    rows = rows.withColumn(SPLIT, F.when(is_used, F.col(SPLIT)))
    known = split.known_positives if isinstance(split, TimeSplit) else None
    if known is None or windows is None or description.event_time is None:
        return rows
    day = day_of(description.event_time)
    counted = is_positive(description.label) & (day >= F.lit(windows.train.start.date()))
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


def _place(length: timedelta | Period, end: datetime, zone: ZoneInfo) -> Range:
    """Return a window that ends at `end`, or the days that a description names."""
    if isinstance(length, Period):
        return Range(midnight(length.start, zone), midnight(length.end, zone))
    return Range(later(end, -length), end)


def _check_order(placed: Windows, delay: timedelta) -> None:
    train, validation, holdout, _ = placed
    if train.start < validation.end and validation.start < train.end:
        raise RetrainingError(
            f"validation {_text(validation)} overlaps train {_text(train)}",
            "move one of them in the description's split",
        )
    earliest = later(max(train.end, validation.end), delay)
    if holdout.start < earliest:
        raise RetrainingError(
            f"holdout {_text(holdout)} starts before the labels of train and validation are known",
            f"start it at {earliest:%Y-%m-%d %H:%M} or later in the description's split",
        )


def _by_hash(split: HashSplit, unit: Column) -> Column:
    """Place each unit in one of a million buckets, regardless of all other rows."""
    hashed = F.xxhash64(unit.cast("string"), F.lit(split.seed).cast("bigint"))
    bucket = F.pmod(hashed, F.lit(_BUCKETS).cast("bigint"))
    return (
        F.when(bucket < round(split.train * _BUCKETS), TRAIN)
        .when(bucket < round((split.train + split.validation) * _BUCKETS), VALIDATION)
        .otherwise(HOLDOUT)
    )


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


def _text(window: Range) -> str:
    return f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M}"
