"""What the gate decided, with every number that the decision rests on."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from retraining.gate.wording import number, percent

if TYPE_CHECKING:
    from retraining.gate.policy import Memory, Strategy
    from retraining.statistics.inference import PairedResult

Outcome = Literal["promote", "keep_champion", "inconclusive"]


class Guardrail(NamedTuple):
    """A condition beside the primary metric.

    Attributes:
        name: "minimum_positives", "slices", "secondary", "calibration", "leak", "scores" or
            "self_test".
        status: "failed" stops a promotion; "unknown" could not be judged and is only told.
        sentence: What was found, in full.
    """

    name: str
    status: Literal["passed", "failed", "unknown"]
    sentence: str


class Slice(NamedTuple):
    """One slice of the rows, judged by the primary metric.

    Attributes:
        name: For example "is_weekend=1".
        n_rows: Rows in it.
        n_positives: Those of class 1.
        champion: The metric of the champion there; NaN for too few rows.
        challenger: That of the challenger.
        effect_size: As in the verdict.
        ci_lower: Lower end of the interval of effect_size at the verdict's confidence level.
        ci_upper: Upper end.
        pvalue: Holm-adjusted over all judged slices, of the hypothesis that the challenger is not
            worse by more than the margin.
        status: "worse" stops a promotion; "too_small" has fewer rows of a class than the policy's
            minimum and is not judged; "not_worse" is not shown to be worse.
    """

    name: str
    n_rows: int
    n_positives: int
    champion: float
    challenger: float
    effect_size: float
    ci_lower: float
    ci_upper: float
    pvalue: float
    status: Literal["not_worse", "worse", "too_small"]


class FalsePromotionRate(NamedTuple):
    """How often a strategy promotes one of two equal models, as measured by simulation.

    Attributes:
        rate: Share of the comparisons.
        alpha: At which it was measured; None for a rule that does not use alpha.
        note: What changes the rate; "" for nothing.
    """

    rate: float
    alpha: float | None
    note: str = ""

    def describe(self) -> str:
        """For example "18.6% of equal models, whatever alpha"."""
        alpha = ", whatever alpha" if self.alpha is None else f" at alpha {number(self.alpha)}"
        note = f" ({self.note})" if self.note else ""
        return f"{percent(self.rate)} of equal models{alpha}{note}"


class Opinion(NamedTuple):
    """What one strategy says of the same rows, guardrails apart.

    Attributes:
        strategy: Its name.
        says: What it would decide.
        because: One sentence.
        effect_size: As it sees it, like the ends of its interval and its p-value; NaN for none.
        ci_lower: Lower end.
        ci_upper: Upper end.
        pvalue: One-sided.
        valid: Whether it keeps its false-promotion rate at alpha.
        false_promotion_rate: How often it does.
    """

    strategy: str
    says: Outcome
    because: str
    effect_size: float
    ci_lower: float
    ci_upper: float
    pvalue: float
    valid: bool
    false_promotion_rate: FalsePromotionRate


class Maturity(NamedTuple):
    """The same comparison on rows whose labels have had more time.

    Attributes:
        extra_days: Days beyond the label delay that every row has had at least.
        n_rows: Rows that old.
        n_positives: Those of class 1.
        effect_size: On those rows, like the ends of the interval; NaN where one class is missing.
        ci_lower: Lower end.
        ci_upper: Upper end.
    """

    extra_days: int
    n_rows: int
    n_positives: int
    effect_size: float
    ci_lower: float
    ci_upper: float


class Spending(NamedTuple):
    """What repeated tests of one model have used of alpha.

    Attributes:
        memory: The policy.
        alpha: What this test may use.
        n_tests: Earlier tests of the model in the last 365 days.
        n_holdout_tests: Those that looked at rows of the same holdout.
        spent: Sum of alpha over the earlier tests.
        budget: What may be spent in 365 days; None without a budget.
        left: Of the budget, after this test; None without a budget.
        past: Time (ISO 8601) and alpha of the earlier tests, oldest first.
    """

    memory: Memory
    alpha: float
    n_tests: int
    n_holdout_tests: int
    spent: float
    budget: float | None
    left: float | None
    past: tuple[tuple[str, float], ...]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A decision and every number that it rests on.

    Attributes:
        verdict: "promote", "keep_champion" or "inconclusive".
        reasons: Full sentences.
        strategy: As in the policy, like metric, min_effect_size, confidence_level, power and
            minimum_positives.
        metric: What was compared.
        effect_size: Challenger less champion, oriented so that positive favours the challenger.
        ci_lower: Lower end of the two-sided interval of effect_size.
        ci_upper: Upper end.
        pvalue: One-sided, of the hypothesis that the true effect is at most min_effect_size.
        alpha: The pvalue must be below it: the policy's, or what the ledger leaves of it.
        n_rows: Rows with a weight above zero.
        n_positives: Those of class 1.
        minimum_detectable_effect: The smallest true effect that such a test promotes with
            probability `power`.
        champion: The metric of the champion.
        challenger: The metric of the challenger.
        standard_error: Of effect_size.
        min_effect_size: The gain that a promotion must exceed.
        n_units: Units that the rows belong to; None where rows are taken as independent.
        rows_still_needed: Further rows of the same kind with which a true effect as large as the
            observed one would be decided with probability `power`, and every minimum met; 0
            once decided, None where the observed effect is too small to tell.
        positives_still_needed: Those of class 1 among them.
        confidence_level: Of the interval.
        power: Of the minimum detectable effect.
        minimum_positives: Of each class.
        error_bound: By how much effect_size may be off because rows were put into cells; 0 where
            every row was compared by itself. It is inside the interval and the p-value.
        cross_check: The bootstrap of the same effect.
        guardrails: In the order in which they are told.
        slices: Empty where none are described.
        opinions: What every strategy says; empty where there are too many rows to ask them all.
        maturities: From the youngest rows on; empty where rows have no day.
        ledger: None where the models are in no registry.
    """

    verdict: Outcome
    reasons: tuple[str, ...]
    strategy: Strategy
    metric: str
    effect_size: float
    ci_lower: float
    ci_upper: float
    pvalue: float
    alpha: float
    n_rows: int
    n_positives: int
    minimum_detectable_effect: float
    champion: float
    challenger: float
    standard_error: float
    min_effect_size: float
    n_units: int | None
    rows_still_needed: int | None
    positives_still_needed: int | None
    confidence_level: float
    power: float
    minimum_positives: int
    error_bound: float = 0.0
    cross_check: PairedResult | None = None
    guardrails: tuple[Guardrail, ...] = ()
    slices: tuple[Slice, ...] = ()
    opinions: tuple[Opinion, ...] = ()
    maturities: tuple[Maturity, ...] = ()
    ledger: Spending | None = None

    def to_mapping(self) -> dict[str, Any]:
        """Values that JSON can hold, in the order of the attributes; null for no finite number."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        names: tuple[str, ...] | None = getattr(value, "_fields", None)
        if names is not None:
            return {name: _plain(item) for name, item in zip(names, value, strict=True)}
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
