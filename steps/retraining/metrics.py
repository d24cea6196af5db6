"""Metrics of a binary classifier and their values under many weightings of the same rows.

Every metric is written once, as a function of row weights for fixed labels and scores. One vector
of weights gives its value, a matrix of weights gives its value in many resamples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from retraining.errors import RetrainingError
from retraining.rows import Bools, Codes, Floats, check_rows, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

Evaluate = Callable[[Floats], Floats]  # weights of shape (..., n) to values of shape (...)

THRESHOLD: Final = 0.5  # Spark and scikit-learn predict class 1 above it, class 0 at it
CLIP: Final = float(np.finfo(np.float64).eps)  # log_loss keeps scores in [CLIP, 1 - CLIP]


@dataclass(frozen=True)
class Metric:
    """A metric and what must be known to compare two models by it.

    Attributes:
        name: Its name in policies and verdicts.
        function: `function(label, score, weight=None) -> float`.
        greater_is_better: False for losses.
        of_probabilities: Whether scores outside [0, 1] are refused.
        prepare: `prepare(label, score)` sorts once and returns the metric as a function of weights.
    """

    name: str
    function: Callable[..., float]
    greater_is_better: bool
    of_probabilities: bool
    prepare: Callable[[Bools, Floats], Evaluate]


def auroc(label: npt.ArrayLike, score: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Area under the ROC curve: the share of (class 1, class 0) pairs in order, ties half.

    Args:
        label: 0 or 1, shape (n,).
        score: Any finite number that grows with the belief in class 1, shape (n,).
        weight: Non-negative, shape (n,); a row of weight 2 counts as two rows.

    Raises:
        RetrainingError: The rows do not pass `check_rows`.
    """
    return _value(METRICS["auroc"], label, score, weight)


def auprc(label: npt.ArrayLike, score: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Average precision, the step-wise area under the precision-recall curve.

    The sum of (R_n - R_{n-1}) P_n over distinct scores, as `sklearn.metrics.
    average_precision_score`; Spark's areaUnderPR is the trapezoid, which is larger.
    Arguments and errors as `auroc`.
    """
    return _value(METRICS["auprc"], label, score, weight)


def log_loss(
    label: npt.ArrayLike, score: npt.ArrayLike, weight: npt.ArrayLike | None = None
) -> float:
    """Mean negative log-likelihood in nats; smaller is better.

    A score is a probability and is clipped to [CLIP, 1 - CLIP] (2.2e-16), so that one certain
    mistake costs 36 nats instead of infinity. Arguments and errors as `auroc`.
    """
    return _value(METRICS["log_loss"], label, score, weight)


def brier(label: npt.ArrayLike, score: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Mean squared distance of the probability from the label; smaller is better.

    Arguments and errors as `auroc`; a score is a probability.
    """
    return _value(METRICS["brier"], label, score, weight)


def f1(label: npt.ArrayLike, score: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """F1 of class 1, which is predicted where the probability is above `THRESHOLD`.

    Arguments and errors as `auroc`; a score is a probability.
    """
    return _value(METRICS["f1"], label, score, weight)


def unit_precision_at(
    label: npt.ArrayLike,
    score: npt.ArrayLike,
    unit: npt.ArrayLike,
    day: npt.ArrayLike,
    k: int,
) -> float:
    """Precision of the k most suspicious units a day, as if k units a day were investigated.

    "Card precision top-k" of the handbook *Reproducible Machine Learning for Credit Card Fraud
    Detection*, chapter 4: a unit has the largest score and the largest label of its rows of the
    day; a unit that was caught (in the top k with label 1) is left out on later days; the mean
    over days of positives in the top k, divided by k also on days with fewer than k units. Of
    units with equal scores the one that sorts first is taken first.

    Args:
        label: 0 or 1, shape (n,).
        score: Shape (n,).
        unit: Whom a row belongs to, sortable, shape (n,).
        day: When a row was scored, sortable, shape (n,).
        k: Units that can be investigated a day.

    Raises:
        RetrainingError: The rows do not pass `check_rows`, or k is no positive integer.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise RetrainingError(f"k is {k!r}", "give the number of units a day, 1 or more")
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


class _Ranking(NamedTuple):
    """Rows of each class from the highest score down, and what lies above each positive."""

    positives: Codes
    negatives: Codes
    positives_from: Codes  # positives with this score or a higher one
    negatives_above: Codes
    negatives_from: Codes


def _rank(label: Bools, score: Floats) -> _Ranking:
    order = np.argsort(-score, kind="stable")
    positives, negatives = order[label[order]], order[~label[order]]
    falling, others = -score[positives], -score[negatives]
    return _Ranking(
        positives,
        negatives,
        np.searchsorted(falling, falling, side="right"),
        np.searchsorted(others, falling, side="left"),
        np.searchsorted(others, falling, side="right"),
    )


def _totals(weight: Floats, order: Codes) -> Floats:
    """Running sums of the weights in this order, from 0 to the total: shape (..., m + 1)."""
    sums = np.zeros((*weight.shape[:-1], order.size + 1))
    np.cumsum(np.take(weight, order, axis=-1), axis=-1, out=sums[..., 1:])
    return sums


def _prepare_auroc(label: Bools, score: Floats) -> Evaluate:
    ranking = _rank(label, score)

    def evaluate(weight: Floats) -> Floats:
        positive = np.take(weight, ranking.positives, axis=-1)
        negative = _totals(weight, ranking.negatives)
        lost = np.take(negative, ranking.negatives_above, axis=-1)
        lost += np.take(negative, ranking.negatives_from, axis=-1)
        share = np.sum(positive * lost, axis=-1) / np.sum(positive, axis=-1) / 2
        area: Floats = 1 - share / negative[..., -1]
        return area

    return evaluate


def _prepare_auprc(label: Bools, score: Floats) -> Evaluate:
    ranking = _rank(label, score)

    def evaluate(weight: Floats) -> Floats:
        positive = np.take(weight, ranking.positives, axis=-1)
        positives = _totals(weight, ranking.positives)
        hits = np.take(positives, ranking.positives_from, axis=-1)
        alarms = np.take(_totals(weight, ranking.negatives), ranking.negatives_from, axis=-1)
        alarms += hits
        # A resample may leave out every row from the top down to here: then nothing is summed.
        precision = np.divide(hits, alarms, out=np.zeros_like(hits), where=alarms > 0)
        area: Floats = np.sum(positive * precision, axis=-1) / positives[..., -1]
        return area

    return evaluate


def _prepare_log_loss(label: Bools, score: Floats) -> Evaluate:
    probability = np.clip(score, CLIP, 1 - CLIP)
    return _mean_of(-np.log(np.where(label, probability, 1 - probability)))


def _prepare_brier(label: Bools, score: Floats) -> Evaluate:
    return _mean_of((score - label) ** 2)


def _mean_of(loss: Floats) -> Evaluate:
    return lambda weight: weight @ loss / np.sum(weight, axis=-1)


def _prepare_f1(label: Bools, score: Floats) -> Evaluate:
    predicted = score > THRESHOLD
    hit = (label & predicted).astype(np.float64)
    involved = label.astype(np.float64) + predicted
    return lambda weight: 2 * (weight @ hit) / (weight @ involved)


METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("auroc", auroc, True, False, _prepare_auroc),  # noqa: FBT003
            Metric("auprc", auprc, True, False, _prepare_auprc),  # noqa: FBT003
            Metric("log_loss", log_loss, False, True, _prepare_log_loss),  # noqa: FBT003
            Metric("brier", brier, False, True, _prepare_brier),  # noqa: FBT003
            Metric("f1", f1, True, True, _prepare_f1),  # noqa: FBT003
        )
    }
)


def _value(
    metric: Metric, label: npt.ArrayLike, score: npt.ArrayLike, weight: npt.ArrayLike | None
) -> float:
    rows = check_rows(
        label, {"score": score}, weight=weight, of_probabilities=metric.of_probabilities
    )
    return float(metric.prepare(rows.label, rows.scores[0])(rows.weight))
