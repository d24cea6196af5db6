"""What the gate decided, with every number that the decision rests on.

The text below each field is its description in the JSON schema and in the glossary of the report.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from retraining.gate.campaign import Campaign  # noqa: TC001 (for the schema)
from retraining.gate.campaign_plan import PlannedRule  # noqa: TC001 (for the schema)
from retraining.gate.fields import Count, Number, Outcome, Record, Share, to_plain
from retraining.gate.looks import Look  # noqa: TC001 (for the schema)
from retraining.gate.policy import MetricName, Strategy  # noqa: TC001 (for the schema)
from retraining.gate.spending import Spending  # noqa: TC001 (for the schema)
from retraining.gate.wording import number, percent

# Guardrails whose failure makes any result unbelievable, the champion's victory included.
UNDECIDABLE: Final = ("minimum_positives", "support", "self_test")


@dataclass(frozen=True)
class CrossCheck(Record):
    """The comparison by bootstrap."""

    effect_size: Number
    """The effect on the rows themselves, which is the same."""
    champion: Number
    """The metric of the champion on the rows themselves."""
    challenger: Number
    """The metric of the challenger on the rows themselves."""
    standard_error: Number
    """The standard deviation of the effect over the resamples."""
    ci_lower: Number
    """The lower end of the interval that the resamples give."""
    ci_upper: Number
    """The upper end of the interval that the resamples give."""
    pvalue: Number
    """How often an effect at least this large would occur if the two models were equal."""
    n_rows: Count
    """The number of rows that were resampled."""
    n_positives: Count
    """The number of positives among them."""


@dataclass(frozen=True)
class Guardrail(Record):
    """A condition beside the primary metric."""

    name: Literal[
        "minimum_positives",
        "slices",
        "secondary",
        "calibration",
        "leak",
        "scores",
        "support",
        "self_test",
    ]
    """Which condition."""
    status: Literal["passed", "failed", "unknown"]
    """passed, failed (which stops a promotion) or unknown (which could not be judged)."""
    sentence: str
    """The result, in full sentences."""


@dataclass(frozen=True)
class Slice(Record):
    """One slice of the rows, judged by the primary metric."""

    name: str
    """The part of the rows, for example is_weekend=1."""
    n_rows: Count
    """The number of rows in the slice."""
    n_positives: Count
    """The number of positives in the slice."""
    champion: Number
    """The metric of the champion in the slice; unknown if the slice is too small."""
    challenger: Number
    """The metric of the challenger in the slice; unknown if the slice is too small."""
    effect_size: Number
    """The effect in the slice."""
    ci_lower: Number
    """The lower end of the interval of the effect in the slice."""
    ci_upper: Number
    """The upper end of the interval of the effect in the slice."""
    possible_loss: Annotated[Number, Field(ge=0)]
    """The largest loss in the slice that these rows do not rule out: the one-sided lower confidence
    limit of the effect, as a loss; 0 where every loss is ruled out."""
    pvalue: Number
    """The p-value of no loss beyond the margin, adjusted (Holm): how often a fall at least this
    large would occur if the challenger were not worse in the slice by more than slice_margin,
    allowing for the number of slices. Below the alpha of the policy the slice is worse."""
    non_inferiority_pvalue: Number
    """The p-value of a loss of slice_non_inferiority or more, not adjusted: below the alpha of the
    policy such a loss is ruled out. Unknown if the policy asks for no proof, or the slice is too
    small."""
    status: Literal["not_worse", "worse", "pooled", "too_small"]
    """not_worse (not shown to be worse), worse (which stops a promotion), pooled (too small, but
    judged together with other small slices) or too_small (to be judged)."""


@dataclass(frozen=True)
class FalsePromotionRate(Record):
    """How often a strategy promotes one of two equal models, as measured by simulation."""

    rate: Share
    """The share of simulated comparisons of equal models that ended in a promotion."""
    alpha: Share | None
    """The alpha of these comparisons; null for a rule that does not use alpha."""
    note: str = ""
    """Conditions under which the rate differs."""

    def describe(self) -> str:
        """For example "18.6% of equal models at any alpha"."""
        alpha = " at any alpha" if self.alpha is None else f" at alpha {number(self.alpha)}"
        note = f" ({self.note})" if self.note else ""
        return f"{percent(self.rate)} of equal models{alpha}{note}"


@dataclass(frozen=True)
class Opinion(Record):
    """The conclusion of one strategy from the same rows, before any guardrail."""

    strategy: Strategy
    """The name of the strategy."""
    says: Outcome
    """What this strategy alone would decide, without guardrails."""
    because: str
    """Why, in one sentence."""
    effect_size: Number
    """The effect as this strategy computes it."""
    ci_lower: Number
    """The lower end of the interval of this strategy; unknown if it has none."""
    ci_upper: Number
    """The upper end of the interval of this strategy; unknown if it has none."""
    pvalue: Number
    """The p-value as this strategy computes it."""
    valid: bool
    """Whether this strategy promotes equal models no more often than alpha says."""
    false_promotion_rate: FalsePromotionRate
    """How often this strategy promotes one of two equal models."""


@dataclass(frozen=True)
class Maturity(Record):
    """The same comparison on rows whose labels have had more time."""

    extra_days: Count
    """The number of days beyond the label delay that every row has had at least."""
    n_rows: Count
    """The number of rows that are old enough."""
    n_positives: Count
    """The number of positives that are old enough."""
    effect_size: Number
    """The effect on these rows."""
    ci_lower: Number
    """The lower end of the interval of the effect on these rows."""
    ci_upper: Number
    """The upper end of the interval of the effect on these rows."""


@dataclass(frozen=True, kw_only=True)
class Verdict(Record):
    """What the gate decided, with every number that the decision rests on.

    A number that is unknown is null.
    """

    verdict: Outcome
    """The decision: promote, keep_champion or inconclusive."""
    reasons: Annotated[tuple[str, ...], Field(min_length=1)]
    """Why, in full sentences."""
    strategy: Strategy
    """The statistical method that compared the two models."""
    metric: MetricName
    """The metric by which the models are compared."""
    effect_size: Number
    """The difference between the two models in the metric; a positive number favours the
    challenger."""
    ci_lower: Number
    """The lower end of the confidence interval of the effect."""
    ci_upper: Number
    """The upper end of the confidence interval of the effect."""
    pvalue: Number
    """How often an effect at least this large would occur if the true effect were no more than
    the required one."""
    alpha: Share
    """The p-value must be below this: the accepted probability of a false promotion in this test.
    It is the alpha of the policy, or what the ledger leaves of it."""
    n_rows: Count
    """The number of rows that were compared."""
    n_positives: Count
    """The number of positives among the rows that were compared."""
    minimum_detectable_effect: Number
    """The smallest true effect that such a test would promote with the probability given by
    power."""
    champion: Number
    """The metric of the champion, the model that serves now."""
    challenger: Number
    """The metric of the challenger, the model that may replace it."""
    standard_error: Number
    """How far the effect would typically move if other rows of the same kind had been drawn."""
    min_effect_size: Annotated[float, Field(ge=0)]
    """The required effect: a promotion must exceed it."""
    n_units: Count | None
    """The number of units that the rows belong to, for example customers. Rows of one unit may
    depend on each other, and the test allows for it; without units every row counts as
    independent."""
    effective_units: Number | None
    """The number of equal units that the rows are worth, by the class in which they are worth
    less: a few customers with many rows count for little. Unknown where rows are independent."""
    period: str | None
    """What a period is: day, week, or a column; null where periods are taken as independent."""
    n_periods: Count | None
    """The number of periods that the rows belong to, for example days. Rows of one period share
    what happened in it, whatever their unit, and the test allows for it."""
    period_ratio: Number | None
    """The variance of the effect by that without periods: above 1 where rows of one period move
    together; unknown without periods."""
    degrees_of_freedom: Number
    """Of Student's t-distribution, by which p-value and interval are computed; unknown where it is
    the normal distribution."""
    rows_still_needed: Count | None
    """How many more rows would be enough for a decision if the true effect is as large as the
    observed one; 0 if no more are needed, unknown if it is too close to the required effect."""
    positives_still_needed: Count | None
    """How many of the rows that are still needed must be positives."""
    periods_still_needed: Count | None
    """How many more periods these rows would take, for example days."""
    confidence_level: Share
    """How often an interval that is computed like this one contains the true effect."""
    power: Share
    """The probability with which the minimum detectable effect would be promoted."""
    minimum_positives: Count
    """With fewer positives, or fewer negatives, there is no decision."""
    error_bound: Annotated[float, Field(ge=0)]
    """By how much the effect may be off because similar rows were counted together; 0 if every
    row was compared individually. The interval and the p-value allow for it."""
    cross_check: CrossCheck | None
    """The same comparison by bootstrap, which needs no formula for the error; the two intervals
    should nearly agree."""
    guardrails: tuple[Guardrail, ...]
    """Conditions beside the metric that can stop a promotion."""
    slices: tuple[Slice, ...]
    """The same comparison in parts of the rows, for example at night: a model that is better
    overall can be worse for some."""
    opinions: tuple[Opinion, ...]
    """The conclusion of every known strategy from the same rows."""
    maturities: tuple[Maturity, ...]
    """The same comparison on rows whose labels have had more time to become final."""
    ledger: Spending | None
    """How much of the accepted probability of a false promotion repeated tests have used."""
    campaign: Campaign | None
    """Where the campaign of this pair of models stands; null where models are tested once."""
    looks: tuple[Look, ...]
    """The looks of the campaign: those made, then those planned."""
    plan: tuple[PlannedRule, ...]
    """How soon each way of testing finds gains of several sizes, with rows such as these."""

    def to_mapping(self) -> dict[str, Any]:
        """Values that JSON can represent, in the order of the fields; null for NaN and infinity."""
        return {name: to_plain(value) for name, value in asdict(self).items()}
