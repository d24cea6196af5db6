"""What must be shown before a challenger is promoted."""

from __future__ import annotations

import math
from collections.abc import Mapping  # noqa: TC003 (pydantic reads the annotations)
from dataclasses import dataclass, field
from typing import Final, Literal, NoReturn, get_args

from retraining.errors import RetrainingError
from retraining.statistics.metrics import METRICS, Metric, choose
from retraining.statistics.paired import check_resamples

Strategy = Literal[
    "delong",
    "influence",
    "paired_bootstrap",
    "nadeau_bengio",
    "subsample_ttest",
    "disjoint_split",
    "interval_overlap",
]
AUROC_ALONE: Final = frozenset({"delong", "disjoint_split", "interval_overlap"})
Memory = Literal["per_test", "spending", "fresh_holdout_only"]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What must be shown before a challenger is promoted.

    Attributes:
        metric: A name in `retraining.statistics.metrics.METRICS`.
        strategy: A name in `retraining.gate.strategies.STRATEGIES`; "delong" serves auroc only.
        alpha: Largest probability of promoting a challenger that is not better by more than
            min_effect_size.
        min_effect_size: The gain that a promotion must exceed, in units of the metric.
        minimum_positives: Rows of class 1, and of class 0, below which nothing is decided.
        confidence_level: Of the two-sided interval; the champion is kept when all of it lies at
            or below min_effect_size.
        power: Probability with which the minimum detectable effect is found.
        n_resamples: Of paired_bootstrap, and of the cross-check.
        resample: What the bootstrap draws without units: rows, or rows of each class apart.
        interval: Of the bootstrap.
        n_subsamples: Of nadeau_bengio and subsample_ttest.
        subsample: Share of the rows in each.
        capacity: Share of the rows that can be looked at, for recall_at_capacity.
        false_negative_cost: What a missed row of class 1 costs where a false alarm costs 1, for
            expected_cost.
        secondary: Metrics that must not get worse by more than the margin given with each.
        slice_margin: A slice in which the challenger is worse by more than this stops a promotion.
        calibration_margin: By how much the expected calibration error may grow.
        suspicious_gain: Share of the champion's distance from a perfect metric; a challenger that
            closes more than this is looked at by a person before it is promoted.
        memory: What earlier tests of the same model leave of alpha.
        yearly_alpha: The budget of false promotions in any 365 days, for memory "spending".

    Raises:
        RetrainingError: A value is out of range, or a strategy does not serve the metric.
    """

    metric: str = "auroc"
    strategy: Strategy = "delong"
    alpha: float = 0.05
    min_effect_size: float = 0.0
    minimum_positives: int = 100
    confidence_level: float = 0.95
    power: float = 0.8
    n_resamples: int = 1000
    resample: Literal["row", "stratified"] = "row"
    interval: Literal["percentile", "bca"] = "percentile"
    n_subsamples: int = 100
    subsample: float = 0.5
    capacity: float = 0.01
    false_negative_cost: float = 10.0
    secondary: Mapping[str, float] = field(default_factory=dict)
    slice_margin: float = 0.0
    calibration_margin: float = 0.1
    suspicious_gain: float = 0.8
    memory: Memory = "per_test"
    yearly_alpha: float = 0.2

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_numbers()
        check_resamples(self.n_resamples)

    @property
    def chosen_metric(self) -> Metric:
        """The primary metric with the capacity and the costs of this policy."""
        return self.measure(self.metric)

    def measure(self, metric: str) -> Metric:
        """Any metric with the capacity and the costs of this policy."""
        return choose(metric, capacity=self.capacity, false_negative_cost=self.false_negative_cost)

    def _check_choices(self) -> None:
        if self.metric not in METRICS:
            _refuse("metric", self.metric, f"choose one of {', '.join(METRICS)}")
        choices = {"strategy": Strategy, "memory": Memory}
        choices |= {"resample": Literal["row", "stratified"]}
        choices |= {"interval": Literal["percentile", "bca"]}
        for name, allowed in choices.items():
            if getattr(self, name) not in get_args(allowed):
                _refuse(name, getattr(self, name), f"choose one of {', '.join(get_args(allowed))}")
        if self.strategy in AUROC_ALONE and self.metric != "auroc":
            remedy = f"strategy {self.strategy} needs auroc; choose influence"
            _refuse("metric", self.metric, remedy)

    def _check_numbers(self) -> None:
        shares = ("subsample", "capacity", "yearly_alpha", "suspicious_gain")
        bounds = dict.fromkeys(("confidence_level", *shares), (0.0, 1.0))
        bounds |= {"alpha": (0.0, 0.5), "power": (0.5, 1.0)}
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            top_allowed = name == "suspicious_gain" and value == 1
            if not top_allowed and (not _is_number(value) or not low < value < high):
                _refuse(name, value, f"give a number between {low:g} and {high:g}")
        for name in ("min_effect_size", "slice_margin", "calibration_margin"):
            value = getattr(self, name)
            if not _is_number(value) or not 0 <= value < math.inf:
                _refuse(name, value, "give a number of 0 or more")
        if not _is_number(self.false_negative_cost) or not 0 < self.false_negative_cost < math.inf:
            _refuse("false_negative_cost", self.false_negative_cost, "give a number above 0")
        for name in ("minimum_positives", "n_subsamples"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 2:
                _refuse(name, value, "give a whole number, 2 or more")
        for metric, margin in self.secondary.items():
            if metric not in METRICS or metric == self.metric:
                others = ", ".join(name for name in METRICS if name != self.metric)
                _refuse("secondary", metric, f"name one of {others}")
            if not _is_number(margin) or not 0 < margin < math.inf:
                _refuse(f"secondary.{metric}", margin, "give a margin above 0")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse(name: str, value: object, remedy: str) -> NoReturn:
    raise RetrainingError(f"policy {name} is {value!r}", remedy)
