"""Results that few rows carry: which are not believed, and how often those that are err."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from retraining.gate.decision import decide
from retraining.gate.policy import Policy
from retraining.gate.strategies import STRATEGIES
from retraining.gate.support import CARRIERS, find_carriers, judge_support
from retraining.statistics.metrics import METRICS
from retraining.statistics.rows import Rows
from tests.drawing import draw_rows
from tests.reading import numbers

AUROC = METRICS["auroc"]
POLICY = Policy()
F1 = Policy(metric="f1", minimum_positives=20)


def one_misses(positives: int, share: float, rng: np.random.Generator) -> Rows:
    """The champion is binormal; the challenger ranks some positives at random, others on top.

    Nine in ten rows are negative. Both have the area 1 - share / 2.
    """
    label = np.arange(10 * positives) < positives
    separation = np.sqrt(2) * stats.norm.ppf(1 - share / 2)
    top = label & (rng.random(label.size) >= share)
    scores = rng.normal(size=label.size) + separation * label, rng.random(label.size) + top
    return Rows(label, scores, np.ones(label.size), None)


def says(rows: Rows, policy: Policy = POLICY) -> str:
    found = STRATEGIES["influence"].run(rows, policy, policy.alpha, np.random.default_rng())
    checks = judge_support(rows, found, policy, policy.alpha)
    return found.says if all(check.status == "passed" for check in checks) else "inconclusive"


def test_a_few_missed_positives_carry_the_difference() -> None:
    """Of 40 positives the challenger ranks 3 last and the champion none: 3 against, none for."""
    label = np.arange(400) < 40
    score = label + np.arange(400) / 1000
    missed = np.where(np.arange(400) < 3, -1.0, score)
    carriers = find_carriers(Rows(label, (score, missed), np.ones(400), None), AUROC)
    assert carriers.against == pytest.approx(3, rel=0.05)
    assert carriers.in_favour == 0
    assert carriers.all < 4
    assert carriers.skewness < 0


def test_units_are_counted_once_and_cells_as_their_rows() -> None:
    rows = draw_rows(300)
    twice = rows._replace(
        label=np.tile(rows.label, 2),
        scores=tuple(np.tile(score, 2) for score in rows.scores),
        weight=np.ones(600),
        unit=np.tile(np.arange(300), 2),
    )
    size = np.full(300, 2.0)
    cells = rows._replace(weight=size, square=size, size=size)
    single = find_carriers(rows, AUROC)
    assert find_carriers(twice, AUROC) == pytest.approx(single)
    assert find_carriers(cells, AUROC).all == pytest.approx(2 * single.all)


def test_an_ordinary_result_is_carried_by_many_rows() -> None:
    rows = draw_rows(2000, lift=0.6)
    verdict = decide(rows.label, *rows.scores, policy=POLICY)
    support = next(check for check in verdict.guardrails if check.name == "support")
    assert (verdict.verdict, support.status) == ("promote", "passed")
    assert float(numbers(support.sentence)[0]) > CARRIERS


def test_few_units_that_all_agree_are_believed() -> None:
    rows = draw_rows(4000, lift=0.6)
    verdict = decide(rows.label, *rows.scores, policy=POLICY, unit=np.arange(4000) // 100)
    support = next(check for check in verdict.guardrails if check.name == "support")
    assert (verdict.verdict, support.status) == ("promote", "passed")
    assert float(numbers(support.sentence)[0]) < CARRIERS


def test_a_result_on_few_misses_is_not_believed_in_either_direction() -> None:
    label = np.arange(1200) < 120
    rng = np.random.default_rng(1)
    perfect = label + rng.random(1200)
    misses = np.where(np.arange(1200) < 5, 0.5, perfect)
    for scores in ((misses, perfect), (perfect, misses)):
        found = STRATEGIES["influence"].run(
            Rows(label, scores, np.ones(1200), None), POLICY, 0.05, rng
        )
        assert found.says != "inconclusive"
        verdict = decide(label, *scores, policy=POLICY)
        assert verdict.verdict == "inconclusive"
        assert any(check.name == "support" for check in verdict.guardrails)


@pytest.mark.parametrize(
    ("factors", "first"),
    [
        ((0.4, 0.4), "Neither model predicts any row"),
        ((1.0, 0.4), "The challenger does not predict any row"),
        ((0.4, 1.0), "The champion does not predict any row"),
    ],
)
def test_f1_without_a_predicted_positive_decides_nothing(
    factors: tuple[float, float], first: str
) -> None:
    rows = draw_rows(2000)
    scores = [score * factor for score, factor in zip(rows.scores, factors, strict=True)]
    verdict = decide(rows.label, *scores, policy=F1)
    support = next(check for check in verdict.guardrails if check.name == "support")
    assert (verdict.verdict, support.status) == ("inconclusive", "failed")
    assert support.sentence.startswith(first)
    assert "threshold 0.5" in support.sentence
    assert support.sentence in verdict.reasons


def test_f1_with_few_predicted_positives_decides_nothing() -> None:
    rows = draw_rows(2000)
    few = np.where(np.arange(2000) < 3, 0.9, 0.1)
    verdict = decide(rows.label, rows.scores[0], few, policy=F1)
    support = next(check for check in verdict.guardrails if check.name == "support")
    assert (verdict.verdict, support.status) == ("inconclusive", "failed")
    assert numbers(support.sentence)[0] == "3"
    secondary = Policy(secondary={"f1": 0.5})
    verdict = decide(rows.label, rows.scores[0], few, policy=secondary)
    statuses = {check.name: check.status for check in verdict.guardrails}
    assert statuses["secondary"] == "failed"
    # The champion's lack of predictions does not stop a challenger that makes some.
    verdict = decide(rows.label, few, rows.scores[0], policy=secondary)
    statuses = {check.name: check.status for check in verdict.guardrails}
    assert statuses["secondary"] == "unknown"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("positives", "share"),
    [(120, 0.01), (120, 0.02), (120, 0.05), (120, 0.1), (120, 0.2), (400, 0.05)],
)
def test_rare_misses_decide_as_seldom_as_they_should(positives: int, share: float) -> None:
    """Without this rule up to a third of these equal models are promoted, or kept."""
    rng = np.random.default_rng(7)
    promoted, kept = [], []
    for _ in range(600):
        rows = one_misses(positives, share, rng)
        promoted.append(says(rows) == "promote")
        kept.append(says(rows._replace(scores=rows.scores[::-1])) == "keep_champion")
    for decided, most in ((promoted, 1.5 * 0.05), (kept, 1.5 * 0.025)):
        test = stats.binomtest(sum(decided), len(decided), most, alternative="greater")
        assert test.pvalue > 0.01
