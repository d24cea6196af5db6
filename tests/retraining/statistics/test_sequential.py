"""Boundaries against published tables, their probabilities against other ways to compute them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from retraining.statistics.sequential import (
    LEAST_GROWTH,
    bound_of_mixture,
    crossings,
    increasing,
    median_unbiased,
    next_bound,
    spent,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retraining.statistics.rows import Floats
    from retraining.statistics.sequential import SpendingFunction

UNEVEN = (1.0, 1.3, 4.0, 4.5, 9.0)
# Jennison and Turnbull (2000), tables 2.1 and 2.3: two-sided alpha 0.05.
POCOCK = {2: 2.178, 5: 2.413, 10: 2.555}
OBRIEN_FLEMING = {2: 1.977, 5: 2.040, 10: 2.087}


def spending_bounds(
    spending: SpendingFunction, alpha: float, information: Sequence[float]
) -> list[float]:
    """The boundary that uses alpha as the spending function says, shape (looks,)."""
    bounds: list[float] = []
    used = 0.0
    for look, level in enumerate(information):
        allowed = spent(spending, alpha, level / information[-1])
        bounds.append(next_bound(information[: look + 1], bounds, allowed - used))
        used = allowed
    return bounds


def first_crossings(
    information: Sequence[float], bounds: Sequence[float], effect: float = 0.0
) -> Floats:
    """The same as `crossings`, from the joint normal distribution of all z-scores."""
    levels = np.asarray(information)
    roots = np.sqrt(levels)
    correlation = np.minimum.outer(roots, roots) / np.maximum.outer(roots, roots)
    below = [1.0]
    for looks in range(1, levels.size + 1):
        probability = stats.multivariate_normal.cdf(
            np.asarray(bounds)[:looks],
            effect * roots[:looks],
            correlation[:looks, :looks],
            abseps=1e-8,
            maxpts=1_000_000,
        )
        below.append(float(probability))
    return -np.diff(below)


def draw_z(information: Sequence[float], effect: float, n_paths: int, seed: int) -> Floats:
    """Z-scores of Brownian motion with a drift, shape (n_paths, looks)."""
    growth = np.diff(information, prepend=0.0)
    noise = np.random.default_rng(seed).normal(size=(n_paths, growth.size))
    scores = np.cumsum(effect * growth + np.sqrt(growth) * noise, axis=1)
    z: Floats = scores / np.sqrt(information)
    return z


@pytest.mark.parametrize("looks", POCOCK)
def test_published_constants_have_the_error_that_they_are_published_for(looks: int) -> None:
    information = [float(look) for look in range(1, looks + 1)]
    pocock = [POCOCK[looks]] * looks
    obrien_fleming = [OBRIEN_FLEMING[looks] * math.sqrt(looks / level) for level in information]
    for bounds in (pocock, obrien_fleming):
        assert np.sum(crossings(information, bounds)) == pytest.approx(0.025, abs=5e-5)


@pytest.mark.parametrize(
    ("spending", "published"),
    [
        ("obrien_fleming", [4.877, 3.357, 2.680, 2.290, 2.031]),
        ("pocock", [2.438, 2.427, 2.410, 2.397, 2.386]),
    ],
)
def test_boundaries_of_five_equal_looks_are_those_published(
    spending: SpendingFunction, published: list[float]
) -> None:
    bounds = spending_bounds(spending, 0.025, [1, 2, 3, 4, 5])
    assert bounds == pytest.approx(published, abs=6e-4)


@pytest.mark.parametrize("effect", [0.0, 0.5, -0.7])
@pytest.mark.parametrize(
    "bounds",
    [
        [2.3, 2.2, 2.1, 2.0, 1.9],
        [4.0, 3.5, 1.0, -0.5, 1.0],
        [1.0, math.inf, 1.5, math.inf, 2.0],
    ],
)
def test_probabilities_are_those_of_the_joint_normal_distribution(
    bounds: list[float], effect: float
) -> None:
    found = crossings(UNEVEN, bounds, effect)
    assert found == pytest.approx(first_crossings(UNEVEN, bounds, effect), abs=5e-6)


def test_probabilities_of_looks_that_bring_next_to_nothing() -> None:
    """The grid has to resolve steps that are short by its own spacing."""
    information, bounds = [1.0, 1.0 + LEAST_GROWTH, 50.0, 50.5], [2.0, 2.0, 2.1, 2.0]
    expected = first_crossings(information, bounds)
    assert crossings(information, bounds) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("bound", [4.0, 6.0, 9.0])
def test_probabilities_far_in_the_tail_are_right_too(bound: float) -> None:
    """Of two looks, by integrating over the first z-score."""

    def joint(first: float) -> float:
        second = stats.norm.sf((bound - 0.6 * first) / 0.8)
        return float(stats.norm.pdf(first) * second)

    expected = integrate.quad(joint, -10, 2.5, epsabs=0, epsrel=1e-10, points=[0, 2])[0]
    found = crossings([0.36, 1.0], [2.5, bound])[1]
    assert found == pytest.approx(expected, rel=1e-5)


def test_probabilities_of_many_looks_are_those_of_simulated_paths() -> None:
    information = [float(look) for look in range(1, 31)]
    bounds, n_paths = [2.5] * 30, 100_000
    z = draw_z(information, 0.1, n_paths, 1)
    hits = int(np.sum(np.any(z > bounds, axis=1)))
    probability = float(np.sum(crossings(information, bounds, 0.1)))
    assert stats.binomtest(hits, n_paths, probability).pvalue > 0.001


def test_only_the_proportions_of_information_matter_where_there_is_no_effect() -> None:
    bounds = [2.3, 2.2, 2.1, 2.0, 1.9]
    scaled = [1e8 * level for level in UNEVEN]
    assert crossings(scaled, bounds) == pytest.approx(crossings(UNEVEN, bounds), rel=1e-9)


@pytest.mark.parametrize("increment", [1e-20, 1e-9, 1e-4, 0.02, 0.4])
@pytest.mark.parametrize("before", [[], [2.5], [4.0, math.inf, 2.0]])
def test_a_bound_uses_exactly_its_increment(before: list[float], increment: float) -> None:
    information = UNEVEN[: len(before) + 1]
    bound = next_bound(information, before, increment)
    used = crossings(information, [*before, bound])[-1]
    assert used == pytest.approx(increment, rel=1e-6)


@pytest.mark.parametrize("increment", [0.0, -1e-3, 1e-301])
def test_an_increment_that_is_too_small_has_no_bound(increment: float) -> None:
    assert next_bound([1.0], [], increment) == math.inf
    assert next_bound([1.0, 2.0], [2.0], increment) == math.inf


@pytest.mark.parametrize("spending", ["pocock", "obrien_fleming"])
@given(
    alpha=st.floats(1e-6, 0.4),
    fractions=st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5)),
)
def test_spent_alpha_grows_from_nothing_to_all(
    spending: SpendingFunction, alpha: float, fractions: tuple[float, float]
) -> None:
    early, late = (spent(spending, alpha, fraction) for fraction in sorted(fractions))
    assert 0 <= early <= late <= alpha * (1 + 1e-9)
    assert spent(spending, alpha, 0.0) == 0
    assert spent(spending, alpha, 1.0) == pytest.approx(alpha, rel=1e-9)
    assert spent(spending, alpha, 2.0) == pytest.approx(alpha, rel=1e-9)


def test_half_of_the_information_may_use_what_the_formulas_say() -> None:
    """Lan and DeMets (1983), with the two-sided quantile of 0.05."""
    assert spent("pocock", 0.05, 0.5) == pytest.approx(0.05 * math.log(1 + (math.e - 1) / 2))
    late = 2 * float(stats.norm.sf(1.959964 * math.sqrt(2)))
    assert spent("obrien_fleming", 0.05, 0.5) == pytest.approx(late)


@pytest.mark.parametrize("alpha", [1e-9, 0.0308, 0.05, 0.3])
@pytest.mark.parametrize("ratio", [0.05, 1.0, 8.0, 52.0])
def test_the_mixture_has_the_value_one_by_alpha_at_its_bound(alpha: float, ratio: float) -> None:
    """By integrating the likelihood ratio over the half-normal law of effects."""
    z = bound_of_mixture(alpha, ratio)

    def weighted(effect: float) -> float:
        ratio_log = effect * z * math.sqrt(ratio) - effect**2 * ratio / 2
        return 2 * math.exp(stats.norm.logpdf(effect) + ratio_log)

    peak = max(z, 0) * math.sqrt(ratio) / (1 + ratio)
    value = sum(
        integrate.quad(weighted, start, end, epsabs=0, epsrel=1e-10)[0]
        for start, end in ((0, peak), (peak, peak + 12))
        if end > start
    )
    assert value == pytest.approx(1 / alpha, rel=1e-6)


def test_an_alpha_below_the_normal_tail_has_no_bound() -> None:
    assert bound_of_mixture(1e-320, 1e-3) == math.inf


def test_a_path_that_is_watched_at_all_times_crosses_the_mixture_bound_at_most_alpha() -> None:
    information = np.arange(1.0, 201.0)
    z = draw_z(information.tolist(), 0.0, 20_000, 2)
    bounds = np.array([bound_of_mixture(0.05, level) for level in information])
    hits = int(np.sum(np.any(z > bounds, axis=1)))
    assert stats.binomtest(hits, len(z), 0.05, alternative="greater").pvalue > 0.001
    assert hits > 0.005 * len(z)


@pytest.mark.parametrize("effect", [0.0, 0.8])
def test_estimates_after_stopping_are_too_large_as_often_as_too_small(effect: float) -> None:
    """Estimates of 20,000 campaigns, by interpolation between those of some z-scores."""
    information = [1.0, 2.5, 4.0]
    bounds = spending_bounds("pocock", 0.1, information)
    z = draw_z(information, effect, 20_000, 3)
    crossed = z > [*bounds[:-1], -math.inf]
    stopped = np.argmax(crossed, axis=1)
    above, covered = 0, 0
    for look in range(3):
        there = z[stopped == look, look]
        least = bounds[look] if look < 2 else float(np.min(there))
        nodes = np.linspace(least, float(np.max(there)), 12)
        so_far = information[: look + 1]
        median, limit = (
            np.interp(
                there,
                nodes,
                [median_unbiased(so_far, bounds[:look], node, share) for node in nodes],
            )
            for share in (0.5, 0.025)
        )
        above += int(np.sum(median > effect))
        covered += int(np.sum(limit <= effect))
    assert stats.binomtest(above, len(z), 0.5).pvalue > 0.001
    assert stats.binomtest(covered, len(z), 0.975).pvalue > 0.001


@pytest.mark.parametrize("z", [-3.0, 0.0, 2.2, 30.0])
def test_the_estimate_of_a_single_look_is_the_observed_effect(z: float) -> None:
    assert median_unbiased([16.0], [], z) == pytest.approx(z / 4, abs=1e-8)
    lower = median_unbiased([16.0], [], z, 0.025)
    assert lower == pytest.approx((z - stats.norm.isf(0.025)) / 4, abs=1e-8)


def test_the_estimate_after_an_early_stop_is_below_the_observed_effect() -> None:
    assert median_unbiased([1.0, 2.0], [2.4], 2.5) < 2.5 / math.sqrt(2)


def test_a_look_without_new_information_has_a_bound_all_the_same() -> None:
    assert increasing([]) == []
    assert increasing([2.0, 3.0]) == [2.0, 3.0]
    assert increasing([2.0, 2.0, 1.0, 5.0]) == pytest.approx(
        [2.0, 2.0 * (1 + LEAST_GROWTH), 2.0 * (1 + LEAST_GROWTH) ** 2, 5.0]
    )
    again = next_bound([2.0, 2.0], [2.5], 0.001)
    assert 0 < again < 2.5  # only paths just below 2.5 can still cross
    assert crossings([2.0, 2.0], [2.5, again])[-1] == pytest.approx(0.001, rel=1e-6)
    # On the same rows the z-score is the same: such a bound promotes no more than the increment.
    assert stats.norm.sf(again) - stats.norm.sf(2.5) <= 0.001
