"""The conditions under which a challenger is promoted."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (pydantic reads the annotations)
from dataclasses import field
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticKnownError

from retraining.statistics.bootstrap import Interval, Resample  # noqa: TC001 (as above)
from retraining.statistics.comparing import MINIMUM_RESAMPLES
from retraining.statistics.metrics import METRICS, Metric, choose
from retraining.statistics.sequential import SpendingFunction  # noqa: TC001 (as above)

Strategy = Literal[
    "delong",  # another name of influence, which by auroc is DeLong's test
    "influence",
    "paired_bootstrap",
    "nadeau_bengio",
    "subsample_ttest",
    "disjoint_split",
    "interval_overlap",
]
AUROC_ALONE: Final = frozenset({"delong", "disjoint_split", "interval_overlap"})
MOST_LOOKS: Final = 26
PERIODS: Final = ("none", "day", "week")
Meanwhile = Literal["keep", "better", "newest"]
Memory = Literal["per_test", "spending", "fresh_holdout_only"]


def _known(metric: str) -> str:
    if metric not in METRICS:
        allowed = ", ".join(map(repr, METRICS))
        raise PydanticKnownError("literal_error", {"expected": allowed})
    return metric


def _secondary(metrics: Mapping[str, float], info: ValidationInfo) -> Mapping[str, float]:
    if info.data.get("metric") in metrics:
        raise ValueError(f"names the metric {info.data['metric']} itself, allowed: other metrics")
    return metrics


def _of_metric(strategy: Strategy, info: ValidationInfo) -> Strategy:
    """The strategy under its own name, if it serves the metric."""
    if strategy in AUROC_ALONE and info.data.get("metric", "auroc") != "auroc":
        raise ValueError("needs the metric auroc, allowed: influence")
    return "influence" if strategy == "delong" else strategy


def _meets(meanwhile: Meanwhile, info: ValidationInfo) -> Meanwhile:
    if meanwhile == "newest" and info.data.get("spending") == "obrien_fleming":
        raise ValueError(
            "leaves obrien_fleming one look, which promotes next to nothing, allowed: keep, better"
        )
    return meanwhile


MetricName = Annotated[
    str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(METRICS)})
]
Real = Annotated[float, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=2)]
Share = Annotated[Real, Field(gt=0, lt=1)]
Margin = Annotated[Real, Field(ge=0)]
_STRICT: Final = ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class CampaignRules:
    """How often a challenger that could not be decided on meets the champion again.

    Raises:
        pydantic.ValidationError: A value is out of range.
    """

    looks: Annotated[int, Field(strict=True, ge=1, le=MOST_LOOKS)] = 1
    """The looks of a campaign, each on all rows so far; 1 is a single test. Rows that are split by
    a hash are always tested once."""
    spending: SpendingFunction = "pocock"
    """How the looks share alpha: pocock gives each about the same, and finds large gains at once;
    obrien_fleming keeps nearly all for the last ones, and finds small gains more often; e_process
    allows looks at any time and in any number, and finds least."""
    meanwhile: Annotated[Meanwhile, AfterValidator(_meets)] = "better"
    """What the next cycle's new model does while a campaign lasts: with keep it waits, and the best
    waiting model by validation follows; with better it waits unless it is shown to be better than
    the challenger on the validation rows; with newest it replaces the challenger, which ends the
    campaign."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Policy:
    """The conditions under which a challenger is promoted.

    Raises:
        pydantic.ValidationError: A value is out of range, or a strategy does not serve the metric.
    """

    metric: MetricName = "auroc"
    """The metric by which the models are compared."""
    strategy: Annotated[Strategy, AfterValidator(_of_metric)] = "influence"
    """The method that compares them; delong is another name of influence, for auroc."""
    alpha: Annotated[Real, Field(gt=0, lt=0.5)] = 0.05
    """The largest probability of promoting a challenger that is not better by more than
    min_effect_size."""
    period: Annotated[str, Field(min_length=1)] = "day"
    """Rows of one period may share what happened in it, whatever their unit: day and week are of
    the event time, where there is one; none takes periods as independent; any other name is a
    column of the data."""
    min_effect_size: Margin = 0.0
    """The gain that a promotion must exceed, in units of the metric."""
    minimum_positives: Count = 100
    """With fewer positives, or fewer negatives, there is no decision."""
    confidence_level: Share = 0.95
    """Of the two-sided interval; the champion is kept when all of it lies at or below
    min_effect_size."""
    power: Annotated[Real, Field(gt=0.5, lt=1)] = 0.8
    """The probability with which the minimum detectable effect is detected."""
    n_resamples: Annotated[int, Field(strict=True, ge=MINIMUM_RESAMPLES)] = 1000
    """Of paired_bootstrap, and of the cross-check."""
    resample: Resample = "row"
    """What the bootstrap draws where rows have no units: rows, or rows of each class separately."""
    interval: Interval = "percentile"
    """Of the bootstrap."""
    n_subsamples: Count = 100
    """Of nadeau_bengio and subsample_ttest."""
    subsample: Share = 0.5
    """The share of the rows in each subsample."""
    capacity: Share = 0.01
    """The share of the rows that can be looked at, for recall_at_capacity."""
    false_negative_cost: Annotated[Real, Field(gt=0)] = 10.0
    """The cost of a missed positive where a false alarm costs 1, for expected_cost."""
    secondary: Annotated[
        Mapping[MetricName, Annotated[Real, Field(gt=0)]], AfterValidator(_secondary)
    ] = field(default_factory=dict)
    """Metrics that must not get worse by more than the margin given with each."""
    slice_margin: Margin = 0.0
    """A slice in which the challenger is shown to be worse by more than this stops a promotion."""
    slice_non_inferiority: Annotated[Real, Field(gt=0)] | None = None
    """Every slice must rule out a loss of this much or more, each by a test at alpha; a slice that
    is too small to be judged cannot. Null asks for no such proof."""
    calibration_factor: Annotated[Real, Field(ge=1)] = 1.25
    """By which factor the ratio of expected to observed positives may be further from 1 than the
    champion's; a challenger that is shown to be further off is not promoted."""
    suspicious_gain: Annotated[Real, Field(gt=0, le=1)] = 0.8
    """A challenger that closes more than this share of the champion's distance from a perfect
    metric is not promoted before a person has checked it."""
    worse_on_validation: Literal["skip", "test"] = "skip"
    """What follows where the challenger is worse than the champion on the validation rows, on which
    it was selected: skip makes no test, which costs no alpha and is inconclusive; test tests it all
    the same. With fewer than minimum_positives positives or negatives there it is tested."""
    memory: Memory = "spending"
    """How earlier tests of the same model limit the alpha of the next one: spending divides
    yearly_alpha among the tests of a year, fresh_holdout_only does so and refuses to test rows
    twice, per_test gives alpha to every test."""
    yearly_alpha: Share = 0.2
    """The budget of false promotions in any 365 days, unless memory is per_test."""
    tests_per_year: Annotated[Real, Field(ge=1)] = 52.0
    """How often the model is tested: yearly_alpha is divided by it, until nine days with tests
    have shown how often it is. Each look of a campaign counts as one."""
    campaign: CampaignRules = field(default_factory=CampaignRules)
    """How often a challenger that could not be decided on meets the champion again."""

    @property
    def chosen_metric(self) -> Metric:
        """The primary metric with the capacity and the costs of this policy."""
        return self.measure(self.metric)

    @property
    def n_looks(self) -> int:
        """The looks of a campaign; 1 where the error of the strategy is not that of all rows."""
        return self.campaign.looks if self.strategy in ("influence", "paired_bootstrap") else 1

    @property
    def strategy_in_reports(self) -> Strategy:
        """The name of the strategy in verdicts: influence by auroc is known as DeLong's test."""
        is_delong = (self.strategy, self.metric) == ("influence", "auroc")
        return "delong" if is_delong else self.strategy

    def measure(self, metric: str) -> Metric:
        """Any metric with the capacity and the costs of this policy."""
        return choose(metric, capacity=self.capacity, false_negative_cost=self.false_negative_cost)
