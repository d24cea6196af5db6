"""Influence values against the definitions that they abbreviate, by loops over all pairs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retraining.influence import auroc_influence, variance_of_sum
from retraining.rows import Rows, check_rows

if TYPE_CHECKING:
    from retraining.rows import Codes, Floats


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
    first, second, influence = auroc_influence(rows)
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
    influence = auroc_influence(equal)[2]
    assert variance_of_sum(influence, equal.label, None) == pytest.approx(expected, abs=1e-12)


def obuchowski(influence: Floats, rows: Rows, unit: Codes) -> float:
    """Obuchowski (1997): S10 / m + S01 / n + 2 S11 / (m n), cluster by cluster."""
    clusters = set(unit.tolist())
    ones = {c: float(np.sum(influence[(unit == c) & rows.label])) for c in clusters}
    zeros = {c: float(np.sum(influence[(unit == c) & ~rows.label])) for c in clusters}
    with_ones = len(set(unit[rows.label].tolist()))
    with_zeros = len(set(unit[~rows.label].tolist()))
    return (
        with_ones / (with_ones - 1) * sum(value**2 for value in ones.values())
        + with_zeros / (with_zeros - 1) * sum(value**2 for value in zeros.values())
        + 2 * len(clusters) / (len(clusters) - 1) * sum(ones[c] * zeros[c] for c in clusters)
    )


@given(rows=compared_rows())
def test_variance_of_units_is_that_of_obuchowski_and_never_negative(rows: Rows) -> None:
    assert rows.unit is not None
    influence = auroc_influence(rows)[2]
    variance = variance_of_sum(influence, rows.label, rows.unit)
    assert variance == pytest.approx(obuchowski(influence, rows, rows.unit), abs=1e-12)
    assert variance >= 0


@given(rows=compared_rows())
def test_variance_of_units_of_one_row_is_that_of_rows(rows: Rows) -> None:
    influence = auroc_influence(rows)[2]
    single = variance_of_sum(influence, rows.label, np.arange(rows.label.size))
    assert single == pytest.approx(variance_of_sum(influence, rows.label, None), abs=1e-12)


def test_variance_of_a_class_in_one_row_or_one_unit_is_unknown() -> None:
    label = np.array([True, False, False, False])
    assert math.isnan(variance_of_sum(np.array([0.1, 0.1, 0.0, -0.1]), label, None))
    label, unit = np.array([True, True, False, False]), np.array([0, 0, 0, 1])
    assert math.isnan(variance_of_sum(np.array([0.1, -0.1, 0.1, -0.1]), label, unit))
