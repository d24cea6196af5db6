"""How much every row moves the difference of two models' metrics on the same rows.

With these paired influence values the variance of the difference is a sum of squares, see
`dispersion`; row weights are already included. All functions also take cells of identical rows.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from retraining.statistics.metrics import Metric
    from retraining.statistics.rows import Floats, Rows

# Rows: to start a thread takes as long as to sort some thousands.
_WORTH_A_THREAD = 100_000


def paired_influence(rows: Rows, metric: Metric) -> tuple[float, float, Floats]:
    """The metric of two models and the influence of every row on their difference.

    Args:
        rows: With the scores of champion and challenger.
        metric: The influence of a row is its weight times the derivative of the metric by it.

    Returns:
        The metric of the champion, that of the challenger, and values of shape (n,) that sum to
        zero: how much each row moves challenger less champion.
    """

    def of(score: Floats) -> tuple[float, Floats]:
        return metric.influence(rows.label, score, rows.weight)

    if rows.label.size < _WORTH_A_THREAD:
        both = [of(score) for score in rows.scores]
    else:
        with ThreadPoolExecutor(2) as pool:  # numpy sorts without the interpreter's lock
            both = list(pool.map(of, rows.scores))
    (champion, of_champion), (challenger, of_challenger) = both
    of_challenger -= of_champion  # in place: to ask for memory takes as long as to compute
    of_challenger *= rows.weight
    return champion, challenger, of_challenger


def acceleration(rows: Rows, influence: Floats) -> float:
    """Skewness / 6 of the sum of these influence values: the acceleration of a BCa interval.

    Efron (1987), by units where rows have them.
    """
    if rows.unit is not None:
        values: Floats = np.bincount(rows.unit, influence).astype(np.float64)
        spread = np.ones(values.size)
    else:
        values, spread = influence, rows.spreads
    second = float(values**2 @ spread)  # a cell counts as 1 / spread equal rows
    third = float(values**3 @ spread**2)
    return third / (6 * second**1.5) if second > 0 else 0.0
