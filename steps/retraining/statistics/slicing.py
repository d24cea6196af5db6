"""Slices of the rows: one for each value of a column, and one of all its rare values together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from retraining.errors import RetrainingError
from retraining.statistics.rows import recode

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from retraining.statistics.rows import Bools, Codes, Rows

MAXIMUM_VALUES: Final = 50  # of a column; a column with more holds ids or measurements, not groups
MISSING: Final = "missing"
SMALL: Final = 30  # rows of each class; a test on fewer is far from its error level


def take(
    rows: Rows, columns: Mapping[str, npt.ArrayLike], *, least: int = SMALL
) -> dict[str, Rows]:
    """The slices of rows: one for each value of each column, in sorted order.

    Values that are each too rare to be judged are also taken together, where that is enough rows
    and the column has other values.

    Args:
        rows: Of single rows or cells.
        columns: Values of shape (n,) by column, for the rows that
            `retraining.statistics.checks.check_rows` has kept.
        least: Rows of each class that a slice has, if it is not small.

    Returns:
        Rows by "column=value". Whole numbers are written without a decimal point, booleans as
        true and false, nulls (None, NaN, NaT) as "missing". The small slices of a column together
        are named by `pool_name`.

    Raises:
        RetrainingError: A column has another length, or more than `MAXIMUM_VALUES` values.
    """
    slices: dict[str, Rows] = {}
    for column, values in columns.items():
        names, codes = _group(column, np.asarray(values), rows.label.size)
        own = {f"{column}={name}": part(rows, codes == i) for i, name in enumerate(names)}
        slices |= own
        small = np.array([is_small(one, least) for one in own.values()])
        if 1 < np.count_nonzero(small) < small.size:  # all of them together are not a slice
            pool = part(rows, small[codes])
            slices |= {} if is_small(pool, least) else {pool_name(column): pool}
    return slices


def pool_name(column: str) -> str:
    """What the small slices of a column are called together; without "=", unlike any of them."""
    return f"{column}: small values together"


def is_small(rows: Rows, least: int = SMALL) -> bool:
    """Whether a slice has too few rows of a class to be judged on its own."""
    return min(rows.n_positives, rows.n_rows - rows.n_positives) < least


def part(rows: Rows, chosen: Bools | Codes) -> Rows:
    """Some of the rows, with new codes for units and periods; by a mask or by positions."""
    return rows._replace(
        label=rows.label[chosen],
        scores=tuple(score[chosen] for score in rows.scores),
        weight=rows.weight[chosen],
        unit=recode(rows.unit, chosen),
        period=recode(rows.period, chosen),
        second=recode(rows.second, chosen),
        square=None if rows.square is None else rows.square[chosen],
        size=None if rows.size is None else rows.size[chosen],
        # What was measured on all rows does not hold for a part, but that they are dependent does.
        totals=rows.totals and rows.totals._replace(metrics={}),
    )


def too_many_values(column: str) -> RetrainingError:
    """The error for a slice column with more than `MAXIMUM_VALUES` distinct values."""
    return RetrainingError(
        f"slice column {column} has more than {MAXIMUM_VALUES} values",
        "slice by a column of few values, for example by ranges of this one",
    )


def _group(column: str, values: npt.NDArray[np.generic], n_rows: int) -> tuple[list[str], Codes]:
    """Names of the distinct values, and of each row the position of its name."""
    if values.shape != (n_rows,):
        raise RetrainingError(
            f"slice column {column} has the shape {values.shape} and label has {n_rows} rows",
            "give one value per row",
        )
    if values.dtype.kind == "O":  # sorted by name: None and text have no order of their own
        spelled = [_spell(value) for value in values.tolist()]
        names = sorted(set(spelled))
        place = {name: code for code, name in enumerate(names)}
        codes = np.fromiter((place[name] for name in spelled), np.intp, n_rows)
    else:
        distinct, codes = np.unique(values, return_inverse=True)
        names = [_spell(value) for value in distinct[: MAXIMUM_VALUES + 1].tolist()]
    if len(names) > MAXIMUM_VALUES:
        raise too_many_values(column)
    return names, codes


def _spell(value: object) -> str:
    if value is None or value != value:  # true of NaN and NaT alone
        return MISSING
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
