"""The Poisson bootstrap of a difference of AUROCs, compiled: a billion weights a second and core.

Every row (or unit) has a weight in every resample, Poisson(1) by itself: the bootstrap of
Chamandy et al. (2012), which needs no resample of a fixed size. Both models are evaluated with the
same weights.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from retraining.statistics.compiled import Packed, Words
    from retraining.statistics.rows import Bools, Codes, Floats

MEMORY: Final = 2**31  # bytes of weights, unless those of a single thread are more


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

    Exact, ties count half. Weights are counted in integers, so equal orders of the rows give
    exactly 0 and exchanged models exactly the opposite effects.

    Takes all processors of this process; the result does not depend on their number. Memory: 64
    bytes a row or unit and thread, at most `MEMORY` unless one thread needs more, and less than 70
    bytes a row for the two orders. The first call on a machine compiles, which takes seconds.

    Args:
        label: True for class 1, shape (n,).
        champion: Finite, shape (n,).
        challenger: Finite, shape (n,).
        unit: Codes from 0 of whom to draw, shape (n,); None draws rows.
        n_resamples: 1 or more; 128 are computed at a time.
        rng: Seeds the weights.

    Returns:
        Shape (n_resamples,); NaN where a resample lacks a class.
    """
    from retraining.statistics import compiled

    drawn = label.size if unit is None else int(np.max(unit)) + 1
    blocks = -(-n_resamples // compiled.LANES)
    states = rng.integers(2**64, size=(blocks, 4, compiled.STREAMS), dtype=np.uint64)
    affordable = max(1, MEMORY // (drawn * compiled.LINE))
    threads = min(_processors(), blocks, affordable)
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
        old, ones, zeros, _ = compiled.count_wins(packed, *ranked[0])
        new = compiled.count_wins(packed, *ranked[1])[0]
        free.put(packed)
        pairs = ones.astype(np.float64) * zeros
        effects: Floats = np.full(pairs.size, np.nan)
        np.divide(new - old, 2 * pairs, out=effects, where=pairs > 0)
        return effects

    with ThreadPoolExecutor(threads) as pool:
        ranked = list(pool.map(rank, (champion, challenger)))
        return np.concatenate(list(pool.map(evaluate, states)))[:n_resamples]


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _lines(count: int) -> Packed:
    """Room for weights that begins at a line of the cache, so that no row takes two."""
    from retraining.statistics.compiled import LINE

    room = np.empty((count + 1) * LINE, dtype=np.uint8)
    first = -room.ctypes.data % LINE
    return room[first : first + count * LINE].reshape(count, LINE)
