"""What a metric of ranks can be where the order of rows within a bin of scores is not known.

Bins of scores are in order, so only pairs of rows in one bin are in doubt. The metric is smallest
where class 1 lies below class 0 in every bin and largest where it lies above: bounds without any
assumption, half the share of same-bin pairs on either side for AUROC. Bins that hold one score
only are ties and leave no doubt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from retraining.statistics.metrics import Metric
    from retraining.statistics.rows import Bools, Floats


class Bins(NamedTuple):
    """Weight and range of the scores of one model by bin, from the lowest bin up.

    Attributes:
        mass: Weight of class 0 and of class 1, shape (2, n_bins).
        low: Lowest score of either class, shape (2, n_bins); infinity where a class is absent.
        high: Highest score, shape (2, n_bins); minus infinity where a class is absent.
    """

    mass: Floats
    low: Floats
    high: Floats


def metric_ends(metric: Metric, bins: Bins) -> tuple[float, float]:
    """The smallest and the largest value that the metric of these bins can have.

    Args:
        metric: Grows when a row of class 1 moves up: auroc, auprc or recall_at_capacity.
        bins: Of one model.
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
    """The metric where class 1 lies above (1), at (0) or below (-1) class 0 of its bin."""
    middle = 3.0 * np.arange(side.size)
    score = np.r_[middle, middle + side]
    label = np.repeat([False, True], side.size)
    present = mass.ravel() > 0
    evaluate = metric.prepare(label[present], score[present])
    return float(evaluate(mass.ravel()[present]))


def _least_average_precision(mass: Floats, side: Floats, tied: Bools) -> float:
    """The same for average precision, which is less where rows of class 1 have no ties.

    The precision at a row of class 1 counts that row and all above it. Over a bin the sum is at
    least its integral, of (hits + t) / (hits + t + alarms) from 0 to the bin's weight of class 1.
    """
    zeros, ones = mass[:, ::-1]
    alarms = np.cumsum(zeros) - np.where(side[::-1] > 0, zeros, 0.0)
    hits = np.cumsum(ones)
    before = hits - ones + alarms
    grown = np.log1p(np.divide(ones, before, out=np.zeros_like(ones), where=before > 0))
    precision = np.divide(hits, hits + alarms, out=np.zeros_like(ones), where=ones > 0)
    area = np.where(tied[::-1], ones * precision, ones - alarms * grown)
    return float(np.sum(area) / hits[-1])
