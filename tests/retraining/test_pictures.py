"""Curves: right where they are exact, close where they are thinned."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics

from retraining.pictures import POINTS, _curve, _thin
from retraining.rows import check_rows


def test_curve_counts_ties_once_and_weights_rows() -> None:
    rows = check_rows([1, 0, 1, 0], {"a": [3, 2, 2, 1]}, weight=[1, 2, 3, 4])
    hits, alarms = _curve(rows, rows.scores[0])
    assert hits.tolist() == [0, 1, 4, 4]
    assert alarms.tolist() == [0, 0, 2, 6]


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
