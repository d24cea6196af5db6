"""Rolling aggregates per key, at the cost of one sort per key however many rows a key has.

Each row becomes a few events: it enters a window of length `w` at `t + delay`, leaves it at
`t + delay + w`, and asks for the state of its key at `t`. Running sums over the events, in order
of time, then give the count and the sum of every window. (Spark's RANGE frames sum each window
again for each row.) Sums are taken over whole millionths of a value, so they are exact and do not
depend on the order of rows.
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
    from datetime import date

    from pyspark.sql import Column, DataFrame

    from retraining.description.features import Rolling

_UNITS = 1e6

# The columns of an event. A change has an offset and no row; a query has a row and no offset.
_KEY, _TIME, _OFFSET, _ROW = "_key", "_time", "_offset", "_row"

# Rows without a key are queries without an answer. They are spread by their content: a single task
# would have to sort all of them.
_SPREAD = "_spread"
_GROUP = (_KEY, _SPREAD)


def reach(entries: Sequence[Rolling]) -> timedelta:
    """Return how far back windows look at most, delay included; 0 without windows."""
    return max((e.delay + window for e in entries for window in e.windows), default=timedelta(0))


def add_rolling(
    frame: DataFrame, entries: Sequence[Rolling], event_time: str, since: date | None = None
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
        since: First day to return, by the clock of the session; earlier rows serve as history.
            None returns all rows.

    Returns:
        The columns of the frame and `entry.names` of each entry.
    """
    instant = micros_of(event_time)
    start = None
    if since is not None:
        start = F.unix_micros(F.lit(since).cast("timestamp"))
        frame = frame.where(instant >= start - length_in_micros(reach(entries)))
    keys = list(dict.fromkeys(entry.key for entry in entries))
    for key in keys:
        of_key = [entry for entry in entries if entry.key == key]
        events = _events(frame, key, instant, of_key)
        if start is not None:
            events = events.where(_matters(of_key, start, last=key == keys[-1]))
        frame = _answers(events, of_key)
    return frame if start is None else frame.where(instant >= start)


def present(frame: DataFrame, name: str) -> Column:
    """Return a column with null for NaN: both mean that there is no value."""
    column = F.col(name)
    if frame.schema[name].dataType in (T.DoubleType(), T.FloatType()):
        return F.when(~F.isnan(column), column)
    return column


def _events(frame: DataFrame, key: str, instant: Column, entries: Sequence[Rolling]) -> DataFrame:
    """Return a query for each row, and a change for each offset at which it enters or leaves."""
    values = dict.fromkeys(entry.value for entry in entries)
    query, *changes = (F.lit(o).cast("bigint") for o in (None, *_offsets(entries)))
    kinds = F.when(F.col(key).isNull(), F.array(query)).otherwise(F.array(*changes, query))
    events = frame.select(
        F.col(key).alias(_KEY),
        F.when(F.col(key).isNull(), F.xxhash64("*")).alias(_SPREAD),
        instant.alias(_TIME),
        F.explode(kinds).alias(_OFFSET),
        *(present(frame, value).alias(_held(value)) for value in values),
        F.struct("*").alias(_ROW),
    )
    return events.select(
        *_GROUP,
        (F.col(_TIME) + F.coalesce(_OFFSET, F.lit(0))).alias(_TIME),
        _OFFSET,
        *map(_held, values),
        F.when(_is_query(), F.col(_ROW)).alias(_ROW),
    )


def _matters(entries: Sequence[Rolling], start: Column, *, last: bool) -> Column:
    """Whether an event can change a row that is returned: one at or after `start`.

    Rows before `start` are queries too, unless it is the last key: as such they are kept, and serve
    as history for the next key.
    """
    leaves = F.col(_TIME) - F.col(_OFFSET) + F.lit(_offsets(entries)[-1])
    asks = F.col(_TIME) >= start if last else F.lit(1) == F.lit(1)
    return F.when(_is_query(), asks).otherwise(leaves > start)


def _answers(events: DataFrame, entries: Sequence[Rolling]) -> DataFrame:
    """Return the rows of the queries, each with the state of its key at its time."""
    states = dict(state for entry in entries for state in _states(entry))
    features = [
        F.when(F.col(_KEY).isNotNull(), _feature(entry, aggregate, window)).alias(
            entry.name(aggregate, window)
        )
        for entry in entries
        for window in entry.windows
        for aggregate in entry.aggregates
    ]
    # By default, Spark would shuffle and sort the inputs of every running sum: 3 times the bytes.
    by_key = events.repartition(*_GROUP).sortWithinPartitions(*_GROUP, *_order())
    return (
        by_key.select("*", *(state.alias(name) for name, state in states.items()))
        .where(_is_query())
        .select(f"{_ROW}.*", *features)
    )


def _states(entry: Rolling) -> Iterator[tuple[str, Column]]:
    """Yield the running numbers behind the aggregates of an entry, by column name."""
    value = F.col(_held(entry.value))
    wanted = set(entry.aggregates)
    for window in entry.windows:
        span = enter, _ = _span(entry, window)
        if "count" in wanted:
            yield _state("rows", entry, window), _running_sum(span, F.lit(1))
        if wanted & {"sum", "mean"}:
            units = F.rint(value * F.lit(_UNITS)).cast("bigint")
            yield _state("units", entry, window), _running_sum(span, units)
        if "mean" in wanted:
            yield _state("values", entry, window), _running_sum(span, value.isNotNull().cast("int"))
        for aggregate in sorted(wanted & {"min", "max"}):
            frame = (
                W.partitionBy(*_GROUP).orderBy(_TIME).rangeBetween(1 - length_in_micros(window), 0)
            )
            entered = F.when(F.col(_OFFSET) == enter, value)
            extreme = F.min(entered) if aggregate == "min" else F.max(entered)
            yield _state(aggregate, entry, window), extreme.over(frame)


def _running_sum(span: tuple[int, int], amount: Column) -> Column:
    """Return the sum of what has entered a window by now and has not left it."""
    enter, leave = span
    change = F.when(F.col(_OFFSET) == enter, amount).when(F.col(_OFFSET) == leave, -amount)
    until_now = (
        W.partitionBy(*_GROUP).orderBy(*_order()).rowsBetween(W.unboundedPreceding, W.currentRow)
    )
    return F.coalesce(F.sum(change).over(until_now), F.lit(0))


def _feature(entry: Rolling, aggregate: str, window: timedelta) -> Column:
    if aggregate == "count":
        return F.col(_state("rows", entry, window))
    if aggregate in ("min", "max"):
        return F.col(_state(aggregate, entry, window))
    units = F.col(_state("units", entry, window))
    if aggregate == "sum":
        return units / F.lit(_UNITS)
    values = F.col(_state("values", entry, window))
    return F.when(values > 0, units / (values * F.lit(_UNITS)))


def _is_query() -> Column:
    return F.col(_OFFSET).isNull()


def _order() -> tuple[Column, Column]:
    """Order by time; at one instant, changes come before queries."""
    return F.col(_TIME).asc_nulls_first(), F.col(_OFFSET).asc_nulls_last()


def _held(value: str) -> str:
    return f"_value_{value}"


def _state(kind: str, entry: Rolling, window: timedelta) -> str:
    enter, leave = _span(entry, window)
    return f"_{kind}_{entry.value}_{enter}_{leave}"


def _offsets(entries: Sequence[Rolling]) -> list[int]:
    return sorted({o for e in entries for window in e.windows for o in _span(e, window)})


def _span(entry: Rolling, window: timedelta) -> tuple[int, int]:
    """Return the microseconds after which a row enters and leaves a window."""
    return length_in_micros(entry.delay), length_in_micros(entry.delay + window)
