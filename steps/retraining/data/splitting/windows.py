"""The stretch of time that each split covers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from retraining.data.instants import day_after, later, midnight, on_clock
from retraining.data.splitting.lengths import Range, divide, place_before
from retraining.description.durations import format_duration
from retraining.description.splitting import TimeSplit
from retraining.description.times import FIRST_YEAR
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date

    from retraining.description.document import Description


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


def place_windows(
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
    train, holdout = placed["train"], placed["holdout"]
    found = Windows(train, placed.get("validation", train), holdout, as_of)
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

    Raises:
        RetrainingError: If the moment is before all times that can be read.
    """
    zone = description.zone
    if as_of is None:
        as_of = midnight(day_after(on_clock(newest, zone).date()), zone)
    as_of = on_clock(as_of, zone)
    if as_of.year < FIRST_YEAR:
        raise RetrainingError(f"as_of={as_of.date()} is before {FIRST_YEAR}", "type a later day")
    return as_of, later(as_of, -description.label.delay)


def place_by_days(
    description: Description, days: Collection[date], as_of: datetime | None = None
) -> Windows | None:
    """The windows of `place_windows` for rows of these days."""
    oldest, newest = (midnight(day, description.zone) for day in (min(days), max(days)))
    return place_windows(description, newest, as_of, oldest)


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


def _text(window: Range) -> str:
    return f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M}"
