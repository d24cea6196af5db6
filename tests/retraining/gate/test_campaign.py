"""Campaigns: their error as a whole, what ends them, and what they tell of the looks to come."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from retraining.gate.campaign import FUTILE, Standing, conclude, detectable_effect, judge_look
from retraining.gate.campaign_plan import plan_rules
from retraining.gate.decision import Evidence, judge
from retraining.gate.looks import LEAST, plan_looks, read_look
from retraining.gate.policy import CampaignRules, Policy
from retraining.gate.spending import due
from retraining.statistics import sequential
from retraining.statistics.checks import check_rows
from retraining.statistics.inference import excess_pvalue
from tests.benchmarks.campaign import (
    EVEN,
    LOOKS,
    OF_CAMPAIGN,
    SPENDINGS,
    WEEKLY,
    alphas_of_looks,
    course_of,
    crossed,
    draw_z,
    follow,
    promotes,
    remembered,
    result_of,
    rules_of,
)
from tests.drawing import draw_probabilities

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from retraining.gate.campaign import Campaign, JudgedLook
    from retraining.gate.decision import Decision
    from retraining.gate.fields import Outcome
    from retraining.gate.looks import Look
    from retraining.statistics.rows import Floats
    from retraining.statistics.sequential import SpendingFunction

POCOCK = rules_of("pocock")
FIXED: tuple[SpendingFunction, ...] = ("pocock", "obrien_fleming")
N_PATHS = 4000
PLAIN = Policy(calibration_factor=1000.0, suspicious_gain=1.0, worse_on_validation="test")


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    with remembered():
        yield


def judged_looks(
    z_scores: Sequence[float],
    policy: Policy = POCOCK,
    *,
    alpha: float = OF_CAMPAIGN,
    sizes: Sequence[float] = EVEN,
) -> list[JudgedLook]:
    """The looks with these z-scores, at so many weeks of rows each; the error of a week is 1."""
    found: list[JudgedLook] = []
    weeks = np.cumsum(sizes)[: len(z_scores)]
    for z, week in zip(z_scores, weeks, strict=True):
        past = found[-1].looks if found else ()
        found.append(judge_look(Standing(alpha, past), policy, result_of(z, float(week))))
    return found


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


def test_a_gain_of_one_weekly_error_is_found_by_obrien_fleming_in_80_percent() -> None:
    policy = rules_of("obrien_fleming")
    rules = {(rule.rule, rule.gain): rule for rule in plan_rules(1.0, 1000, policy)}
    campaign = rules["obrien_fleming", 1.0]
    assert campaign.alpha == pytest.approx(0.2 * 8 / 52)
    assert campaign.found >= 0.8
    assert campaign.n_looks == LOOKS
    z = draw_z(np.random.default_rng(7), N_PATHS, EVEN, 1.0)
    hits = crossed("obrien_fleming", OF_CAMPAIGN, EVEN, z)
    assert stats.binomtest(hits, N_PATHS, campaign.found).pvalue > 0.001
    half = np.any(
        z[:, : campaign.half_found]
        > course_of("obrien_fleming", OF_CAMPAIGN).bounds[: campaign.half_found],
        axis=1,
    )
    assert np.mean(half) > 0.5 - 0.03
    single = rules["single", 1.0]
    missed = stats.norm.cdf(stats.norm.isf(0.2 / 52) - 1)
    assert single.found == pytest.approx(1 - missed**8)
    assert single.alpha == pytest.approx(0.2 / 52)


def test_a_plan_is_in_units_of_the_error_and_unknown_without_one() -> None:
    plain, scaled = plan_rules(1.0, 1000, POCOCK), plan_rules(0.002, 500, POCOCK)
    for one, other in zip(plain, scaled, strict=True):
        assert (one.rule, one.half_found) == (other.rule, other.half_found)
        assert other.gain == pytest.approx(0.002 * one.gain)
        assert other.found == pytest.approx(one.found, abs=1e-7)
    assert {rule.n_looks for rule in plan_rules(1.0, 1000, Policy())} == {LOOKS}
    for unknown in (math.nan, math.inf, 0.0):
        assert plan_rules(unknown, 1000, POCOCK) == ()


def test_the_alpha_of_a_campaign_is_that_of_as_many_tests() -> None:
    assert due(POCOCK, 52, 8) == pytest.approx(0.2 * 8 / 52)
    assert due(POCOCK, 52, 26) == 0.05
    assert due(Policy(alpha=0.4, yearly_alpha=0.1), 2, 8) == 0.1
    assert due(Policy(memory="per_test", alpha=0.03), 52, 8) == 0.03


@pytest.mark.parametrize("sizes", [EVEN, WEEKLY["very uneven weeks"]])
@pytest.mark.parametrize("spending", SPENDINGS)
def test_intervals_hold_at_all_looks_together(
    spending: SpendingFunction, sizes: tuple[float, ...]
) -> None:
    gain, error = 0.7, np.sum(sizes) ** -0.5
    z = draw_z(np.random.default_rng(8), N_PATHS, sizes, gain)
    judged = judged_looks([0.0] * LOOKS, rules_of(spending), sizes=sizes)
    reach = np.array([look.ends[1] for look in judged])
    effects = z / np.sqrt(np.cumsum(sizes))
    covered = int(np.sum(np.all(np.abs(effects - gain) <= reach, axis=1)))
    assert stats.binomtest(covered, N_PATHS, 0.95, alternative="less").pvalue > 0.001
    assert reach[-1] > stats.norm.isf(0.025) * error
    if spending == "obrien_fleming":
        assert reach[-1] < 1.25 * stats.norm.isf(0.025) * error


def test_an_interval_lies_around_the_effect_and_allows_for_its_degrees_and_cells() -> None:
    result = result_of(1.2, 1.0)._replace(degrees_of_freedom=6.0, error_bound=0.25)
    lower, upper = judge_look(Standing(OF_CAMPAIGN), POCOCK, result).ends
    tail = sequential.spent("pocock", 0.025, 1 / LOOKS)
    reach = stats.t.isf(tail, 6) + 0.25
    assert (lower, upper) == pytest.approx((1.2 - reach, 1.2 + reach))
    judged = judge_look(Standing(OF_CAMPAIGN), POCOCK, result)
    pvalue = excess_pvalue(result, 0.0)
    assert judged.looks[0].z_score == pytest.approx(stats.norm.isf(pvalue))
    assert pvalue == pytest.approx(stats.t.sf(1.2 - 0.25, 6))


def test_the_z_score_is_of_the_required_effect() -> None:
    policy = dataclasses.replace(POCOCK, min_effect_size=0.5)
    judged = judge_look(Standing(OF_CAMPAIGN), policy, result_of(2.0, 4.0))
    assert judged.looks[0].z_score == pytest.approx(1.0)  # (1 - 0.5) / 0.5
    stands = conclude(Standing(OF_CAMPAIGN), judged, policy, "inconclusive")[0]
    assert stands.median_unbiased_effect == pytest.approx(1.0)


def test_information_counts_the_rows_of_the_rarer_class() -> None:
    result = result_of(0.0, 1.0)._replace(n_rows=1000, n_positives=900)
    look = judge_look(Standing(OF_CAMPAIGN), POCOCK, result).looks[0]
    assert look.n_rows == 1000
    assert look.information == pytest.approx(900 * 100 / 1000)


def test_a_look_without_an_error_promotes_nothing_and_the_next_one_goes_on() -> None:
    unknown = result_of(0.0, 2.0)._replace(
        standard_error=math.nan, pvalue=math.nan, ci_lower=math.nan, ci_upper=math.nan
    )
    first = judge_look(Standing(OF_CAMPAIGN), POCOCK, result_of(1.0, 1.0))
    judged = judge_look(Standing(OF_CAMPAIGN, first.looks), POCOCK, unknown)
    known = judged_looks([1.0, 1.0])[-1]
    assert judged.alpha == pytest.approx(known.alpha)
    assert math.isnan(judged.looks[-1].z_score)
    assert all(map(math.isnan, judged.ends))
    stands, looks = conclude(Standing(OF_CAMPAIGN), judged, POCOCK, "inconclusive")
    assert (stands.state, stands.returned, stands.looks_still_needed) == ("open", 0.0, None)
    assert stands.returnable == pytest.approx(0.0, abs=1e-12)
    assert math.isnan(stands.chance)
    assert math.isnan(stands.median_unbiased_effect)
    assert len(looks) == LOOKS
    third = judge_look(Standing(OF_CAMPAIGN, judged.looks), POCOCK, result_of(1.0, 3.0))
    assert third.alpha == pytest.approx(judged_looks([1.0] * 3)[-1].alpha)


def test_identical_scores_rule_a_gain_out() -> None:
    same = result_of(0.0, 1.0)._replace(standard_error=0.0, pvalue=1.0, ci_lower=0.0, ci_upper=0.0)
    for spending in SPENDINGS:
        policy = rules_of(spending)
        judged = judge_look(Standing(OF_CAMPAIGN), policy, same)
        assert judged.ends == (0.0, 0.0)
        assert judged.looks[0].z_score == -sequential.FARTHEST
        stands, looks = conclude(Standing(OF_CAMPAIGN), judged, policy, "keep_champion")
        assert stands.state == "no_gain"
        assert stands.returned == pytest.approx(OF_CAMPAIGN - looks[-1].spent, abs=1e-12)
        assert math.isnan(stands.median_unbiased_effect)


def test_an_effect_that_is_certain_promotes_at_the_first_look() -> None:
    certain = result_of(0.0, 1.0)._replace(effect_size=0.1, standard_error=0.0, pvalue=0.0)
    for spending in SPENDINGS:
        policy = rules_of(spending)
        judged = judge_look(Standing(OF_CAMPAIGN), policy, certain)
        assert excess_pvalue(certain, 0.0) == 0.0
        assert judged.alpha >= LEAST > 0
        assert judged.looks[0].z_score == sequential.FARTHEST
        stands, looks = conclude(Standing(OF_CAMPAIGN), judged, policy, "promote")
        assert stands.state == "promoted"
        assert stands.returned == pytest.approx(OF_CAMPAIGN - looks[-1].spent, abs=1e-12)


def test_a_plan_expects_of_every_week_what_the_weeks_so_far_brought() -> None:
    """More rows than planned spend no faster than looks; fewer spend less, until they are there."""
    for sizes, fractions in (
        (EVEN, [1, 2, 3, 4, 5, 6, 7, 8]),
        (WEEKLY["one week skipped"], [1, 2, 3, 4, 5, 6, 7, 8]),
        (WEEKLY["growing weeks"], [1, 2, 3, 4, 5, 6, 7, 8]),
        (WEEKLY["first week tiny"], [1, 2, 3, 4, 5, 6, 7, 8]),
        ((1.0, 0.5, 0.5, 2.0, 1.0, 0.1, 0.1, 0.1), [1, 1.5, 2, 4, 5, 5.1, 5.2, 8]),
    ):
        looks = judged_looks([0.0] * LOOKS, sizes=sizes)[-1].looks
        found = [look.fraction * LOOKS for look in looks]
        assert found == pytest.approx(fractions, rel=1e-4)


def test_two_weeks_at_once_may_use_what_two_looks_may() -> None:
    """After a week with half of the rows, for which the plan has room."""
    short = judged_looks([0.0] * 2, sizes=(1.0, 0.5))[-1].looks
    once, twice = (
        judge_look(Standing(OF_CAMPAIGN, short), POCOCK, result_of(0.0, weeks)).looks
        for weeks in (2.0, 2.5)
    )
    more = [looks[-1].spent - short[-1].spent for looks in (once, twice)]
    steps = [sequential.spent("pocock", OF_CAMPAIGN, n / LOOKS) for n in (1.5, 2.0, 2.5)]
    assert more == pytest.approx([steps[1] - steps[0], steps[2] - steps[0]])


@pytest.mark.parametrize("sizes", WEEKLY.values(), ids=WEEKLY)
@pytest.mark.parametrize("spending", FIXED)
def test_the_last_look_may_use_all_that_is_left(
    spending: SpendingFunction, sizes: tuple[float, ...]
) -> None:
    looks = judged_looks([0.0] * LOOKS, rules_of(spending), sizes=sizes)[-1].looks
    assert looks[-1].fraction == 1
    assert looks[-1].spent == pytest.approx(OF_CAMPAIGN)
    assert np.all(np.diff([look.spent for look in looks]) > 0)
    assert all(math.isfinite(look.bound) for look in looks)
    used = sequential.crossings(
        [look.information for look in looks], [look.bound for look in looks]
    )
    assert np.cumsum(used) == pytest.approx([look.spent for look in looks], rel=1e-5)


def test_a_look_without_new_rows_uses_nothing() -> None:
    for spending in FIXED:
        looks = judged_looks([1.0, 1.0], rules_of(spending), sizes=(1.0, 0.0))
        assert looks[-1].looks[-1].spent == looks[0].looks[-1].spent
        assert looks[-1].looks[-1].bound == math.inf
        assert looks[-1].alpha == LEAST
    looks = judged_looks([1.0, 1.0], rules_of("e_process"), sizes=(1.0, 0.0))
    assert looks[-1].alpha == looks[0].alpha


def test_an_e_process_does_not_depend_on_how_many_looks_are_planned() -> None:
    alphas = []
    for n_looks in (3, 8, 26):
        policy = Policy(campaign=CampaignRules(looks=n_looks, spending="e_process"))
        alphas.append([look.alpha for look in judged_looks([0.0] * 3, policy)])
    assert alphas[0] == alphas[1] == alphas[2]


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
    made = judged_looks([1.0, 1.0, 1.0])[-1].looks
    short = Policy(campaign=CampaignRules(looks=2))
    judged = judge_look(Standing(OF_CAMPAIGN, made), short, result_of(1.0, 4.0))
    stands, looks = conclude(Standing(OF_CAMPAIGN, made), judged, short, "inconclusive")
    assert (stands.state, stands.look, stands.n_looks, len(looks)) == ("last_look", 4, 4, 4)
    assert stands.spent == pytest.approx(OF_CAMPAIGN)


@pytest.mark.parametrize("spending", FIXED)
def test_planned_looks_are_those_that_come_if_rows_do(spending: SpendingFunction) -> None:
    policy = rules_of(spending)
    made = judged_looks([0.3] * 3, policy)[-1].looks
    planned = plan_looks(made, policy.campaign, OF_CAMPAIGN)
    come = judged_looks([0.3] * LOOKS, policy)[-1].looks[3:]
    for name in ("n_rows", "information", "standard_error", "fraction", "spent", "bound"):
        one, other = ([getattr(look, name) for look in looks] for looks in (planned, come))
        assert one == pytest.approx(other, rel=1e-6)
    assert all(math.isnan(look.z_score) and math.isnan(look.effect_size) for look in planned)


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


@pytest.fixture(scope="module")
def decisions() -> list[Decision]:
    """Three looks of one campaign, at 1,000 rows of a week each, all rows so far."""
    label, champion, challenger = draw_probabilities(3000, seed=5, lift=0.08)
    day = np.arange(3000) // 143
    policy = dataclasses.replace(PLAIN, campaign=CampaignRules(looks=LOOKS))
    made: tuple[Look, ...] = ()
    found = []
    for end in (1000, 2000, 3000):
        scores = {"champion": champion[:end], "challenger": challenger[:end]}
        rows = check_rows(label[:end], scores, period=day[:end])
        decision = judge(
            Evidence(rows),
            policy,
            standing=Standing(OF_CAMPAIGN, made),
            rng=np.random.default_rng(end),
            in_full=end == 3000,
        )
        made = tuple(look for look in decision.verdict.looks if look.made)
        found.append(decision)
    return found


def test_a_verdict_tells_where_its_campaign_stands(decisions: list[Decision]) -> None:
    for number, (verdict, *_) in enumerate(decisions, 1):
        campaign, looks = verdict.campaign, verdict.looks
        assert campaign is not None
        assert (verdict.verdict, campaign.state) == ("inconclusive", "open")
        assert (campaign.look, campaign.n_looks, campaign.alpha) == (number, LOOKS, OF_CAMPAIGN)
        assert [look.made for look in looks] == [n < number for n in range(LOOKS)]
        now = looks[number - 1]
        assert (now.n_rows, now.effect_size) == (verdict.n_rows, verdict.effect_size)
        assert now.standard_error == verdict.standard_error
        assert verdict.alpha == pytest.approx(stats.norm.sf(now.bound))
        assert verdict.pvalue == pytest.approx(stats.norm.sf(now.z_score))
        assert campaign.spent == now.spent
        detectable = detectable_effect(looks, verdict.power)
        assert verdict.minimum_detectable_effect == pytest.approx(detectable)
        assert verdict.reasons
        assert all(verdict.reasons)
        assert verdict.period == "day"
    effects = [decision.verdict.looks[0].effect_size for decision in decisions]
    assert len(set(effects)) == 1  # the first look is what it was


def test_the_interval_of_a_verdict_is_wider_than_that_of_a_single_test(
    decisions: list[Decision],
) -> None:
    for verdict, *_ in decisions:
        centre = (verdict.ci_lower + verdict.ci_upper) / 2
        assert centre == pytest.approx(verdict.effect_size, abs=1e-12)
        plain = stats.t.isf(0.025, verdict.degrees_of_freedom) * verdict.standard_error
        assert verdict.ci_upper - verdict.effect_size > 1.1 * plain


def test_rows_are_needed_by_whole_looks(decisions: list[Decision]) -> None:
    for verdict, *_ in decisions:
        assert verdict.campaign is not None
        more = verdict.campaign.looks_still_needed
        if more is None:
            assert verdict.rows_still_needed is None
            assert verdict.periods_still_needed is None
            continue
        assert verdict.rows_still_needed == 1000 * more
        assert verdict.positives_still_needed == math.ceil(
            verdict.n_positives * more / verdict.campaign.look
        )
        assert verdict.n_periods is not None
        assert verdict.periods_still_needed == math.ceil(
            verdict.n_periods * more / verdict.campaign.look
        )
    assert any(d.verdict.rows_still_needed for d in decisions)


def test_a_verdict_in_full_has_a_plan_of_all_ways_to_test(decisions: list[Decision]) -> None:
    assert [bool(decision.verdict.plan) for decision in decisions] == [False, False, True]
    verdict = decisions[-1].verdict
    assert {rule.rule for rule in verdict.plan} == {"single", *SPENDINGS}
    gains = {rule.gain / verdict.standard_error / math.sqrt(3) for rule in verdict.plan}
    assert sorted(gains) == pytest.approx([0.5, 1.0, 1.5, 2.5])
    mapping = json.loads(json.dumps(verdict.to_mapping(), allow_nan=False))
    assert mapping["looks"][-1]["effect_size"] is None
    assert mapping["campaign"]["state"] == "open"


@pytest.mark.parametrize("spending", SPENDINGS)
@pytest.mark.parametrize("alpha", [OF_CAMPAIGN, LEAST])
def test_a_campaign_goes_on_from_the_looks_that_its_verdict_wrote(
    spending: SpendingFunction, alpha: float, decisions: list[Decision]
) -> None:
    """JSON has neither NaN nor infinity: some looks have no bound."""
    policy = rules_of(spending)
    past = judged_looks([1.0, 1.0], policy, alpha=alpha, sizes=(1.0, 0.0))[-1].looks
    written = dataclasses.replace(decisions[0].verdict, looks=past).to_mapping()["looks"]
    read = tuple(read_look(look) for look in json.loads(json.dumps(written, allow_nan=False)))
    third, again = (
        judge_look(Standing(alpha, looks), policy, result_of(1.0, 2.0)) for looks in (past, read)
    )
    assert again == third


def test_a_better_challenger_is_promoted_by_its_campaign() -> None:
    label, champion, challenger = draw_probabilities(3000, seed=1, lift=0.4)
    rows = check_rows(label, {"champion": champion, "challenger": challenger})
    policy = dataclasses.replace(PLAIN, campaign=CampaignRules(looks=LOOKS))
    verdict = judge(Evidence(rows), policy, standing=Standing(OF_CAMPAIGN), in_full=False).verdict
    assert verdict.campaign is not None
    assert (verdict.verdict, verdict.campaign.state) == ("promote", "promoted")
    assert (verdict.rows_still_needed, verdict.campaign.returned) == (0, 0.0)


def test_a_verdict_without_a_standing_belongs_to_no_campaign() -> None:
    label, champion, challenger = draw_probabilities(1000, seed=1)
    rows = check_rows(label, {"champion": champion, "challenger": challenger})
    policy = dataclasses.replace(PLAIN, campaign=CampaignRules(looks=LOOKS))
    verdict = judge(Evidence(rows), policy, in_full=False).verdict
    assert (verdict.campaign, verdict.looks, verdict.alpha) == (None, (), policy.alpha)
