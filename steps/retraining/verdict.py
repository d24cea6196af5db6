"""What the gate decided, with every number that the decision rests on."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from retraining.policy import Strategy

Outcome = Literal["promote", "keep_champion", "inconclusive"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A decision and every number that it rests on.

    Attributes:
        verdict: "promote", "keep_champion" or "inconclusive".
        reasons: Full sentences.
        strategy: As in the policy, like metric, alpha, min_effect_size, confidence_level, power
            and minimum_positives.
        metric: What was compared.
        effect_size: Challenger less champion, oriented so that positive favours the challenger.
        ci_lower: Lower end of the two-sided interval of effect_size.
        ci_upper: Upper end.
        pvalue: One-sided, of the hypothesis that the true effect is at most min_effect_size.
        alpha: The pvalue must be below it.
        n_rows: Rows with a weight above zero.
        n_positives: Those of class 1.
        minimum_detectable_effect: The smallest true effect that such a test promotes with
            probability `power`: min_effect_size + (z_{1-alpha} + z_{power}) * standard_error.
        champion: The metric of the champion.
        challenger: The metric of the challenger.
        standard_error: Of effect_size.
        min_effect_size: The gain that a promotion must exceed.
        n_units: Units that the rows belong to; None where rows are taken as independent.
        rows_still_needed: Further rows of the same kind with which a true effect as large as the
            observed one would be decided with probability `power`, and every minimum met; 0
            once decided, None where the observed effect is too small to tell.
        confidence_level: Of the interval.
        power: Of the minimum detectable effect.
        minimum_positives: Of each class.
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
    confidence_level: float
    power: float
    minimum_positives: int

    def to_mapping(self) -> dict[str, object]:
        """Values that JSON can hold, in the order of the attributes; null for no finite number."""
        mapping = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        mapping["reasons"] = list(self.reasons)
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in mapping.items()
        }
