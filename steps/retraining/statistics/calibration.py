"""Whether scores are right as probabilities: of rows with scores near p, a share p is positive.

Two of the measures have influence values, so that two models can be compared by them with an error:
the ratio of expected to observed positives (calibration in the large) and the calibration slope, of
Van Calster et al. (2019), "Calibration: the Achilles heel of predictive analytics".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import special

from retraining.statistics.losses import CLIP
from retraining.statistics.metrics import Metric

if TYPE_CHECKING:
    from retraining.statistics.losses import Evaluate
    from retraining.statistics.rows import Bools, Floats

BINS: Final = 10
STEPS: Final = 50  # of Newton's method, which takes five to ten where there is a solution
SMALLEST_STEP: Final = 1e-10


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


def log_ratio(label: Bools, score: Floats, weight: Floats) -> float:
    """Logarithm of the expected positives, the sum of the scores, by those observed."""
    return float(np.log(weight @ np.clip(score, CLIP, 1) / (weight @ label)))


def slope(label: Bools, score: Floats, weight: Floats) -> float:
    """Calibration slope: by which the log odds of the scores are best multiplied; 1 is right.

    Below 1 the scores are too extreme, as those of a model that is fitted too closely. NaN where
    the scores are all alike or separate the classes.
    """
    return _recalibrate(label, score, weight)[0]


def _distance_evaluator(label: Bools, score: Floats) -> Evaluate:
    expected = np.clip(score, CLIP, 1)
    return lambda weight: np.abs(np.log(weight @ expected / (weight @ label)))


def _distance_influence(label: Bools, score: Floats, mass: Floats) -> tuple[float, Floats]:
    """+-(score / expected - label / observed), the sign that of the logarithm."""
    ratio = log_ratio(label, score, mass)
    expected = np.clip(score, CLIP, 1)
    values = expected / (mass @ expected) - label / (mass @ label)
    return abs(ratio), values * np.sign(ratio)


def _slope_evaluator(label: Bools, score: Floats) -> Evaluate:
    return lambda weight: np.apply_along_axis(lambda one: slope(label, score, one), -1, weight)


def _recalibrate(label: Bools, score: Floats, mass: Floats) -> tuple[float, Floats]:
    """Slope of the logistic regression of the label on the log odds, and its influence values.

    A row's value is the second element of H^-1 (label - fitted) (1, log odds), with the information
    matrix H.
    """
    odds = special.logit(np.clip(score, CLIP, 1 - CLIP))
    if np.ptp(odds) == 0:
        return np.nan, np.full(odds.size, np.nan)
    design = np.stack([np.ones(odds.size), odds])
    # From the line that says the base rate of every row: from the scores' own it can diverge.
    line = np.array([special.logit(mass @ label / np.sum(mass)), 0.0])
    for _ in range(STEPS):
        fitted = special.expit(line @ design)
        information = (design * (mass * fitted * (1 - fitted))) @ design.T
        if not np.linalg.cond(information) < 1 / CLIP:
            break
        step = np.linalg.solve(information, design @ (mass * (label - fitted)))
        line = line + step
        if np.max(np.abs(step)) < SMALLEST_STEP:
            values = np.linalg.inv(information)[1] @ design * (label - fitted)
            return float(line[1]), values
    return np.nan, np.full(odds.size, np.nan)


DISTANCE: Final = Metric(
    name="log_expected_by_observed",
    function=log_ratio,
    greater_is_better=False,
    of_probabilities=True,
    evaluator=_distance_evaluator,
    influence=_distance_influence,
)
SLOPE: Final = Metric(
    name="calibration_slope",
    function=slope,
    greater_is_better=True,
    of_probabilities=True,
    evaluator=_slope_evaluator,
    influence=_recalibrate,
)
