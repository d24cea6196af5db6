"""Reliability curves against scikit-learn, against repeated rows, and by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from retraining.statistics.calibration import (
    DISTANCE,
    SLOPE,
    expected_calibration_error,
    log_ratio,
    reliability,
    slope,
)

if TYPE_CHECKING:
    from retraining.statistics.metrics import Metric

METRICS = [DISTANCE, SLOPE]


@pytest.mark.parametrize(("n_rows", "n_bins"), [(1000, 10), (60, 4), (500, 5)])
def test_curve_equals_that_of_scikit_learn_without_ties(n_rows: int, n_bins: int) -> None:
    rng = np.random.default_rng(n_rows)
    score = rng.beta(1, 9, n_rows)
    label = rng.random(n_rows) < score
    curve = reliability(label, score, np.ones(n_rows), n_bins=n_bins)
    observed, predicted = calibration_curve(label, score, n_bins=n_bins, strategy="quantile")
    assert curve.predicted == pytest.approx(predicted)
    assert curve.observed == pytest.approx(observed)
    assert curve.share == pytest.approx(np.full(n_bins, 1 / n_bins))
    error = expected_calibration_error(curve)
    assert error == pytest.approx(np.mean(np.abs(observed - predicted)))


def test_error_of_a_few_rows_by_hand() -> None:
    """Bins (.1, .2), (.6, .7, .7): |.15 - .5| and |.6667 - .3333|, of weights 2/5 and 3/5."""
    label = np.array([False, True, True, False, False])
    score = np.array([0.1, 0.2, 0.6, 0.7, 0.7])
    curve = reliability(label, score, np.ones(5), n_bins=2)
    assert curve.predicted == pytest.approx([0.15, 2 / 3])
    assert curve.observed == pytest.approx([0.5, 1 / 3])
    assert curve.share == pytest.approx([0.4, 0.6])
    assert expected_calibration_error(curve) == pytest.approx(0.4 * 0.35 + 0.6 / 3)


def test_ties_are_never_split() -> None:
    label = np.arange(100) % 10 == 0
    score = np.r_[np.full(90, 0.1), np.full(10, 0.3)]
    curve = reliability(label, score, np.ones(100))
    assert curve.predicted == pytest.approx([0.1, 0.3])
    assert curve.share == pytest.approx([0.9, 0.1])
    assert expected_calibration_error(curve) == pytest.approx(0.1 * 0.2)


def test_constant_score_has_the_distance_to_the_rate_as_error() -> None:
    curve = reliability(np.array([True, False, False, False]), np.full(4, 0.6), np.ones(4))
    assert expected_calibration_error(curve) == pytest.approx(0.35)


@given(
    rows=st.lists(
        st.tuples(st.booleans(), st.integers(0, 8), st.integers(1, 4)), min_size=1, max_size=30
    ),
    n_bins=st.integers(1, 12),
)
def test_whole_weights_are_repeated_rows_in_any_order(
    rows: list[tuple[bool, int, int]], n_bins: int
) -> None:
    label = np.array([row[0] for row in rows])
    score = np.array([row[1] / 8 for row in rows])
    weight = np.array([row[2] for row in rows])
    curve = reliability(label, score, weight.astype(np.float64), n_bins=n_bins)
    order = np.repeat(np.arange(label.size), weight)[::-1]
    repeated = reliability(label[order], score[order], np.ones(order.size), n_bins=n_bins)
    for one, other in zip(curve, repeated, strict=True):
        assert one == pytest.approx(other)
    assert np.sum(curve.share) == pytest.approx(1)
    assert np.all(np.diff(curve.predicted) > 0)
    rate = np.average(label, weights=weight)
    assert curve.share @ curve.observed == pytest.approx(rate)
    assert 0 <= expected_calibration_error(curve) <= 1


def test_ratio_of_a_few_rows_by_hand() -> None:
    label = np.array([True, False, False])
    weight = np.array([1.0, 1.0, 2.0])
    assert log_ratio(label, np.array([0.5, 0.5, 0.5]), weight) == pytest.approx(np.log(2))
    assert np.isfinite(log_ratio(label, np.zeros(3), weight))


def test_slope_equals_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    score = rng.beta(2, 5, 500)
    label = rng.random(500) < special.expit(0.5 * special.logit(score) - 1)
    weight = rng.uniform(0.5, 2, 500)
    odds = special.logit(score)[:, np.newaxis]
    expected = LogisticRegression(C=1e12, tol=1e-10).fit(odds, label, sample_weight=weight)
    assert slope(label, score, weight) == pytest.approx(expected.coef_[0, 0], rel=1e-4)


def test_slope_is_unknown_where_scores_are_alike_or_separate_the_classes() -> None:
    label = np.arange(20) % 2 == 0
    assert np.isnan(slope(label, np.full(20, 0.3), np.ones(20)))
    assert np.isnan(slope(label, np.where(label, 0.9, 0.2), np.ones(20)))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_influence_is_the_derivative_by_the_weight_of_a_row(metric: Metric) -> None:
    rng = np.random.default_rng(2)
    score = rng.beta(2, 5, 60)
    label = rng.random(60) < score
    weight = rng.uniform(0.5, 2, 60)
    value, influence = metric.influence(label, score, weight)
    evaluate = metric.evaluator(label, score)
    assert evaluate(weight) == pytest.approx(value)
    steps = 1e-5 * np.eye(60)
    derivative = (evaluate(weight + steps) - evaluate(weight - steps)) / 2e-5
    assert influence == pytest.approx(derivative, rel=1e-4, abs=1e-7)
    assert weight @ influence == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("factor", [0.2, 2, 4, 8, 12])
def test_slope_of_exaggerated_log_odds(factor: float) -> None:
    """Of calibrated log odds times a factor it is 1 / factor."""
    rng = np.random.default_rng(4)
    odds = rng.normal(-1, 1, 40_000)
    label = rng.random(40_000) < special.expit(odds)
    found = slope(label, special.expit(factor * odds), np.ones(40_000))
    assert found == pytest.approx(1 / factor, rel=0.06)
