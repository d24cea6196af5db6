"""What the gate decided, with every number that the decision rests on.

The text below each field is its description in the JSON schema and in the glossary of the report.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from retraining.gate.policy import Memory, MetricName, Strategy  # noqa: TC001 (for the schema)
from retraining.gate.wording import number, percent
from retraining.statistics.sequential import SpendingFunction  # noqa: TC001 (for the schema)

Outcome = Literal["promote", "keep_champion", "inconclusive"]
Number = Annotated[float, WithJsonSchema({"type": ["number", "null"]})]  # NaN where unknown
# Guardrails whose failure makes any result unbelievable, the champion's victory included.
UNDECIDABLE: Final = ("minimum_positives", "support", "self_test")

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Record:
    """A part of verdict.json."""

    __pydantic_config__ = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,
    )


@dataclass(frozen=True)
class CrossCheck(_Record):
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
class Guardrail(_Record):
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
class Slice(_Record):
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
class FalsePromotionRate(_Record):
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
class Opinion(_Record):
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
class Maturity(_Record):
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


@dataclass(frozen=True)
class Spending(_Record):
    """How much alpha repeated tests of one model have used."""

    memory: Memory
    """How earlier tests count: per_test (not at all), spending (they share the budget of a year)
    or fresh_holdout_only (the same, and no holdout may be tested twice)."""
    alpha: Share
    """The alpha that this test may use."""
    n_tests: Count
    """The number of earlier tests of the model in the last 365 days; comparisons that could not
    decide, whatever the effect, do not count, and those without register do if they used this
    holdout."""
    n_holdout_tests: Count
    """The number of earlier tests that used rows of the same holdout."""
    spent: Annotated[float, Field(ge=0)]
    """The sum of alpha over the earlier tests."""
    budget: Share | None
    """The sum of alpha that any 365 days may use; null without a budget."""
    left: Annotated[float, Field(ge=0)] | None
    """What remains of the budget after this test; null without a budget."""
    tests_per_year: Annotated[float, Field(ge=1)]
    """How often the model is tested: as the policy says, until nine days with tests show it."""
    per_test_false_promotions: Annotated[float, Field(ge=0)]
    """The false promotions to be expected in a year if every test used the alpha of the policy,
    as with the memory per_test."""
    champion_was_chosen_here: bool
    """Whether the champion was tested as a challenger on some of these rows."""
    fresh_holdouts_possible: bool
    """Whether tests are far enough apart for each to have a holdout of its own."""
    past: tuple[tuple[str, float], ...]
    """Time (ISO 8601) and alpha of the earlier tests, oldest first."""


@dataclass(frozen=True, kw_only=True)
class Look(_Record):
    """One look of a campaign, made or planned, on all rows up to it."""

    look: Annotated[int, Field(ge=1)]
    """The number of the look."""
    made: bool
    """Whether it was made; what is said of a planned one holds if rows come as they did so far."""
    n_rows: Count
    """The number of rows up to this look."""
    information: Annotated[float, Field(ge=0)]
    """What the rows up to this look tell, counted in rows: positives times negatives, by their
    sum."""
    effect_size: Number
    """The effect on all rows up to this look; unknown of a planned one."""
    standard_error: Number
    """How far that effect would typically move if other rows had been drawn."""
    fraction: Share
    """The share of the campaign's information that is there; the last look has all of it."""
    spent: Share
    """The alpha that the looks up to this one may have used."""
    bound: Number
    """The z-score that promotes; unknown where none does."""
    z_score: Number
    """The effect beyond the required one, in standard errors; unknown of a planned look."""


@dataclass(frozen=True, kw_only=True)
class Campaign(_Record):
    """Where the same pair of models stands that is tested again on growing data."""

    look: Annotated[int, Field(ge=1)]
    """The number of this look."""
    n_looks: Annotated[int, Field(ge=1)]
    """The looks of the campaign, if nothing ends it before."""
    spending: SpendingFunction
    """How the looks share alpha: pocock, obrien_fleming or e_process."""
    alpha: Share
    """The accepted probability that the campaign as a whole promotes a challenger that is not
    better, whatever the number of its looks."""
    spent: Share
    """The alpha that the looks so far may have used."""
    returned: Share
    """The alpha that goes back to the budget, now that the campaign has ended; 0 while it lasts."""
    returnable: Share
    """The alpha that goes back if something else ends the campaign after this look: what the looks
    that are left could still promote by chance, given the rows so far."""
    state: Literal["open", "promoted", "no_gain", "futile", "last_look"]
    """open (the next cycle looks again), promoted, no_gain (the interval rules a gain out), futile
    (the detectable effect itself would hardly be found any more) or last_look."""
    median_unbiased_effect: Number
    """The effect that is too large as often as too small, allowing for the looks: the observed one
    is too large on average where a campaign ends because it was."""
    looks_still_needed: Count | None
    """After how many more looks the challenger would be promoted if the observed effect stays; 0 if
    the campaign has ended, unknown if not within it."""
    chance: Number
    """The probability that this campaign still promotes, if the true effect is the detectable
    one."""


@dataclass(frozen=True, kw_only=True)
class PlannedRule(_Record):
    """How soon one way of testing finds a gain of a given size, with rows such as these."""

    rule: Literal["single", "pocock", "obrien_fleming", "e_process"]
    """single (each challenger is tested once, a new one each time) or a campaign of that
    spending."""
    alpha: Share
    """The alpha of a test, or of a campaign, that keeps to the yearly budget."""
    gain: Annotated[float, Field(gt=0)]
    """The true effect, beyond the required one."""
    n_looks: Annotated[int, Field(ge=1)]
    """The tests or looks."""
    found: Share
    """The probability that the gain is found within so many."""
    half_found: Count | None
    """After how many it is found with a probability of one half; unknown if not within them."""


@dataclass(frozen=True, kw_only=True)
class Verdict(_Record):
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
        return {name: _plain(value) for name, value in asdict(self).items()}


def read_look(written: dict[str, Any]) -> Look:
    """A look as verdict.json has it: a number that is unknown is null, an unreachable bound too."""
    unknown = {name: math.nan for name, value in written.items() if value is None}
    if "bound" in unknown:
        unknown["bound"] = math.inf
    return Look(**{**written, **unknown})


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
