"""Rolling aggregates against a loop over all pairs of rows, and against pandas."""

from __future__ import annotations

import datetime as dt
import math
import random
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import pytest
from pyspark.errors import ArithmeticException
from pyspark.sql import functions as F

from retraining.data.rolling import add_rolling, reach
from retraining.description.features import Rolling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

SCHEMA = "id bigint, who string, place bigint, at timestamp, amount double, late int"
START = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
ALL = ("count", "sum", "mean", "min", "max")


def entry(key: str, value: str, windows: Sequence[str], **more: Any) -> Rolling:  # noqa: ANN401
    return Rolling.model_validate(
        {"key": key, "value": value, "windows": windows, "aggregates": ALL, **more}
    )


ENTRIES = (
    entry("who", "amount", ["1 hour", "1 day", "3 days"]),
    entry("place", "late", ["6 hours", "2 days"], delay="1 day", aggregates=["count", "mean"]),
    entry("place", "amount", ["1 day"], aggregates=["sum", "max"]),
)


class Event(NamedTuple):
    """A row of SCHEMA."""

    id: int
    who: str | None
    place: int
    at: dt.datetime
    amount: float | None
    late: int | None


def make_events(seed: int, size: int) -> list[Event]:
    """Few hours and few keys, so that rows share instants and sit on the edges of windows."""
    rng = random.Random(seed)  # noqa: S311
    amounts = [None, math.nan, 0.1, 0.2, 0.7, 12.34, -5.0, 1e8]
    return [
        Event(
            i,
            rng.choice("abcd"),
            rng.randrange(3),
            START + HOUR * rng.randrange(5 * 24),
            rng.choice(amounts),
            rng.choice([None, 0, 0, 1]),
        )
        for i in range(size)
    ]


def aggregate(name: str, values: list[float | int | None]) -> float | int | None:
    held = [value for value in values if value is not None and not math.isnan(value)]
    millionths = sum(round(value * 1_000_000) for value in held)
    if name == "count":
        return len(values)
    if name == "sum":
        return millionths / 1_000_000
    if not held:
        return None
    if name == "mean":
        return millionths / (1_000_000 * len(held))
    return min(held) if name == "min" else max(held)


def expected(
    events: list[Event], of: Event, entries: Sequence[Rolling] = ENTRIES
) -> dict[str, float | int | None]:
    """The definition, word by word: rows of the key in (t - d - w, t - d]."""
    found = {}
    for e in entries:
        for window in e.windows:
            newest = of.at - e.delay
            values = [
                getattr(row, e.value)
                for row in events
                if getattr(row, e.key) == getattr(of, e.key) and newest - window < row.at <= newest
            ]
            found.update({e.name(a, window): aggregate(a, values) for a in e.aggregates})
    return found


def found_in(frame: DataFrame, entries: Sequence[Rolling] = ENTRIES) -> dict[int, dict[str, Any]]:
    names = [name for e in entries for name in e.names]
    return {row["id"]: {n: row[n] for n in names} for row in frame.select("id", *names).collect()}


@pytest.mark.parametrize("seed", range(3))
def test_add_rolling_agrees_with_the_definition(spark: SparkSession, seed: int) -> None:
    events = make_events(seed, 150)
    frame = add_rolling(spark.createDataFrame(events, SCHEMA), ENTRIES, "at")
    found = found_in(frame)
    assert len(found) == len(events)
    for event in events:
        assert found[event.id] == expected(events, event), event


def test_add_rolling_agrees_with_pandas(spark: SparkSession) -> None:
    """Instants all differ here, since pandas counts only the earlier ones of rows that tie."""
    rng = random.Random(5)  # noqa: S311
    minutes = rng.sample(range(4 * 24 * 60), 300)
    rows = [
        (i, rng.choice("ab"), 0, START + m * HOUR / 60, round(rng.uniform(1, 90), 2), 0)
        for i, m in enumerate(minutes)
    ]
    one = (entry("who", "amount", ["1 day"]),)
    found = found_in(add_rolling(spark.createDataFrame(rows, SCHEMA), one, "at"), one)

    table = pd.DataFrame(rows, columns=["id", "who", "place", "at", "amount", "late"])
    groups = table.sort_values("at").set_index("at").groupby("who")
    for _, group in groups:
        rolling = group["amount"].rolling("1D")
        for name in ALL:
            column = "who_count_1d" if name == "count" else f"who_amount_{name}_1d"
            of_pandas = getattr(rolling, name)().tolist()
            assert [found[i][column] for i in group["id"]] == pytest.approx(of_pandas)


def test_add_rolling_counts_the_row_itself_and_its_instant(spark: SparkSession) -> None:
    """Edges: a row exactly one window ago has left, one a microsecond later has not."""
    moments = [START, START + dt.timedelta(microseconds=1), START + HOUR, START + HOUR]
    rows = [(i, "a", 0, at, 1.0, 0) for i, at in enumerate(moments)]
    one = (entry("who", "amount", ["1 hour"]),)
    found = found_in(add_rolling(spark.createDataFrame(rows, SCHEMA), one, "at"), one)
    assert [found[i]["who_count_1h"] for i in range(4)] == [1, 2, 3, 3]


def test_add_rolling_of_an_empty_window_has_no_mean(spark: SparkSession) -> None:
    rows = [(0, "a", 0, START, 1.0, 0)]
    one = (entry("who", "amount", ["1 hour"], delay="1 hour"),)
    found = found_in(add_rolling(spark.createDataFrame(rows, SCHEMA), one, "at"), one)
    assert list(found[0].values()) == [0, 0.0, None, None, None]


def test_add_rolling_does_not_take_missing_keys_for_one_key(spark: SparkSession) -> None:
    rows = [(0, None, 0, START, 1.0, 0), (1, None, 0, START, 1.0, 0), (2, "a", 0, START, 1.0, 0)]
    one = (entry("who", "amount", ["1 hour"]),)
    found = found_in(add_rolling(spark.createDataFrame(rows, SCHEMA), one, "at"), one)
    assert set(found[0].values()) == set(found[1].values()) == {None}
    assert list(found[2].values()) == [1, 1.0, 1.0, 1.0, 1.0]


def test_rows_without_a_key_are_not_all_in_one_task(spark: SparkSession) -> None:
    rows = [(i, None, 0, START, 1.0, 0) for i in range(200)]
    one = (entry("who", "amount", ["1 hour"]),)
    rolled = add_rolling(spark.createDataFrame(rows, SCHEMA), one, "at")
    before = spark.conf.get("spark.sql.adaptive.enabled")
    spark.conf.set("spark.sql.adaptive.enabled", "false")  # it joins small partitions
    try:
        counts = rolled.groupBy(F.spark_partition_id()).count().collect()
    finally:
        spark.conf.set("spark.sql.adaptive.enabled", str(before))
    assert sum(row["count"] for row in counts) == 200
    assert len(counts) == 2  # the partitions of the session


def test_add_rolling_keeps_rows_and_columns(spark: SparkSession) -> None:
    rows = [*make_events(1, 20), Event(20, None, 1, START, 1.0, 1), *make_events(1, 1)]
    frame = spark.createDataFrame(rows, SCHEMA)
    rolled = add_rolling(frame, ENTRIES, "at")
    assert rolled.columns == frame.columns + [name for e in ENTRIES for name in e.names]
    kept = rolled.select(frame.columns)
    assert kept.schema == frame.schema
    assert kept.exceptAll(frame).count() == frame.exceptAll(kept).count() == 0


def test_add_rolling_sums_are_the_same_in_any_order(spark: SparkSession) -> None:
    """Floats would differ: 0.1 + 0.2 + 0.7 - 5 + 1e8 depends on the order of addition."""
    events = make_events(7, 200)
    found = []
    for seed, partitions in enumerate([1, 7, 200]):
        random.Random(seed).shuffle(events)  # noqa: S311
        frame = spark.createDataFrame(events, SCHEMA).repartition(partitions)
        found.append(found_in(add_rolling(frame, ENTRIES, "at")))
    assert found[0] == found[1] == found[2]


def test_add_rolling_of_a_large_sum_is_exact(spark: SparkSession) -> None:
    rows = [(i, "a", 0, START, value, 0) for i, value in enumerate([4e12, 0.000001, 4e12])]
    one = (entry("who", "amount", ["1 day"], aggregates=["sum"]),)
    found = found_in(add_rolling(spark.createDataFrame(rows, SCHEMA), one, "at"), one)
    assert found[0]["who_amount_sum_1d"] == 8_000_000_000_000.000001


def test_add_rolling_sums_a_window_however_large_the_total_of_its_key(spark: SparkSession) -> None:
    rows = [(i, "a", 0, START + HOUR * 30 * i, 9e12, 0) for i in range(5)]
    one = (entry("who", "amount", ["1 day"], aggregates=["sum", "mean"]),)
    found = found_in(add_rolling(spark.createDataFrame(rows, SCHEMA), one, "at"), one)
    assert {row["who_amount_sum_1d"] for row in found.values()} == {9e12}


@pytest.mark.parametrize("surplus", [dt.timedelta(0), HOUR, dt.timedelta(days=30)])
def test_add_rolling_needs_no_more_history_than_its_reach(
    spark: SparkSession, surplus: dt.timedelta
) -> None:
    events = make_events(3, 200)
    since = START + dt.timedelta(days=4)
    frame = spark.createDataFrame(events, SCHEMA)
    at = F.col("at")
    oldest = since - reach(ENTRIES) - surplus
    history = frame.where((at >= F.lit(oldest)) & (at < F.lit(since)))
    recent = frame.where(at >= F.lit(since))
    found = found_in(add_rolling(recent, ENTRIES, "at", history))
    assert set(found) == {event.id for event in events if event.at >= since}
    for event in events:
        if event.at >= since:
            assert found[event.id] == expected(events, event), event


def test_add_rolling_shuffles_once_per_key(
    spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = spark.createDataFrame(make_events(1, 5), SCHEMA)
    add_rolling(frame, ENTRIES, "at", frame).explain()
    assert capsys.readouterr().out.count("Exchange hashpartitioning") == 2


def test_reach_is_the_longest_delay_and_window_together() -> None:
    assert reach(ENTRIES) == dt.timedelta(days=3)
    assert reach(ENTRIES[1:2]) == dt.timedelta(days=3)
    assert reach(ENTRIES[2:]) == dt.timedelta(days=1)
    assert reach(()) == dt.timedelta(0)


def test_add_rolling_refuses_what_a_window_cannot_hold(spark: SparkSession) -> None:
    rows = [(i, "a", 0, START, 9e12, 0) for i in range(2)]
    one = (entry("who", "amount", ["1 day"], aggregates=["sum"]),)
    spark.conf.set("spark.sql.ansi.enabled", "true")  # as in every step
    with pytest.raises(ArithmeticException, match="overflow"):
        found_in(add_rolling(spark.createDataFrame(rows, SCHEMA), one, "at"), one)
