"""Bounds of a ranking metric if the order of rows within a bin is unknown.

Bins are in order, so only the order of rows in the same bin is unknown. The metric is smallest if
the positives are below the negatives in every bin, and largest if they are above. These bounds
need no assumption; for AUROC they are half the share of same-bin pairs on either side. In a bin
with a single score all rows are tied, and nothing is unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from retraining.statistics.metrics import Metric
    from retraining.statistics.rows import Bools, Floats


class Bins(NamedTuple):
    """Weight and score range of each bin of one model, from the lowest bin up.

    Attributes:
        mass: Weight of the negatives and of the positives, shape (2, n_bins).
        low: Lowest score of each class, shape (2, n_bins); infinity if the class is absent.
        high: Highest score of each class, shape (2, n_bins); minus infinity if it is absent.
    """

    mass: Floats
    low: Floats
    high: Floats


def metric_ends(metric: Metric, bins: Bins) -> tuple[float, float]:
    """The smallest and the largest possible value of a metric, given the bins.

    Args:
        metric: One that grows when a positive moves up: auroc, auprc or recall_at_capacity.
        bins: Bins of one model.
    """
    tied = bins.low.min(axis=0) == bins.high.max(axis=0)
    first = bins.low[1] > bins.high[0]
    last = bins.high[1] < bins.low[0]
    worst = np.where(first, 1, np.where(tied, 0, -1))
    best = np.where(last, -1, np.where(tied, 0, 1))
    upper = _arranged(metric, bins.mass, best)
    if metric.name == "auprc":
        return _least_average_precision(bins.mass, worst, tied), upper
    return _arranged(metric, bins.mass, worst), upper


def _arranged(metric: Metric, mass: Floats, side: Floats) -> float:
    """The metric if the positives of a bin are above (1), tied with (0) or below (-1) the rest."""
    middle = 3.0 * np.arange(side.size)
    score = np.r_[middle, middle + side]
    label = np.repeat([False, True], side.size)
    present = mass.ravel() > 0
    evaluate = metric.evaluator(label[present], score[present])
    return float(evaluate(mass.ravel()[present]))


def _least_average_precision(mass: Floats, side: Floats, tied: Bools) -> float:
    """The smallest average precision, which is lower still if positives are not tied.

    The precision at a positive counts that row and all rows above it. Over a bin, the sum of these
    precisions is at least the integral of (hits + t) / (hits + t + alarms) for t from 0 to the
    weight of the positives in the bin.
    """
    zeros, ones = mass[:, ::-1]
    alarms = np.cumsum(zeros) - np.where(side[::-1] > 0, zeros, 0.0)
    hits = np.cumsum(ones)
    before = hits - ones + alarms
    grown = np.log1p(np.divide(ones, before, out=np.zeros_like(ones), where=before > 0))
    precision = np.divide(hits, hits + alarms, out=np.zeros_like(ones), where=ones > 0)
    area = np.where(tied[::-1], ones * precision, ones - alarms * grown)
    return float(np.sum(area) / hits[-1])
