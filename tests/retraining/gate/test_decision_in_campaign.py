"""Verdicts of looks: where their campaign stands, and what its next look goes on from."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from retraining.gate.campaign import Standing, detectable_effect, judge_look
from retraining.gate.decision import Evidence, judge
from retraining.gate.looks import LEAST, read_look
from retraining.gate.policy import CampaignRules, Policy
from retraining.statistics.checks import check_rows
from tests.benchmarks.courses import (
    LOOKS,
    OF_CAMPAIGN,
    SPENDINGS,
    judged_looks,
    result_of,
    rules_of,
)
from tests.drawing import draw_probabilities

if TYPE_CHECKING:
    from retraining.gate.decision import Decision
    from retraining.gate.looks import Look
    from retraining.statistics.sequential import SpendingFunction

PLAIN = Policy(calibration_factor=1000.0, suspicious_gain=1.0, worse_on_validation="test")

pytestmark = pytest.mark.usefixtures("bounds_remembered")


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
