"""Paired comparison of two models that scored the same rows.

`delong` computes the sampling error of a difference of AUROCs in closed form: every row gets one
paired influence value, how much it moves the difference, and the variance is a sum of squares.
`influence` does the same for every metric. `paired_bootstrap` resamples rows. Each takes arrays;
`compare_rows` and `bootstrap_rows` do the same for rows, or cells, that were checked before.

Shared conventions. The effect is challenger minus champion, oriented so that positive is better.
Differences that rounding alone can make are taken as zero. Where the standard error is zero, an
effect of zero has the p-value 1 (as pROC has it) and any other effect is taken as certain. Where
it cannot be estimated (one row or unit of a class) the error, interval and p-value are NaN.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, get_args

import numpy as np

from retraining.errors import RetrainingError
from retraining.statistics.bootstrap import Interval, Resample, interval_ends, replicates
from retraining.statistics.dispersion import beyond_resamples, dispersion
from retraining.statistics.inference import (
    Alternative,
    PairedResult,
    conclude,
    half_width,
    without_rounding,
)
from retraining.statistics.influence import acceleration, paired_influence
from retraining.statistics.metrics import METRICS, Metric, choose
from retraining.statistics.rows import Measured, check_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from retraining.statistics.rows import Floats, Rows

MINIMUM_RESAMPLES: Final = 100  # the ends of a 95 % interval rest on 2.5 resamples each


def delong(
    label: npt.ArrayLike,
    champion: npt.ArrayLike,
    challenger: npt.ArrayLike,
    *,
    weight: npt.ArrayLike | None = None,
    unit: npt.ArrayLike | None = None,
    period: npt.ArrayLike | None = None,
    alternative: Alternative = "greater",
    confidence_level: float = 0.95,
) -> PairedResult:
    """Paired test of DeLong, DeLong and Clarke-Pearson (1988) on the difference of two AUROCs.

    Exact with ties (midranks), in O(n log n) time and O(n) memory (Sun and Xu 2014). The
    statistic is normal. With units or periods their influence values are summed before they are
    squared, and it has Student's t: see `retraining.statistics.dispersion`. For equal units the
    variance is that of Obuchowski (1997).

    Args:
        label: 0 or 1, shape (n,).
        champion: Score of the champion, shape (n,); any scale, only its order counts.
        challenger: Score of the challenger, shape (n,); it may have another scale.
        weight: How much a row counts, shape (n,). The effect is that of repeated rows; the
            standard error is not: a row of weight 2 is still one observation.
        unit: The unit of every row, shape (n,): rows of one unit may depend on each other.
            None takes all rows as independent. Shape (n, 2) for two kinds of units, for example
            customer and terminal.
        period: The period of every row, for example its day, shape (n,): rows of one period may
            depend on each other, whatever their unit.
        alternative: "greater": the challenger is better; "less"; "two-sided".
        confidence_level: Of the interval, which is two-sided whatever the alternative.

    Raises:
        RetrainingError: An argument is not what is described here.
    """
    rows = _checked(METRICS["auroc"], label, champion, challenger, weight, unit, period)
    return compare_rows(
        rows, METRICS["auroc"], alternative=alternative, confidence_level=confidence_level
    )


def influence(
    label: npt.ArrayLike,
    champion: npt.ArrayLike,
    challenger: npt.ArrayLike,
    *,
    metric: str | Metric = "auroc",
    weight: npt.ArrayLike | None = None,
    unit: npt.ArrayLike | None = None,
    period: npt.ArrayLike | None = None,
    alternative: Alternative = "greater",
    confidence_level: float = 0.95,
) -> PairedResult:
    """Paired test on the difference of any metric, linearised: `delong` with other derivatives.

    The variance is a sum of squared influence values, see `retraining.statistics.dispersion`; for
    auroc it is that of `delong`.

    Args:
        label: As in `delong`, like all that is not described here; metrics of probabilities refuse
            scores outside [0, 1].
        champion: Shape (n,).
        challenger: Shape (n,).
        metric: A name in `metrics.METRICS`, or a result of `metrics.choose`.
        weight: Shape (n,).
        unit: Shape (n,) or (n, 2).
        period: Shape (n,).
        alternative: "greater", "less" or "two-sided".
        confidence_level: Of the two-sided interval.

    Raises:
        RetrainingError: An argument is not what is described here.
    """
    chosen = metric if isinstance(metric, Metric) else choose(metric)
    rows = _checked(chosen, label, champion, challenger, weight, unit, period)
    return compare_rows(rows, chosen, alternative=alternative, confidence_level=confidence_level)


def paired_bootstrap(
    label: npt.ArrayLike,
    champion: npt.ArrayLike,
    challenger: npt.ArrayLike,
    *,
    metric: str | Metric = "auroc",
    weight: npt.ArrayLike | None = None,
    unit: npt.ArrayLike | None = None,
    period: npt.ArrayLike | None = None,
    alternative: Alternative = "greater",
    confidence_level: float = 0.95,
    n_resamples: int = 1000,
    rng: np.random.Generator | None = None,
    resample: Resample = "row",
    interval: Interval = "percentile",
) -> PairedResult:
    """Bootstrap of the difference of a metric; both models see the same resamples.

    Every row, or every whole unit (of the first kind) when given, comes up a Poisson(1) number of
    times. The p-value is not a count of resamples, which could never be smaller than
    1 / n_resamples: the effect is divided by the standard deviation of its resamples. Resamples
    know neither of the leverage of unequal units, nor of a second kind of units, nor of periods:
    deviation and interval are multiplied by what these add to the variance in `influence`, and
    Student's t has the degrees of freedom that it has there.
    Resamples with one class only have no metric and are left out. Memory is bounded by a batch of
    resamples, or by one resample if that is larger; time grows with n * n_resamples.

    Args:
        label: As in `influence`, like all that is not described here.
        champion: Shape (n,).
        challenger: Shape (n,).
        metric: A name or a metric.
        weight: Shape (n,).
        unit: Shape (n,) or (n, 2).
        period: Shape (n,).
        alternative: "greater", "less" or "two-sided".
        confidence_level: Of the two-sided interval.
        n_resamples: 100 or more.
        rng: None takes a fresh generator, so that no two calls agree to the last digit.
        resample: "stratified" gives each class its whole weight in every resample, for rows that
            were sampled by class; units are drawn whole either way.
        interval: "percentile" or "bca" (Efron 1987; bias and skewness corrected).

    Raises:
        RetrainingError: An argument is not what is described here.
    """
    chosen = metric if isinstance(metric, Metric) else choose(metric)
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise RetrainingError(f"rng is {rng!r}", "give numpy.random.default_rng(seed) or None")
    check_resamples(n_resamples)
    _check_options(alternative, confidence_level)
    rows = _checked(chosen, label, champion, challenger, weight, unit, period)
    return bootstrap_rows(
        rows,
        chosen,
        alternative=alternative,
        confidence_level=confidence_level,
        n_resamples=n_resamples,
        rng=rng or np.random.default_rng(),
        resample=resample,
        interval=interval,
    )


def compare_rows(
    rows: Rows,
    metric: Metric,
    *,
    alternative: Alternative = "greater",
    confidence_level: float = 0.95,
) -> PairedResult:
    """`influence` on rows that `check_rows` passed, or on cells of identical rows.

    Raises:
        RetrainingError: An option is not what `influence` describes.
    """
    _check_options(alternative, confidence_level)
    measured = measure(rows, metric)
    error = math.sqrt(measured.dispersion.variance)
    sign = 1 if metric.greater_is_better else -1
    values = (measured.champion, measured.challenger)
    effect, error = without_rounding(sign * (values[1] - values[0]), error, values[0])
    bound = measured.error_bound
    reach = half_width(error, confidence_level, measured.dispersion.degrees) + bound
    return conclude(
        rows,
        values,
        effect,
        error,
        (effect - reach, effect + reach),
        alternative=alternative,
        dispersion=measured.dispersion,
        error_bound=bound,
    )


def measure(rows: Rows, metric: Metric) -> Measured:
    """The metric of both models and the dispersion of their difference.

    Of cells, what was measured on all of their rows; else it is computed.
    """
    if rows.totals and metric.name in rows.totals.metrics:
        return rows.totals.metrics[metric.name]
    champion, challenger, values = paired_influence(rows, metric)
    return Measured(champion, challenger, 0.0, dispersion(rows, metric, values))


def bootstrap_rows(
    rows: Rows,
    metric: Metric,
    *,
    alternative: Alternative = "greater",
    confidence_level: float = 0.95,
    n_resamples: int = 1000,
    rng: np.random.Generator,
    resample: Resample = "row",
    interval: Interval = "percentile",
) -> PairedResult:
    """`paired_bootstrap` on rows that `check_rows` passed, or on cells of identical rows.

    Raises:
        RetrainingError: An option is not what `paired_bootstrap` describes.
    """
    _check_options(alternative, confidence_level)
    check_resamples(n_resamples)
    _check_choice("resample", resample, get_args(Resample))
    _check_choice("interval", interval, get_args(Interval))
    effects = replicates(rows, metric, n_resamples=n_resamples, rng=rng, resample=resample)
    return of_effects(
        rows,
        metric,
        effects,
        alternative=alternative,
        confidence_level=confidence_level,
        interval=interval,
    )


def of_effects(
    rows: Rows,
    metric: Metric,
    effects: Floats,
    *,
    alternative: Alternative = "greater",
    confidence_level: float = 0.95,
    interval: Interval = "percentile",
) -> PairedResult:
    """The comparison from the effects in resamples, as `replicates` returns them."""
    champion, challenger, values = paired_influence(rows, metric)
    sign = 1 if metric.greater_is_better else -1
    spread = dispersion(rows, metric, values)
    stretch = beyond_resamples(rows, metric, values, spread)
    error = float(np.std(effects, ddof=1)) * stretch if effects.size > 1 else math.nan
    effect, error = without_rounding(sign * (challenger - champion), error, champion)
    ends = (effect + error, effect + error)  # without an error, or of NaN
    if error > 0:
        skewness = acceleration(rows, sign * values) if interval == "bca" else None
        ends = interval_ends(effects, confidence_level, effect=effect, acceleration=skewness)
        if spread.degrees < math.inf:
            normal, student = (
                half_width(1, confidence_level, d) for d in (math.inf, spread.degrees)
            )
            lower, upper = ((end - effect) * stretch * student / normal for end in ends)
            ends = (effect + lower, effect + upper)
    return conclude(
        rows,
        (champion, challenger),
        effect,
        error,
        ends,
        alternative=alternative,
        dispersion=spread,
    )


def check_resamples(n_resamples: int) -> None:
    """Refuse a number of resamples that is too small for an interval."""
    whole = isinstance(n_resamples, int | np.integer) and not isinstance(n_resamples, bool)
    if not whole or n_resamples < MINIMUM_RESAMPLES:
        raise RetrainingError(
            f"n_resamples is {n_resamples!r}", f"give a whole number, {MINIMUM_RESAMPLES} or more"
        )


def _check_options(alternative: str, confidence_level: float) -> None:
    _check_choice("alternative", alternative, get_args(Alternative))
    if not 0 < confidence_level < 1:
        raise RetrainingError(
            f"confidence_level is {confidence_level!r}", "give a number between 0 and 1"
        )


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise RetrainingError(f"{name} is {value!r}", f"choose one of {', '.join(allowed)}")


def _checked(
    metric: Metric,
    label: npt.ArrayLike,
    champion: npt.ArrayLike,
    challenger: npt.ArrayLike,
    weight: npt.ArrayLike | None,
    unit: npt.ArrayLike | None,
    period: npt.ArrayLike | None,
) -> Rows:
    return check_rows(
        label,
        {"champion": champion, "challenger": challenger},
        weight=weight,
        unit=unit,
        period=period,
        of_probabilities=metric.of_probabilities,
    )
