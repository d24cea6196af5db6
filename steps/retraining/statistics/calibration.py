"""Whether scores are right as probabilities: of rows with scores near p, a share p is positive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from retraining.statistics.rows import Bools, Floats

BINS: Final = 10


class Reliability(NamedTuple):
    """A reliability curve, from the lowest scores up.

    Attributes:
        predicted: Mean score of each bin, shape (m,) with m <= n_bins.
        observed: Share of positives in it.
        share: Its share of all weight; sums to 1.
    """

    predicted: Floats
    observed: Floats
    share: Floats


def reliability(label: Bools, score: Floats, weight: Floats, *, n_bins: int = BINS) -> Reliability:
    """Rows in bins of equal weight by their score.

    Bins of equal weight rather than of equal width: where most scores are near zero, equal widths
    would put nearly all rows into one bin. Rows with the same score are never split: they fall
    where the middle of their weight falls, so that bins may differ in weight, and empty bins are
    left out.

    Args:
        label: Shape (n,).
        score: Probabilities of a positive, shape (n,).
        weight: Above zero, shape (n,); for cells, the sum of the weights.
        n_bins: The largest number of bins.
    """
    distinct, tie = np.unique(score, return_inverse=True)
    mass = np.bincount(tie, weight)
    hits = np.bincount(tie, np.where(label, weight, 0.0))
    middle = (np.cumsum(mass) - mass / 2) / np.sum(mass)
    bins = np.minimum((middle * n_bins).astype(np.intp), n_bins - 1)
    predicted, observed, total = (
        np.bincount(bins, values) for values in (mass * distinct, hits, mass)
    )
    filled = total > 0
    return Reliability(
        predicted[filled] / total[filled],
        observed[filled] / total[filled],
        total[filled] / np.sum(total),
    )


def expected_calibration_error(curve: Reliability) -> float:
    """Mean distance of the observed share from the mean score, bins by their share of weight.

    Naeini, Cooper and Hauskrecht (2015). Chance alone keeps it above zero in few rows, for both
    models alike.
    """
    return float(curve.share @ np.abs(curve.observed - curve.predicted))
