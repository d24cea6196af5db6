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

    from retraining.statistics.dispersion import Dispersion
    from retraining.statistics.rows import Floats, Rows

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
        degrees_of_freedom: Of Student's t; infinity for the normal.
        error_bound: By how much effect_size may be off because rows were put into cells. The
            interval is wider by as much on both sides.
        effective_units: Equal units that the rows are worth; None where rows are independent.
        period_ratio: The variance of the effect by that without periods; None without periods, and
            with a single one.
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
    degrees_of_freedom: float = math.inf
    error_bound: float = 0.0
    effective_units: float | None = None
    period_ratio: float | None = None


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
    dispersion: Dispersion,
    error_bound: float = 0.0,
) -> PairedResult:
    """The record of a comparison, with the p-value of its effect.

    Args:
        rows: The rows that were compared.
        values: The metric of champion and challenger.
        effect: Oriented, like the ends.
        error: Its standard error.
        ends: Of its interval.
        alternative: Of the p-value.
        dispersion: Its degrees of freedom are those of the error.
        error_bound: By how much the effect may be off; the p-value is the largest within it.
    """
    sign = {"greater": -1.0, "less": 1.0, "two-sided": -math.copysign(1.0, effect)}[alternative]
    least = effect + sign * error_bound
    if alternative == "two-sided" and abs(effect) <= error_bound:
        least = 0.0
    degrees = dispersion.degrees
    return PairedResult(
        effect_size=effect,
        champion=values[0],
        challenger=values[1],
        standard_error=error,
        ci_lower=ends[0],
        ci_upper=ends[1],
        pvalue=tail_probability(least, error, alternative=alternative, degrees=degrees),
        n_rows=rows.n_rows,
        n_positives=rows.n_positives,
        degrees_of_freedom=degrees,
        error_bound=error_bound,
        effective_units=dispersion.worth,
        period_ratio=dispersion.ratio,
    )


def excess_pvalue(result: PairedResult, least: float) -> float:
    """One-sided p-value of the hypothesis that the true effect is at most `least`.

    Args:
        result: Of a comparison.
        least: In units of the metric; a negative one asks whether a loss is ruled out.
    """
    return tail_probability(
        result.effect_size - result.error_bound - least,
        result.standard_error,
        alternative="greater",
        degrees=result.degrees_of_freedom,
    )


def shortfall_pvalue(result: PairedResult, most: float) -> float:
    """One-sided p-value of the hypothesis that the true effect is at least `most`."""
    return tail_probability(
        result.effect_size + result.error_bound - most,
        result.standard_error,
        alternative="less",
        degrees=result.degrees_of_freedom,
    )


def holm(pvalues: Sequence[float]) -> Floats:
    """Adjusted p-values of Holm (1979), in the order given.

    The k-th smallest of m is multiplied by m - k + 1, and is at least the one before it.
    """
    raw = np.asarray(pvalues, dtype=np.float64)
    order = np.argsort(raw)
    adjusted = np.empty(raw.size)
    adjusted[order] = np.maximum.accumulate(raw[order] * np.arange(raw.size, 0, -1))
    return np.minimum(adjusted, 1.0)
