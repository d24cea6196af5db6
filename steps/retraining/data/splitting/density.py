"""Days that hold next to nothing beside the others, by which windows must not be placed."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from statistics import median, median_low
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

# A day, or a holdout, with fewer than this share of the rows of the days before it holds next to
# nothing. After empty days more is expected of a day, but never more than half of an ordinary one.
LEAST_SHARE: Final = 0.05
_MOST_EXPECTED: Final = 0.5
_LEAST_DAYS: Final = 3  # of so few days nobody can say what is ordinary


class Strays(NamedTuple):
    """The newest days, as far as they hold next to nothing.

    Attributes:
        days: From the newest one back.
        last: The newest day that holds as much as days do.
        ordinary: Rows of a day: the median of the days up to `last`.
        spacing: Days from one day with rows to the next: 1, or 30 where only months are known.
    """

    days: tuple[date, ...]
    last: date
    ordinary: float
    spacing: int

    @property
    def shift(self) -> timedelta:
        """How far they would move the windows."""
        return self.days[0] - self.last

    @property
    def apart(self) -> bool:
        """Whether they move the windows by more than the day that has just begun."""
        return self.shift / timedelta(days=1) > max(1, self.spacing)


def newest_strays(rows: Mapping[date, int], span: timedelta) -> Strays | None:
    """Find the newest days that hold next to nothing beside those of the span before them.

    A wrong date makes such a day, and so does a day that has only just begun.

    Args:
        rows: Rows by day, for the days that have any.
        span: How far back days are compared: the length of all windows.

    Returns:
        None if the newest day holds as much as days do, or if there are too few days to say so.
    """
    days = sorted(rows)
    found: list[date] = []
    while len(days) > _LEAST_DAYS:
        newest, before = days[-1], days[-2]
        known = [day for day in days[:-1] if day > before - span]
        if len(known) < _LEAST_DAYS:
            known = days[-1 - _LEAST_DAYS : -1]
        ordinary = median(rows[day] for day in known)
        spacing = median_low((b - a).days for a, b in pairwise(known))
        empty = (newest - before).days / spacing
        if rows[newest] >= ordinary * min(_MOST_EXPECTED, LEAST_SHARE * empty):
            break
        found.append(days.pop())
        strays = Strays(tuple(found), before, ordinary, spacing)
    return strays if found else None
