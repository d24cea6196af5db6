"""Plans: how soon a gain would be found by each way of testing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from retraining.gate.campaign_plan import plan_rules
from retraining.gate.policy import Policy
from tests.benchmarks.courses import (
    EVEN,
    LOOKS,
    OF_CAMPAIGN,
    course_of,
    crossed,
    draw_z,
    rules_of,
)

POCOCK = rules_of("pocock")
N_PATHS = 4000

pytestmark = pytest.mark.usefixtures("bounds_remembered")


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
