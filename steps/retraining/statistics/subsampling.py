"""Subsamples of the rows without replacement, and what can be concluded from them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from retraining.statistics.dispersion import beyond_resamples, dispersion
from retraining.statistics.inference import PairedResult, conclude, half_width, without_rounding
from retraining.statistics.influence import paired_influence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retraining.statistics.metrics import Metric
    from retraining.statistics.rows import Floats, Rows


def subsamples(rows: Rows, share: float, times: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Weights in every subsample, 0 for rows that are left out; whole units where given."""
    population = rows.n_units or rows.label.size
    drawn = _drawn(rows, share)
    for _ in range(times):
        inside = np.zeros(population)
        inside[rng.choice(population, drawn, replace=False, shuffle=False)] = 1
        yield rows.weight * (inside if rows.unit is None else inside[rows.unit])


def _drawn(rows: Rows, share: float) -> int:
    """Rows or units in a subsample: some, and never all of them."""
    population = rows.n_units or rows.label.size
    return min(population - 1, max(1, round(share * population)))


def nadeau_bengio(
    rows: Rows,
    metric: Metric,
    *,
    n_subsamples: int,
    share: float,
    confidence_level: float,
    rng: np.random.Generator,
) -> PairedResult:
    """Mean effect over subsamples with the variance of Nadeau and Bengio (2003).

    Subsamples overlap, so their mean varies more than s^2 / J: by s^2 (1 / J + f / (1 - f)) where
    they hold a share f of the rows, as predictions do not change between subsamples.

    Args:
        rows: Of both models.
        metric: The metric of the effect.
        n_subsamples: J; those that lack a class have no effect and are left out.
        share: f.
        confidence_level: Of the two-sided interval.
        rng: Draws the subsamples.

    Returns:
        The result, with the one-sided p-value of an effect of zero.
    """
    sign = 1 if metric.greater_is_better else -1
    models = [metric.evaluator(rows.label, score) for score in rows.scores]
    draws = subsamples(rows, share, n_subsamples, rng)
    with np.errstate(invalid="ignore", divide="ignore"):
        pairs = np.array([[float(model(weight)) for model in models] for weight in draws])
    pairs = pairs[~np.isnan(pairs).any(axis=1)]
    count, fraction = len(pairs), _drawn(rows, share) / (rows.n_units or rows.label.size)
    influence = paired_influence(rows, metric)[2]
    spread = dispersion(rows, metric, influence)
    if count < 2:
        champion = challenger = effect = error = degrees = math.nan
    else:
        champion, challenger = (float(value) for value in np.mean(pairs, axis=0))
        variance = float(np.var(pairs[:, 1] - pairs[:, 0], ddof=1))
        error = math.sqrt(variance * (1 / count + fraction / (1 - fraction)))
        error *= beyond_resamples(rows, metric, influence, spread)
        effect, error = without_rounding(sign * (challenger - champion), error, champion)
        degrees = min(count - 1.0, spread.degrees)
    reach = half_width(error, confidence_level, degrees)
    return conclude(
        rows,
        (champion, challenger),
        effect,
        error,
        (effect - reach, effect + reach),
        alternative="greater",
        dispersion=spread._replace(degrees=degrees),
    )
