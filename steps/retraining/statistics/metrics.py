"""Metrics of a binary classifier: their values under many weightings, and their derivatives.

Every metric is written once, as a function of row weights for fixed labels and scores: one vector
of weights gives its value, a matrix of weights gives its value in many resamples, and its
derivative by the weight of a row gives the row's influence.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from retraining.errors import RetrainingError
from retraining.statistics import losses, ranking
from retraining.statistics.checks import check_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from retraining.statistics.losses import Evaluate
    from retraining.statistics.rows import Bools, Floats

CAPACITY: Final = 0.01
FALSE_NEGATIVE_COST: Final = 10.0


@dataclass(frozen=True)
class Metric:
    """A metric with everything that a comparison of two models by it needs.

    Attributes:
        name: Its name in policies and verdicts.
        function: `function(label, score, weight=None) -> float`.
        greater_is_better: False for losses.
        of_probabilities: Whether scores outside [0, 1] are refused.
        evaluator: `evaluator(label, score)` sorts once and returns the metric as a function of
            weights.
        influence: `influence(label, score, mass)` returns the metric and, of shape (n,), how much
            a unit of further weight in a row moves it; weighted by mass these sum to zero.
        by_class: Whether the variance is corrected by class: where only the order of rows of
            different classes counts, and of a mean over the positives.
        parameters: Numbers that the metric was chosen with, such as capacity.
    """

    name: str
    function: Callable[..., float]
    greater_is_better: bool
    of_probabilities: bool
    evaluator: Callable[[Bools, Floats], Evaluate]
    influence: Callable[[Bools, Floats, Floats], tuple[float, Floats]]
    by_class: bool = False
    parameters: Mapping[str, float] = field(default_factory=dict)


def auroc(label: npt.ArrayLike, score: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Area under the ROC curve: the share of (positive, negative) pairs in order, ties half.

    Args:
        label: 0 or 1, shape (n,).
        score: Any finite number, higher for likelier positives, shape (n,).
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
    """F1 of the positives, which are predicted where the probability is above `THRESHOLD`.

    Arguments and errors as `auroc`; a score is a probability.
    """
    return _value(METRICS["f1"], label, score, weight)


def recall_at_capacity(
    label: npt.ArrayLike,
    score: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    *,
    capacity: float = CAPACITY,
) -> float:
    """Share of the positives in the highest-scored `capacity` of all weight.

    Rows that tie at the border count by the fraction of them that fits. Arguments and errors as
    `auroc`; capacity is between 0 and 1.
    """
    return _value(_recall_at(capacity), label, score, weight)


def expected_cost(
    label: npt.ArrayLike,
    score: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    *,
    false_negative_cost: float = FALSE_NEGATIVE_COST,
) -> float:
    """Mean cost per row where a false positive costs 1; smaller is better.

    A positive is predicted where the probability is above 1 / (1 + false_negative_cost), which
    costs least if probabilities are right. Arguments and errors as `auroc`; a score is a
    probability.
    """
    return _value(_cost_of(false_negative_cost), label, score, weight)


def choose(
    name: str,
    *,
    capacity: float = CAPACITY,
    false_negative_cost: float = FALSE_NEGATIVE_COST,
) -> Metric:
    """The metric of this name.

    Args:
        name: A key of `METRICS`.
        capacity: Share of the weight that can be looked at, for recall_at_capacity.
        false_negative_cost: In false positives, for expected_cost.

    Raises:
        RetrainingError: The name is unknown or a parameter out of range.
    """
    if name not in METRICS:
        raise RetrainingError(f"metric is {name!r}", f"choose one of {', '.join(METRICS)}")
    if name == "recall_at_capacity":
        return _recall_at(capacity)
    if name == "expected_cost":
        return _cost_of(false_negative_cost)
    return METRICS[name]


def _recall_at(capacity: float) -> Metric:
    if not 0 < capacity < 1:
        raise RetrainingError(f"capacity is {capacity!r}", "give a number between 0 and 1")
    return Metric(
        name="recall_at_capacity",
        function=partial(recall_at_capacity, capacity=capacity),
        greater_is_better=True,
        of_probabilities=False,
        evaluator=partial(ranking.recall_evaluator, capacity=capacity),
        influence=partial(ranking.recall_influence, capacity=capacity),
        by_class=True,
        parameters={"capacity": capacity},
    )


def _cost_of(false_negative_cost: float) -> Metric:
    if not 0 < false_negative_cost < math.inf:
        remedy = "give a finite number above 0"
        raise RetrainingError(f"false_negative_cost is {false_negative_cost!r}", remedy)
    function = partial(expected_cost, false_negative_cost=false_negative_cost)
    losses_of = partial(losses.costs, false_negative_cost=false_negative_cost)
    parameters = {"false_negative_cost": false_negative_cost}
    return dataclasses.replace(
        _mean_of("expected_cost", function, losses_of), parameters=parameters
    )


def _mean_of(
    name: str, function: Callable[..., float], losses_of: Callable[[Bools, Floats], Floats]
) -> Metric:
    return Metric(
        name=name,
        function=function,
        greater_is_better=False,
        of_probabilities=True,
        evaluator=lambda label, score: losses.mean_evaluator(losses_of(label, score)),
        influence=lambda label, score, mass: losses.mean_influence(losses_of(label, score), mass),
    )


METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric(
                name="auroc",
                function=auroc,
                greater_is_better=True,
                of_probabilities=False,
                evaluator=ranking.auroc_evaluator,
                influence=ranking.auroc_influence,
                by_class=True,
            ),
            Metric(
                name="auprc",
                function=auprc,
                greater_is_better=True,
                of_probabilities=False,
                evaluator=ranking.auprc_evaluator,
                influence=ranking.auprc_influence,
            ),
            _mean_of("log_loss", log_loss, losses.log_losses),
            _mean_of("brier", brier, losses.squared_errors),
            Metric(
                name="f1",
                function=f1,
                greater_is_better=True,
                of_probabilities=True,
                evaluator=losses.f1_evaluator,
                influence=losses.f1_influence,
            ),
            _recall_at(CAPACITY),
            _cost_of(FALSE_NEGATIVE_COST),
        )
    }
)


def _value(
    metric: Metric, label: npt.ArrayLike, score: npt.ArrayLike, weight: npt.ArrayLike | None
) -> float:
    rows = check_rows(
        label, {"score": score}, weight=weight, of_probabilities=metric.of_probabilities
    )
    return float(metric.evaluator(rows.label, rows.scores[0])(rows.weight))
