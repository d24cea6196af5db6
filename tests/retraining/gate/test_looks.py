"""Looks of a campaign: the alpha of each, its bound and its interval."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from retraining.gate.campaign import Standing, conclude, judge_look
from retraining.gate.looks import LEAST, plan_looks
from retraining.gate.policy import CampaignRules, Policy
from retraining.statistics import sequential
from retraining.statistics.inference import excess_pvalue
from tests.benchmarks.courses import (
    EVEN,
    FIXED,
    LOOKS,
    OF_CAMPAIGN,
    SPENDINGS,
    WEEKLY,
    draw_z,
    judged_looks,
    result_of,
    rules_of,
)

if TYPE_CHECKING:
    from retraining.statistics.sequential import SpendingFunction

POCOCK = rules_of("pocock")
N_PATHS = 4000

pytestmark = pytest.mark.usefixtures("bounds_remembered")


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
    known = judged_looks([1.0, 1.0], POCOCK)[-1]
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
    assert third.alpha == pytest.approx(judged_looks([1.0] * 3, POCOCK)[-1].alpha)


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
        looks = judged_looks([0.0] * LOOKS, POCOCK, sizes=sizes)[-1].looks
        found = [look.fraction * LOOKS for look in looks]
        assert found == pytest.approx(fractions, rel=1e-4)


def test_two_weeks_at_once_may_use_what_two_looks_may() -> None:
    """After a week with half of the rows, for which the plan has room."""
    short = judged_looks([0.0] * 2, POCOCK, sizes=(1.0, 0.5))[-1].looks
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
