"""Pictures of a verdict: what is drawn, and what is said to those who do not see it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from retraining.report.effect_figures import (
    Scale,
    draw_distribution,
    draw_effect,
    draw_ledger,
    draw_power,
    draw_strip,
    find_scale,
)
from tests.samples import LEDGER, make_sample

if TYPE_CHECKING:
    from retraining.gate.verdict import Verdict


@pytest.fixture
def verdict() -> Verdict:
    return make_sample("promote").verdict


def test_scale_holds_zero_the_required_effect_and_all_numbers() -> None:
    scale = find_scale([0.1, math.nan, 0.2], -0.1)
    assert scale.low == pytest.approx(-0.115)
    assert scale.high == pytest.approx(0.215)
    empty = find_scale([], 0.0)
    assert empty.low < 0 < empty.high


def test_strip_places_its_parts_and_stays_inside() -> None:
    strip = draw_strip(0.5, 0.25, 7.0, Scale(0.0, 1.0, 0.1))
    assert '<path class="zero" d="M0.0 0v20"/>' in strip
    assert '<path class="required" d="M10.0 0v20"/>' in strip
    assert '<path class="bar" d="M25.0 10H100.0"/>' in strip
    assert '<path class="dot" d="M50.0 10h0"/>' in strip


def test_strip_leaves_out_what_is_unknown() -> None:
    strip = draw_strip(math.nan, math.nan, 0.5, Scale(0.0, 1.0, 0.1))
    assert "bar" not in strip
    assert "dot" not in strip


def test_effect_shows_the_cross_check_beside_the_strategy(verdict: Verdict) -> None:
    both = draw_effect(verdict)
    assert ">cross-check</text>" in both
    assert f"delong: effect {verdict.effect_size:.4g}, interval {verdict.ci_lower:.4g} to" in both
    assert "cross-check" not in draw_effect(replace(verdict, cross_check=None))


def test_effect_without_an_interval_is_drawn(verdict: Verdict) -> None:
    nothing = replace(verdict, ci_lower=math.nan, ci_upper=math.nan, effect_size=0.0)
    assert "interval unknown" in draw_effect(nothing)


def test_distribution_counts_what_exceeds_the_required_effect(verdict: Verdict) -> None:
    effects = np.r_[np.linspace(-0.018, 0.002, 25), np.linspace(0.0021, 0.05, 75), np.nan]
    picture = draw_distribution(verdict, effects)
    assert picture is not None
    assert "in 100 resamples of the rows: 75% of them exceed the required effect 0.002" in picture


@pytest.mark.parametrize("effects", [np.zeros(100), np.arange(5.0), np.full(100, np.nan)])
def test_distribution_of_nothing_is_not_drawn(
    verdict: Verdict, effects: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> None:
    assert draw_distribution(verdict, effects) is None


def test_power_passes_through_the_rows_at_hand(verdict: Verdict) -> None:
    picture = draw_power(verdict)
    assert picture is not None
    here = f"{verdict.minimum_detectable_effect:.4g} with the 12,000 rows at hand"
    assert here in picture
    assert "with 1,200 rows" in picture


@pytest.mark.parametrize("error", [0.0, math.nan])
def test_power_of_an_unknown_error_is_not_drawn(verdict: Verdict, error: float) -> None:
    assert draw_power(replace(verdict, standard_error=error)) is None


def test_ledger_adds_up_alpha_against_the_budget() -> None:
    picture = draw_ledger(LEDGER)
    assert "alpha of 4 earlier tests and of this one, 0.0243" in picture
    assert "reaches 0.135. The budget is 0.2." in picture
    assert ">2018-06-11</text>" in picture


def test_ledger_of_the_first_test_without_a_budget() -> None:
    picture = draw_ledger(replace(LEDGER, past=(), budget=None, left=None))
    assert "0 earlier tests" in picture
    assert "budget" not in picture
