"""Calibration: which challengers are stopped, what is said of the others, and how often it errs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import special, stats

from retraining.gate.calibration_guardrail import judge_calibration
from retraining.gate.policy import Policy
from retraining.statistics.rows import Rows
from tests.reading import numbers

if TYPE_CHECKING:
    from retraining.gate.verdict import Guardrail


def scored(
    n_rows: int,
    prevalence: float,
    rng: np.random.Generator,
    *,
    odds: tuple[float, float] = (1.0, 1.0),
) -> Rows:
    """Models that know the true odds but for noise of their own, and multiply them by `odds`."""
    truth = rng.normal(special.logit(prevalence), 1.0, n_rows)
    label = rng.random(n_rows) < special.expit(truth)
    scores = tuple(
        special.expit(truth + 0.2 * rng.normal(size=n_rows) + np.log(factor)) for factor in odds
    )
    return Rows(label, scores, np.ones(n_rows), None)


def judged(rows: Rows, policy: Policy | None = None) -> Guardrail:
    return judge_calibration(rows, policy or Policy(), "")


def share_failed(times: int, n_rows: int, prevalence: float, odds: tuple[float, float]) -> float:
    rng = np.random.default_rng(3)
    found = [judged(scored(n_rows, prevalence, rng, odds=odds)).status for _ in range(times)]
    return found.count("failed") / times


@pytest.mark.parametrize(
    ("prevalence", "n_rows", "factor"),
    [(0.005, 20_000, 5), (0.02, 10_000, 3), (0.1, 5_000, 2.5), (0.3, 2_000, 2.5)],
)
def test_odds_that_are_too_high_are_stopped_at_any_base_rate(
    prevalence: float, n_rows: int, factor: float
) -> None:
    assert share_failed(40, n_rows, prevalence, (1.0, factor)) > 0.95


def test_odds_that_are_too_low_are_stopped_and_better_ones_are_not() -> None:
    assert share_failed(20, 5_000, 0.1, (1.0, 0.4)) > 0.95
    assert share_failed(20, 5_000, 0.1, (0.4, 1.0)) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("prevalence", "n_rows"), [(0.005, 20_000), (0.1, 2_000)])
def test_equal_models_raise_an_alarm_as_seldom_as_alpha(prevalence: float, n_rows: int) -> None:
    alarms = round(300 * share_failed(300, n_rows, prevalence, (1.0, 1.0)))
    assert stats.binomtest(alarms, 300, 0.05, alternative="greater").pvalue > 0.001


def test_a_challenger_that_is_off_by_just_the_factor_fails_as_often_as_alpha() -> None:
    """The champion expects 1.5 times the positives, the challenger 1.25 times that."""
    rng = np.random.default_rng(4)
    failed = []
    for _ in range(600):
        truth = rng.beta(2, 18, 3000)
        noise = np.exp(rng.normal(-0.02, 0.2, (2, 3000)))
        label = rng.random(3000) < truth
        scores = 1.5 * truth * noise[0], 1.875 * truth * noise[1]
        failed.append(judged(Rows(label, scores, np.ones(3000), None)).status == "failed")
    assert stats.binomtest(sum(failed), len(failed), 0.05).pvalue > 0.001
    assert stats.binomtest(sum(failed), len(failed), 0.12).pvalue < 0.001


def test_the_factor_of_the_policy_counts() -> None:
    rows = scored(5_000, 0.1, np.random.default_rng(5), odds=(1.0, 2.0))
    assert judged(rows).status == "failed"
    lenient = judged(rows, Policy(calibration_factor=3.0, secondary={"log_loss": 1.0}))
    assert lenient.status == "passed"
    assert "factor of 3 " in lenient.sentence


def test_it_says_that_both_models_are_far_off() -> None:
    rng = np.random.default_rng(6)
    assert "both models are far off" in judged(scored(5_000, 0.05, rng, odds=(6, 6))).sentence
    assert "far off" not in judged(scored(5_000, 0.05, rng, odds=(6, 1))).sentence


def test_a_worse_log_loss_is_said_unless_the_policy_judges_it() -> None:
    """Noise that leaves the number of expected positives nearly right."""
    rng = np.random.default_rng(7)
    rows = scored(20_000, 0.3, rng)
    noisy = special.expit(special.logit(rows.scores[0]) + rng.normal(size=20_000))
    worse = rows._replace(scores=(rows.scores[0], noisy))
    found = judged(worse)
    assert found.status == "unknown"
    assert "log_loss" in found.sentence
    assert judged(worse, Policy(metric="log_loss")).status == "passed"
    assert judged(worse, Policy(secondary={"log_loss": 0.1})).status == "passed"


def test_it_shows_the_slopes_where_there_are_any() -> None:
    rows = scored(20_000, 0.3, np.random.default_rng(8))
    extreme = special.expit(2 * special.logit(rows.scores[1]))
    sentence = judged(rows._replace(scores=(rows.scores[0], extreme))).sentence
    slopes = sentence[sentence.index("slope") :]
    challenger, champion = (float(value) for value in numbers(slopes)[:2])
    assert challenger == pytest.approx(champion / 2, rel=0.1)
    constant = rows._replace(scores=(rows.scores[0], np.full(20_000, 0.3)))
    assert "slope" not in judged(constant).sentence
