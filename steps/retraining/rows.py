"""The one check that rows must pass before any statistic is taken of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.intp]


class Rows(NamedTuple):
    """Rows that passed every check; rows of weight zero are left out.

    Attributes:
        label: True for class 1, shape (n,).
        scores: One float64 array of shape (n,) a model, in the order given.
        weight: float64, shape (n,); ones where none were given.
        unit: Codes 0 to n_units - 1, shape (n,), or None.
    """

    label: Bools
    scores: tuple[Floats, ...]
    weight: Floats
    unit: Codes | None


def check_rows(
    label: npt.ArrayLike,
    scores: Mapping[str, npt.ArrayLike],
    *,
    weight: npt.ArrayLike | None = None,
    unit: npt.ArrayLike | None = None,
    of_probabilities: bool = False,
    both_classes: bool = True,
) -> Rows:
    """The rows as arrays, once every condition that the statistics rest on holds.

    Args:
        label: 0 or 1 (or booleans), shape (n,).
        scores: Scores of shape (n,) by the name that errors shall use.
        weight: Finite and non-negative, shape (n,).
        unit: Sortable and without missing values, shape (n,).
        of_probabilities: Refuse scores outside [0, 1].
        both_classes: Refuse labels of one class only.

    Raises:
        RetrainingError: Naming the first argument that is wrong, its value and the remedy.
    """
    labels = _numbers("label", label, None)
    least = 2 if both_classes else 1
    if labels.size < least:
        raise RetrainingError(f"label has {labels.size} rows", f"give at least {least} rows")
    _refuse("label", labels, ~np.isin(labels, (0.0, 1.0)), "neither 0 nor 1", "code class 1 as 1")
    arrays = [_numbers(name, score, labels.size) for name, score in scores.items()]
    for name, array in zip(scores, arrays, strict=True):
        _refuse(name, array, ~np.isfinite(array), "not finite", "give every row a finite score")
        if of_probabilities:
            outside = (array < 0) | (array > 1)
            _refuse(name, array, outside, "outside [0, 1]", "give the probability of class 1")
    weights = np.ones(labels.size) if weight is None else _numbers("weight", weight, labels.size)
    bad = ~np.isfinite(weights) | (weights < 0)
    _refuse("weight", weights, bad, "negative or not finite", "give weights of 0 or more")
    units = None if unit is None else encode("unit", unit, labels.size)
    kept = weights > 0
    for value in (0, 1):
        if both_classes and not np.any(kept & (labels == value)):
            raise RetrainingError(
                f"label holds no row of class {value} with a weight above 0",
                "give rows of both classes, for example of a longer period",
            )
    if units is not None:
        units = np.unique(units[kept], return_inverse=True)[1]
    return Rows(labels[kept] == 1, tuple(array[kept] for array in arrays), weights[kept], units)


def _numbers(name: str, values: npt.ArrayLike, size: int | None) -> Floats:
    array = np.asarray(values)
    if array.dtype.kind not in "biufO":
        raise RetrainingError(f"{name} has the type {array.dtype}", "give numbers")
    _check_shape(name, array, size)
    try:
        return array.astype(np.float64)
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
        return np.unique(array, return_inverse=True)[1]
    except (TypeError, ValueError) as error:
        raise RetrainingError(
            f"{name} mixes values that cannot be sorted ({error})", "give one type of value"
        ) from error


def _check_shape(name: str, array: npt.NDArray[np.generic], size: int | None) -> None:
    if array.ndim != 1:
        raise RetrainingError(f"{name} has the shape {array.shape}", "give one value a row")
    if size is not None and array.size != size:
        raise RetrainingError(
            f"{name} has {array.size} rows and label has {size}", "give both of the same rows"
        )


def _refuse(name: str, array: Floats, bad: Bools, fault: str, remedy: str) -> None:
    if np.any(bad):
        first = int(np.argmax(bad))
        count = int(np.sum(bad))
        raise RetrainingError(
            f"{name} is {fault} in {count} rows, first {array[first]:g} in row {first}", remedy
        )
