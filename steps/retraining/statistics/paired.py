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

from typing import TYPE_CHECKING

import numpy as np

from retraining.errors import RetrainingError
from retraining.statistics.checks import check_rows
from retraining.statistics.comparing import (
    bootstrap_rows,
    check_options,
    check_resamples,
    compare_rows,
)
from retraining.statistics.metrics import METRICS, Metric, choose

if TYPE_CHECKING:
    import numpy.typing as npt

    from retraining.statistics.bootstrap import Interval, Resample
    from retraining.statistics.inference import (
        Alternative,
        PairedResult,
    )
    from retraining.statistics.rows import Rows


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
    check_options(alternative, confidence_level)
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
