"""The sampling variance of a difference of two models, where rows may depend on each other.

Rows of one unit (a customer) may depend on each other, and so may rows of one period (a day).
The influence values of such rows are summed before they are squared. Three corrections keep the
level of the test that follows:

- Leverage. A unit with much of the weight pulls the metrics towards its own rows, so its influence
  looks too small. Each sum is divided by one less its share of the weight, which is what leaving
  the unit out would change: the variance is that of the jackknife over units, CV3 (Bell and
  McCaffrey 2002; MacKinnon, Nielsen and Webb 2023).
- Effective numbers. Unequal units are worth fewer equal ones, 1 / sum(share^2) (Kish 1965), by the
  class in which they are worth least. Student's t has that number less one degrees of freedom.
- Two ways. The variances by unit and by period are added, and that by unit within period is
  subtracted, because both contain it (Cameron, Gelbach and Miller 2011). The same holds for a
  second unit, for example the terminal of a customer's transaction.

A holdout has few periods, so the variance by period is itself uncertain. Where it is not larger
than by chance (its ratio to the variance by unit is below its 95 % point), the two are averaged as
in the moderated t-test (Smyth 2004), with `PRIOR_DEGREES` for the variance by unit. Where it is
larger, it counts alone.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import special

from retraining.statistics.rows import DENSE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from retraining.statistics.metrics import Metric
    from retraining.statistics.rows import Codes, Floats, Rows

Way = tuple[str, ...]

KINDS: Final = ("unit", "second", "period")  # by which rows may depend on each other
PRIOR_DEGREES: Final = 2.0
ROUNDING: Final = 1e-12
BY_CHANCE: Final = 0.95  # how often a ratio of equal variances lies below the point that decides


class Sums(NamedTuple):
    """What a variance by unit, or by period, is made of: sums over the units.

    Each influence value is divided by 1 - the share of its unit in the weight (of its class, for
    metrics that are corrected by class).

    Attributes:
        ones: Sum of the squared sums over the positives of a unit.
        zeros: The same over the negatives.
        product: Sum of the products of the two.
        n_ones: Units with positives.
        n_zeros: Units with negatives.
        n_units: All units.
        worth: Equal units that they are worth, by the class in which they are worth less.
    """

    ones: float
    zeros: float
    product: float
    n_ones: float
    n_zeros: float
    n_units: float
    worth: float

    def variance(self, *, by_class: bool) -> float:
        """The variance of the difference; NaN where a class, or all rows, are of one unit.

        For single rows and metrics that are corrected by class it is DeLong's; for equal units of
        both classes that of Obuchowski (1997).
        """
        alone = self.ones + self.zeros
        if alone + 2 * self.product < ROUNDING * alone:  # the classes of each unit cancel out
            return 0.0
        if not by_class:
            return _corrected(alone + 2 * self.product, self.n_units)
        with_ones, with_zeros = (_factor(count) for count in (self.n_ones, self.n_zeros))
        both = 2 * self.product * math.sqrt(with_ones * with_zeros)
        return self.ones * with_ones + self.zeros * with_zeros + both


class Dispersion(NamedTuple):
    """How much a difference would vary between samples like this one.

    Attributes:
        variance: NaN where it cannot be estimated.
        degrees: Of freedom of Student's t; infinity for the normal.
        worth: Equal units that the rows are worth; None where rows are independent.
        ratio: The variance with periods by that without; None without periods, or with one.
    """

    variance: float
    degrees: float = math.inf
    worth: float | None = None
    ratio: float | None = None


def dispersion(rows: Rows, metric: Metric, influence: Floats) -> Dispersion:
    """The dispersion of the difference that has these paired influence values.

    Args:
        rows: Single rows or cells; the rows of a cell have one influence value each, in proportion
            to their weights.
        metric: Whether its influence values sum to zero in each class decides what is corrected.
        influence: Shape (n,).
    """
    by_class = metric.by_class
    names = [name for name in KINDS if getattr(rows, name) is not None]
    sums = {
        way: sum_by(rows, _codes(rows, way), influence, by_class=by_class) for way in ways(names)
    }
    alone = math.nan if rows.unit is not None else _of_rows(rows, influence, by_class=by_class)
    return combine(sums, alone, by_class=by_class)


def ways(names: Sequence[str]) -> list[Way]:
    """How rows are summed where they depend on each other by these: by each, and by all of some."""
    return [way for size in range(1, len(names) + 1) for way in combinations(names, size)]


def combine(sums: Mapping[Way, Sums], alone: float, *, by_class: bool) -> Dispersion:
    """The dispersion from the sums of `ways`.

    Args:
        sums: By unit, second unit and period, as far as there are any.
        alone: The variance of independent rows, for rows without a unit.
        by_class: Whether the metric is corrected by class.
    """
    variance = {way: found.variance(by_class=by_class) for way, found in sums.items()}
    own = _of_units(sums, variance) if ("unit",) in sums else Dispersion(alone)
    if ("period",) not in sums:
        return own
    within = alone
    if ("unit",) in sums:
        within = variance["unit", "period"]
    if ("second",) in sums:
        within += variance["second", "period"] - variance["unit", "second", "period"]
    return _with_periods(own, sums["period",].worth, variance["period",], within)


def beyond_resamples(rows: Rows, metric: Metric, influence: Floats, spread: Dispersion) -> float:
    """By how much the standard error is larger than that of resamples of rows, or of whole units.

    Resamples know neither of leverage nor of periods.
    """
    if rows.unit is None and rows.period is None:
        return 1.0
    if rows.unit is None:
        plain = _of_rows(rows, influence, by_class=metric.by_class)
    else:
        sums = np.bincount(rows.unit, influence).astype(np.float64)
        plain = _product(sums, sums)
    return math.sqrt(spread.variance / plain) if plain else 1.0


def _of_units(sums: Mapping[Way, Sums], variance: Mapping[Way, float]) -> Dispersion:
    """The dispersion where rows of one unit, or of one second unit, depend on each other."""
    worth, total = sums["unit",].worth, variance["unit",]
    if ("second",) in sums:
        worth = min(worth, sums["second",].worth)
        # Of few units the three are uncertain, and their sum can be far too small by chance.
        two_way = total + variance["second",] - variance["unit", "second"]
        total = max(two_way, total, variance["second",])
    degrees = worth - 1
    return Dispersion(total, degrees if degrees > 0 else math.nan, worth)


def _with_periods(own: Dispersion, worth: float, variance: float, within: float) -> Dispersion:
    """The dispersion where rows of one period depend on each other too.

    Args:
        own: By unit, or of independent rows.
        worth: Equal periods that they are worth.
        variance: By period.
        within: By unit within period; of independent rows where there are no units.
    """
    degrees = max(0.0, worth - 1)
    if not own.variance > 0:
        return own._replace(ratio=1.0 if degrees else None)
    ratio = max(0.0, 1 + (variance - within) / own.variance) if degrees else 1.0
    if degrees and ratio > special.chdtri(degrees, 1 - BY_CHANCE) / degrees:
        moderated, total = ratio, degrees
    else:
        total = degrees + PRIOR_DEGREES
        moderated = (degrees * ratio + PRIOR_DEGREES) / total
    return own._replace(
        variance=own.variance * moderated,
        degrees=min(own.degrees, total),
        ratio=moderated if degrees else None,
    )


def sum_by(rows: Rows, codes: Codes, influence: Floats, *, by_class: bool) -> Sums:
    """The sums over units, or over periods, by codes from 0 that may have gaps; shape (n,) each."""
    sides = codes * 2 + rows.label
    length = 2 * int(np.max(codes)) + 2
    sums = np.bincount(sides, influence, length).reshape(-1, 2).T
    masses = np.bincount(sides, rows.weight, length).reshape(-1, 2).T
    shares = masses / np.sum(masses, axis=1, keepdims=True)
    worth = 1 / float(np.max(np.sum(shares**2, axis=1)))
    if not by_class:
        shares = np.sum(masses, axis=0) / np.sum(masses)
    with np.errstate(divide="ignore", invalid="ignore"):  # a unit that is a whole class
        zeros, ones = sums / (1 - shares)
        product = _product(ones, zeros)
        of_ones, of_zeros = _product(ones, ones), _product(zeros, zeros)
    n_zeros, n_ones = np.count_nonzero(masses, axis=1).tolist()
    return Sums(
        ones=of_ones,
        zeros=of_zeros,
        product=product,
        n_ones=n_ones,
        n_zeros=n_zeros,
        n_units=int(np.count_nonzero(np.any(masses, axis=0))),
        worth=worth,
    )


def _codes(rows: Rows, way: Way) -> Codes:
    """Codes of all that a way names, with gaps unless that would take more room than sorting."""
    codes, *others = (getattr(rows, name) for name in way)
    for other in others:
        span = int(np.max(other)) + 1
        pairs = codes * span + other
        few = (int(np.max(codes)) + 1) * span <= DENSE * codes.size
        codes = pairs if few else np.unique(pairs, return_inverse=True)[1]
    found: Codes = codes
    return found


def _of_rows(rows: Rows, influence: Floats, *, by_class: bool) -> float:
    """The variance where every row stands alone; all rows of a cell have the same share."""
    if rows.size is None and np.all(rows.weight == rows.weight[0]):  # in a sixth of the time
        ones = influence[rows.label]
        of_all, of_ones = _product(influence, influence), _product(ones, ones)
        if not by_class:
            return of_all / _factor(rows.n_rows)
        n_ones = ones.size
        return of_ones / _factor(n_ones) + (of_all - of_ones) / _factor(rows.n_rows - n_ones)
    size, squares = rows.sizes, influence**2 * rows.spreads
    weight = rows.weight / size
    sides = (rows.label, ~rows.label) if by_class else (np.ones_like(rows.label),)
    variance = 0.0
    for side in sides:
        share = weight[side] / np.sum(rows.weight[side])
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = float(np.sum(squares[side] / (1 - share) ** 2))
        variance += _factor(float(np.sum(size[side]))) * moved
    return variance


def _product(first: Floats, second: Floats) -> float:
    # Not by BLAS, whose threads keep the cores busy for a while after each product, for nothing.
    return float(np.einsum("i,i", first, second))


def _factor(count: float) -> float:
    return (count - 1) / count if count > 1 else math.nan


def _corrected(square: float, count: float) -> float:
    return square * _factor(count)
