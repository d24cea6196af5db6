"""What must be shown before a challenger is promoted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NoReturn, get_args

from retraining.errors import RetrainingError
from retraining.metrics import METRICS
from retraining.paired import check_resamples

Strategy = Literal["delong", "paired_bootstrap"]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What must be shown before a challenger is promoted.

    Attributes:
        metric: A name in `retraining.metrics.METRICS`.
        strategy: "delong" (auroc only) or "paired_bootstrap".
        alpha: Largest probability of promoting a challenger that is not better by more than
            min_effect_size.
        min_effect_size: The gain that a promotion must exceed, in units of the metric.
        minimum_positives: Rows of class 1, and of class 0, below which nothing is decided.
        confidence_level: Of the two-sided interval; the champion is kept when all of it lies at
            or below min_effect_size.
        power: Probability with which the minimum detectable effect is found.
        n_resamples: Of paired_bootstrap.

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

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            _refuse("metric", self.metric, f"choose one of {', '.join(METRICS)}")
        if self.strategy not in get_args(Strategy):
            _refuse("strategy", self.strategy, f"choose one of {', '.join(get_args(Strategy))}")
        if self.strategy == "delong" and self.metric != "auroc":
            _refuse("metric", self.metric, "strategy delong needs auroc; choose paired_bootstrap")
        for name, low, high in (("alpha", 0, 0.5), ("confidence_level", 0, 1), ("power", 0.5, 1)):
            value = getattr(self, name)
            if not _is_number(value) or not low < value < high:
                _refuse(name, value, f"give a number between {low} and {high}")
        if not _is_number(self.min_effect_size) or not 0 <= self.min_effect_size < math.inf:
            _refuse("min_effect_size", self.min_effect_size, "give a number of 0 or more")
        whole = isinstance(self.minimum_positives, int)
        if not whole or isinstance(self.minimum_positives, bool) or self.minimum_positives < 2:
            _refuse("minimum_positives", self.minimum_positives, "give a whole number, 2 or more")
        check_resamples(self.n_resamples)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse(name: str, value: object, remedy: str) -> NoReturn:
    raise RetrainingError(f"policy {name} is {value!r}", remedy)
