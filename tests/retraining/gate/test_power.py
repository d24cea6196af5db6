"""What rows can decide, against quantiles, the noncentral t, and simulated tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from retraining.gate.policy import Policy
from retraining.gate.power import (
    FARTHEST,
    MINIMUM_UNITS,
    Shortfall,
    chance,
    curve,
    minimum_detectable_effect,
    rows_still_needed,
    shortfalls,
)
from retraining.statistics.checks import check_rows
from retraining.statistics.comparing import compare_rows
from retraining.statistics.inference import PairedResult, tail_probability
from retraining.statistics.metrics import METRICS
from retraining.statistics.rows import Rows
from tests.drawing import draw_scores
from tests.reading import numbers

Z = float(stats.norm.ppf(0.95) + stats.norm.ppf(0.8))
SEPARATION, NOISE = 1.2, 0.45


def found(effect: float, error: float, n_rows: int = 1000, n_positives: int = 100) -> PairedResult:
    ends = (effect - 1.96 * error, effect + 1.96 * error)
    return PairedResult(effect, 0.8, 0.8 + effect, error, *ends, 0.5, n_rows, n_positives)


def labelled(
    n_positives: int, n_negatives: int, weight: float | np.ndarray = 1.0, unit: object = None
) -> Rows:
    label = np.repeat([1, 0], [n_positives, n_negatives])
    score = np.zeros(label.size)
    weights = np.broadcast_to(weight, label.size)
    return check_rows(
        label,
        {"champion": score, "challenger": score},
        weight=weights,
        unit=unit,  # type: ignore[arg-type]
    )


def test_detectable_effect_is_two_quantiles_of_the_standard_error() -> None:
    assert minimum_detectable_effect(0.01, alpha=0.05, power=0.8) == pytest.approx(0.01 * Z)
    expected = 0.02 + 0.01 * (stats.norm.ppf(0.99) + stats.norm.ppf(0.9))
    detectable = minimum_detectable_effect(0.01, alpha=0.01, power=0.9, min_effect_size=0.02)
    assert detectable == pytest.approx(expected)
    assert math.isnan(minimum_detectable_effect(math.nan, alpha=0.01, power=0.9))


@pytest.mark.parametrize("degrees", [29, 100, 1000])
def test_detectable_effect_of_units_has_the_power_of_the_noncentral_t(degrees: int) -> None:
    distance = minimum_detectable_effect(1.0, alpha=0.05, power=0.8, degrees=degrees)
    power = stats.nct.sf(stats.t.ppf(0.95, degrees), degrees, distance)
    assert power == pytest.approx(0.8, abs=0.005)
    assert distance > Z


@given(error=st.floats(1e-6, 1.0), alpha=st.floats(1e-6, 0.4), power=st.floats(0.51, 0.99))
def test_chance_of_the_detectable_effect_is_the_power(
    error: float, alpha: float, power: float
) -> None:
    effect = minimum_detectable_effect(error, alpha=alpha, power=power)
    assert chance(effect, error, alpha) == pytest.approx(power, rel=1e-6)
    assert chance(0.0, error, alpha) == pytest.approx(alpha, rel=1e-6)


def test_chance_without_an_error_is_certainty() -> None:
    assert (chance(0.1, 0.0, 0.05), chance(0.0, 0.0, 0.05), chance(-0.1, 0.0, 0.05)) == (1, 0, 0)
    assert math.isnan(chance(0.1, math.nan, 0.05))


def test_detectable_effect_is_found_with_the_stated_power() -> None:
    """Binormal scores; the lift whose true effect is the detectable effect of the first rows."""
    spread = math.sqrt(2 * (1 + NOISE**2))
    rng = np.random.default_rng(2)

    def compare(lift: float) -> PairedResult:
        label = np.arange(800) % 4 == 0
        scores = draw_scores(label, rng, lift=lift, separation=SEPARATION, noise=NOISE)
        rows = check_rows(label, {"champion": scores[0], "challenger": scores[1]})
        return compare_rows(rows, METRICS["auroc"])

    error = float(np.mean([compare(0.0).standard_error for _ in range(100)]))
    detectable = minimum_detectable_effect(error, alpha=0.05, power=0.8)
    target = stats.norm.cdf(SEPARATION / spread) + detectable
    lift = float(stats.norm.ppf(target)) * spread - SEPARATION
    results = [compare(lift) for _ in range(600)]
    promoted = [
        tail_probability(r.effect_size, r.standard_error, alternative="greater") < Policy().alpha
        for r in results
    ]
    assert stats.binomtest(sum(promoted), len(promoted), 0.8).pvalue > 0.001
    assert stats.binomtest(sum(promoted), len(promoted), 0.7).pvalue < 0.001


def test_rows_needed_bring_the_detectable_effect_down_to_the_observed_one() -> None:
    needed = rows_still_needed(found(0.01, 0.01), Policy(), alpha=0.05)
    assert needed is not None
    detectable = Z * 0.01 / math.sqrt((1000 + needed.rows) / 1000)
    assert detectable == pytest.approx(0.01, rel=1e-3)
    assert needed.positives == pytest.approx(needed.rows / 10, abs=1)


def test_rows_needed_for_a_loss_bring_the_interval_below_zero() -> None:
    needed = rows_still_needed(found(-0.01, 0.01), Policy(), alpha=0.05)
    assert needed is not None
    factor = (1000 + needed.rows) / 1000
    reach = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert reach * 0.01 / math.sqrt(factor) == pytest.approx(0.01, rel=1e-3)


def test_rows_needed_meet_every_minimum() -> None:
    missing = [Shortfall("few positives", 1.25), Shortfall("few units", 3.0)]
    assert rows_still_needed(found(0.1, 0.001), Policy(), missing, alpha=0.05) == (2000, 200)
    assert rows_still_needed(found(0.1, 0.001), Policy(), alpha=0.05) == (1, 1)


def test_rows_needed_are_unknown_where_no_forecast_reaches() -> None:
    far = Z / math.sqrt(FARTHEST)
    assert rows_still_needed(found(0.99 * far, 1.0), Policy(), alpha=0.05) is None
    assert rows_still_needed(found(1.01 * far, 1.0), Policy(), alpha=0.05) is not None
    assert rows_still_needed(found(0.0, 0.1), Policy(), alpha=0.05) is None
    assert rows_still_needed(found(0.1, math.nan), Policy(), alpha=0.05) is None
    assert (
        rows_still_needed(found(0.1, 0.1), Policy(), [Shortfall("no row", math.inf)], alpha=0.05)
        is None
    )


def test_curve_reaches_from_a_tenth_to_a_hundred_times_the_rows() -> None:
    asked = {"alpha": 0.05, "power": 0.8, "min_effect_size": 0.002}
    points = curve(1000, 0.01, **asked)
    assert [points[i].rows for i in (0, 10, 20, 30)] == [100, 1000, 10_000, 100_000]
    assert points[10].effect == pytest.approx(minimum_detectable_effect(0.01, **asked))
    assert points[30].effect - 0.002 == pytest.approx((points[10].effect - 0.002) / 10)
    assert len(points) == 31
    assert curve(1000, math.nan, **asked) == ()


def test_enough_rows_have_no_shortfall() -> None:
    assert shortfalls(labelled(100, 100), 100) == ()
    assert shortfalls(labelled(100, 100, weight=0.1), 100) == ()


@pytest.mark.parametrize(("counts", "named"), [((80, 200), "positives"), ((200, 80), "negatives")])
def test_too_few_rows_of_a_class_fall_short(counts: tuple[int, int], named: str) -> None:
    (shortfall,) = shortfalls(labelled(*counts), 100)
    assert shortfall.factor == 1.25
    assert numbers(shortfall.sentence) == ["80", "100"]
    assert named in shortfall.sentence


def test_unequal_weights_count_for_what_they_are_worth() -> None:
    weight = np.r_[np.full(10, 100.0), np.full(190, 0.01), np.ones(200)]
    (shortfall,) = shortfalls(labelled(200, 200, weight), 100)
    assert numbers(shortfall.sentence) == ["200", "10.0", "100"]
    assert shortfall.factor == pytest.approx(10, rel=0.01)


def test_cells_count_for_the_rows_that_they_stand_for() -> None:
    """Two cells of positives: 30 rows of weight 1 and 20 of weight 3 are worth 38.6 rows."""
    cells = Rows(
        label=np.array([True, True, False]),
        scores=(np.zeros(3), np.zeros(3)),
        weight=np.array([30.0, 60.0, 500.0]),
        unit=None,
        square=np.array([30.0, 180.0, 500.0]),
        size=np.array([30.0, 20.0, 500.0]),
    )
    (shortfall,) = shortfalls(cells, 100)
    assert numbers(shortfall.sentence) == ["50", "38.6", "100"]


def test_too_few_units_fall_short() -> None:
    unit = np.r_[np.arange(200) % 6, np.arange(200) % MINIMUM_UNITS]
    (shortfall,) = shortfalls(labelled(200, 200, unit=unit), 100)
    assert shortfall.factor == 5.0
    assert numbers(shortfall.sentence) == ["6", "30"]
    assert "positives" in shortfall.sentence


def test_a_slice_without_a_class_falls_short_beyond_measure() -> None:
    rows = check_rows([0] * 200, {"champion": np.zeros(200)}, unit=range(200), both_classes=False)
    assert [shortfall.factor for shortfall in shortfalls(rows, 100)] == [math.inf] * 2
