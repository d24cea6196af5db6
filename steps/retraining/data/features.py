"""The features of a description: rolling, derived, filled, and checked for completeness."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from retraining.data.rolling import add_rolling, present, reach
from retraining.data.rows import expressions
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from pyspark.sql import Column, DataFrame

    from retraining.description.document import Description

_N_ROWS = "_rows"


def reach_of(description: Description) -> timedelta:
    """Return how far back features look: the longest window, delay included."""
    return reach(description.features.rolling)


def add(
    frame: DataFrame, description: Description, *, history: DataFrame | None = None
) -> DataFrame:
    """Add every feature of the description to the rows of a frame; values may be missing.

    Rolling features come first (see `rolling`). Derived ones follow in the order of the
    description; they may use rolling and earlier derived ones. Then come the flags of missing
    values, and the stated fills of rolling and derived features. All other fills are left to the
    model, and columns are not changed: rows that are stored may be the input of later ones.

    Args:
        frame: Rows with the raw columns of the description; the session has the clock of its zone.
        description: Describes the features.
        history: Earlier rows, which rolling features look back at; those more than
            `reach_of(description)` before the first row change nothing.

    Returns:
        All columns of `frame` and the features.

    Raises:
        RetrainingError: If a column is missing, or a derived expression is invalid or uses a column
            that must not be a feature.
    """
    _check_columns(frame, description)
    rows = frame
    if description.event_time is not None:
        rows = add_rolling(rows, description.features.rolling, description.event_time, history)
    rows = _add_derived(rows, description)
    for name, flag in zip(description.features.missing, description.features.flags, strict=True):
        rows = rows.withColumn(flag, present(rows, name).isNull().cast("int"))
    return fill(rows, description)


def fill(rows: DataFrame, description: Description) -> DataFrame:
    """Fill rolling and derived features that exist with the values that `features.fill` states."""
    for name, value in description.features.values.items():
        if name in rows.columns and name not in description.columns:
            filler = F.lit(value).cast(rows.schema[name].dataType)
            rows = rows.withColumn(name, F.coalesce(present(rows, name), filler))
    return rows


def without_value(rows: DataFrame, names: Iterable[str]) -> Column:
    """Return "no value x" for the first of these columns that is null or NaN, null without one."""
    reasons = [F.when(present(rows, name).isNull(), f"no value {name}") for name in names]
    return F.coalesce(*reasons, F.lit(None).cast("string"))


def count_values(rows: DataFrame, names: Iterable[str]) -> list[Column]:
    """Return the aggregates that `check_complete` reads: all rows, and those without each value."""
    lacking = [F.count_if(present(rows, name).isNull()).alias(name) for name in names]
    return [F.count(F.lit(1)).alias(_N_ROWS), *lacking]


def check_complete(counts: Mapping[str, int]) -> int:
    """Check that all rows have a value of every feature, and return how many rows there are.

    Args:
        counts: What the aggregates of `count_values` found, by name.

    Raises:
        RetrainingError: If a value is missing.
    """
    incomplete = [f"{name} in {n} rows" for name, n in counts.items() if n and name != _N_ROWS]
    if incomplete:
        raise RetrainingError(
            f"features without a value: {', '.join(incomplete)}",
            "give one in features.fill, or the rule not_null to the columns that they come from",
        )
    return counts[_N_ROWS]


def _check_columns(frame: DataFrame, description: Description) -> None:
    features = description.features
    needed = {*features.plain, *features.categorical}
    needed.update(name for entry in features.rolling for name in (entry.key, entry.value))
    if features.rolling:
        needed.add(description.event_time or "event_time")
    missing = sorted(needed - set(frame.columns))
    if missing:
        raise RetrainingError(
            f"the features of {description.name} need column {', '.join(missing)}",
            f"the rows have {', '.join(frame.columns)}; add what is missing",
        )


def _add_derived(frame: DataFrame, description: Description) -> DataFrame:
    """Evaluate expressions on rows in which columns that must not be features have no name.

    Those columns are moved into a struct with a random name, so that no join is needed afterwards.
    """
    derived = description.features.derived
    if not derived:
        return frame
    columns = frame.columns
    hidden = [name for name in columns if name in description.forbidden_features]
    sealed = f"_sealed_{uuid.uuid4().hex}"
    rows = frame.select(
        *(name for name in columns if name not in hidden), F.struct(F.lit(0), *hidden).alias(sealed)
    )
    for name, expression in derived.items():
        rows = rows.withColumn(name, _evaluated(rows, name, expression, sealed))
        if name in description.features.values:
            _check_fill(name, description.features.values[name], rows.schema[name].dataType)
    kept = (F.col(f"{sealed}.{name}") if name in hidden else F.col(name) for name in columns)
    return rows.select(*kept, *derived)


def _evaluated(rows: DataFrame, name: str, expression: str, sealed: str) -> Column:
    """Return a derived feature as a column, if it is a number computed from one row's features."""
    what = f"derived feature {name} ({expression})"
    remedy = f"write Spark SQL over {', '.join(c for c in rows.columns if c != sealed)}"
    kind = expressions.analyse(rows, what, expression, remedy)
    if not isinstance(kind, T.NumericType | T.BooleanType):
        raise RetrainingError(
            f"{what}: has type {kind.simpleString()}", "make it a number or a boolean"
        )
    value = F.expr(f"({expression}\n)")
    # Infinity is no value, as in other columns: a model would learn nothing but it.
    is_fraction = isinstance(kind, T.DoubleType | T.FloatType)
    return F.when(F.abs(value) < float("inf"), value) if is_fraction else value


def _check_fill(name: str, value: bool | float | str, kind: T.DataType) -> None:  # noqa: FBT001
    """Check that the type of a derived feature holds a fill as it is stated."""
    places = kind.scale if isinstance(kind, T.DecimalType) else 0
    if isinstance(kind, T.BooleanType):
        fits, allowed = isinstance(value, bool), "true or false"
    elif isinstance(kind, T.DoubleType | T.FloatType):
        fits, allowed = not isinstance(value, bool), "a number"
    else:
        number = Decimal(str(value)) if not isinstance(value, bool) else Decimal("nan")
        fits = number.is_finite() and number == round(number, places)
        allowed = f"a number with {places} decimal places" if places else "a whole number"
    if not fits:
        raise RetrainingError(
            f"features.fill.{name}: {value!r} does not fit its type {kind.simpleString()}",
            f"give {allowed}",
        )
