"""The difference of two models' metrics in many resamples of the same rows.

Resamples are Poisson: every row, or every unit, comes up a Poisson(1) number of times by itself
(Chamandy et al. 2012), which for many rows is the bootstrap with replacement. A cell of identical
rows comes up as often as its rows would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from scipy import special

from retraining.statistics.resampling import auroc_effects

if TYPE_CHECKING:
    from collections.abc import Callable

    from retraining.statistics.metrics import Metric
    from retraining.statistics.rows import Floats, Rows

Resample = Literal["row", "stratified"]
Interval = Literal["percentile", "bca"]

BATCH_CELLS: Final = 2**18  # weights held at a time: 2 MB; one resample may exceed it
# Rows times resamples that take some seconds of two cores.
COMPILED: Final = 2_000_000_000
WEIGHED: Final = 100_000_000


def replicates(
    rows: Rows,
    metric: Metric,
    *,
    n_resamples: int,
    rng: np.random.Generator,
    resample: Resample = "row",
) -> Floats:
    """The oriented effect in every resample that has one, shape (at most n_resamples,).

    Args:
        rows: With the scores of champion and challenger; resampled by unit where they have units.
        metric: What is compared.
        n_resamples: How many are drawn; those that lack a class have no effect.
        rng: Equal generators give equal effects.
        resample: "stratified" gives each class its whole weight in every resample, for rows that
            were sampled by class; units are drawn whole either way.
    """
    sign = 1 if metric.greater_is_better else -1
    if _is_compiled(rows, metric):
        champion, challenger = rows.scores
        effects = auroc_effects(
            rows.label, champion, challenger, unit=rows.unit, n_resamples=n_resamples, rng=rng
        )
    else:
        effects = sign * _weighted_effects(rows, metric, n_resamples, rng, resample)
    defined: Floats = effects[~np.isnan(effects)]
    return defined


def affordable(rows: Rows, metric: Metric, n_resamples: int) -> int:
    """As many of these resamples as take some seconds."""
    return min(
        n_resamples, (COMPILED if _is_compiled(rows, metric) else WEIGHED) // rows.label.size
    )


def _weighted_effects(
    rows: Rows, metric: Metric, n_resamples: int, rng: np.random.Generator, resample: Resample
) -> Floats:
    """Challenger less champion in every resample; NaN where it lacks a class."""
    models = [metric.prepare(rows.label, score) for score in rows.scores]
    draw = _sampler(rows, rng)
    sides = (rows.label.astype(np.float64), (~rows.label).astype(np.float64))
    totals = [float(rows.weight @ side) for side in sides]
    effects = np.full(n_resamples, np.nan)
    batch = min(n_resamples, max(1, BATCH_CELLS // rows.label.size))
    weights = np.empty((batch, rows.label.size))
    for start in range(0, n_resamples, batch):
        weights = weights[: n_resamples - start]
        for weight in weights:
            weight[:] = draw()
        drawn = [weights @ side for side in sides]
        whole = (drawn[0] > 0) & (drawn[1] > 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            if resample == "stratified" and rows.unit is None:
                factors = [total / got for total, got in zip(totals, drawn, strict=True)]
                weights *= np.where(rows.label, factors[0][:, None], factors[1][:, None])
            old, new = (model(weights) for model in models)
        effects[start : start + whole.size][whole] = (new - old)[whole]
    return effects


def _is_compiled(rows: Rows, metric: Metric) -> bool:
    """Whether this is the area under the ROC curve, and rows of one class weigh the same.

    It averages over pairs of both classes, so that it cannot see how much a whole class weighs.
    """
    sides = (rows.weight[rows.label], rows.weight[~rows.label])
    alike = all(np.all(side == side[0]) for side in sides)
    return metric.name == "auroc" and rows.size is None and alike


def interval_ends(
    effects: Floats, confidence_level: float, *, effect: float, acceleration: float | None
) -> tuple[float, float]:
    """The percentile interval, or with an acceleration the BCa interval (Efron 1987).

    Args:
        effects: In the resamples.
        confidence_level: Of the two-sided interval.
        effect: On the rows themselves; the share of resamples below it measures the bias.
        acceleration: None for the percentile interval.
    """
    shares = np.array([(1 - confidence_level) / 2, (1 + confidence_level) / 2])
    if acceleration is not None:
        below = np.count_nonzero(effects < effect) + np.count_nonzero(effects == effect) / 2
        # A resample is added on either side, so that the bias is finite where all lie on one.
        bias = float(special.ndtri((below + 0.5) / (effects.size + 1)))
        shifted = bias + special.ndtri(shares)
        shares = special.ndtr(bias + shifted / (1 - acceleration * shifted))
    # One more effect from the same source lies below the k-th of B with probability k / (B + 1);
    # the quantiles of the effects themselves would be too near to each other.
    lower, upper = np.quantile(effects, shares, method="weibull")
    return float(lower), float(upper)


def _sampler(rows: Rows, rng: np.random.Generator) -> Callable[[], Floats]:
    """Draws the weights of one resample, shape (n,)."""
    if rows.size is not None:
        step = rows.squares / rows.weight  # the cell's rows taken as equal weights of this size
        rate = rows.weight / step
        return lambda: rng.poisson(rate) * step
    drawn = rows.label.size if rows.unit is None else int(np.max(rows.unit)) + 1

    def draw() -> Floats:
        # As many draws as a Poisson(n) number, spread over n, are n independent Poisson(1).
        counts = np.bincount(rng.integers(0, drawn, rng.poisson(drawn)), minlength=drawn)
        weights: Floats = rows.weight * (counts if rows.unit is None else counts[rows.unit])
        return weights

    return draw
