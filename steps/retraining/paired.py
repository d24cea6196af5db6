"""Paired comparison of two models that scored the same rows.

`delong` knows the sampling error of a difference of AUROCs in closed form: every row gets one
paired influence value, how much it moves the difference, and the variance is a sum of squares.
`paired_bootstrap` resamples rows and serves every metric.

Shared conventions. The effect is challenger minus champion, oriented so that positive is better.
Differences that rounding alone can make are taken as zero. Where the standard error is zero, an
effect of zero has the p-value 1 (as pROC has it) and any other effect is taken as certain. Where
it cannot be estimated (one row or unit of a class) the error, interval and p-value are NaN.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

import numpy as np
from scipy import special

from retraining.errors import RetrainingError
from retraining.influence import auroc_influence, variance_of_sum
from retraining.metrics import METRICS
from retraining.rows import check_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from retraining.metrics import Evaluate
    from retraining.rows import Codes, Floats, Rows

Alternative = Literal["greater", "less", "two-sided"]

MINIMUM_RESAMPLES: Final = 100  # the ends of a 95 % interval rest on 2.5 resamples each
BATCH_CELLS: Final = (
    2**18
)  # weights held at a time: 2 MB stay in the cache; one resample may exceed it
ROUNDING: Final = 1e-12  # what the order of summation changes in a metric, relative


class PairedResult(NamedTuple):
    """What a paired comparison found.

    Attributes:
        effect_size: challenger - champion; champion - challenger for losses (log_loss, brier), so
            that positive always favours the challenger.
        champion: The metric of the champion.
        challenger: The metric of the challenger.
        standard_error: Of effect_size.
        ci_lower: Lower end of the two-sided interval of effect_size.
        ci_upper: Upper end.
        pvalue: Of the hypothesis that the true effect is zero, against the alternative.
        n_rows: Rows with a weight above zero.
        n_positives: Those of class 1.
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


def delong(
    label: npt.ArrayLike,
    champion: npt.ArrayLike,
    challenger: npt.ArrayLike,
    *,
    weight: npt.ArrayLike | None = None,
    unit: npt.ArrayLike | None = None,
    alternative: Alternative = "greater",
    confidence_level: float = 0.95,
) -> PairedResult:
    """Paired test of DeLong, DeLong and Clarke-Pearson (1988) on the difference of two AUROCs.

    Exact with ties by midranks, in O(n log n) time and O(n) memory (Sun and Xu 2014). The
    statistic is normal; with units, their influence values are summed before they are squared
    (Obuchowski 1997) and it has Student's t with n_units - 1 degrees of freedom.

    Args:
        label: 0 or 1, shape (n,).
        champion: Score of the champion, shape (n,); any scale, only its order counts.
        challenger: Score of the challenger, shape (n,); it may have another scale.
        weight: How much a row counts, shape (n,). The effect is that of repeated rows, the
            standard error is not: a row of weight 2 is still one observation.
        unit: Whom a row belongs to, shape (n,): rows of one unit may depend on each other.
            None takes all rows as independent.
        alternative: "greater": the challenger is better; "less"; "two-sided".
        confidence_level: Of the interval, which is two-sided whatever the alternative.

    Raises:
        RetrainingError: An argument is not what is described here.
    """
    _check_options(alternative, confidence_level)
    scores = {"champion": champion, "challenger": challenger}
    rows = check_rows(label, scores, weight=weight, unit=unit)
    old, new, influence = auroc_influence(rows)
    variance = variance_of_sum(influence, rows.label, rows.unit)
    effect, error = _without_rounding(new - old, math.sqrt(variance), old)
    degrees = degrees_of_freedom(rows.unit)
    reach = error * float(special.stdtrit(degrees, (1 + confidence_level) / 2))
    return PairedResult(
        effect_size=effect,
        champion=old,
        challenger=new,
        standard_error=error,
        ci_lower=effect - reach,
        ci_upper=effect + reach,
        pvalue=tail_probability(effect, error, alternative=alternative, degrees=degrees),
        n_rows=rows.label.size,
        n_positives=int(np.sum(rows.label)),
    )


def paired_bootstrap(
    label: npt.ArrayLike,
    champion: npt.ArrayLike,
    challenger: npt.ArrayLike,
    *,
    metric: str = "auroc",
    weight: npt.ArrayLike | None = None,
    unit: npt.ArrayLike | None = None,
    alternative: Alternative = "greater",
    confidence_level: float = 0.95,
    n_resamples: int = 1000,
    rng: np.random.Generator | None = None,
) -> PairedResult:
    """Bootstrap of the difference of a metric; both models see the same resamples.

    Rows, or whole units when given, are drawn with replacement, as many as there are. The
    interval is the percentile interval. The p-value is not a count of resamples, which could
    never be smaller than 1 / n_resamples: the effect is divided by the standard deviation of
    its resamples and referred to the normal (with units: Student's t, n_units - 1 degrees).
    Resamples that hold one class only have no metric and are left out. Memory is bounded by a
    batch of resamples, or by one resample if that is larger; time grows with n * n_resamples.

    Args:
        label: As in `delong`, like champion, challenger, weight, unit, alternative and
            confidence_level; scores are probabilities for log_loss, brier and f1.
        champion: Shape (n,).
        challenger: Shape (n,).
        metric: A name in `retraining.metrics.METRICS`.
        weight: Shape (n,).
        unit: Shape (n,).
        alternative: "greater", "less" or "two-sided".
        confidence_level: Of the two-sided interval.
        n_resamples: 100 or more.
        rng: None takes a fresh generator, so that no two calls agree to the last digit.

    Raises:
        RetrainingError: An argument is not what is described here.
    """
    _check_options(alternative, confidence_level)
    check_resamples(n_resamples)
    if metric not in METRICS:
        raise RetrainingError(f"metric is {metric!r}", f"choose one of {', '.join(METRICS)}")
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise RetrainingError(f"rng is {rng!r}", "give numpy.random.default_rng(seed) or None")
    chosen = METRICS[metric]
    scores = {"champion": champion, "challenger": challenger}
    rows = check_rows(
        label, scores, weight=weight, unit=unit, of_probabilities=chosen.of_probabilities
    )
    models = [chosen.prepare(rows.label, score) for score in rows.scores]
    old, new = (float(model(rows.weight)) for model in models)
    sign = 1 if chosen.greater_is_better else -1
    effects = sign * _resampled_effects(models, rows, n_resamples, rng or np.random.default_rng())
    error = float(np.std(effects, ddof=1)) if effects.size > 1 else math.nan
    effect, error = _without_rounding(sign * (new - old), error, old)
    ends = ((1 - confidence_level) / 2, (1 + confidence_level) / 2)
    lower, upper = np.quantile(effects, ends) if error > 0 else (effect + error, effect + error)
    degrees = degrees_of_freedom(rows.unit)
    return PairedResult(
        effect_size=effect,
        champion=old,
        challenger=new,
        standard_error=error,
        ci_lower=float(lower),
        ci_upper=float(upper),
        pvalue=tail_probability(effect, error, alternative=alternative, degrees=degrees),
        n_rows=rows.label.size,
        n_positives=int(np.sum(rows.label)),
    )


def tail_probability(
    effect: float, standard_error: float, *, alternative: Alternative, degrees: float = math.inf
) -> float:
    """Probability of an effect at least this far in the alternative's direction if none exists.

    Args:
        effect: What was observed, less what the hypothesis says.
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


def degrees_of_freedom(unit: Codes | None) -> float:
    """Units less one; infinity where rows are independent; NaN for a single unit."""
    if unit is None:
        return math.inf
    return float(np.max(unit)) or math.nan


def check_resamples(n_resamples: int) -> None:
    """Refuse a number of resamples that no interval can be read from."""
    whole = isinstance(n_resamples, int | np.integer) and not isinstance(n_resamples, bool)
    if not whole or n_resamples < MINIMUM_RESAMPLES:
        raise RetrainingError(
            f"n_resamples is {n_resamples!r}", f"give a whole number, {MINIMUM_RESAMPLES} or more"
        )


def _check_options(alternative: str, confidence_level: float) -> None:
    if alternative not in get_args(Alternative):
        allowed = ", ".join(get_args(Alternative))
        raise RetrainingError(f"alternative is {alternative!r}", f"choose one of {allowed}")
    if not 0 < confidence_level < 1:
        raise RetrainingError(
            f"confidence_level is {confidence_level!r}", "give a number between 0 and 1"
        )


def _without_rounding(effect: float, error: float, level: float) -> tuple[float, float]:
    least = ROUNDING * max(1.0, abs(level))
    return 0.0 if abs(effect) <= least else effect, 0.0 if error <= least else error


def _resampled_effects(
    models: Sequence[Evaluate], rows: Rows, n_resamples: int, rng: np.random.Generator
) -> Floats:
    """Challenger less champion in every resample that holds both classes."""
    drawn = rows.label.size if rows.unit is None else int(np.max(rows.unit)) + 1
    sides = (rows.label.astype(np.float64), (~rows.label).astype(np.float64))
    effects = np.full(n_resamples, np.nan)
    batch = min(n_resamples, max(1, BATCH_CELLS // rows.label.size))
    weights = np.empty((batch, rows.label.size))
    for start in range(0, n_resamples, batch):
        weights = weights[: n_resamples - start]
        for weight in weights:
            counts = np.bincount(rng.integers(0, drawn, drawn), minlength=drawn)
            counts = counts if rows.unit is None else counts[rows.unit]
            np.multiply(counts, rows.weight, out=weight)
        whole = (weights @ sides[0] > 0) & (weights @ sides[1] > 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            old, new = (model(weights) for model in models)
        effects[start : start + whole.size][whole] = (new - old)[whole]
    defined: Floats = effects[~np.isnan(effects)]
    return defined
