"""How much every row moves the difference of two models' metrics on the same rows.

With these paired influence values the variance of the difference is a sum of squares: rows of one
unit are summed before they are squared, row weights are already inside.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from retraining.rows import Bools, Codes, Floats, Rows


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
    label, weight = rows.label, rows.weight
    share = weight / np.where(label, np.sum(weight[label]), np.sum(weight[~label]))
    first, second = (_placements(label, score, weight) for score in rows.scores)
    areas = [float(share[label] @ placements[label]) for placements in (first, second)]
    influence = share * (second - first - (share[label] @ (second - first)[label]))
    return areas[0], areas[1], influence


def variance_of_sum(influence: Floats, label: Bools, unit: Codes | None) -> float:
    """Variance of the difference whose influence values these are, shape (n,).

    Every class has its own correction m / (m - 1), which for single rows makes it DeLong's
    variance. With units it is that of Obuchowski (1997): the two parts of a unit are correlated,
    and the three corrections count the units with class 1, with class 0, and all.
    NaN where a class is seen in one row or one unit only.
    """
    if unit is None:
        ones, zeros = influence[label], influence[~label]
        return _corrected(ones, ones, ones.size) + _corrected(zeros, zeros, zeros.size)
    n_units = int(np.max(unit)) + 1
    ones = np.zeros(n_units)
    zeros = np.zeros(n_units)
    np.add.at(ones, unit[label], influence[label])
    np.add.at(zeros, unit[~label], influence[~label])
    return (
        _corrected(ones, ones, np.unique(unit[label]).size)
        + _corrected(zeros, zeros, np.unique(unit[~label]).size)
        + 2 * _corrected(ones, zeros, n_units)
    )


def _corrected(left: Floats, right: Floats, count: int) -> float:
    return float(left @ right) * count / (count - 1) if count > 1 else math.nan


def _placements(label: Bools, score: Floats, weight: Floats) -> Floats:
    """Weighted share of the other class that each row is on the right side of, ties half."""
    order = np.argsort(score, kind="stable")
    ends = np.flatnonzero(np.diff(score[order]))  # the last row of every tie but the highest
    tie = np.zeros(order.size, dtype=np.intp)
    tie[ends + 1] = 1
    np.cumsum(tie, out=tie)
    result = np.empty(order.size)
    for side, above in ((label, 0.0), (~label, 1.0)):
        others = np.cumsum(np.where(side, 0.0, weight)[order])
        reached = np.r_[0.0, others[ends], others[-1]]
        middle = (reached[:-1] + reached[1:]) / (2 * others[-1])
        ours = order[side[order]]
        result[ours] = np.abs(above - middle[tie[side[order]]])
    return result
