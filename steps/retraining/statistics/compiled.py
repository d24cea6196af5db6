"""The loops over rows that numpy cannot express, compiled by numba when they are first called.

Importing this module imports numba, which takes a second: callers import it where they need it.

A Poisson(1) weight is below 8 and takes 4 bits. A row's weights in 128 resamples ("lanes") are
one line of the processor's cache, 64 bytes: byte b holds lane b in its lower and lane 64 + b in
its upper half. So one pass over the rows serves 128 resamples, and each step of it is a few
instructions on whole vectors of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from retraining.statistics.rows import Bools, Codes, Floats

Words = npt.NDArray[np.uint64]
Packed = npt.NDArray[np.uint8]  # (rows, LINE)
Loop = TypeVar("Loop", bound=Callable[..., Any])

LINE: Final = 64  # bytes
LANES: Final = 2 * LINE
DIGITS: Final = 16  # binary digits of the random number behind a weight
WIDTH: Final = 16  # words of 64 random digits that are drawn at a time
STREAMS: Final = DIGITS * WIDTH
ROWS_A_DRAW: Final = WIDTH * 64 // LANES
# 2^16 P(weight > k) for k = 0 to 6. Of the roundings of Poisson(1) to 16 binary digits this is the
# closest one whose mean and variance are exactly 1; no probability is off by more than 4e-5.
TAILS: Final = (41425, 17317, 5264, 1246, 240, 39, 5)
ROWS_A_SUM: Final = 36  # of weights up to 7 that a byte can hold the sum of
AHEAD: Final = 128  # rows
EVERY_FOURTH: Final = np.uint64(0x1111111111111111)


def _compiled(function: Loop) -> Loop:
    try:
        return cast("Loop", numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # no folder for the machine code can be written: every process compiles
        return cast("Loop", numba.njit(nogil=True)(function))


@_compiled
def _advance(state: Words, digits: Words) -> None:
    """The next 64 bits of every stream, by xoshiro256++ of Blackman and Vigna (2021)."""
    for i in range(STREAMS):
        a, b, c, d = state[0, i], state[1, i], state[2, i], state[3, i]
        total = a + d
        digits[i] = ((total << np.uint64(23)) | (total >> np.uint64(41))) + a
        shifted = b << np.uint64(17)
        c ^= a
        d ^= b
        state[0, i] = a ^ d
        state[1, i] = b ^ c
        state[2, i] = c ^ shifted
        state[3, i] = (d << np.uint64(45)) | (d >> np.uint64(19))


@_compiled
def _below(bound: int, digits: Words, i: int) -> np.uint64:
    """Whether each of 64 random numbers is below the bound; their last digits are in row 0."""
    below = np.uint64(0)
    for place in range(DIGITS):  # a complement is as random as a digit: 1 stands for "smaller"
        if (bound >> place) & 1:
            below |= digits[place, i]
        else:
            below &= digits[place, i]
    return below


@_compiled
def draw(state: Words, packed: Words) -> None:
    """Fill with independent Poisson(1) weights, 16 a word.

    Args:
        state: Of the random streams, shape (4, STREAMS), not all zero; it is moved on.
        packed: Shape (m,), m a multiple of 4 WIDTH.
    """
    digits = np.empty((DIGITS, WIDTH), dtype=np.uint64)
    for start in range(0, packed.size, 4 * WIDTH):
        _advance(state, digits.reshape(STREAMS))
        for i in range(WIDTH):
            above0 = _below(TAILS[0], digits, i)
            above1 = _below(TAILS[1], digits, i)
            above2 = _below(TAILS[2], digits, i)
            above3 = _below(TAILS[3], digits, i)
            above4 = _below(TAILS[4], digits, i)
            above5 = _below(TAILS[5], digits, i)
            above6 = _below(TAILS[6], digits, i)
            units = (above0 & ~above1) | (above2 & ~above3) | (above4 & ~above5) | above6
            twos = (above1 & ~above3) | above5
            for place in range(4):
                packed[start + place * WIDTH + i] = (
                    ((units >> np.uint64(place)) & EVERY_FOURTH)
                    | (((twos >> np.uint64(place)) & EVERY_FOURTH) << np.uint64(1))
                    | (((above3 >> np.uint64(place)) & EVERY_FOURTH) << np.uint64(2))
                )


@_compiled
def find_steps(label: Bools, score: Floats, order: Codes) -> tuple[Codes, Bools]:
    """Cut rows in ascending order into steps: some of class 0, then some of class 1.

    A tie that holds both classes is a step of its own, and within it the order is changed so that
    class 0 comes first.

    Returns:
        The edges of the steps, shape (2 m + 1,): step k has the rows edges[2k] to edges[2k + 1]
        of class 0 and from there to edges[2k + 2] of class 1; and which steps are ties, shape (m,).
    """
    edges = np.empty(2 * order.size + 1, dtype=np.intp)
    tied = np.empty(order.size, dtype=np.bool_)
    spare = np.empty_like(order)
    count = edges[0] = start = middle = i = 0
    while i < order.size:
        end = i + 1
        while end < order.size and score[order[end]] == score[order[i]]:
            end += 1
        ones, zeros_end = 0, i
        for k in range(i, end):
            if label[order[k]]:
                spare[ones] = order[k]
                ones += 1
            else:
                order[zeros_end] = order[k]
                zeros_end += 1
        order[zeros_end:end] = spare[:ones]
        mixed = i < zeros_end < end
        if start < i and (mixed or (i < zeros_end and middle < i)):
            edges[2 * count + 1], edges[2 * count + 2], tied[count] = middle, i, False
            count += 1
            start = middle = i
        if i < zeros_end:
            middle = zeros_end
        if mixed:
            edges[2 * count + 1], edges[2 * count + 2], tied[count] = middle, end, True
            count += 1
            start = middle = end
        i = end
    if start < i:
        edges[2 * count + 1], edges[2 * count + 2], tied[count] = middle, i, False
        count += 1
    return edges[: 2 * count + 1].copy(), tied[:count].copy()


@_compiled
def _touch(packed: Packed, places: Codes) -> int:
    """Read a byte of each of these lines: their ways from memory overlap, unlike those of sums."""
    read = 0
    for place in places:
        read += packed[place, 0]
    return read


@_compiled
def _add(packed: Packed, places: Codes, sums: Packed) -> None:
    sums[:] = 0
    for place in places:
        line = packed[place]
        for b in range(LINE):
            sums[b] += line[b] & np.uint8(15)
            sums[LINE + b] += line[b] >> np.uint8(4)


@_compiled
def count_wins(
    packed: Packed, places: Codes, edges: Codes, tied: Bools
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], npt.NDArray[np.uint32], int]:
    """Twice the weight of the pairs of both classes in order (ties half), in every lane.

    Args:
        packed: Weights, shape (rows or units, LINE).
        places: Which of them each row has, in the order of `find_steps`, shape (n,).
        edges: Of `find_steps`, like tied.
        tied: Shape (m,).

    Returns:
        The doubled weight, the weights of class 1 and of class 0, each of shape (LANES,); exact
        below 2^32 rows. The last number has no meaning: it keeps the compiler from leaving out
        `_touch`.
    """
    wins = np.zeros(LANES, dtype=np.int64)
    ones = np.zeros(LANES, dtype=np.uint32)
    zeros = np.zeros(LANES, dtype=np.uint32)
    before = np.zeros(LANES, dtype=np.uint32)
    sums = np.zeros(LANES, dtype=np.uint8)
    touched = read = 0
    for k in range(tied.size):
        start, middle, end = edges[2 * k], edges[2 * k + 1], edges[2 * k + 2]
        if end > touched:
            read += _touch(packed, places[touched : touched + AHEAD])
            touched += AHEAD
        if tied[k]:
            before[:] = zeros
        for i in range(start, middle, ROWS_A_SUM):
            _add(packed, places[i : min(i + ROWS_A_SUM, middle)], sums)
            for lane in range(LANES):
                zeros[lane] += sums[lane]
        for i in range(middle, end, ROWS_A_SUM):
            _add(packed, places[i : min(i + ROWS_A_SUM, end)], sums)
            for lane in range(LANES):
                ones[lane] += sums[lane]
                wins[lane] += np.int64(2) * (np.uint32(sums[lane]) * np.int64(zeros[lane]))
            if tied[k]:
                for lane in range(LANES):
                    wins[lane] -= np.int64(sums[lane]) * np.int64(zeros[lane] - before[lane])
    return wins, ones, zeros, read


@_compiled
def differentiate_auroc(
    label: Bools, mass: Floats, score: Floats, order: Codes
) -> tuple[float, Floats]:
    """The area under the ROC curve, and its derivative by every row's mass (above 0).

    The derivative is DeLong's placement, the weighted share of the other class that the row is on
    the right side of (ties half), less the area, divided by the weight of the row's class.

    Args:
        label: True for positives, shape (n,).
        mass: Weights above 0, shape (n,).
        score: Finite, shape (n,).
        order: Rows in ascending order of the scores, shape (n,).
    """
    sorted_score, sorted_mass = np.empty(order.size), np.empty(order.size)
    for k in range(order.size):  # by itself, so that the ways to memory overlap
        sorted_score[k] = score[order[k]]
        sorted_mass[k] = mass[order[k]] if label[order[k]] else -mass[order[k]]
    ones = zeros = 0.0
    for k in range(order.size):
        ones += max(sorted_mass[k], 0.0)
        zeros += max(-sorted_mass[k], 0.0)
    placement = np.empty(order.size)
    area = ones_below = zeros_below = 0.0
    start = 0
    while start < order.size:
        tied_ones = tied_zeros = 0.0
        end = start
        while end < order.size and sorted_score[end] == sorted_score[start]:
            tied_ones += max(sorted_mass[end], 0.0)
            tied_zeros += max(-sorted_mass[end], 0.0)
            end += 1
        of_one = (zeros_below + tied_zeros / 2) / zeros
        of_zero = 1 - (ones_below + tied_ones / 2) / ones
        for k in range(start, end):
            placement[order[k]] = of_one if sorted_mass[k] > 0 else of_zero
        area += tied_ones * of_one
        ones_below += tied_ones
        zeros_below += tied_zeros
        start = end
    area /= ones
    for i in range(order.size):
        placement[i] = (placement[i] - area) / (ones if label[i] else zeros)
    return area, placement
