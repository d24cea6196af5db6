"""The one check that rows must pass before any statistic is taken of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from retraining.errors import RetrainingError
from retraining.progress import counted
from retraining.statistics.rows import DENSE, Bools, Codes, Floats, Rows, recode

if TYPE_CHECKING:
    from collections.abc import Mapping

# The fault and the remedy of values that are refused, by the kind of value.
FAULTS: Final = {
    "label": ("neither 0 nor 1", "code positives as 1 and negatives as 0"),
    "score": ("not finite", "give every row a finite score"),
    "outside": ("outside [0, 1]", "give the probability that the row is positive"),
    "weight": (
        "neither 0 nor between 1e-50 and 1e50",
        "leave rows out by weight 0, and give the others usual numbers",
    ),
    "unit": ("missing", "give every row a unit"),
    "period": ("missing", "give every row a period"),
}


LEAST_WEIGHT: Final = 1e-50  # and its inverse is the largest: products of several stay finite


class OneClassError(RetrainingError):
    """Rows of one class only, of which no metric can be compared.

    Attributes:
        n_rows: Their number; those of weight 0 are not counted.
        missing: `positives` or `negatives`.
    """

    def __init__(self, n_rows: int, missing: str) -> None:
        super().__init__(
            f"label has no {missing} with a weight above 0",
            "give rows of both classes, for example of a longer period",
        )
        self.n_rows = n_rows
        self.missing = missing


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
        weight: 0, or between `LEAST_WEIGHT` and its inverse, shape (n,).
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
        raise RetrainingError(
            f"label has {counted(labels.size, 'row')}", f"give at least {least} rows"
        )
    positive = labels == 1
    _refuse("label", labels, positive | (labels == 0), "label")
    arrays = [_numbers(name, score, labels.size) for name, score in scores.items()]
    for name, array in zip(scores, arrays, strict=True):
        _refuse(name, array, np.isfinite(array), "score")
        if of_probabilities:
            inside = (array >= 0) & (array <= 1)
            _refuse(name, array, inside, "outside")
    weights = np.ones(labels.size) if weight is None else _numbers("weight", weight, labels.size)
    good = (weights == 0) | ((weights >= LEAST_WEIGHT) & (weights <= 1 / LEAST_WEIGHT))
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
        OneClassError: A class is missing.
    """
    for value, name in enumerate(("negatives", "positives")):
        if not np.any(rows.label == value):
            raise OneClassError(rows.n_rows, name)


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
                f"{name} is missing in {counted(int(np.sum(missing)), 'row')}",
                f"give every row a {name}",
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
            f"{name} has {counted(array.size, 'row')} and label has {size:,}",
            "give both for the same rows",
        )


def _refuse(name: str, array: Floats, good: Bools, kind: str) -> None:
    if not np.all(good):
        fault, remedy = FAULTS[kind]
        first = int(np.argmin(good))
        count = good.size - int(np.count_nonzero(good))
        raise RetrainingError(
            f"{name} is {fault} in {counted(count, 'row')}, such as {array[first]:g}", remedy
        )
