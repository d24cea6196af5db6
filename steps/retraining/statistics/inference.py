"""The result of a paired comparison: from an effect and its standard error to a p-value.

Differences that rounding alone can make are taken as zero. Where the standard error is zero, an
effect of zero has the p-value 1 (as pROC has it) and any other effect is taken as certain. Where
it cannot be estimated (one row or unit of a class) the p-value is NaN.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retraining.statistics.rows import Codes, Floats, Rows

Alternative = Literal["greater", "less", "two-sided"]

ROUNDING: Final = 1e-12  # relative change of a metric by the order of summation


class PairedResult(NamedTuple):
    """The result of a paired comparison.

    Attributes:
        effect_size: challenger - champion; champion - challenger for losses, so that
            positive always favours the challenger.
        champion: The metric of the champion.
        challenger: The metric of the challenger.
        standard_error: Of effect_size.
        ci_lower: Lower end of the two-sided interval of effect_size.
        ci_upper: Upper end.
        pvalue: Of the hypothesis that the true effect is zero, against the alternative.
        n_rows: Rows with a weight above zero.
        n_positives: The number of positives among them.
    """

    effect_size: float
    champion: float
    challenger: float
    standard_error: float
    ci_lower: float
    ci_upper: float
    pvalue: float
    n_rows: int
    n_positives: int


def tail_probability(
    effect: float, standard_error: float, *, alternative: Alternative, degrees: float = math.inf
) -> float:
    """Probability of an effect at least this far in the alternative's direction by chance.

    Args:
        effect: The observed effect less the effect of the hypothesis.
        standard_error: Of the effect; zero and NaN as in the conventions of this module.
        alternative: "greater", "less" or "two-sided".
        degrees: Degrees of freedom of Student's t; infinity for the normal.
    """
    if standard_error == 0 and effect == 0:
        return 1.0
    ratio = effect / standard_error if standard_error else math.copysign(math.inf, effect)
    if alternative == "greater":
        return float(special.stdtr(degrees, -ratio))
    if alternative == "less":
        return float(special.stdtr(degrees, ratio))
    return min(1.0, 2 * float(special.stdtr(degrees, -abs(ratio))))


def half_width(standard_error: float, confidence_level: float, degrees: float) -> float:
    """From the effect to either end of its two-sided interval."""
    return standard_error * float(special.stdtrit(degrees, (1 + confidence_level) / 2))


def degrees_of_freedom(unit: Codes | None) -> float:
    """Units less one; infinity where rows are independent; NaN for a single unit."""
    if unit is None:
        return math.inf
    return float(np.max(unit)) or math.nan


def without_rounding(effect: float, error: float, level: float) -> tuple[float, float]:
    """Effect and error, each set to 0 where it may be a rounding error of 0.

    Args:
        effect: A difference of two metrics.
        error: Its standard error.
        level: One of the metrics.
    """
    least = ROUNDING * max(1.0, abs(level))
    return 0.0 if abs(effect) <= least else effect, 0.0 if error <= least else error


def conclude(
    rows: Rows,
    values: tuple[float, float],
    effect: float,
    error: float,
    ends: tuple[float, float],
    *,
    alternative: Alternative,
    degrees: float,
) -> PairedResult:
    """The record of a comparison, with the p-value of its effect.

    Args:
        rows: The rows that were compared.
        values: The metric of champion and challenger.
        effect: Oriented, like the ends.
        error: Its standard error.
        ends: Of its interval.
        alternative: Of the p-value.
        degrees: Of freedom of the error.
    """
    return PairedResult(
        effect_size=effect,
        champion=values[0],
        challenger=values[1],
        standard_error=error,
        ci_lower=ends[0],
        ci_upper=ends[1],
        pvalue=tail_probability(effect, error, alternative=alternative, degrees=degrees),
        n_rows=rows.n_rows,
        n_positives=rows.n_positives,
    )


def excess_pvalue(result: PairedResult, min_effect_size: float, degrees: float = math.inf) -> float:
    """One-sided p-value of the hypothesis that the true effect is at most min_effect_size.

    Args:
        result: Of a comparison.
        min_effect_size: In units of the metric.
        degrees: As `degrees_of_freedom` returns for the units of the rows.
    """
    excess = result.effect_size - min_effect_size
    return tail_probability(excess, result.standard_error, alternative="greater", degrees=degrees)


def holm(pvalues: Sequence[float]) -> Floats:
    """Adjusted p-values of Holm (1979), in the order given.

    The k-th smallest of m is multiplied by m - k + 1, and is at least the one before it.
    """
    raw = np.asarray(pvalues, dtype=np.float64)
    order = np.argsort(raw)
    adjusted = np.empty(raw.size)
    adjusted[order] = np.maximum.accumulate(raw[order] * np.arange(raw.size, 0, -1))
    return np.minimum(adjusted, 1.0)
