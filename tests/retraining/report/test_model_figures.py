"""Curves: right where they are exact, close where they are thinned."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics

from retraining.report.model_figures import (
    POINTS,
    _curve,
    _thin,
    draw_ranking,
    draw_reliability,
    draw_scores,
)
from retraining.statistics.checks import check_rows

NAMES = ("old", "new")


def test_curve_counts_ties_once_and_weights_rows() -> None:
    rows = check_rows([1, 0, 1, 0], {"a": [3, 2, 2, 1]}, weight=[1, 2, 3, 4])
    hits, alarms = _curve(rows, rows.scores[0])
    assert hits.tolist() == [0, 1, 4, 4]
    assert alarms.tolist() == [0, 0, 2, 6]


def test_curve_of_cells_is_that_of_their_rows() -> None:
    rows = check_rows([1, 1, 0, 0, 0], {"a": [2, 2, 2, 1, 1]})
    cells = check_rows([1, 0, 0], {"a": [2, 2, 1]}, weight=[2, 1, 2])
    curves = [_curve(each, each.scores[0]) for each in (rows, cells)]
    assert np.array_equal(curves[0], curves[1])


def test_thinned_curve_keeps_the_area_and_both_ends() -> None:
    rng = np.random.default_rng(0)
    label = (rng.random(50_000) < 0.02).astype(np.intp)
    rows = check_rows(label, {"a": rng.normal(size=50_000) + 1.5 * label})
    hits, alarms = _curve(rows, rows.scores[0])
    x, y = _thin(alarms / alarms[-1], hits / hits[-1])
    assert x.size <= POINTS + 2
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    exact = sklearn.metrics.roc_auc_score(label, rows.scores[0])
    assert np.trapezoid(y, x) == pytest.approx(exact, abs=1e-3)


def test_ranking_names_both_models_and_the_precision_of_guessing() -> None:
    rows = check_rows([1, 0, 0, 0], {"old": [4, 3, 2, 1], "new": [1, 2, 3, 4]})
    roc, precision_recall = draw_ranking(rows, NAMES)
    assert ">old</text>" in roc
    assert ">new</text>" in roc
    assert "guessing has the precision 0.25" in precision_recall


def test_reliability_needs_probabilities_and_shows_the_error() -> None:
    label = [1, 0, 0, 0] * 50
    half, right = [0.5] * 200, [0.25] * 200
    picture = draw_reliability(check_rows(label, {"old": half, "new": right}), NAMES)
    assert picture is not None
    assert "Expected calibration error: old 0.25, new 0." in picture
    assert draw_reliability(check_rows(label, {"old": half, "new": [2.0] * 200}), NAMES) is None


def test_scores_of_probabilities_have_ticks_of_probability() -> None:
    rng = np.random.default_rng(0)
    label = rng.random(500) < 0.5
    scores = rng.random(500)
    chances = draw_scores(check_rows(label, {"old": scores, "new": scores**3}), NAMES)
    assert ">0.01</text>" in chances
    plain = draw_scores(check_rows(label, {"old": scores * 40, "new": scores}), NAMES)
    assert ">0.01</text>" not in plain
    assert "old and by new" in plain


def test_scores_that_are_all_the_same_are_drawn() -> None:
    rows = check_rows([1, 0, 1, 0], {"old": [0.0] * 4, "new": [0.0] * 4})
    assert "<svg" in draw_scores(rows, NAMES)
