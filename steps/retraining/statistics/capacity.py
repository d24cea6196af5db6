"""Precision of the units that a day's investigations can reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from retraining.errors import RetrainingError
from retraining.statistics.checks import check_rows, encode

if TYPE_CHECKING:
    import numpy.typing as npt


def unit_precision_at(
    label: npt.ArrayLike,
    score: npt.ArrayLike,
    unit: npt.ArrayLike,
    day: npt.ArrayLike,
    k: int,
) -> float:
    """Precision of the k most suspicious units per day, as if k were investigated every day.

    "Card precision top-k" of the handbook *Reproducible Machine Learning for Credit Card Fraud
    Detection*, chapter 4: a unit has the largest score and the largest label of its rows of the
    day; a unit that was caught (in the top k with label 1) is left out on later days; the mean
    over days of positives in the top k, divided by k also on days with fewer than k units. Of
    units with equal scores the one that sorts first is taken first.

    Args:
        label: 0 or 1, shape (n,).
        score: Shape (n,).
        unit: The unit of every row, sortable, shape (n,).
        day: The day of every row, sortable, shape (n,).
        k: Units that can be investigated per day.

    Raises:
        RetrainingError: The rows do not pass `check_rows`, or k is not a positive integer.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise RetrainingError(f"k is {k!r}", "give the number of units per day, 1 or more")
    # The top of all days may well be of one class.
    rows = check_rows(label, {"score": score}, both_classes=False)
    codes = encode("unit", unit, rows.label.size)
    days = encode("day", day, rows.label.size)
    order = np.lexsort((codes, days))
    days, units = days[order], codes[order]
    starts = np.flatnonzero(np.r_[True, (np.diff(days) != 0) | (np.diff(units) != 0)])
    best = np.maximum.reduceat(rows.scores[0][order], starts)
    positive = np.logical_or.reduceat(rows.label[order], starts)
    days, units = days[starts], units[starts]
    caught = np.zeros(int(units.max()) + 1, dtype=np.bool_)
    shares = []
    for today in np.split(np.arange(days.size), np.flatnonzero(np.diff(days)) + 1):
        open_units = today[~caught[units[today]]]
        top = open_units[np.lexsort((units[open_units], -best[open_units]))[:k]]
        hits = top[positive[top]]
        caught[units[hits]] = True
        shares.append(hits.size / k)
    return float(np.mean(shares))
