"""Influence values against the definitions that they abbreviate, by loops over all pairs."""

from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retraining.statistics.checks import check_rows
from retraining.statistics.dispersion import dispersion
from retraining.statistics.influence import acceleration, paired_influence
from retraining.statistics.metrics import METRICS, Metric, choose
from retraining.statistics.rows import Rows

if TYPE_CHECKING:
    from pathlib import Path

    from retraining.statistics.rows import Bools, Codes, Floats

AUROC = METRICS["auroc"]


@st.composite
def compared_rows(draw: st.DrawFn) -> Rows:
    """Rows of both classes, scores with ties, unequal weights, and a unit of some rows each."""
    size = draw(st.integers(4, 16))
    label = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))
    label[:4] = 0, 0, 1, 1
    scores = st.lists(st.integers(0, 5), min_size=size, max_size=size)
    weight = draw(st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=size, max_size=size))
    unit = draw(st.lists(st.integers(0, 4), min_size=size, max_size=size))
    unit[:4] = 0, 1, 0, 1
    return check_rows(
        label, {"champion": draw(scores), "challenger": draw(scores)}, weight=weight, unit=unit
    )


def variance(influence: Floats, label: Bools, unit: Codes | None, metric: Metric = AUROC) -> float:
    """Of the difference that has these influence values."""
    rows = Rows(label, (), np.ones(label.size), unit)
    return dispersion(rows, metric, influence).variance


def components(rows: Rows, score: Floats) -> tuple[float, Floats]:
    """The area and every row's structural component, from the definition: pair by pair."""
    structural = np.zeros(rows.label.size)
    for i in range(rows.label.size):
        others = np.flatnonzero(rows.label != rows.label[i])
        for j in others:
            one, zero = (i, j) if rows.label[i] else (j, i)
            right = 1.0 if score[one] > score[zero] else 0.5 if score[one] == score[zero] else 0.0
            structural[i] += right * rows.weight[j] / np.sum(rows.weight[others])
    ones = rows.label
    return float(np.average(structural[ones], weights=rows.weight[ones])), structural


@given(rows=compared_rows())
def test_influence_equals_the_definition(rows: Rows) -> None:
    (area_old, old), (area_new, new) = (components(rows, score) for score in rows.scores)
    first, second, influence = paired_influence(rows, AUROC)
    assert first == pytest.approx(area_old, abs=1e-12)
    assert second == pytest.approx(area_new, abs=1e-12)
    for side in (rows.label, ~rows.label):
        share = rows.weight[side] / np.sum(rows.weight[side])
        expected = share * ((new - old)[side] - (area_new - area_old))
        assert influence[side] == pytest.approx(expected, abs=1e-12)
        assert np.sum(influence[side]) == pytest.approx(0, abs=1e-12)


@given(rows=compared_rows())
def test_variance_of_single_rows_is_the_sum_of_delongs_two(rows: Rows) -> None:
    """With equal weights: S10 / m + S01 / n, the sample variances of the components."""
    equal = rows._replace(weight=np.ones(rows.label.size))
    change = components(equal, equal.scores[1])[1] - components(equal, equal.scores[0])[1]
    expected = sum(
        np.var(change[side], ddof=1) / np.sum(side) for side in (rows.label, ~rows.label)
    )
    influence = paired_influence(equal, AUROC)[2]
    assert variance(influence, equal.label, None) == pytest.approx(expected, abs=1e-12)


@given(rows=compared_rows())
def test_variance_of_units_of_one_row_is_that_of_rows(rows: Rows) -> None:
    influence = paired_influence(rows, AUROC)[2]
    single = variance(influence, rows.label, np.arange(rows.label.size))
    assert single == pytest.approx(variance(influence, rows.label, None), abs=1e-12)


def test_variance_of_a_class_in_one_row_or_one_unit_is_unknown() -> None:
    label = np.array([True, False, False, False])
    assert math.isnan(variance(np.array([0.1, 0.1, 0.0, -0.1]), label, None))
    label, unit = np.array([True, True, False, False]), np.array([0, 0, 0, 1])
    assert math.isnan(variance(np.array([0.1, -0.1, 0.1, -0.1]), label, unit))


def as_probabilities(rows: Rows) -> Rows:
    """With 1/11 and 1/2, where predictions change, among the scores."""
    levels = np.array([0.05, 1 / 11, 0.3, 0.5, 0.7, 0.95])
    return rows._replace(scores=tuple(levels[score.astype(np.intp)] for score in rows.scores))


NAMES = sorted(METRICS)


@given(rows=compared_rows(), name=st.sampled_from(NAMES), row=st.integers(0, 3))
def test_influence_is_the_derivative_by_the_weight_of_a_row(
    rows: Rows, name: str, row: int
) -> None:
    """Of the metric as `evaluator` evaluates it, by central differences."""
    if name == "recall_at_capacity":
        return  # a border between rows has no derivative, see below
    rows = as_probabilities(rows)
    value, influence = METRICS[name].influence(rows.label, rows.scores[0], rows.weight)
    evaluate = METRICS[name].evaluator(rows.label, rows.scores[0])
    step = 1e-6 * (np.arange(rows.label.size) == row)
    slope = float(evaluate(rows.weight + step) - evaluate(rows.weight - step)) / 2e-6
    assert value == pytest.approx(float(evaluate(rows.weight)), abs=1e-12)
    assert influence[row] == pytest.approx(slope, abs=1e-6)


def test_influence_on_recall_is_the_derivative_where_the_border_is_a_wide_tie() -> None:
    """Half of the rows share the score at the border of the top fifth."""
    rng = np.random.default_rng(0)
    label = rng.random(200) < 0.3
    score = np.where(np.arange(200) < 100, 0.5, rng.random(200) * (np.arange(200) % 10 > 0))
    weight = rng.uniform(0.5, 2, 200)
    metric = choose("recall_at_capacity", capacity=0.4)
    value, influence = metric.influence(label, score, weight)
    evaluate = metric.evaluator(label, score)
    steps = 1e-6 * np.eye(200)
    slopes = (evaluate(weight + steps) - evaluate(weight - steps)) / 2e-6
    assert value == pytest.approx(float(evaluate(weight)), abs=1e-12)
    assert influence == pytest.approx(slopes, abs=1e-7)


@given(rows=compared_rows(), name=st.sampled_from(NAMES))
def test_influence_sums_to_zero(rows: Rows, name: str) -> None:
    old, new, influence = paired_influence(as_probabilities(rows), METRICS[name])
    assert np.sum(influence) == pytest.approx(0, abs=1e-9)
    function = METRICS[name].function
    expected = [function(rows.label, s, rows.weight) for s in as_probabilities(rows).scores]
    assert (old, new) == pytest.approx(tuple(expected), abs=1e-12)
    if name == "auroc":
        assert np.sum(influence[rows.label]) == pytest.approx(0, abs=1e-9)


@given(rows=compared_rows(), name=st.sampled_from(NAMES), data=st.data())
def test_repeated_rows_of_one_unit_have_the_variance_of_weights(
    rows: Rows, name: str, data: st.DataObject
) -> None:
    """Recall apart: what the border of the top moves by depends on how rows are cut up."""
    size = rows.label.size
    times = np.array(data.draw(st.lists(st.integers(1, 3), min_size=size, max_size=size)))
    single = as_probabilities(rows)._replace(weight=times.astype(np.float64), unit=None)
    repeated = Rows(
        np.repeat(single.label, times),
        tuple(np.repeat(score, times) for score in single.scores),
        np.ones(np.sum(times)),
        np.repeat(np.arange(size), times),
    )
    metric = METRICS[name]
    (*one, weighted), (*other, influence) = (
        paired_influence(part, metric) for part in (single, repeated)
    )
    assert one == pytest.approx(other, abs=1e-12)
    if name != "recall_at_capacity":
        expected = dispersion(repeated, metric, influence).variance
        found = dispersion(single, metric, weighted).variance
        assert found == pytest.approx(expected, abs=1e-12)
        skewness = acceleration(repeated, influence)
        assert acceleration(single, weighted) == pytest.approx(skewness, abs=1e-9)


@given(rows=compared_rows(), name=st.sampled_from(NAMES))
def test_cells_have_the_variance_of_their_rows(rows: Rows, name: str) -> None:
    """Rows of one label, one score a model and one weight, put together."""
    single = as_probabilities(rows)._replace(unit=None)
    table = np.column_stack([single.label, *single.scores, single.weight])
    distinct, cell = np.unique(table, axis=0, return_inverse=True)
    cells = Rows(
        distinct[:, 0] == 1,
        (distinct[:, 1], distinct[:, 2]),
        np.bincount(cell, single.weight).astype(np.float64),
        None,
        square=np.bincount(cell, single.squares).astype(np.float64),
        size=np.bincount(cell).astype(np.float64),
    )
    assert cells.n_rows == single.n_rows
    assert cells.n_positives == single.n_positives
    metric = METRICS[name]
    (*one, by_row), (*other, by_cell) = (paired_influence(part, metric) for part in (single, cells))
    assert one == pytest.approx(other, abs=1e-12)
    if name != "recall_at_capacity":
        expected = dispersion(single, metric, by_row).variance
        assert dispersion(cells, metric, by_cell).variance == pytest.approx(expected, abs=1e-12)


@pytest.mark.reference
def test_variances_and_covariances_equal_proc_on_asah(reference_data: Path) -> None:
    """All digits that pROC 1.19 prints: areas by themselves, and how they go together."""
    folder = reference_data / "delong"
    published = json.loads((folder / "reference_values.json").read_text())["aSAH"]
    with (folder / "aSAH.csv").open() as lines:
        table = list(csv.DictReader(lines))
    label = np.array([row["outcome"] == "Poor" for row in table])
    influences = {}
    for name, expected in published["delong_var"].items():
        if name == "src":
            continue
        score = np.array([float(row[name]) for row in table])
        area, influences[name] = METRICS["auroc"].influence(label, score, np.ones(label.size))
        assert area == pytest.approx(published["auc"][name], rel=1e-12)
        assert variance(influences[name], label, None) == pytest.approx(expected, rel=1e-12)
    for pair, expected in published["delong_cov"].items():
        if pair == "src":
            continue
        one, other = (influences[name] for name in pair.split(","))
        both = variance(one + other, label, None)
        alone = sum(variance(part, label, None) for part in (one, other))
        assert (both - alone) / 2 == pytest.approx(expected, rel=1e-9)


def test_variance_beyond_classes_counts_all_rows_or_all_units() -> None:
    influence = np.array([0.3, -0.1, -0.2, 0.0])
    label = np.array([True, False, False, False])
    assert variance(influence, label, None, metric=METRICS["brier"]) == pytest.approx(0.14 * 4 / 3)
    unit = np.array([0, 0, 1, 2])
    found = variance(influence, label, unit, metric=METRICS["brier"])
    sums = (0.2 / (1 - 2 / 4)) ** 2 + (-0.2 / (1 - 1 / 4)) ** 2
    assert found == pytest.approx(sums * 2 / 3)
    assert math.isnan(variance(influence, label, np.zeros(4, np.intp), metric=METRICS["brier"]))


def test_many_rows_are_ranked_by_two_threads_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    scores = {name: rng.random(500) for name in ("champion", "challenger")}
    rows = check_rows(rng.random(500) < 0.2, scores)
    alone = paired_influence(rows, AUROC)
    monkeypatch.setattr("retraining.statistics.influence._WORTH_A_THREAD", 1)
    together = paired_influence(rows, AUROC)
    assert alone[:2] == together[:2]
    assert np.array_equal(alone[2], together[2])


def test_acceleration_is_a_sixth_of_the_skewness_of_the_sum() -> None:
    rows = check_rows([1, 0, 0], {"a": [1, 2, 3]})
    expected = (0.064 - 0.001 - 0.027) / (6 * 0.26**1.5)
    assert acceleration(rows, np.array([0.4, -0.1, -0.3])) == pytest.approx(expected)
    assert acceleration(rows, np.zeros(3)) == 0.0
