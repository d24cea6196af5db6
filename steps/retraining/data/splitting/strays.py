"""Windows that wrong dates would place: refused, or said."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from retraining.data.instants import day_after
from retraining.data.splitting import density
from retraining.data.splitting.windows import place_by_days
from retraining.description.splitting import Period, Share, TimeSplit
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date, datetime

    from retraining.data.splitting.windows import Windows
    from retraining.description.document import Description


def check_newest(
    description: Description,
    rows: Mapping[date, int],
    as_of: datetime | None,
    example: Callable[[date], str],
) -> list[str]:
    """Refuse windows that a wrong date would move; say so if only the last day is nearly empty.

    Without windows to move, such a date would let labels count as known that are not.

    Raises:
        RetrainingError: If that would be by more than a day.
    """
    is_placed = _is_placed(description, as_of)
    if not is_placed and (as_of is not None or not description.label.delay):
        return []
    newest = max(rows)
    placed = place_by_days(description, rows)
    span = placed.as_of - placed.span.start if placed else timedelta(0)
    strays = density.newest_strays(rows, span)
    if strays is None:
        return []
    n_rows = sum(rows[day] for day in strays.days)
    first = strays.days[-1]
    when = f"{first} to {newest}" if first < newest else f"{newest}"
    what = (
        f"the newest day{'s' * (first < newest)}, {when}, {_hold(n_rows, first < newest)}, "
        f"and a day before has {strays.ordinary:,.0f} ({example(newest)})"
    )
    if not strays.apart and not is_placed:
        return []
    if not strays.apart:
        return [
            f"{what}: as_of={strays.last + timedelta(days=1)} would place the windows before it"
        ]
    shift = f"{strays.shift.days} days"
    effect = f"labels would count as known {shift} too early"
    if is_placed:
        effect = f"the windows would be placed {shift} later"
    raise RetrainingError(
        f"{what}: {effect} because of it",
        f"correct the time, give a rule max to {description.event_time}, "
        f"or type as_of={strays.last + timedelta(days=1)} (as_of={day_after(newest)} if "
        "it is right)",
    )


def check_oldest(
    description: Description, rows: Mapping[date, int], example: Callable[[date], str]
) -> None:
    """Refuse shares of a time that a wrong date would make longer.

    Raises:
        RetrainingError: If the oldest days hold next to nothing, and stand apart.
    """
    split = description.split
    if not isinstance(split, TimeSplit) or not isinstance(split.train, Share):
        return
    oldest, newest = min(rows), max(rows)
    mirrored = {oldest + (newest - day): n_rows for day, n_rows in rows.items()}
    strays = density.newest_strays(mirrored, newest - oldest)
    if strays is not None and strays.apart:
        first = oldest + (newest - strays.last)
        raise RetrainingError(
            f"the oldest day, {oldest}, {_hold(rows[oldest], several=False)} ({example(oldest)}), "
            f"and shares of the time would begin {strays.shift.days} days earlier because of it",
            f"correct the time, or give {description.event_time} the rule min: {first}",
        )


def check_holdout(
    description: Description, windows: Windows, n_rows: int, n_train: int, as_of: datetime | None
) -> list[str]:
    """Say so if the holdout holds next to nothing, compared with train.

    Raises:
        RetrainingError: If nobody asked for this holdout: it follows from the newest row.
    """
    holdout, train = windows.holdout, windows.train
    day = timedelta(days=1)
    expected = n_train * ((holdout.end - holdout.start) / (train.end - train.start))
    if not n_rows or n_rows >= density.LEAST_SHARE * expected:
        return []
    rate = n_train / ((train.end - train.start) / day)
    what = (
        f"the holdout, {holdout.start:%Y-%m-%d} to {holdout.end:%Y-%m-%d}, "
        f"{_hold(n_rows, several=False)}, and train, with {rate:,.3g} rows per day, would suggest "
        f"{expected:,.0f}"
    )
    if _is_placed(description, as_of):
        raise RetrainingError(
            what,
            f"give the files of those days or another as_of; as_of={windows.as_of:%Y-%m-%d} "
            "tests on it all the same",
        )
    return [what]


def _is_placed(description: Description, as_of: datetime | None) -> bool:
    """Whether the newest row decides where the windows are."""
    split = description.split
    return as_of is None and isinstance(split, TimeSplit) and not isinstance(split.holdout, Period)


def _hold(n_rows: int, several: bool) -> str:  # noqa: FBT001 (a number of days)
    return f"hold{'' if several else 's'} {n_rows:,} row{'s' * (n_rows != 1)}"
