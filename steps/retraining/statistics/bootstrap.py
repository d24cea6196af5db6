"""The difference of two models' metrics in many resamples of the same rows.

Resamples are Poisson: every row, or every unit, is drawn a Poisson(1) number of times,
independently of the others (Chamandy et al. 2012); with many rows this is the bootstrap with
replacement. A cell of identical rows is drawn as often as its rows would be.

AUROC is compiled, a billion weights a second and core; other metrics go through numpy.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Callable

    from retraining.statistics.compiled import Packed, Words
    from retraining.statistics.metrics import Metric
    from retraining.statistics.rows import Bools, Codes, Floats, Rows

Resample = Literal["row", "stratified"]
Interval = Literal["percentile", "bca"]

BATCH_CELLS: Final = 2**18  # weights held at a time: 2 MB; one resample may exceed it
# Rows times resamples that take some seconds of two cores.
COMPILED: Final = 2_000_000_000
WEIGHED: Final = 100_000_000
MEMORY: Final = 2**31  # bytes of compiled weights, unless those of a single thread are more


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
        metric: The metric of the effect.
        n_resamples: Number of resamples; those that lack a class have no effect.
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
    """The number of these resamples that can be computed in some seconds."""
    limit = COMPILED if _is_compiled(rows, metric) else WEIGHED
    return min(n_resamples, limit // rows.label.size)


def auroc_effects(
    label: Bools,
    champion: Floats,
    challenger: Floats,
    *,
    unit: Codes | None,
    n_resamples: int,
    rng: np.random.Generator,
) -> Floats:
    """AUROC of the challenger less that of the champion in every resample.

    Exact; ties count half. Weights are counted in integers, so equal orders of the rows give
    exactly 0 and exchanged models exactly the opposite effects.

    Uses all processors of this process; the result does not depend on their number. Memory: 64
    bytes per row (or unit) and thread, at most `MEMORY` unless one thread needs more, and less
    than 70 bytes per row for the two orders. The first call on a machine compiles, which takes
    seconds.

    Args:
        label: True for positives, shape (n,).
        champion: Finite, shape (n,).
        challenger: Finite, shape (n,).
        unit: Codes from 0 of the units to draw, shape (n,); None draws rows.
        n_resamples: 1 or more; 128 are computed at a time.
        rng: Seeds the weights.

    Returns:
        Shape (n_resamples,); NaN where a resample lacks a class.
    """
    # Imports numba, which takes a second.
    from retraining.statistics import compiled

    drawn = label.size if unit is None else int(np.max(unit)) + 1
    blocks = -(-n_resamples // compiled.LANES)
    states = rng.integers(2**64, size=(blocks, 4, compiled.STREAMS), dtype=np.uint64)
    threads = min(_processors(), blocks, max(1, MEMORY // (drawn * compiled.LINE)))
    free: SimpleQueue[Packed] = SimpleQueue()
    for _ in range(threads):
        free.put(_lines(-(-drawn // compiled.ROWS_A_DRAW) * compiled.ROWS_A_DRAW))

    def rank(score: Floats) -> tuple[Codes, Codes, Bools]:
        order = np.argsort(score)
        edges, tied = compiled.find_steps(label, score, order)
        return order if unit is None else unit[order], edges, tied

    def evaluate(state: Words) -> Floats:
        packed = free.get()
        compiled.draw(state, packed.reshape(-1).view(np.uint64))
        of_champion, ones, zeros, _ = compiled.count_wins(packed, *ranked[0])
        of_challenger = compiled.count_wins(packed, *ranked[1])[0]
        free.put(packed)
        pairs = ones.astype(np.float64) * zeros
        effects: Floats = np.full(pairs.size, np.nan)
        np.divide(of_challenger - of_champion, 2 * pairs, out=effects, where=pairs > 0)
        return effects

    with ThreadPoolExecutor(threads) as pool:
        ranked = list(pool.map(rank, (champion, challenger)))
        return np.concatenate(list(pool.map(evaluate, states)))[:n_resamples]


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


def _weighted_effects(
    rows: Rows, metric: Metric, n_resamples: int, rng: np.random.Generator, resample: Resample
) -> Floats:
    """Challenger less champion in every resample; NaN where it lacks a class."""
    champion, challenger = (metric.evaluator(rows.label, score) for score in rows.scores)
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
            difference = challenger(weights) - champion(weights)
        effects[start : start + whole.size][whole] = difference[whole]
    return effects


def _is_compiled(rows: Rows, metric: Metric) -> bool:
    """Whether this is the area under the ROC curve, and rows of one class have equal weights.

    The area averages over pairs of both classes, so it does not depend on how much a whole class
    weighs.
    """
    sides = (rows.weight[rows.label], rows.weight[~rows.label])
    alike = all(np.all(side == side[0]) for side in sides)
    return metric.name == "auroc" and not rows.are_cells and alike


def _sampler(rows: Rows, rng: np.random.Generator) -> Callable[[], Floats]:
    """Draws the weights of one resample, shape (n,)."""
    if rows.are_cells:
        step = rows.squares / rows.weight  # the cell's rows taken as equal weights of this size
        rate = rows.weight / step
        return lambda: rng.poisson(rate) * step
    drawn = rows.n_units or rows.label.size

    def draw() -> Floats:
        # As many draws as a Poisson(n) number, spread over n, are n independent Poisson(1).
        counts = np.bincount(rng.integers(0, drawn, rng.poisson(drawn)), minlength=drawn)
        weights: Floats = rows.weight * (counts if rows.unit is None else counts[rows.unit])
        return weights

    return draw


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _lines(count: int) -> Packed:
    """Room for weights, aligned to a line of the cache so that no row spans two."""
    from retraining.statistics.compiled import LINE

    room = np.empty((count + 1) * LINE, dtype=np.uint8)
    first = -room.ctypes.data % LINE
    return room[first : first + count * LINE].reshape(count, LINE)
