"""Cells counted by Spark against the same statistics of single rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

from retraining.comparison.binned.aggregate import aggregate
from retraining.comparison.columns import ScoreColumns
from retraining.errors import RetrainingError
from retraining.statistics import comparing, slicing
from retraining.statistics.checks import check_rows
from retraining.statistics.metrics import METRICS, choose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame, SparkSession

    from retraining.comparison.binned.aggregate import Aggregate
    from retraining.statistics.inference import PairedResult
    from retraining.statistics.rows import Floats, Rows

pytestmark = pytest.mark.spark

N_ROWS = 60_000
ORDER = ("auroc", "auprc", "recall_at_capacity")
TABLES = ("continuous", "saturated", "trees", "margins")


def sigmoid(values: Floats) -> Floats:
    return 1 / (1 + np.exp(-values))


@pytest.fixture(autouse=True)
def arrow(spark: SparkSession) -> Iterator[None]:
    """As in a session of a step: cells reach the driver as columns."""
    spark.conf.set("spark.sql.execution.arrow.pyspark.enabled", "true")
    yield
    spark.conf.unset("spark.sql.execution.arrow.pyspark.enabled")


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    """Two correlated models on the same rows, 10 % positives, 2,000 units, two slices."""
    rng = np.random.default_rng(5)
    label = (rng.random(N_ROWS) < 0.1).astype(int)
    common = rng.normal(size=N_ROWS)
    old, new = (
        -2.5 + gain * label + 0.9 * common + 0.4 * rng.normal(size=N_ROWS) for gain in (1.2, 1.3)
    )
    other = pd.DataFrame(
        {
            "label": label,
            "weight": rng.choice([0.0, 0.5, 1.0, 3.0], N_ROWS),
            "unit": rng.integers(0, 2000, N_ROWS),
            "shop": rng.integers(0, 300, N_ROWS),
            "day": np.minimum(rng.integers(0, 12, N_ROWS), 8),
            "region": rng.choice(["north", "south"], N_ROWS),
            "hour": rng.integers(0, 24, N_ROWS) // 8,
        }
    )
    scores = {
        "continuous": (sigmoid(old), sigmoid(new)),
        "saturated": (
            np.where(old < -3, 0.0, np.where(old > 0, 1.0, sigmoid(old))),
            np.where(new < -3, 0.0, np.where(new > 0, 1.0, sigmoid(new))),
        ),
        "trees": (np.round(sigmoid(old), 1), np.round(sigmoid(new) * 7) / 7),
        "margins": (old * 100 + 3000, new * 1e-3),
    }
    return {
        name: other.assign(champion=pair[0], challenger=pair[1]) for name, pair in scores.items()
    }


@pytest.fixture(scope="module")
def frames(spark: SparkSession, tables: dict[str, pd.DataFrame]) -> Iterator[dict[str, DataFrame]]:
    made = {name: spark.createDataFrame(table).cache() for name, table in tables.items()}
    yield made
    for frame in made.values():
        frame.unpersist()


def single(table: pd.DataFrame, *, weight: bool, unit: bool, period: bool = False) -> Rows:
    return check_rows(
        table["label"].to_numpy(),
        {role: table[role].to_numpy() for role in ("champion", "challenger")},
        weight=table["weight"].to_numpy() if weight else None,
        unit=table["unit"].to_numpy() if unit else None,
        period=table["day"].to_numpy() if period else None,
    )


def exact(table: pd.DataFrame, metric: str, *, weight: bool, unit: bool) -> PairedResult:
    return comparing.compare_rows(single(table, weight=weight, unit=unit), METRICS[metric])


def count(
    frame: DataFrame,
    metric: str,
    *,
    weight: bool = False,
    unit: bool = False,
    period: bool = False,
    columns: tuple[str, ...] = (),
) -> Aggregate:
    chosen = ScoreColumns(
        weight="weight" if weight else None,
        unit="unit" if unit else None,
        slices={name: name for name in columns},
    )
    day = F.col("day") if period else None
    return aggregate(frame, chosen, metrics=[METRICS[metric]], period=day)


def compared(found: Aggregate, metric: str) -> PairedResult:
    return comparing.compare_rows(found.rows, METRICS[metric])


def assert_agrees(result: PairedResult, wanted: PairedResult, *, within: float = 0.01) -> None:
    assert abs(result.effect_size - wanted.effect_size) <= result.error_bound + 1e-8
    assert result.standard_error == pytest.approx(wanted.standard_error, rel=within)
    assert (result.n_rows, result.n_positives) == (wanted.n_rows, wanted.n_positives)
    # The interval holds the exact one but for the tolerance of its standard error.
    tolerance = 2 * within * wanted.standard_error
    assert result.ci_lower <= wanted.ci_lower + tolerance
    assert result.ci_upper >= wanted.ci_upper - tolerance


@pytest.mark.parametrize(
    ("table", "metric"),
    [
        (table, name)
        for table in TABLES
        for name, metric in METRICS.items()
        if table != "margins" or not metric.of_probabilities
    ],
)
def test_cells_agree_with_single_rows(
    frames: dict[str, DataFrame], tables: dict[str, pd.DataFrame], table: str, metric: str
) -> None:
    found = count(frames[table], metric)
    # Only rows near its border move a recall, and ties of a cell hide some of them.
    within = {"recall_at_capacity": 0.1, "auprc": 0.03}.get(metric, 0.01)
    assert_agrees(
        compared(found, metric),
        exact(tables[table], metric, weight=False, unit=False),
        within=within,
    )


@pytest.mark.parametrize("metric", METRICS)
def test_cells_agree_with_single_rows_with_weights_and_units(
    frames: dict[str, DataFrame], tables: dict[str, pd.DataFrame], metric: str
) -> None:
    table = tables["continuous"]
    found = count(frames["continuous"], metric, weight=True, unit=True)
    wanted = exact(table, metric, weight=True, unit=True)
    within = {"recall_at_capacity": 0.1, "auprc": 0.03}.get(metric, 0.01)
    assert_agrees(compared(found, metric), wanted, within=within)
    assert found.rows.n_units == table.loc[table["weight"] > 0, "unit"].nunique()


def test_slices_are_those_of_single_rows(
    spark: SparkSession, tables: dict[str, pd.DataFrame]
) -> None:
    table = tables["continuous"].assign(share=lambda rows: np.where(rows["hour"] > 0, 1.0, np.nan))
    columns = ("region", "hour", "share")
    found = count(spark.createDataFrame(table), "auroc", columns=columns)
    rows = check_rows(table["label"], {"a": table["champion"], "b": table["challenger"]})
    wanted = slicing.take(rows, {name: table[name].to_numpy() for name in columns})
    assert sorted(found.slices) == sorted(wanted)
    assert list(found.slices)[:4] == ["region=north", "region=south", "hour=0", "hour=1"]
    for name, cell in found.slices.items():
        here, there = (comparing.compare_rows(r, METRICS["auroc"]) for r in (cell, wanted[name]))
        assert (here.n_rows, here.n_positives) == (there.n_rows, there.n_positives)
        assert here.effect_size == pytest.approx(there.effect_size, abs=0.05 * there.standard_error)
        assert here.standard_error == pytest.approx(there.standard_error, rel=0.01)


@pytest.mark.parametrize("kinds", [(), ("unit",), ("unit", "second")])
def test_all_metrics_and_slices_know_units_and_days(
    frames: dict[str, DataFrame], tables: dict[str, pd.DataFrame], kinds: tuple[str, ...]
) -> None:
    names = ("auroc", "auprc", "log_loss")
    given = {kind: {"unit": "unit", "second": "shop"}[kind] for kind in kinds}
    columns = ScoreColumns(**given, slices={"region": "region"})
    found = aggregate(
        frames["continuous"],
        columns,
        metrics=[METRICS[name] for name in names],
        period=F.col("day"),
    )
    table = tables["continuous"]
    rows = check_rows(
        table["label"].to_numpy(),
        {role: table[role].to_numpy() for role in ("champion", "challenger")},
        unit=table[list(given.values())].to_numpy() if given else None,
        period=table["day"].to_numpy(),
    )
    cells = {"": found.rows, **found.slices}
    wanted = {"": rows, **slicing.take(rows, {"region": table["region"].to_numpy()})}
    assert cells.keys() == wanted.keys()
    for part, name in [("", name) for name in names] + [(s, "auroc") for s in found.slices]:
        here, there = (comparing.compare_rows(r[part], METRICS[name]) for r in (cells, wanted))
        within = 0.03 if name == "auprc" else 0.02
        assert here.standard_error == pytest.approx(there.standard_error, rel=within)
        assert here.period_ratio == pytest.approx(there.period_ratio, rel=3 * within)
        assert here.degrees_of_freedom == pytest.approx(there.degrees_of_freedom, rel=1e-9)
        if given:
            assert here.effective_units == pytest.approx(there.effective_units, rel=1e-9)
        assert cells[part].units_of_class == wanted[part].units_of_class
        assert cells[part].n_periods == wanted[part].n_periods == 9
        unmeasured = comparing.compare_rows(cells[part], METRICS["brier"])
        assert math.isnan(unmeasured.standard_error)
        some = slicing.part(cells[part], np.arange(0, cells[part].label.size, 2))
        assert math.isnan(comparing.compare_rows(some, METRICS["auroc"]).pvalue)
        if part == "":
            bound = here.error_bound + 1e-8
            assert abs(here.effect_size - there.effect_size) <= bound


@pytest.mark.parametrize("metric", ["auroc", "auprc", "log_loss"])
def test_partitions_change_no_digit(frames: dict[str, DataFrame], metric: str) -> None:
    frame = frames["continuous"].limit(10_000).cache()
    results = [compared(count(frame.repartition(n), metric), metric) for n in (2, 200)]
    frame.unpersist()
    assert results[0] == results[1]


def test_partitions_change_weighted_sums_by_rounding_alone(
    frames: dict[str, DataFrame],
) -> None:
    frame = frames["margins"].limit(10_000).cache()
    two, many = (count(frame.repartition(n), "auroc", weight=True, unit=True) for n in (2, 200))
    frame.unpersist()
    few, more = (compared(found, "auroc")[:10] for found in (two, many))
    assert more == pytest.approx(few, rel=1e-10)


def test_models_with_equal_scores_have_no_effect_and_no_bound(
    spark: SparkSession, tables: dict[str, pd.DataFrame]
) -> None:
    table = tables["continuous"].assign(challenger=tables["continuous"]["champion"])
    for metric in ("auroc", "log_loss"):
        result = compared(count(spark.createDataFrame(table), metric), metric)
        assert (result.effect_size, result.ci_lower, result.ci_upper, result.pvalue) == (0, 0, 0, 1)


def test_constant_scores_are_ties(spark: SparkSession, tables: dict[str, pd.DataFrame]) -> None:
    table = tables["continuous"].assign(champion=0.02, challenger=0.02000001)
    found = count(spark.createDataFrame(table), "auroc")
    result = compared(found, "auroc")
    assert (result.champion, result.challenger) == (0.5, 0.5)
    assert result.error_bound == 0
    assert result.pvalue == 1


def test_few_distinct_scores_leave_no_doubt(frames: dict[str, DataFrame]) -> None:
    for metric in ORDER:
        assert compared(count(frames["trees"], metric), metric).error_bound < 1e-12


def test_bound_is_part_of_interval_and_pvalue(frames: dict[str, DataFrame]) -> None:
    found = count(frames["continuous"], "auroc")
    totals = found.rows.totals
    assert totals is not None
    known = totals.metrics["auroc"]
    wider = known._replace(error_bound=known.error_bound + 0.01)
    loose = found.rows._replace(totals=totals._replace(metrics={"auroc": wider}))
    before, after = (comparing.compare_rows(rows, METRICS["auroc"]) for rows in (found.rows, loose))
    assert after.ci_lower == pytest.approx(before.ci_lower - 0.01)
    assert after.ci_upper == pytest.approx(before.ci_upper + 0.01)
    assert after.pvalue > before.pvalue


def test_expected_cost_is_exact_at_any_threshold(
    spark: SparkSession, tables: dict[str, pd.DataFrame]
) -> None:
    metric = choose("expected_cost", false_negative_cost=7.3)
    table = tables["continuous"]
    found = aggregate(spark.createDataFrame(table), metrics=[metric])
    result = comparing.compare_rows(found.rows, metric)
    for role in ("champion", "challenger"):
        assert getattr(result, role) == pytest.approx(
            metric.function(table["label"], table[role]), rel=1e-12
        )


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("label", 2.0, "label is neither 0 nor 1 in 1 row"),
        ("label", None, "label is neither 0 nor 1 in 1 row"),
        ("champion", None, "champion is not finite in 1 row"),
        ("challenger", math.nan, "challenger is not finite in 1 row"),
        ("challenger", math.inf, "challenger is not finite in 1 row"),
        ("weight", -1.0, "weight is neither 0 nor between 1e-50 and 1e50 in 1 row"),
        ("weight", None, "weight is neither 0 nor between 1e-50 and 1e50 in 1 row"),
        ("unit", None, "unit is missing in 1 row"),
        ("champion", 1.5, r"a score is outside \[0, 1\] in 1 row"),
    ],
)
def test_unsound_rows_are_counted_and_named(
    spark: SparkSession, column: str, value: float | None, message: str
) -> None:
    schema = "label double, champion double, challenger double, weight double, unit string"
    rows: list[dict[str, object]] = [
        {"label": i % 2, "champion": 0.1, "challenger": 0.2, "weight": 1.0, "unit": "a"}
        for i in range(4)
    ]
    rows = [{k: float(v) if isinstance(v, int) else v for k, v in row.items()} for row in rows]
    rows[2][column] = value
    frame = spark.createDataFrame([tuple(row.values()) for row in rows], schema)
    with pytest.raises(RetrainingError, match=message):
        count(frame, "brier", weight=True, unit=True)


def test_one_class_a_missing_column_and_an_id_as_slice_are_refused(spark: SparkSession) -> None:
    schema = "label int, champion double, challenger double, id int"
    frame = spark.createDataFrame([(i // 60, 0.1, 0.2, i) for i in range(61)], schema)
    auroc = METRICS["auroc"]
    with pytest.raises(RetrainingError, match="label has no positives"):
        aggregate(frame.where("label = 0"), metrics=[auroc])
    with pytest.raises(RetrainingError, match="no column weight"):
        count(frame, "auroc", weight=True)
    with pytest.raises(RetrainingError, match="slice column id has more than 50 values"):
        count(frame, "auroc", columns=("id",))
