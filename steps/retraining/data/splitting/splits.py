"""Train, validation and holdout: the rows that a model learns from, and those that test it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pyspark.sql import functions as F

from retraining.data.columns import is_positive
from retraining.data.instants import day_of, later, micros_of, midnight, on_clock, to_micros
from retraining.data.rows import keys
from retraining.data.splitting.lengths import Range, divide, place_before
from retraining.data.splitting.ordering import Order, is_up_to
from retraining.description.durations import format_duration
from retraining.description.names import SPLIT
from retraining.description.splitting import HashSplit, TimeSplit
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from retraining.description.document import Description
    from retraining.description.splitting import KnownPositives

TRAIN, VALIDATION, HOLDOUT = "train", "validation", "holdout"
# Where else a row can be.
OLDER, GAP, NEWER = "older", "gap", "newer"

_BUCKETS = 1_000_000


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


def windows(
    description: Description,
    newest: datetime,
    as_of: datetime | None = None,
    oldest: datetime | None = None,
) -> Windows | None:
    """Place the windows of a time split; naive times are taken as of the description's zone.

    Lengths are counted backwards: the holdout ends at `as_of - label.delay`, since later labels are
    not known yet; before it come gap, validation, gap and train. Shares divide the time since the
    oldest row, and periods, which must not end later, are taken as they are. A validation within
    train has train's window. Whole days go by the clock of the zone, so windows of days begin and
    end at midnight.

    Args:
        description: Has the split and the label's delay.
        newest: The event time of the newest row.
        as_of: The moment for which the windows are placed. None is the midnight after `newest`.
        oldest: The event time of the oldest row; needed for shares of the time only.

    Returns:
        The windows; None for a split that is not by time.

    Raises:
        RetrainingError: If windows overlap, the holdout starts before all labels of train and
            validation were known or ends before its own are, or the time is too short for its gaps.
    """
    split = description.split
    if not isinstance(split, TimeSplit):
        return None
    zone, delay = description.zone, description.label.delay
    needs_labels = as_of is not None or delay > timedelta(0)
    as_of, mature = reported(description, newest, as_of)
    end = mature
    lengths = divide(split, oldest or newest, end)
    placed: dict[str, Range] = {}
    for name in reversed(lengths):
        placed[name] = place_before(lengths[name], end, zone)
        end = later(placed[name].start, -split.gap)
    train, holdout = placed[TRAIN], placed[HOLDOUT]
    found = Windows(train, placed.get(VALIDATION, train), holdout, as_of)
    _check_order(found, delay, split)
    if needs_labels and holdout.end > mature:
        raise RetrainingError(
            f"holdout {_text(holdout)} ends after {mature:%Y-%m-%d %H:%M}: later labels are not "
            f"known as of {as_of:%Y-%m-%d %H:%M} (label.delay is {format_duration(delay)})",
            f"end it at {mature:%Y-%m-%d} or earlier in the description's split, or type "
            f"as_of={later(holdout.end, delay):%Y-%m-%d} if labels were reported up to then",
        )
    return found


def reported(
    description: Description, newest: datetime, as_of: datetime | None
) -> tuple[datetime, datetime]:
    """The moment up to which labels were reported, and the one up to which rows have theirs.

    Args:
        description: Has the zone of naive times, and the label's delay.
        newest: The event time of the newest row.
        as_of: The first moment; None is the midnight after `newest`.
    """
    zone = description.zone
    if as_of is None:
        as_of = midnight(on_clock(newest, zone).date() + timedelta(days=1), zone)
    as_of = on_clock(as_of, zone)
    return as_of, later(as_of, -description.label.delay)


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


def assign(frame: DataFrame, description: Description, at: Placement) -> DataFrame:
    """Add the column `split` (string): train, validation, holdout, or null for none of them.

    Rows whose label is not known are in none of them. In a split by time, `known_positives` removes
    the holdout rows whose key had a positive between the first day of train and `delay` before the
    row's day: such a key would be known by then.

    Args:
        frame: Rows with label, event time, row key, unit. With `known_positives` the frame is read
            twice and must hold every row from the start of train on.
        description: Has the split.
        at: From the function `windows` or `find_order`.

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


def _check_order(placed: Windows, delay: timedelta, split: TimeSplit) -> None:
    train, validation, holdout, _ = placed
    overlap = train.start < validation.end and validation.start < train.end
    if overlap and split.inner is None:
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


def _by_time(instant: Column, windows: Windows) -> Column:
    start, end = windows.span
    name = F.when(instant < to_micros(start), OLDER).when(instant >= to_micros(end), NEWER)
    parts = {TRAIN: windows.train, VALIDATION: windows.validation, HOLDOUT: windows.holdout}
    for part, (start, end) in parts.items():
        name = name.when((instant >= to_micros(start)) & (instant < to_micros(end)), part)
    return name.otherwise(GAP)


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


def _text(window: Range) -> str:
    return f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M}"
