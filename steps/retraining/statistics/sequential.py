"""Tests that look at growing data more than once: boundaries, their probabilities, estimates.

A look has an information, 1 / variance of the estimated effect, and a z-score, the effect in
standard errors. Where the estimate at each look makes use of all rows so far, two z-scores have the
correlation sqrt(I_j / I_k), like a Brownian motion that is watched at the times I_j < I_k (Jennison
and Turnbull 2000, chapter 3). The effect is positive where it favours the alternative; there is no
lower boundary, so whoever gives up early errs less often, never more often.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from scipy import optimize, special

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retraining.statistics.rows import Floats

SpendingFunction = Literal["pocock", "obrien_fleming", "e_process"]

# 12 r - 3 nodes over 3 + 4 log r standard deviations: boundaries to five decimals.
GRID: Final = 24
LEAST_GROWTH: Final = 1e-3  # of the information between two looks, for the grid to resolve
FARTHEST: Final = 38.0  # standard errors: the normal tail beyond is zero in double precision


def spent(spending: SpendingFunction, alpha: float, fraction: float) -> float:
    """The alpha that may have been used when a fraction of the information is there.

    Lan and DeMets (1983), equations for one side. "obrien_fleming" uses hardly any before the last
    looks, "pocock" about the same at each.

    Args:
        spending: Not "e_process", whose boundary does not depend on a plan.
        alpha: In all, between 0 and 1.
        fraction: Between 0 and 1.
    """
    if fraction <= 0:
        return 0.0
    if spending == "pocock":
        return alpha * math.log1p((math.e - 1) * min(fraction, 1.0))
    quantile = -float(special.ndtri(alpha / 2))
    return 2 * float(special.ndtr(-quantile / math.sqrt(min(fraction, 1.0))))


def bound_of_mixture(alpha: float, ratio: float) -> float:
    """The z-score at which the mixture e-process reaches 1 / alpha, whatever was seen before.

    The e-process is the likelihood ratio of Brownian motion, mixed over effects of a half-normal
    law (Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon 2021): a test that may look at any time.

    Args:
        alpha: Between 0 and 1.
        ratio: The information, by that at which the mixture is widest: with the information of the
            first look, one standard error of that look is a typical effect.
    """
    shrunk = math.sqrt(ratio / (1 + ratio))

    def excess(z: float) -> float:
        log_e = (
            math.log(2)
            - math.log1p(ratio) / 2
            + (z * shrunk) ** 2 / 2
            + float(special.log_ndtr(z * shrunk))
        )
        return log_e + math.log(alpha)

    if excess(FARTHEST) <= 0:
        return math.inf
    return float(optimize.brentq(excess, -1.0, FARTHEST))


def crossings(information: Sequence[float], bounds: Sequence[float], effect: float = 0.0) -> Floats:
    """The probability of each look that the z-score exceeds its bound there for the first time.

    By numerical integration over the z-scores of the look before (Armitage, McPherson and Rowe
    1969), with the grid of Jennison and Turnbull (2000, section 19.2).

    Args:
        information: Of every look, increasing, shape (looks,).
        bounds: Of every look; infinity where a look cannot end the test.
        effect: The true effect.

    Returns:
        Shape (looks,); its sum is the probability of crossing at all.
    """
    levels = increasing(information)
    found = np.zeros(len(levels))
    nodes, mass = np.zeros(1), np.ones(1)  # of the z-score, below all bounds so far
    before = 0.0
    for look, (level, bound) in enumerate(zip(levels, bounds, strict=True)):
        growth = level - before
        starts = nodes * math.sqrt(before) + effect * growth
        found[look] = mass @ special.ndtr((starts - bound * math.sqrt(level)) / math.sqrt(growth))
        if look + 1 < len(levels):
            grid, weights = _grid(effect * math.sqrt(level), bound)
            steps = (grid[:, None] * math.sqrt(level) - starts) / math.sqrt(growth)
            density = np.exp(-(steps**2) / 2) * math.sqrt(level / growth / (2 * math.pi))
            nodes, mass, before = grid, weights * (density @ mass), level
    return found


def next_bound(information: Sequence[float], bounds: Sequence[float], increment: float) -> float:
    """The bound of one more look that uses so much alpha.

    Args:
        information: Of all looks, this one included, shape (looks,).
        bounds: Of the earlier looks, shape (looks - 1,).
        increment: Probability that this look crosses for the first time if there is no effect.

    Returns:
        Infinity where the increment is too small for any bound.
    """

    def excess(bound: float) -> float:
        used = float(crossings(information, [*bounds, bound])[-1])
        return math.log(max(used, 1e-300)) - math.log(increment)

    if increment <= 0 or excess(FARTHEST) > 0:
        return math.inf
    return float(optimize.brentq(excess, -FARTHEST, FARTHEST, xtol=1e-9))


def increasing(information: Sequence[float]) -> list[float]:
    """The information, of which every look brings at least a little: `LEAST_GROWTH`.

    The z-score of a look without new rows is then taken to depend a little less on the one before
    than it does, which raises its bound.
    """
    levels: list[float] = []
    for level in information:
        levels.append(max(level, levels[-1] * (1 + LEAST_GROWTH)) if levels else level)
    return levels


def median_unbiased(
    information: Sequence[float], bounds: Sequence[float], z: float, quantile: float = 0.5
) -> float:
    """The effect under which a result as good as this one, or better, has a probability.

    Results are ordered by the look at which they crossed, the earlier the better, and at the same
    look by their z-score (Armitage 1957; Fairbanks and Madsen 1982). With a quantile of 0.5 it is
    the estimate that is too large as often as too small, with 0.025 the lower end of a 95 %
    interval.

    Args:
        information: Of all looks that were made, shape (looks,).
        bounds: Of the looks before the last, shape (looks - 1,).
        z: Of the last look.
        quantile: The probability.
    """
    error = 1 / math.sqrt(increasing(information)[-1])

    def excess(effect: float) -> float:
        return float(np.sum(crossings(information, [*bounds, z], effect))) - quantile

    reach = 10 * error
    low, high = min(z * error, 0.0) - reach, max(z * error, 0.0) + reach
    return float(optimize.brentq(excess, low, high, xtol=error * 1e-9))


def _grid(centre: float, bound: float) -> tuple[Floats, Floats]:
    """Nodes up to the bound, and the weights of Simpson's rule."""
    inner = np.arange(1, GRID)
    tail = 3 + 4 * np.log(GRID / inner)
    middle = -3 + 3 * np.arange(4 * GRID + 1) / (2 * GRID)
    ends = centre + np.concatenate((-tail, middle, tail[::-1]))
    if bound < ends[-1]:
        ends = np.append(ends[ends < bound], bound)
    if len(ends) < 2:
        return np.full(1, bound), np.zeros(1)
    widths = np.diff(ends)
    nodes = np.empty(2 * len(ends) - 1)
    nodes[::2], nodes[1::2] = ends, (ends[:-1] + ends[1:]) / 2
    weights = np.zeros(nodes.size)
    weights[1::2] = 4 * widths / 6
    weights[:-1:2] += widths / 6
    weights[2::2] += widths / 6
    return nodes, weights
