"""Does the gate err as often as it says? Simulated comparisons whose truth is known.

A short version of `tests/benchmarks/calibration.py`, on the same laws. Every share is tested
against its nominal value with the exact binomial test; a right gate fails one such test in a
thousand seeds, and the seeds are fixed. Each also shows that it could fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from retraining.gate.decision import decide
from retraining.gate.policy import Policy
from retraining.gate.strategies import STRATEGIES
from retraining.statistics.metrics import METRICS
from tests.benchmarks.laws import LIFT, Setting

if TYPE_CHECKING:
    from retraining.gate.strategy_result import StrategyResult

pytestmark = pytest.mark.slow

UNLIKELY = 0.001
ROWS = Setting(800, 0.25)
UNITS = Setting(4000, 0.25, n_units=40)


def findings(
    setting: Setting,
    times: int,
    seed: int,
    *,
    lift: float = 0.0,
    by_unit: bool = True,
    **options: Any,  # noqa: ANN401 (fields of a policy)
) -> list[StrategyResult]:
    policy = Policy(**{"confidence_level": 0.9, **options})
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(times):
        rows = setting.draw(rng, lift)
        rows = rows if by_unit else rows._replace(unit=None)
        found.append(STRATEGIES[policy.strategy].run(rows, policy, policy.alpha, rng))
    return found


def promotions(found: list[StrategyResult]) -> list[bool]:
    return [one.says == "promote" for one in found]


def covers(found: list[StrategyResult], truth: float = 0.0) -> list[bool]:
    return [one.result.ci_lower <= truth <= one.result.ci_upper for one in found]


def agreement(found: list[bool], nominal: float) -> float:
    """Probability of a share at least this far from the nominal one, were that the truth."""
    return float(stats.binomtest(sum(found), len(found), nominal).pvalue)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_delong_promotes_an_equal_challenger_as_often_as_alpha(alpha: float) -> None:
    promoted = promotions(findings(ROWS, 3000, seed=1, alpha=alpha))
    assert agreement(promoted, alpha) > UNLIKELY
    assert agreement(promoted, 2 * alpha) < UNLIKELY


def test_delong_promotes_a_challenger_of_the_required_gain_as_often_as_alpha() -> None:
    """The area is larger by exactly what the policy asks to be exceeded, and the interval knows."""
    gain = LIFT
    found = findings(ROWS, 3000, seed=2, lift=gain, min_effect_size=gain)
    assert agreement(promotions(found), 0.05) > UNLIKELY
    assert agreement(covers(found, gain), 0.9) > UNLIKELY
    assert agreement(covers(found, 0.0), 0.9) < UNLIKELY


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_influence_errs_as_often_as_it_says(metric: str) -> None:
    found = findings(
        ROWS, 2000, seed=3, strategy="influence", metric=metric, capacity=0.1, alpha=0.05
    )
    assert agreement(promotions(found), 0.05) > UNLIKELY
    assert agreement(covers(found), 0.9) > UNLIKELY
    assert agreement(covers(found), 0.95) < UNLIKELY


@pytest.mark.parametrize("setting", [ROWS._replace(weighted=True), ROWS._replace(step=0.5)])
def test_weights_and_ties_keep_the_error(setting: Setting) -> None:
    found = findings(setting, 2000, seed=4, strategy="influence", metric="auprc")
    assert agreement(promotions(found), 0.05) > UNLIKELY
    assert agreement(covers(found), 0.9) > UNLIKELY


@pytest.mark.parametrize(
    "options",
    [
        {"metric": "auroc"},
        {"metric": "auroc", "interval": "bca"},
        {"metric": "brier", "resample": "stratified"},
        {"metric": "auprc"},
    ],
    ids=lambda options: " ".join(options.values()),
)
def test_bootstrap_errs_as_often_as_it_says(options: dict[str, Any]) -> None:
    found = findings(ROWS, 500, seed=5, strategy="paired_bootstrap", n_resamples=200, **options)
    assert agreement(promotions(found), 0.05) > UNLIKELY
    assert agreement(covers(found), 0.9) > UNLIKELY
    assert agreement(covers(found), 0.97) < UNLIKELY


def test_nadeau_bengio_errs_as_often_as_it_says() -> None:
    found = findings(ROWS, 700, seed=6, strategy="nadeau_bengio", n_subsamples=50)
    assert agreement(promotions(found), 0.05) > UNLIKELY
    assert agreement(covers(found), 0.9) > UNLIKELY


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({}, 2000),
        ({"strategy": "influence", "metric": "log_loss"}, 2000),
        ({"strategy": "paired_bootstrap", "n_resamples": 200}, 500),
    ],
    ids=["delong", "influence", "bootstrap"],
)
def test_units_keep_the_error_of_dependent_rows_at_alpha(
    options: dict[str, Any], times: int
) -> None:
    by_unit = findings(UNITS, times, seed=7, **options)
    assert agreement(promotions(by_unit), 0.05) > UNLIKELY
    assert agreement(covers(by_unit), 0.9) > UNLIKELY
    by_row = promotions(findings(UNITS, times, seed=7, by_unit=False, **options))
    assert agreement(by_row, 0.05) < UNLIKELY
    assert np.mean(by_row) > 0.1


@pytest.mark.parametrize(
    ("strategy", "least", "most"),
    [("subsample_ttest", 0.2, 0.4), ("disjoint_split", 0.2, 0.4), ("interval_overlap", 0.0, 0.01)],
)
def test_rules_of_earlier_systems_err_as_they_are_said_to(
    strategy: str, least: float, most: float
) -> None:
    """Of two that promote without reason, and one that hardly ever sees a difference."""
    promoted = promotions(findings(ROWS, 300, seed=8, strategy=strategy, n_resamples=100))
    assert least <= np.mean(promoted) <= most
    assert not STRATEGIES[strategy].valid


def test_minimum_detectable_effect_is_promoted_as_often_as_power() -> None:
    """Equal models give that effect; a challenger that is better by that much is then promoted."""
    policy, rng = Policy(), np.random.default_rng(9)
    samples = [ROWS.draw(rng) for _ in range(50)]
    verdicts = [decide(rows.label, *rows.scores, policy=policy, rng=rng) for rows in samples]
    detectable = float(np.mean([verdict.minimum_detectable_effect for verdict in verdicts]))
    found = promotions(findings(ROWS, 1500, seed=10, lift=detectable))
    assert np.mean(found) == pytest.approx(0.8, abs=0.05)


def test_decide_promotes_an_equal_challenger_no_more_often_than_alpha() -> None:
    """Guardrails can only take promotions away."""
    policy, rng = Policy(alpha=0.1), np.random.default_rng(11)
    promoted = []
    for _ in range(300):
        rows = ROWS.draw(rng)
        verdict = decide(rows.label, *rows.scores, policy=policy, rng=rng)
        promoted.append(verdict.verdict == "promote")
    assert stats.binom.sf(sum(promoted) - 1, 300, 0.1) > UNLIKELY
    assert sum(promoted) > 0
