"""The one check that rows must pass before any statistic is taken of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retraining.statistics.dispersion import Dispersion

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.intp]

# The fault and the remedy of values that are refused, by the kind of value.
FAULTS: Final = {
    "label": ("neither 0 nor 1", "code positives as 1 and negatives as 0"),
    "score": ("not finite", "give every row a finite score"),
    "outside": ("outside [0, 1]", "give the probability that the row is positive"),
    "weight": ("negative or not finite", "give finite weights of 0 or more"),
    "unit": ("missing", "give every row a unit"),
    "period": ("missing", "give every row a period"),
}
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
        return round(float(np.sum(self.sizes)))

    @property
    def n_positives(self) -> int:
        """The number of positives among them."""
        return round(float(np.sum(self.sizes[self.label])))

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


def check_rows(
    label: npt.ArrayLike,
    scores: Mapping[str, npt.ArrayLike],
    *,
    weight: npt.ArrayLike | None = None,
    unit: npt.ArrayLike | None = None,
    period: npt.ArrayLike | None = None,
    of_probabilities: bool = False,
    both_classes: bool = True,
) -> Rows:
    """The rows as arrays, once every condition that the statistics rest on holds.

    Args:
        label: 0 or 1 (or booleans), shape (n,).
        scores: Scores of shape (n,) by the name that error messages use.
        weight: Finite and non-negative, shape (n,).
        unit: Sortable and without missing values, shape (n,), or (n, 2) for two kinds of units.
        period: Sortable and without missing values, shape (n,).
        of_probabilities: Refuse scores outside [0, 1].
        both_classes: Refuse labels of one class only.

    Raises:
        RetrainingError: An argument is wrong; the message names it, its value and the remedy.
    """
    labels = _numbers("label", label, None)
    least = 2 if both_classes else 1
    if labels.size < least:
        raise RetrainingError(f"label has {labels.size} rows", f"give at least {least} rows")
    positive = labels == 1
    _refuse("label", labels, positive | (labels == 0), "label")
    arrays = [_numbers(name, score, labels.size) for name, score in scores.items()]
    for name, array in zip(scores, arrays, strict=True):
        _refuse(name, array, np.isfinite(array), "score")
        if of_probabilities:
            inside = (array >= 0) & (array <= 1)
            _refuse(name, array, inside, "outside")
    weights = np.ones(labels.size) if weight is None else _numbers("weight", weight, labels.size)
    good = (weights >= 0) & (weights < np.inf)
    _refuse("weight", weights, good, "weight")
    kinds = [] if unit is None else _columns(unit)
    units, seconds = ([encode("unit", kind, labels.size) for kind in kinds] + [None, None])[:2]
    periods = None if period is None else encode("period", period, labels.size)
    rows = _without_weight_zero(
        Rows(positive, tuple(arrays), weights, units, period=periods, second=seconds)
    )
    if both_classes:
        check_classes(rows)
    return rows


def check_classes(rows: Rows) -> None:
    """Refuse rows of one class only.

    Raises:
        RetrainingError: A class is missing.
    """
    for value, name in enumerate(("negatives", "positives")):
        if not np.any(rows.label == value):
            raise RetrainingError(
                f"label has no {name} with a weight above 0",
                "give rows of both classes, for example of a longer period",
            )


def _without_weight_zero(rows: Rows) -> Rows:
    kept = rows.weight > 0
    if np.all(kept):  # the usual case; a copy of many rows takes longer than all the checks
        return rows
    scores = tuple(score[kept] for score in rows.scores)
    units, seconds, periods = (recode(c, kept) for c in (rows.unit, rows.second, rows.period))
    return Rows(rows.label[kept], scores, rows.weight[kept], units, period=periods, second=seconds)


def _columns(unit: npt.ArrayLike) -> list[npt.NDArray[Any]]:
    """The one or two kinds of units."""
    array = np.asarray(unit)
    if array.ndim != 2:
        return [array]
    if array.shape[1] not in (1, 2):
        raise RetrainingError(f"unit has the shape {array.shape}", "give one or two units per row")
    return list(array.T)


def recode(codes: Codes | None, chosen: Bools | Codes) -> Codes | None:
    """The codes of some of the rows, again from 0 and without gaps; by a mask or by positions."""
    return None if codes is None else np.unique(codes[chosen], return_inverse=True)[1]


def _numbers(name: str, values: npt.ArrayLike, size: int | None) -> Floats:
    array = np.asarray(values)
    if array.dtype.kind not in "biufO":
        raise RetrainingError(f"{name} has the type {array.dtype}", "give numbers")
    _check_shape(name, array, size)
    try:
        return array.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise RetrainingError(f"{name} is not numeric ({error})", "give numbers") from error


def encode(name: str, values: npt.ArrayLike, size: int) -> Codes:
    """Codes 0 to m - 1 of the m distinct values in sorted order, shape (size,).

    Raises:
        RetrainingError: A value is missing, or the values cannot be sorted.
    """
    array = np.asarray(values)
    _check_shape(name, array, size)
    try:
        missing = array != array  # true of NaN and NaT alone
        if array.dtype.kind == "O":
            missing = missing | np.array([value is None for value in array])
        if np.any(missing):
            raise RetrainingError(
                f"{name} is missing in {int(np.sum(missing))} rows", f"give every row a {name}"
            )
        return _code(array)
    except (TypeError, ValueError) as error:
        raise RetrainingError(
            f"{name} mixes values that cannot be sorted ({error})", "give one type of value"
        ) from error


def _code(array: npt.NDArray[np.generic]) -> Codes:
    """The inverse that `np.unique` returns, without sorting all rows where that is possible."""
    if array.dtype.kind == "O":
        codes = {value: code for code, value in enumerate(sorted(set(array.tolist())))}
        return np.fromiter((codes[value] for value in array.tolist()), np.intp, array.size)
    if array.dtype.kind in "iu" and array.size:
        least = int(np.min(array))
        span = int(np.max(array)) - least + 1
        if span <= DENSE * array.size:
            seen = np.zeros(span, dtype=np.bool_)
            wide = array.astype(np.int64 if array.dtype.kind == "i" else np.uint64)
            shifted = (wide - wide.dtype.type(least)).astype(np.intp)
            seen[shifted] = True
            codes_of_span: Codes = (np.cumsum(seen) - 1)[shifted]
            return codes_of_span
    codes_of_sorted: Codes = np.unique(array, return_inverse=True)[1]
    return codes_of_sorted


def _check_shape(name: str, array: npt.NDArray[np.generic], size: int | None) -> None:
    if array.ndim != 1:
        raise RetrainingError(f"{name} has the shape {array.shape}", "give one value per row")
    if size is not None and array.size != size:
        raise RetrainingError(
            f"{name} has {array.size} rows and label has {size}", "give both for the same rows"
        )


def _refuse(name: str, array: Floats, good: Bools, kind: str) -> None:
    if not np.all(good):
        fault, remedy = FAULTS[kind]
        first = int(np.argmin(good))
        count = good.size - int(np.count_nonzero(good))
        raise RetrainingError(
            f"{name} is {fault} in {count} rows, first {array[first]:g} in row {first}", remedy
        )
