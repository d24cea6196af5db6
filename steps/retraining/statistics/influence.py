"""How much every row moves the difference of two models' metrics on the same rows.

With these paired influence values the variance of the difference is a sum of squares: rows of one
unit are summed before they are squared, and row weights are already included. All functions also
take cells of identical rows.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from retraining.statistics.metrics import Metric
    from retraining.statistics.rows import Floats, Rows


def paired_influence(rows: Rows, metric: Metric) -> tuple[float, float, Floats]:
    """The metric of two models and the influence of every row on their difference.

    Args:
        rows: With the scores of champion and challenger.
        metric: The influence of a row is its weight times the derivative of the metric by it.

    Returns:
        The metric of the champion, that of the challenger, and values of shape (n,) that sum to
        zero: how much each row moves challenger less champion.
    """
    with ThreadPoolExecutor(2) as pool:  # numpy sorts without the interpreter's lock
        (champion, of_champion), (challenger, of_challenger) = pool.map(
            lambda score: metric.influence(rows.label, score, rows.weight), rows.scores
        )
    return champion, challenger, rows.weight * (of_challenger - of_champion)


def variance_of_difference(rows: Rows, metric: Metric, influence: Floats) -> float:
    """Variance of the difference between two models that has these paired influence values.

    Where they sum to zero in each class, every class has its own correction m / (m - 1), which
    for single rows of AUROC makes it DeLong's variance. With units it is that of Obuchowski
    (1997): the two parts of a unit are correlated, and the three corrections count the units with
    positives, with negatives, and all. Otherwise one correction counts all rows, or all units.

    Args:
        rows: Single rows or cells; the rows of a cell have one influence value each, in proportion
            to their weights.
        metric: The metric.
        influence: Shape (n,).

    Returns:
        NaN where a correction counts a single row or unit.
    """
    label, unit = rows.label, rows.unit
    if unit is None:
        square, sizes = influence**2 * rows.spreads, rows.sizes
        total, count = float(np.sum(square)), float(np.sum(sizes))
        if not metric.by_class:
            return _corrected(total, count)
        ones, n_ones = float(np.sum(square[label])), float(np.sum(sizes[label]))
        return _corrected(ones, n_ones) + _corrected(total - ones, count - n_ones)
    if not metric.by_class:
        sums = np.bincount(unit, influence)
        return _corrected(float(sums @ sums), sums.size)
    n_units = int(np.max(unit)) + 1
    of_ones, of_zeros = (
        np.bincount(unit[side], influence[side], n_units) for side in (label, ~label)
    )
    with_ones, with_zeros = (np.unique(unit[side]).size for side in (label, ~label))
    return (
        _corrected(float(of_ones @ of_ones), with_ones)
        + _corrected(float(of_zeros @ of_zeros), with_zeros)
        + 2 * _corrected(float(of_ones @ of_zeros), n_units)
    )


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


def _corrected(square: float, count: float) -> float:
    return float(square * count / (count - 1)) if count > 1 else math.nan
