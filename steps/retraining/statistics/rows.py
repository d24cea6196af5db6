"""Rows that passed every check, or cells of such rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retraining.statistics.dispersion import Dispersion

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.intp]

DENSE: Final = 8  # integers that span at most this many times the rows are coded without a sort


class Measured(NamedTuple):
    """A metric of two models on the same rows.

    Attributes:
        champion: The metric of the champion.
        challenger: The metric of the challenger.
        error_bound: By how much their difference may be off because rows were put into cells.
        dispersion: Of that difference.
    """

    champion: float
    challenger: float
    error_bound: float
    dispersion: Dispersion


class Totals(NamedTuple):
    """What Spark found of all rows that cells stand for, because the cells do not show it.

    Attributes:
        metrics: By name.
        n_units: Units that the rows belong to; None where they are independent.
        units_of_class: Units with negatives, and with positives; None where they are independent.
        n_periods: Periods that the rows belong to; None where they are not looked at.
    """

    metrics: Mapping[str, Measured]
    n_units: int | None = None
    units_of_class: tuple[int, int] | None = None
    n_periods: int | None = None


class Rows(NamedTuple):
    """Rows that passed every check; rows of weight zero are left out.

    Attributes:
        label: True for positives, shape (n,).
        scores: One float64 array of shape (n,) per model, in the order given.
        weight: float64, shape (n,); ones where none were given.
        unit: Codes 0 to n_units - 1, shape (n,), or None.
        square: Of cells, each of which stands for many rows with the same label and the same
            scores and has the sum of their weights: the sum of their squared weights, shape (n,).
            None where every element is a single row.
        size: Of cells: the number of their rows, shape (n,). None for single rows.
        period: Codes 0 to n_periods - 1, shape (n,), or None.
        second: Codes from 0 of a second unit, by which rows depend on each other too, or None.
        totals: Of cells: what was found on all of their rows.
    """

    label: Bools
    scores: tuple[Floats, ...]
    weight: Floats
    unit: Codes | None
    square: Floats | None = None
    size: Floats | None = None
    period: Codes | None = None
    second: Codes | None = None
    totals: Totals | None = None

    @property
    def are_cells(self) -> bool:
        """Whether an element stands for many rows."""
        return self.size is not None

    @property
    def are_dependent_cells(self) -> bool:
        """Whether rows of different cells depend on each other: resamples of cells hide that."""
        return self.are_cells and (self.n_units is not None or self.n_periods is not None)

    @property
    def n_rows(self) -> int:
        """The number of rows, or of rows that the cells stand for."""
        return self.label.size if self.size is None else round(float(np.sum(self.size)))

    @property
    def n_positives(self) -> int:
        """The number of positives among them."""
        if self.size is None:
            return int(np.count_nonzero(self.label))
        return round(float(np.sum(self.size[self.label])))

    @property
    def n_units(self) -> int | None:
        """The number of units that the rows belong to; None where rows are taken as independent."""
        if self.totals:
            return self.totals.n_units
        return None if self.unit is None else int(np.max(self.unit)) + 1

    @property
    def n_periods(self) -> int | None:
        """The number of periods; None where rows of different units are taken as independent."""
        if self.totals:
            return self.totals.n_periods
        return None if self.period is None else int(np.max(self.period)) + 1

    @property
    def units_of_class(self) -> tuple[int, int] | None:
        """Units with negatives, and with positives, by the kind that has fewer; None without."""
        if self.totals:
            return self.totals.units_of_class
        if self.unit is None:
            return None
        kinds = [self.unit] if self.second is None else [self.unit, self.second]
        zeros, ones = (
            min(np.unique(kind[side]).size for kind in kinds) for side in (~self.label, self.label)
        )
        return zeros, ones

    @property
    def squares(self) -> Floats:
        """Sum of squared weights of every element, shape (n,)."""
        return self.weight**2 if self.square is None else self.square

    @property
    def spreads(self) -> Floats:
        """Sum of squared weights by squared sum of weights, shape (n,): 1 for a single row."""
        if self.square is None:
            return np.ones(self.label.size)
        return self.square / self.weight**2

    @property
    def sizes(self) -> Floats:
        """The number of rows of every element, shape (n,)."""
        return np.ones(self.label.size) if self.size is None else self.size

    @property
    def are_probabilities(self) -> tuple[bool, ...]:
        """Whether all scores of a model lie in [0, 1], model by model."""
        return tuple(bool(np.min(score) >= 0 and np.max(score) <= 1) for score in self.scores)


def recode(codes: Codes | None, chosen: Bools | Codes) -> Codes | None:
    """The codes of some of the rows, again from 0 and without gaps; by a mask or by positions."""
    return None if codes is None else np.unique(codes[chosen], return_inverse=True)[1]
