"""Rolling aggregates per key, at the cost of one sort per key however many rows a key has.

What a window holds is the difference of two running totals: of all rows of the key up to its end,
and of those up to its beginning. Spark keeps a total that only grows in step with the rows (a RANGE
frame without a beginning); it would sum a frame with two ends again for each row. Totals are of
whole millionths of a value, so differences are exact and do not depend on the order of rows.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pyspark.sql import Window as W
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retraining.data.instants import length_in_micros, micros_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyspark.sql import Column, DataFrame
    from pyspark.sql.window import WindowSpec

    from retraining.description.features import Rolling

_UNITS = 1e6
# A total of units is kept as two, so that those of all rows may exceed what a window may hold.
_BITS = 32

# Columns of their own; `_OWN` is null for a row of the history.
_TIME, _OWN = "_rolling_time", "_rolling_own"

# Rows without a key are spread by their content: a single task would have to sort all of them.
_SPREAD = "_rolling_spread"

_ROWS = "_rolling_rows"


def reach(entries: Sequence[Rolling]) -> timedelta:
    """Return how far back windows look at most, delay included; 0 without windows."""
    return max((e.delay + window for e in entries for window in e.windows), default=timedelta(0))


def add_rolling(
    frame: DataFrame,
    entries: Sequence[Rolling],
    event_time: str,
    history: DataFrame | None = None,
) -> DataFrame:
    """Add a column for each aggregate and window of each entry, in one shuffle per key.

    A window of length `w` and delay `d` holds the rows of the key with event times in
    `(t - d - w, t - d]`. Without a delay it includes the row itself and all rows of that instant.
    A row without a key has null: rows whose key is missing have nothing in common.

    - `count` (bigint) is the number of rows.
    - `sum` and `mean` (double) are over the values that are neither null nor NaN, rounded to
      millionths. Without values the sum is 0 and the mean is null. The values of a key within one
      window must sum to less than 9.2e12.
    - `min` and `max` (type of the value) scan their window for each row: keep it small.

    Args:
        frame: Rows in any order, with the keys and values of the entries.
        entries: What to aggregate.
        event_time: A timestamp or date column.
        history: Other rows, with the same columns as far as entries use them; windows hold them,
            and they are not returned.

    Returns:
        The columns of the frame and `entry.names` of each entry.
    """
    for key in dict.fromkeys(entry.key for entry in entries):
        of_key = [entry for entry in entries if entry.key == key]
        rows = frame.withColumn(_OWN, F.lit(1))
        if history is not None:
            used = {key, event_time, *(entry.value for entry in of_key)}
            rows = rows.unionByName(
                history.where(F.col(key).isNotNull()).select(
                    *(
                        field.name if field.name in used else _no_value(field)
                        for field in rows.schema
                    )
                )
            )
        frame = _answers(rows, key, event_time, of_key).select(
            *frame.columns, *(name for entry in of_key for name in entry.names)
        )
    return frame


def present(frame: DataFrame, name: str) -> Column:
    """Return a column with null for NaN: both mean that there is no value."""
    column = F.col(name)
    if frame.schema[name].dataType in (T.DoubleType(), T.FloatType()):
        return F.when(~F.isnan(column), column)
    return column


def _answers(rows: DataFrame, key: str, event_time: str, entries: Sequence[Rolling]) -> DataFrame:
    """Return the rows that are not of the history, each with the aggregates of its windows."""
    values = dict.fromkeys(entry.value for entry in entries)
    sums = {entry.value for entry in entries if {"sum", "mean"} & set(entry.aggregates)}
    lacks = F.col(key).isNull()
    # By default, Spark would shuffle what it sums too.
    by_key = rows.withColumn(_SPREAD, F.when(lacks, F.xxhash64("*"))).repartition(key, _SPREAD)
    by_key = by_key.withColumns(
        {
            _TIME: micros_of(event_time),
            **{_held(value): present(rows, value) for value in values},
            **{n: part for v in sums for n, part in _parts(present(rows, v), _held(v)).items()},
        }
    )
    by_time = W.partitionBy(key, _SPREAD).orderBy(_TIME)
    totals = dict(total for entry in entries for total in _totals(entry, by_time))
    features = {
        entry.name(aggregate, window): F.when(~lacks, _feature(entry, aggregate, window))
        for entry in entries
        for window in entry.windows
        for aggregate in entry.aggregates
    }
    answered = by_key.select("*", *(total.alias(name) for name, total in totals.items()))
    return answered.where(F.col(_OWN).isNotNull()).withColumns(features)


def _no_value(field: T.StructField) -> Column:
    return F.lit(None).cast(field.dataType).alias(field.name)


def _parts(value: Column, name: str) -> dict[str, Column]:
    """Return the upper and the lower bits of the units of a value, by column name."""
    units = F.rint(value * F.lit(_UNITS)).cast("bigint")
    return {
        f"{name}_high": F.shiftright(units, _BITS),
        f"{name}_low": units.bitwiseAND(F.lit((1 << _BITS) - 1)),
    }


def _totals(entry: Rolling, by_time: WindowSpec) -> Iterator[tuple[str, Column]]:
    """Yield the running totals behind the aggregates of an entry, by column name.

    Minimum and maximum are no totals: they are of the window itself.
    """
    held = _held(entry.value)
    for window in entry.windows:
        for offset in _span(entry, window):
            until = by_time.rangeBetween(W.unboundedPreceding, -offset)
            if "count" in entry.aggregates:
                yield f"{_ROWS}_{offset}", F.count(F.lit(1)).over(until)
            if {"sum", "mean"} & set(entry.aggregates):
                for part in ("high", "low"):
                    total = F.coalesce(F.sum(f"{held}_{part}").over(until), F.lit(0))
                    yield f"{held}_{part}_{offset}", total
            if "mean" in entry.aggregates:
                yield f"{held}_count_{offset}", F.count(held).over(until)
        newest, oldest = _span(entry, window)
        within = by_time.rangeBetween(1 - oldest, -newest)
        for aggregate, function in (("min", F.min), ("max", F.max)):
            if aggregate in entry.aggregates:
                yield f"{held}_{aggregate}_{newest}_{oldest}", function(held).over(within)


def _feature(entry: Rolling, aggregate: str, window: timedelta) -> Column:
    newest, oldest = _span(entry, window)
    held = _held(entry.value)

    def within(total: str) -> Column:
        return F.col(f"{total}_{newest}") - F.col(f"{total}_{oldest}")

    if aggregate == "count":
        return within(_ROWS)
    if aggregate in ("min", "max"):
        return F.col(f"{held}_{aggregate}_{newest}_{oldest}")
    units = within(f"{held}_high") * F.lit(1 << _BITS) + within(f"{held}_low")
    if aggregate == "sum":
        return units / F.lit(_UNITS)
    n_values = within(f"{held}_count")
    return F.when(n_values > 0, units / (n_values * F.lit(_UNITS)))


def _held(value: str) -> str:
    return f"_rolling_value_{value}"


def _span(entry: Rolling, window: timedelta) -> tuple[int, int]:
    """Return how many microseconds before a row its window ends and begins."""
    return length_in_micros(entry.delay), length_in_micros(entry.delay + window)
