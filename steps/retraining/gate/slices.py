"""Slices of the rows, and whether the challenger is worse in any of them.

Each slice is tested one-sided for "worse by more than the margin". Among twenty slices one such
test in twenty fails by chance alone, so p-values are adjusted by Holm (1979): the probability of
any false alarm among all slices stays below alpha.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from retraining.errors import RetrainingError
from retraining.gate.power import shortfalls
from retraining.gate.verdict import Slice
from retraining.statistics.paired import (
    PairedResult,
    compare_rows,
    degrees_of_freedom,
    tail_probability,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from retraining.gate.policy import Policy
    from retraining.statistics.metrics import Metric
    from retraining.statistics.rows import Bools, Codes, Floats, Rows

MAXIMUM_VALUES: Final = 50  # of a column; more are no slices but ids or measurements
MISSING: Final = "missing"


def take(rows: Rows, columns: Mapping[str, npt.ArrayLike]) -> dict[str, Rows]:
    """The slices of rows: one for each value of each column, in sorted order.

    Args:
        rows: Of single rows or cells.
        columns: Values of shape (n,) by column, of the rows as they are here: of those that
            `retraining.statistics.rows.check_rows` has kept.

    Returns:
        Rows by "column=value". Whole numbers are written without a decimal point, booleans as
        true and false, nulls (None, NaN, NaT) as "missing".

    Raises:
        RetrainingError: A column has another length, or more than `MAXIMUM_VALUES` values.
    """
    slices: dict[str, Rows] = {}
    for column, values in columns.items():
        names, codes = _group(column, np.asarray(values), rows.label.size)
        slices |= {f"{column}={name}": part(rows, codes == i) for i, name in enumerate(names)}
    return slices


def part(rows: Rows, chosen: Bools | Codes) -> Rows:
    """Some of the rows, with their units coded anew; by a mask or by positions."""
    units = None if rows.unit is None else np.unique(rows.unit[chosen], return_inverse=True)[1]
    return rows._replace(
        label=rows.label[chosen],
        scores=tuple(score[chosen] for score in rows.scores),
        weight=rows.weight[chosen],
        unit=units,
        square=None if rows.square is None else rows.square[chosen],
        size=None if rows.size is None else rows.size[chosen],
    )


def judge(slices: Mapping[str, Rows], metric: Metric, policy: Policy) -> tuple[Slice, ...]:
    """Whether the challenger is shown to be worse in a slice by more than the policy's margin.

    A slice that does not meet the minimums that all rows must meet, or whose standard error
    cannot be estimated, is "too_small" and takes no part in the adjustment.
    """
    found = [_compare(rows, metric, policy) for rows in slices.values()]
    judged = [pvalue for _, pvalue in found if not math.isnan(pvalue)]
    adjusted = iter(holm(judged).tolist())
    return tuple(
        _tell(name, rows, result, math.nan if math.isnan(pvalue) else next(adjusted), policy)
        for (name, rows), (result, pvalue) in zip(slices.items(), found, strict=True)
    )


def holm(pvalues: Sequence[float]) -> Floats:
    """Adjusted p-values of Holm (1979), in the order given.

    The k-th smallest of m is multiplied by m - k + 1, and is at least the one before it.
    """
    raw = np.asarray(pvalues, dtype=np.float64)
    order = np.argsort(raw)
    adjusted = np.empty(raw.size)
    adjusted[order] = np.maximum.accumulate(raw[order] * np.arange(raw.size, 0, -1))
    return np.minimum(adjusted, 1.0)


def _compare(rows: Rows, metric: Metric, policy: Policy) -> tuple[PairedResult | None, float]:
    """What was found and the unadjusted p-value, which is NaN where nothing can be said."""
    if shortfalls(rows, policy):
        return None, math.nan
    result = compare_rows(rows, metric, confidence_level=policy.confidence_level)
    pvalue = tail_probability(
        result.effect_size + policy.slice_margin,
        result.standard_error,
        alternative="less",
        degrees=degrees_of_freedom(rows.unit),
    )
    return result, pvalue


def _tell(
    name: str, rows: Rows, result: PairedResult | None, pvalue: float, policy: Policy
) -> Slice:
    if result is None or math.isnan(pvalue):
        unknown = (math.nan,) * 6
        return Slice(name, rows.n_rows, rows.n_positives, *unknown, status="too_small")
    return Slice(
        name=name,
        n_rows=rows.n_rows,
        n_positives=rows.n_positives,
        champion=result.champion,
        challenger=result.challenger,
        effect_size=result.effect_size,
        ci_lower=result.ci_lower,
        ci_upper=result.ci_upper,
        pvalue=pvalue,
        status="worse" if pvalue < policy.alpha else "not_worse",
    )


def _group(column: str, values: npt.NDArray[np.generic], n_rows: int) -> tuple[list[str], Codes]:
    """Names of the distinct values, and of each row the position of its name."""
    if values.shape != (n_rows,):
        raise RetrainingError(
            f"slice column {column} has the shape {values.shape} and label has {n_rows} rows",
            "give one value a row",
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
        raise RetrainingError(
            f"slice column {column} has more than {MAXIMUM_VALUES} values",
            "slice by a column of few values, for example by ranges of it",
        )
    return names, codes


def _spell(value: object) -> str:
    if value is None or value != value:  # true of NaN and NaT alone
        return MISSING
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
