"""Two models compared on rows, or cells, that were checked before; see `paired`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, get_args

import numpy as np

from retraining.errors import RetrainingError
from retraining.statistics.bootstrap import Interval, Resample, interval_ends, replicates
from retraining.statistics.dispersion import Dispersion, beyond_resamples, dispersion
from retraining.statistics.inference import (
    Alternative,
    PairedResult,
    conclude,
    half_width,
    without_rounding,
)
from retraining.statistics.influence import acceleration, paired_influence
from retraining.statistics.rows import Measured

if TYPE_CHECKING:
    from retraining.statistics.metrics import Metric
    from retraining.statistics.rows import Floats, Rows

MINIMUM_RESAMPLES: Final = 100  # the ends of a 95 % interval rest on 2.5 resamples each


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
    check_options(alternative, confidence_level)
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

    Of cells, what was measured on all of their rows; else it is computed. Cells of dependent rows
    do not show the dispersion of a metric that was not measured: it is NaN.
    """
    if rows.totals and metric.name in rows.totals.metrics:
        return rows.totals.metrics[metric.name]
    champion, challenger, values = paired_influence(rows, metric)
    if rows.are_dependent_cells:
        return Measured(champion, challenger, 0.0, Dispersion(math.nan))
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
    check_options(alternative, confidence_level)
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


def check_options(alternative: str, confidence_level: float) -> None:
    """Refuse an alternative that is none, and a confidence level outside (0, 1)."""
    _check_choice("alternative", alternative, get_args(Alternative))
    if not 0 < confidence_level < 1:
        raise RetrainingError(
            f"confidence_level is {confidence_level!r}", "give a number between 0 and 1"
        )


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise RetrainingError(f"{name} is {value!r}", f"choose one of {', '.join(allowed)}")
