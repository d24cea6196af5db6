"""The gate: whether a challenger replaces the champion, and why."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import special

from retraining.paired import (
    PairedResult,
    degrees_of_freedom,
    delong,
    paired_bootstrap,
    tail_probability,
)
from retraining.policy import Policy, Strategy
from retraining.reasons import explain_verdict
from retraining.rows import check_rows
from retraining.verdict import Outcome, Verdict

if TYPE_CHECKING:
    import numpy.typing as npt

    from retraining.rows import Rows

__all__ = ["Outcome", "Policy", "Strategy", "Verdict", "decide"]

MINIMUM_UNITS: Final = 30  # of each class; with fewer, sums over units are far from normal
FARTHEST: Final = 1000  # times the rows at hand: no forecast of rows needed reaches beyond


def decide(
    label: npt.ArrayLike,
    champion: npt.ArrayLike,
    challenger: npt.ArrayLike,
    *,
    policy: Policy,
    weight: npt.ArrayLike | None = None,
    unit: npt.ArrayLike | None = None,
    rng: np.random.Generator | None = None,
) -> Verdict:
    """Decide by a paired test on rows that neither model has seen.

    With fewer than `minimum_positives` rows of either class (of unequal weights: as many rows of
    equal weight as they are worth), or fewer than `MINIMUM_UNITS` units with either class,
    nothing is decided.

    Args:
        label: 0 or 1, shape (n,).
        champion: Score of the champion, shape (n,).
        challenger: Score of the challenger on the same rows, shape (n,).
        policy: What must be shown.
        weight: Non-negative, shape (n,).
        unit: Whom a row belongs to, shape (n,); None takes rows as independent.
        rng: For paired_bootstrap; None takes a fresh generator.

    Raises:
        RetrainingError: The rows do not pass `retraining.rows.check_rows`.
    """
    scores = {"champion": champion, "challenger": challenger}
    rows = check_rows(label, scores, weight=weight, unit=unit)
    result = _compare(rows, policy, rng)
    degrees = degrees_of_freedom(rows.unit)
    excess = result.effect_size - policy.min_effect_size
    pvalue = tail_probability(excess, result.standard_error, alternative="greater", degrees=degrees)
    shortfalls = _shortfalls(rows, policy)
    outcome = _outcome(result, policy, pvalue, decidable=not shortfalls)
    detectable = policy.min_effect_size + result.standard_error * float(
        special.ndtri(1 - policy.alpha) + special.ndtri(policy.power)
    )
    needed = 0 if outcome != "inconclusive" else _rows_still_needed(result, policy, shortfalls)
    verdict = Verdict(
        verdict=outcome,
        reasons=(),
        strategy=policy.strategy,
        metric=policy.metric,
        effect_size=result.effect_size,
        ci_lower=result.ci_lower,
        ci_upper=result.ci_upper,
        pvalue=pvalue,
        alpha=policy.alpha,
        n_rows=result.n_rows,
        n_positives=result.n_positives,
        minimum_detectable_effect=detectable,
        champion=result.champion,
        challenger=result.challenger,
        standard_error=result.standard_error,
        min_effect_size=policy.min_effect_size,
        n_units=None if rows.unit is None else int(np.max(rows.unit)) + 1,
        rows_still_needed=needed,
        confidence_level=policy.confidence_level,
        power=policy.power,
        minimum_positives=policy.minimum_positives,
    )
    missing = [shortfall.sentence for shortfall in shortfalls]
    return dataclasses.replace(verdict, reasons=explain_verdict(verdict, missing))


class _Shortfall(NamedTuple):
    sentence: str
    factor: float  # how many times the rows at hand would meet the minimum


def _compare(rows: Rows, policy: Policy, rng: np.random.Generator | None) -> PairedResult:
    if policy.strategy == "delong":
        return delong(
            rows.label,
            *rows.scores,
            weight=rows.weight,
            unit=rows.unit,
            confidence_level=policy.confidence_level,
        )
    return paired_bootstrap(
        rows.label,
        *rows.scores,
        metric=policy.metric,
        weight=rows.weight,
        unit=rows.unit,
        confidence_level=policy.confidence_level,
        n_resamples=policy.n_resamples,
        rng=rng,
    )


def _shortfalls(rows: Rows, policy: Policy) -> list[_Shortfall]:
    found = []
    for value, side in ((1, rows.label), (0, ~rows.label)):
        weight = rows.weight[side]
        worth = np.sum(weight) ** 2 / np.sum(weight**2)  # Kish's effective sample size
        if worth < policy.minimum_positives:
            equal = f", worth {worth:.1f} of equal weight" if np.ptp(weight) else ""
            sentence = (
                f"Only {weight.size} rows are of class {value}{equal}, "
                f"and the policy asks for {policy.minimum_positives}."
            )
            found.append(_Shortfall(sentence, policy.minimum_positives / worth))
        units = MINIMUM_UNITS if rows.unit is None else np.unique(rows.unit[side]).size
        if units < MINIMUM_UNITS:
            sentence = (
                f"The rows of class {value} belong to only {units} units, "
                f"and {MINIMUM_UNITS} are needed."
            )
            found.append(_Shortfall(sentence, MINIMUM_UNITS / units))
    return found


def _outcome(result: PairedResult, policy: Policy, pvalue: float, *, decidable: bool) -> Outcome:
    if decidable and pvalue < policy.alpha:
        return "promote"
    # Models that score every row alike have the interval [0, 0], which ends here too.
    if decidable and result.ci_upper <= policy.min_effect_size:
        return "keep_champion"
    return "inconclusive"


def _rows_still_needed(
    result: PairedResult, policy: Policy, shortfalls: list[_Shortfall]
) -> int | None:
    """The standard error falls with the root of the rows, while the effect stays."""
    distance = result.effect_size - policy.min_effect_size
    if distance == 0 or math.isnan(result.standard_error):
        return None
    tail = policy.alpha if distance > 0 else (1 - policy.confidence_level) / 2
    reach = float(special.ndtri(1 - tail) + special.ndtri(policy.power)) * result.standard_error
    factor = max((reach / distance) ** 2, *(shortfall.factor for shortfall in shortfalls), 1.0)
    if factor > FARTHEST:
        return None
    return max(1, math.ceil(result.n_rows * (factor - 1)))
