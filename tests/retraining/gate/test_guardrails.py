"""Guardrails: what each lets pass and stops, which numbers it names, and how often it errs."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import special, stats

from retraining.gate.guardrails import check, promotable
from retraining.gate.policy import Policy
from retraining.gate.verdict import Guardrail, Slice
from retraining.statistics.checks import check_rows
from retraining.statistics.comparing import compare_rows
from retraining.statistics.metrics import choose
from retraining.statistics.rows import Rows
from tests.drawing import draw_scores
from tests.reading import numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from retraining.statistics.rows import Floats

SEPARATION, NOISE = 1.2, 0.45


def scored(
    n_rows: int = 2000,
    lift: float = 0.0,
    seed: int = 0,
    flat: float = 0.0,
    unit: npt.ArrayLike | None = None,
) -> Rows:
    """Every fourth row positive, calibrated probabilities; `flat` is added to the challenger."""
    rng = np.random.default_rng(seed)
    label = np.arange(n_rows) % 4 == 0
    slope = SEPARATION / (1 + NOISE**2)
    champion, challenger = (
        special.expit(slope * (score - SEPARATION / 2) - np.log(3))
        for score in draw_scores(label, rng, lift=lift, separation=SEPARATION, noise=NOISE)
    )
    scores = {"champion": champion, "challenger": np.minimum(challenger + flat, 1.0)}
    return check_rows(label, scores, unit=unit)


def checked(rows: Rows, policy: Policy | None = None, *slices: Slice) -> dict[str, Guardrail]:
    policy = policy or Policy()
    effect = compare_rows(rows, choose(policy.metric))
    return {found.name: found for found in check(rows, slices, effect, policy)}


def judged(
    name: str,
    status: Literal["not_worse", "worse", "pooled", "too_small"],
    *,
    possible_loss: float = math.nan,
    proof: float = math.nan,
) -> Slice:
    figures = (0.8, 0.78, -0.02, -0.03, -0.01, possible_loss, 0.001, proof)
    return Slice(name, 500, 120, *figures, status)


def with_challenger(score: Callable[[Floats], Floats]) -> Rows:
    rows = scored()
    return rows._replace(scores=(rows.scores[0], score(rows.scores[1])))


def test_an_ordinary_challenger_passes_everything_in_the_order_of_the_report() -> None:
    policy = Policy(secondary={"log_loss": 0.02, "f1": 0.1})
    rows = scored(lift=0.2)
    slices = (judged("city=Oslo", "not_worse"),)
    found = check(rows, slices, compare_rows(rows, choose("auroc")), policy)
    assert [guardrail.name for guardrail in found] == [
        "minimum_positives",
        "slices",
        "secondary",
        "secondary",
        "calibration",
        "leak",
        "scores",
    ]
    assert {guardrail.status for guardrail in found} == {"passed"}
    assert all(guardrail.sentence.endswith(".") for guardrail in found)
    assert promotable(found)


def test_any_failure_stops_a_promotion_and_the_unknown_does_not() -> None:
    passed, unknown = Guardrail("leak", "passed", ""), Guardrail("scores", "unknown", "")
    assert promotable([passed, unknown])
    assert not promotable([passed, Guardrail("slices", "failed", ""), unknown])
    assert promotable([])


def test_minimum_positives_says_what_there_is_and_what_is_missing() -> None:
    enough = checked(scored())["minimum_positives"]
    assert enough.status == "passed"
    assert numbers(enough.sentence) == ["500", "1,500", "100"]
    units = checked(scored(unit=np.arange(2000) // 40))["minimum_positives"]
    assert numbers(units.sentence) == ["500", "1,500", "30", "100"]
    few = checked(scored(n_rows=200, unit=np.arange(200) // 8))["minimum_positives"]
    assert few.status == "failed"
    assert numbers(few.sentence) == ["50", "100", "25", "30", "25", "30"]
    assert re.findall("positives|negatives", few.sentence) == ["positives"] * 2 + ["negatives"]


def test_without_slices_there_is_no_guardrail_on_them() -> None:
    assert "slices" not in checked(scored())


def test_slices_names_those_that_are_worse_and_those_too_small() -> None:
    slices = [judged("a=1", "not_worse"), judged("b=2", "worse"), judged("c=3", "too_small")]
    found = checked(scored(), None, *slices)["slices"]
    assert found.status == "failed"
    assert "worse in b=2 (" in found.sentence
    assert {"-0.02", "0.001"} <= set(numbers(found.sentence))
    assert found.sentence.endswith(": c=3.")
    assert "a=1" not in found.sentence
    tolerant = checked(scored(), Policy(slice_margin=0.01), *slices)["slices"]
    assert "worse by more than 0.01 in b=2 (" in tolerant.sentence


def test_slices_pass_where_none_is_shown_to_be_worse() -> None:
    slices = [judged(f"a={i}", "not_worse") for i in range(2)]
    both = checked(scored(), None, *slices)["slices"]
    assert both.status == "passed"
    assert numbers(both.sentence) == ["2"]
    slices = [judged("a", "not_worse"), *(judged(f"b={i}", "too_small") for i in range(7))]
    one = checked(scored(), None, *slices)["slices"]
    assert one.status == "passed"
    assert one.sentence.endswith(": b=0, b=1, b=2, b=3, b=4 and 2 more.")


def test_slices_that_are_all_too_small_are_unknown() -> None:
    found = checked(scored(), None, judged("a=1", "too_small"), judged("a=2", "too_small"))
    assert found["slices"].status == "unknown"
    assert found["slices"].sentence.endswith(": a=1, a=2.")


def test_slices_say_which_losses_are_not_ruled_out_the_largest_first() -> None:
    slices = [
        judged("a=1", "not_worse", possible_loss=0.01),
        judged("a=2", "not_worse", possible_loss=0.0),
        judged("a=3", "too_small", possible_loss=0.2),
    ]
    sentence = checked(scored(), None, *slices)["slices"].sentence
    assert "Losses up to 0.2 in a=3, 0.01 in a=1 are not ruled out (95% limits)." in sentence


def test_slices_prove_that_they_are_no_worse_where_the_policy_asks_for_it() -> None:
    policy = Policy(slice_non_inferiority=0.02)
    proven = [judged("a=1", "not_worse", proof=0.049), judged("a=2", "pooled")]
    passed = checked(scored(), policy, *proven)["slices"]
    assert passed.status == "passed"
    assert "Every slice rules out a loss of 0.02 or more." in passed.sentence
    for unproven in (judged("b=1", "not_worse", proof=0.05), judged("b=1", "too_small")):
        found = checked(scored(), policy, *proven, unproven)["slices"]
        assert found.status == "failed"
        assert "a loss of 0.02 or more, which b=1 cannot" in found.sentence
        assert checked(scored(), None, *proven, unproven)["slices"].status == "passed"


def test_a_secondary_metric_must_be_shown_not_to_get_worse() -> None:
    """An equal challenger: a wide margin is ruled out, one below the standard error is not."""
    wide = checked(scored(), Policy(secondary={"log_loss": 0.05}))["secondary"]
    assert wide.status == "passed"
    assert "0.05 or more is ruled out (p-value" in wide.sentence
    assert wide.sentence.startswith("The log_loss of the challenger is 0.")
    narrow = checked(scored(), Policy(secondary={"log_loss": 0.0001}))["secondary"]
    assert narrow.status == "failed"
    assert "0.0001 or more is not ruled out (p-value" in narrow.sentence
    assert narrow.sentence.endswith("the policy's alpha is 0.05).")


def test_a_secondary_metric_has_the_parameters_of_the_policy() -> None:
    policy = Policy(secondary={"recall_at_capacity": 0.2}, capacity=0.25)
    rows = scored()
    result = compare_rows(rows, choose("recall_at_capacity", capacity=0.25))
    expected = f"The recall_at_capacity of the challenger is {result.challenger:.4g}, "
    assert checked(rows, policy)["secondary"].sentence.startswith(expected)


def test_equal_scores_are_never_worse() -> None:
    rows = scored()
    alike = rows._replace(scores=(rows.scores[0], rows.scores[0]))
    assert checked(alike, Policy(secondary={"brier": 1e-6}))["secondary"].status == "passed"


def test_metrics_of_probabilities_are_not_shown_for_other_scores() -> None:
    found = checked(with_challenger(special.logit), Policy(secondary={"brier": 0.1, "f1": 0.1}))
    for name, judged_by, status in (
        ("secondary", "f1", "failed"),
        ("calibration", "calibration", "unknown"),
    ):
        assert found[name].status == status
        assert judged_by in found[name].sentence
        assert "challenger are not probabilities" in found[name].sentence
        assert "champion" not in found[name].sentence
    rows = with_challenger(special.logit)
    both = rows._replace(scores=(rows.scores[1], rows.scores[1]))
    sentence = checked(both)["calibration"].sentence
    assert "champion and the challenger are not probabilities" in sentence
    ranks = checked(both, Policy(metric="auprc", strategy="influence", secondary={"auroc": 0.1}))
    assert ranks["secondary"].status == "passed"


def test_a_gain_too_good_to_be_true_is_looked_at() -> None:
    knowing = with_challenger(lambda score: np.where(np.arange(2000) % 4 == 0, 1.0, score / 2))
    found = checked(knowing)["leak"]
    assert found.status == "failed"
    assert numbers(found.sentence) == ["100%", "1", "80%"]
    assert "auroc" in found.sentence
    assert checked(knowing, Policy(suspicious_gain=1))["leak"].status == "passed"
    honest = checked(scored(lift=0.5))["leak"]
    assert honest.status == "passed"
    assert numbers(honest.sentence)[1:] == ["1", "80%"]


def test_a_leak_is_seen_in_losses_and_below_a_small_capacity() -> None:
    """1 % of the rows can hold 4 % of the positives, so that no recall comes near 1."""
    knowing = with_challenger(lambda _: (np.arange(2000) % 4 == 0).astype(np.float64))
    for metric in ("log_loss", "brier", "expected_cost", "f1", "recall_at_capacity"):
        policy = Policy(metric=metric, strategy="influence", suspicious_gain=0.5)
        turned = knowing._replace(scores=(1 - knowing.scores[0], knowing.scores[1]))
        assert checked(turned, policy)["leak"].status == "failed", metric
        assert checked(scored(), policy)["leak"].status == "passed", metric


def test_a_perfect_champion_leaves_nothing_to_leak() -> None:
    label = np.arange(400) % 2 == 0
    score = label.astype(np.float64)
    found = checked(Rows(label, (score, score), np.ones(400), None))
    assert found["leak"].status == "passed"
    assert "no gain in auroc" in found["leak"].sentence


def test_a_constant_score_is_broken() -> None:
    found = checked(with_challenger(lambda score: np.full_like(score, 0.25)))["scores"]
    assert found.status == "failed"
    assert numbers(found.sentence) == ["0.25"]


def test_odd_scores_are_reported() -> None:
    common = checked(with_challenger(lambda s: np.where(s > np.quantile(s, 0.995), s, 0.1)))
    assert common["scores"].status == "unknown"
    assert numbers(common["scores"].sentence) == ["99.5%", "0.1"]
    logits = checked(with_challenger(special.logit))["scores"]
    assert logits.status == "unknown"
    assert "challenger are not probabilities" in logits.sentence
    assert numbers(checked(scored())["scores"].sentence)[0] == "2,000"


def test_a_score_is_common_by_the_rows_that_cells_stand_for() -> None:
    rows = scored(n_rows=400)
    size = np.where(np.arange(400) == 7, 1_000_000.0, 1.0)
    cells = rows._replace(weight=size, square=size, size=size)
    assert numbers(checked(cells)["scores"].sentence)[0] == "99.96%"


def test_a_challenger_that_is_worse_by_the_margin_passes_as_seldom_as_alpha() -> None:
    """The champion has a lift whose true AUROC exceeds the challenger's by just the margin."""
    inside = np.array([SEPARATION, SEPARATION + 0.1]) / math.sqrt(2 * (1 + NOISE**2))
    margin = float(np.diff(stats.norm.cdf(inside))[0])
    policy = Policy(metric="brier", strategy="influence", secondary={"auroc": margin})
    passed = []
    for seed in range(800):
        rows = scored(n_rows=800, lift=0.1, seed=seed)
        turned = rows._replace(scores=rows.scores[::-1])
        passed.append(checked(turned, policy)["secondary"].status == "passed")
    assert stats.binomtest(sum(passed), len(passed), 0.05).pvalue > 0.001
    assert stats.binomtest(sum(passed), len(passed), 0.12).pvalue < 0.001
