"""How much every row moves the difference of two models' metrics on the same rows.

With these paired influence values the variance of the difference is a sum of squares: rows of one
unit are summed before they are squared, row weights are already inside. What is taken of them
here serves cells of identical rows too.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from retraining.statistics.metrics import METRICS

if TYPE_CHECKING:
    from retraining.statistics.metrics import Metric
    from retraining.statistics.rows import Bools, Codes, Floats, Rows


def paired_influence(rows: Rows, metric: Metric) -> tuple[float, float, Floats]:
    """The metric of two models and the influence of every row on second less first.

    Args:
        rows: With the scores of two models.
        metric: The influence of a row is its weight times the derivative of the metric by it.

    Returns:
        Both metrics, and values of shape (n,) that sum to zero.
    """
    with ThreadPoolExecutor(2) as pool:  # numpy sorts without the interpreter's lock
        (first, old), (second, new) = pool.map(
            lambda score: metric.influence(rows.label, score, rows.weight), rows.scores
        )
    return first, second, rows.weight * (new - old)


def auroc_influence(rows: Rows) -> tuple[float, float, Floats]:
    """AUROC of two models and the influence of every row on second less first.

    DeLong, DeLong and Clarke-Pearson (1988): a row's structural component ("placement") less the
    area, divided by the number of rows of its class; with weights, times the row's share of the
    weight of its class.

    Args:
        rows: With the scores of two models.

    Returns:
        Both areas, and values of shape (n,) that sum to zero in each class.
    """
    return paired_influence(rows, METRICS["auroc"])


def variance_of_difference(rows: Rows, metric: Metric, influence: Floats) -> float:
    """Variance of the difference whose paired influence values these are, shape (n,).

    The rows of a cell have one influence value each, in proportion to their weights.
    """
    return variance_of_sum(
        influence,
        rows.label,
        rows.unit,
        by_class=metric.by_class,
        spread=None if rows.square is None else rows.square / rows.weight**2,
        size=rows.size,
    )


def variance_of_sum(
    influence: Floats,
    label: Bools,
    unit: Codes | None,
    *,
    by_class: bool = True,
    spread: Floats | None = None,
    size: Floats | None = None,
) -> float:
    """Variance of the difference whose influence values these are, shape (n,).

    By class, every class has its own correction m / (m - 1), which for single rows of AUROC makes
    it DeLong's variance. With units it is that of Obuchowski (1997): the two parts of a unit are
    correlated, and the three corrections count the units with class 1, with class 0, and all.
    Otherwise the one correction counts all rows, or all units.
    NaN where what a correction counts is there only once.

    Args:
        influence: Shape (n,).
        label: True for class 1, shape (n,).
        unit: Codes from 0 without gaps, shape (n,).
        by_class: Whether the values sum to zero in each class.
        spread: Of cells, sum of squared weights / squared sum of weights, shape (n,).
        size: Of cells, number of rows, shape (n,).
    """
    if unit is None:
        square = influence**2 if spread is None else influence**2 * spread
        total, count = float(np.sum(square)), float(label.size if size is None else np.sum(size))
        if not by_class:
            return _corrected(total, count)
        part = float(np.sum(square[label]))
        n_ones = float(np.count_nonzero(label) if size is None else np.sum(size[label]))
        return _corrected(part, n_ones) + _corrected(total - part, count - n_ones)
    if not by_class:
        sums = np.bincount(unit, influence)
        return _corrected(float(sums @ sums), sums.size)
    n_units = int(np.max(unit)) + 1
    ones, zeros = (np.bincount(unit[side], influence[side], n_units) for side in (label, ~label))
    with_ones, with_zeros = (np.unique(unit[side]).size for side in (label, ~label))
    return (
        _corrected(float(ones @ ones), with_ones)
        + _corrected(float(zeros @ zeros), with_zeros)
        + 2 * _corrected(float(ones @ zeros), n_units)
    )


def acceleration(rows: Rows, influence: Floats) -> float:
    """Skewness / 6 of the sum of these influence values: the acceleration of a BCa interval.

    Efron (1987), by units where rows have them.
    """
    if rows.unit is not None:
        values: Floats = np.bincount(rows.unit, influence).astype(np.float64)
        spread = np.ones(values.size)
    else:
        values, spread = influence, rows.squares / rows.weight**2
    second = float(values**2 @ spread)  # a cell counts as 1 / spread equal rows
    third = float(values**3 @ spread**2)
    return third / (6 * second**1.5) if second > 0 else 0.0


def _corrected(square: float, count: float) -> float:
    return float(square * count / (count - 1)) if count > 1 else math.nan
