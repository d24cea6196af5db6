"""Campaigns: their error as a whole, what ends them, and what they return."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from retraining.gate.campaign import FUTILE, Standing, conclude, detectable_effect, judge_look
from retraining.gate.looks import LEAST
from retraining.gate.policy import CampaignRules, Policy
from retraining.statistics import sequential
from tests.benchmarks.courses import (
    EVEN,
    FIXED,
    LOOKS,
    OF_CAMPAIGN,
    SPENDINGS,
    WEEKLY,
    alphas_of_looks,
    course_of,
    crossed,
    draw_z,
    follow,
    judged_looks,
    promotes,
    result_of,
    rules_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retraining.gate.campaign import Campaign
    from retraining.gate.fields import Outcome
    from retraining.gate.looks import Look
    from retraining.statistics.rows import Floats
    from retraining.statistics.sequential import SpendingFunction

POCOCK = rules_of("pocock")
N_PATHS = 4000

pytestmark = pytest.mark.usefixtures("bounds_remembered")


def concluded(
    z_scores: Sequence[float], policy: Policy = POCOCK, outcome: Outcome = "inconclusive"
) -> tuple[Campaign, tuple[Look, ...]]:
    """Where a campaign stands after looks with these z-scores."""
    judged = judged_looks(z_scores, policy)[-1]
    return conclude(Standing(OF_CAMPAIGN, judged.looks[:-1]), judged, policy, outcome)


@pytest.mark.parametrize("sizes", WEEKLY.values(), ids=WEEKLY)
@pytest.mark.parametrize("spending", SPENDINGS)
def test_a_campaign_of_equal_models_promotes_at_most_at_alpha(
    spending: SpendingFunction, sizes: tuple[float, ...]
) -> None:
    n_paths = 5 * N_PATHS
    z = draw_z(np.random.default_rng(1), n_paths, sizes, 0.0)
    hits = crossed(spending, 0.05, sizes, z)
    if spending == "e_process":
        assert 0 < hits < 0.05 * n_paths
    else:
        assert stats.binomtest(hits, n_paths, 0.05).pvalue > 0.001


@pytest.mark.parametrize("spending", FIXED)
def test_campaigns_that_are_judged_look_by_look_keep_their_level(
    spending: SpendingFunction,
) -> None:
    sizes = WEEKLY["very uneven weeks"]
    z = draw_z(np.random.default_rng(2), N_PATHS, sizes, 0.0)
    hits = sum(promotes(spending, OF_CAMPAIGN, sizes, path) for path in z)
    assert stats.binomtest(hits, N_PATHS, OF_CAMPAIGN).pvalue > 0.001
    assert hits == crossed(spending, OF_CAMPAIGN, sizes, z)


@pytest.mark.parametrize("spending", SPENDINGS)
def test_what_a_look_may_use_does_not_depend_on_the_effects(spending: SpendingFunction) -> None:
    low, high = (
        judged_looks([z] * LOOKS, rules_of(spending), sizes=WEEKLY["shrinking weeks"])
        for z in (-2.0, 2.0)
    )
    assert [look.alpha for look in low] == [look.alpha for look in high]
    alphas = alphas_of_looks(spending, OF_CAMPAIGN, WEEKLY["shrinking weeks"])
    assert tuple(look.alpha for look in low) == pytest.approx(alphas)


@pytest.mark.parametrize("spending", SPENDINGS)
def test_giving_up_promotes_less_often_never_more(spending: SpendingFunction) -> None:
    course = course_of(spending, 0.05)
    z = draw_z(np.random.default_rng(3), N_PATHS, EVEN, 0.0)
    early, whole = follow(course, z), follow(course, z, futility=False)
    assert not np.any(early.promoted & ~whole.promoted)
    assert np.mean(early.look) < np.mean(whole.look) - 1


@pytest.mark.parametrize("spending", SPENDINGS)
@pytest.mark.parametrize("gain", [0.0, 1.0])
def test_a_campaign_that_follows_futility_is_charged_what_it_promotes_in_vain(
    spending: SpendingFunction, gain: float
) -> None:
    """On average over equal models: what is returned is the conditional error that is left."""
    ended = follow(course_of(spending, 0.05), draw_z(np.random.default_rng(4), 50_000, EVEN, gain))
    excess = ended.promoted - ended.charge
    error = np.std(excess) / math.sqrt(excess.size)
    if gain:
        assert np.mean(excess) > 0.3
    else:
        assert abs(np.mean(excess)) < 3.3 * error
        assert np.mean(ended.charge) < 0.05


@pytest.mark.parametrize("spending", SPENDINGS)
def test_a_campaign_that_is_replaced_is_charged_what_it_promotes_in_vain(
    spending: SpendingFunction,
) -> None:
    """After look 3, whatever the path; it would be less if more than alpha could go back."""
    course = course_of(spending, 0.05)
    z = draw_z(np.random.default_rng(11), 50_000, EVEN[:3], 0.0)
    above = z > course.bounds[:3]
    promoted = np.any(above, axis=1)
    look = np.where(promoted, np.argmax(above, axis=1), 2)[:, None]
    back, charge = (
        np.take_along_axis(np.column_stack([of(n, z[:, n]) for n in range(3)]), look, 1)[:, 0]
        for of in (course.unlimited, course.charge)
    )
    excess = promoted - (course.alpha - back)
    assert abs(np.mean(excess)) < 3.3 * np.std(excess) / math.sqrt(excess.size)
    assert np.array_equal(charge, course.alpha - np.minimum(back, course.alpha))


@pytest.mark.parametrize("spending", FIXED)
def test_a_campaign_whose_unspent_alpha_all_came_back_would_cost_more_than_its_charge(
    spending: SpendingFunction,
) -> None:
    course = course_of(spending, 0.05)
    ended = follow(course, draw_z(np.random.default_rng(5), 50_000, EVEN, 0.0))
    early = ~ended.promoted & (ended.look < LOOKS - 1)
    charge = np.where(early, np.array(course.spent)[ended.look], course.alpha)
    excess: Floats = ended.promoted - charge
    assert np.mean(excess) > 5 * np.std(excess) / math.sqrt(excess.size)


@pytest.mark.parametrize("spending", SPENDINGS)
@pytest.mark.parametrize("look", [1, 3, 6])
def test_a_course_ends_where_campaigns_do(spending: SpendingFunction, look: int) -> None:
    """The simulations of this file, and of the benchmark, stand for `conclude`."""
    course = course_of(spending, OF_CAMPAIGN)
    limit, bound = course.hopeless[look - 1], course.bounds[look - 1]
    for z, ends in ((limit - 0.01, True), (limit + 0.01, False), (bound - 0.1, False)):
        judged = judged_looks([0.0] * (look - 1) + [z], rules_of(spending))[-1]
        outcome: Outcome = "keep_champion" if judged.ends[1] <= 0 else "inconclusive"
        stands = concluded([0.0] * (look - 1) + [z], rules_of(spending), outcome)[0]
        assert (stands.state in ("futile", "no_gain")) == ends
        assert stands.returned == (stands.returnable if ends else 0.0)
        charge = float(course.charge(look - 1, np.array(z)))
        assert charge == pytest.approx(OF_CAMPAIGN - stands.returnable, abs=5e-5)


@pytest.mark.parametrize("spending", SPENDINGS)
def test_what_a_campaign_returns_is_the_probability_that_it_would_still_err(
    spending: SpendingFunction,
) -> None:
    """By simulating the looks that are left."""
    stands, looks = concluded([1.0, 0.5, 0.4], rules_of(spending), "keep_champion")
    bounds = [look.bound for look in looks[3:]]
    growth = np.ones(LOOKS - 3)
    rng = np.random.default_rng(6)
    scores = 0.4 * math.sqrt(3) + np.cumsum(rng.normal(size=(100_000, growth.size)), axis=1)
    z = scores / np.sqrt(np.arange(4, LOOKS + 1))
    hits = int(np.sum(np.any(z > bounds, axis=1)))
    unused = OF_CAMPAIGN - looks[-1].spent
    assert stats.binomtest(hits, 100_000, stands.returned - unused).pvalue > 0.001


@pytest.mark.parametrize("spending", SPENDINGS)
def test_no_more_than_the_alpha_of_a_campaign_goes_back(spending: SpendingFunction) -> None:
    """Of one that has come so far that it would rather promote by chance."""
    stands = concluded([1.0, 1.5, 2.0], rules_of(spending))[0]
    assert (stands.state, stands.returned, stands.returnable) == ("open", 0.0, OF_CAMPAIGN)


@pytest.mark.parametrize("z_scores", [[1.0, 3.5], [1.0] * LOOKS])
def test_an_e_process_returns_what_none_of_its_looks_uses(z_scores: list[float]) -> None:
    """It allows for any number of looks, and there are eight at most."""
    outcome: Outcome = "promote" if len(z_scores) < LOOKS else "inconclusive"
    stands, looks = concluded(z_scores, rules_of("e_process"), outcome)
    used = np.sum(
        sequential.crossings([look.information for look in looks], [look.bound for look in looks])
    )
    assert stands.returned == pytest.approx(OF_CAMPAIGN - used)
    assert stands.returned > OF_CAMPAIGN / 2


@pytest.mark.parametrize("spending", SPENDINGS)
def test_a_campaign_none_of_whose_looks_can_promote_ends_at_once(
    spending: SpendingFunction,
) -> None:
    policy, none = rules_of(spending), Standing(LEAST / 10)
    judged = judge_look(none, policy, result_of(1.0, 1.0))
    stands, looks = conclude(none, judged, policy, "inconclusive")
    assert {look.bound for look in looks} == {math.inf}
    assert (stands.state, stands.chance, stands.returned) == ("futile", 0.0, none.alpha)
    stands = conclude(Standing(LEAST), judged, policy, "inconclusive")[0]
    assert stands.state == "futile"


def test_a_campaign_that_spends_nothing_at_once_is_not_replaced_every_time() -> None:
    with pytest.raises(ValidationError, match="obrien_fleming one look"):
        rules_of("obrien_fleming", "newest")


@pytest.mark.parametrize(
    ("z_scores", "outcome", "state"),
    [
        ([1.0, 3.5], "promote", "promoted"),
        ([-1.0, -3.0], "keep_champion", "no_gain"),
        ([1.0, 0.5, 0.0, -0.5, -1.0], "inconclusive", "futile"),
        ([1.0, 1.5], "inconclusive", "open"),
        ([1.0, 3.5], "inconclusive", "open"),  # a guardrail failed
        ([1.0] * 8, "inconclusive", "last_look"),
        ([1.0] * 7 + [-4.0], "keep_champion", "no_gain"),
        ([1.0] * 7 + [4.0], "promote", "promoted"),
    ],
)
@pytest.mark.parametrize("spending", SPENDINGS)
def test_a_campaign_ends_for_one_of_four_reasons(
    spending: SpendingFunction, z_scores: list[float], outcome: Outcome, state: str
) -> None:
    stands, looks = concluded(z_scores, rules_of(spending), outcome)
    assert stands.state == state
    assert (stands.look, stands.n_looks, stands.spending) == (len(z_scores), LOOKS, spending)
    assert stands.alpha == OF_CAMPAIGN
    assert stands.spent == looks[len(z_scores) - 1].spent <= OF_CAMPAIGN
    assert [look.made for look in looks] == [n < len(z_scores) for n in range(LOOKS)]
    assert [look.look for look in looks] == list(range(1, LOOKS + 1))
    if state == "open":
        assert stands.returned == 0
        assert stands.chance >= FUTILE
    else:
        assert stands.looks_still_needed == 0
        assert 0 <= stands.returned < OF_CAMPAIGN
    if state == "futile":
        assert stands.returned > 0
        assert stands.chance < FUTILE
    if state == "promoted" or len(z_scores) == LOOKS:
        assert stands.returned == pytest.approx(OF_CAMPAIGN - looks[-1].spent, abs=1e-12)
    if state != "promoted":
        assert stands.returned == (0.0 if state == "open" else stands.returnable)


def test_fewer_looks_than_were_made_end_a_campaign() -> None:
    """The policy has changed meanwhile."""
    made = judged_looks([1.0, 1.0, 1.0], POCOCK)[-1].looks
    short = Policy(campaign=CampaignRules(looks=2))
    judged = judge_look(Standing(OF_CAMPAIGN, made), short, result_of(1.0, 4.0))
    stands, looks = conclude(Standing(OF_CAMPAIGN, made), judged, short, "inconclusive")
    assert (stands.state, stands.look, stands.n_looks, len(looks)) == ("last_look", 4, 4, 4)
    assert stands.spent == pytest.approx(OF_CAMPAIGN)


@pytest.mark.parametrize("spending", SPENDINGS)
def test_the_detectable_effect_is_found_with_the_power_of_the_policy(
    spending: SpendingFunction,
) -> None:
    looks = concluded([0.5], rules_of(spending))[1]
    effect = detectable_effect(looks, 0.8)
    z = draw_z(np.random.default_rng(9), N_PATHS, EVEN, effect)
    hits = int(np.sum(np.any(z > [look.bound for look in looks], axis=1)))
    assert stats.binomtest(hits, N_PATHS, 0.8).pvalue > 0.001
    # A campaign looks more often than a single test on all rows with its alpha, which costs power.
    single = (stats.norm.isf(OF_CAMPAIGN) + stats.norm.ppf(0.8)) / math.sqrt(LOOKS)
    assert single < effect < 2 * single
    without = [dataclasses.replace(look, bound=math.inf) for look in looks]
    assert math.isnan(detectable_effect(without, 0.8))
    unknown = [dataclasses.replace(look, standard_error=math.nan) for look in looks]
    assert math.isnan(detectable_effect(unknown, 0.8))


def test_looks_still_needed_bring_the_bound_down_to_the_observed_effect() -> None:
    stands, looks = concluded([1.0, 1.7])
    effect = 1.7 / math.sqrt(2)
    reached = [look.look for look in looks[2:] if effect * math.sqrt(look.look) >= look.bound]
    assert stands.looks_still_needed == reached[0] - 2
    assert stands.looks_still_needed > 1
    assert concluded([1.0, 0.6])[0].looks_still_needed is None


def test_the_estimate_of_a_campaign_is_below_the_effect_at_which_it_stopped() -> None:
    promoted = concluded([1.0, 2.9], outcome="promote")[0]
    assert 0 < promoted.median_unbiased_effect < 2.9 / math.sqrt(2)
    first = concluded([0.7])[0]
    assert first.median_unbiased_effect == pytest.approx(0.7)
