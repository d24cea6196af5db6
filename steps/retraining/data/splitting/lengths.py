"""Lengths of windows, as stretches of time."""

from __future__ import annotations

from calendar import monthrange
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from retraining.data.instants import later, midnight
from retraining.description.durations import format_duration
from retraining.description.splitting import Months, Period, Share
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from retraining.description.splitting import TimeSplit

Length: TypeAlias = timedelta | Months | Share | Period


class Range(NamedTuple):
    """A stretch of time on the clock of a description's zone; it excludes `end`."""

    start: datetime
    end: datetime


def divide(split: TimeSplit, oldest: datetime, end: datetime) -> dict[str, Length]:
    """Return windows by the name of the split, shares as lengths: whole days if they are long."""
    lengths: dict[str, Length] = dict(split.windows)
    whole = end - oldest - split.gap * (len(lengths) - 1)
    if not isinstance(split.train, Share):
        return lengths
    for name, share in split.windows.items():
        if isinstance(share, Share):
            length = whole * share.part
            unit = timedelta(days=1) if length >= timedelta(days=1) else timedelta(seconds=1)
            lengths[name] = length // unit * unit
    if min(value for value in lengths.values() if isinstance(value, timedelta)) <= timedelta(0):
        raise RetrainingError(
            f"from {oldest:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} there is no time left for three "
            f"windows and the gaps of {format_duration(split.gap)} between them",
            "give more files, or a shorter gap if label.delay allows it",
        )
    return lengths


def place_before(length: Length, end: datetime, zone: ZoneInfo) -> Range:
    """Return a window that ends at `end`, or the days that a description names."""
    if isinstance(length, Period):
        return Range(midnight(length.start, zone), midnight(length.end, zone))
    if isinstance(length, Months):
        return Range(_months_before(end, length.count), end)
    if isinstance(length, Share):
        raise TypeError(f"{length} has no length")
    return Range(later(end, -length), end)


def _months_before(moment: datetime, count: int) -> datetime:
    """Return the same time of a day some months ago, or of the last day of that month."""
    year, month = divmod(moment.year * 12 + moment.month - 1 - count, 12)
    day = min(moment.day, monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)
