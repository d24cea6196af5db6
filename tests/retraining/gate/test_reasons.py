"""Verdicts in words: which sentences, with which numbers; `tests/prose.md` has their wording."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from retraining.gate.looks import LEAST
from retraining.gate.reasons import explain_verdict
from retraining.gate.verdict import Guardrail, Verdict
from retraining.gate.wording import number, percent
from tests.reading import numbers
from tests.samples import LEDGER

VERDICT = Verdict(
    verdict="inconclusive",
    reasons=(),
    strategy="delong",
    metric="auroc",
    effect_size=0.0101,
    ci_lower=-0.0012,
    ci_upper=0.0214,
    pvalue=0.0401,
    alpha=0.01,
    n_rows=5000,
    n_positives=500,
    minimum_detectable_effect=0.0182,
    champion=0.8022,
    challenger=0.8123,
    standard_error=0.00577,
    min_effect_size=0.001,
    n_units=None,
    effective_units=None,
    period=None,
    n_periods=None,
    period_ratio=None,
    degrees_of_freedom=math.inf,
    rows_still_needed=12345,
    positives_still_needed=1234,
    periods_still_needed=None,
    confidence_level=0.95,
    power=0.8,
    minimum_positives=100,
    error_bound=0.0,
    cross_check=None,
    guardrails=(),
    slices=(),
    opinions=(),
    maturities=(),
    ledger=None,
    campaign=None,
    looks=(),
    plan=(),
)
EFFECT = ["0.8123", "0.8022", "0.0101", "95%", "-0.0012", "0.0214"]


def test_explain_verdict_says_what_more_rows_would_do() -> None:
    sentences = explain_verdict(VERDICT)
    assert [numbers(sentence) for sentence in sentences] == [
        EFFECT,
        ["0.0401", "0.01", "0.001"],
        ["0.0182", "80%"],
        ["12,345", "1,234"],
    ]
    assert "in favour of the challenger" in sentences[0]
    assert "not below" in sentences[1]
    assert "minimum detectable effect" in sentences[2]
    assert "12,345 more rows" in sentences[3]
    assert "1,234 of them positives" in sentences[3]


@pytest.mark.parametrize(("metric", "champion"), [("auroc", 0.9), ("log_loss", 0.1)])
def test_effects_beyond_the_range_of_the_metric_are_not_promised(
    metric: str, champion: float
) -> None:
    verdict = replace(VERDICT, metric=metric, champion=champion, minimum_detectable_effect=0.11)
    said = explain_verdict(verdict)[2]
    assert f"find any gain in {metric}: even a perfect challenger" in said
    assert numbers(said) == ["80%"]
    said = explain_verdict(replace(verdict, minimum_detectable_effect=0.09))[2]
    assert numbers(said) == ["0.09", "80%"]


def test_explain_verdict_names_what_failed_instead_of_the_doubt() -> None:
    checks = (
        Guardrail("minimum_positives", "failed", "Too few."),
        Guardrail("slices", "passed", "All well."),
        Guardrail("calibration", "failed", "Too bold."),
    )
    verdict = replace(VERDICT, rows_still_needed=None, pvalue=0.001, guardrails=checks)
    sentences = explain_verdict(verdict)
    assert numbers(sentences[0]) == EFFECT
    assert sentences[1:3] == ("Too few.", "Too bold.")
    assert numbers(sentences[3]) == ["0.0182", "80%"]
    assert len(sentences) == 4  # more of the same rows would not help


def test_explain_verdict_says_what_stops_a_significant_effect() -> None:
    checks = (Guardrail("slices", "failed", "Worse in Oslo."),)
    verdict = replace(VERDICT, pvalue=0.001, guardrails=checks)
    effect, significance, stopped, *against = explain_verdict(verdict, unsound="A bad rule.")
    assert numbers(effect) == EFFECT
    assert numbers(significance) == ["0.001", "0.001", "0.01"]
    assert "not promoted" in stopped
    assert against == ["Worse in Oslo.", "A bad rule."]


def test_explain_verdict_says_what_a_promotion_could_not_judge() -> None:
    checks = (Guardrail("slices", "unknown", "Too small to judge: Oslo."),)
    sentences = explain_verdict(replace(VERDICT, verdict="promote", guardrails=checks))
    assert sentences[-1] == "Too small to judge: Oslo."
    assert len(sentences) == 3


def test_explain_verdict_says_what_the_ledger_leaves() -> None:
    sentence = explain_verdict(replace(VERDICT, ledger=LEDGER))[1]
    assert sentence.startswith("4 tests ")
    assert numbers(sentence) == ["4", "365", "0.1107", "0.2", "26", "0.01", "1.3"]
    one = explain_verdict(replace(VERDICT, ledger=replace(LEDGER, n_tests=1)))[1]
    assert one.startswith("One test ")
    first = explain_verdict(replace(VERDICT, ledger=replace(LEDGER, n_tests=0, spent=0.0)))[1]
    assert "first test" in first
    assert numbers(first) == ["365", "0.2", "26", "0.01", "1.3"]


def test_explain_verdict_says_what_a_test_without_a_budget_costs() -> None:
    ledger = replace(LEDGER, memory="per_test", budget=None, left=None)
    sentence = explain_verdict(replace(VERDICT, ledger=ledger))[1]
    assert numbers(sentence) == ["0.01", "26", "1.3"]
    assert "as every test may" in sentence


def test_explain_verdict_says_when_nothing_is_left() -> None:
    ledger = replace(LEDGER, alpha=LEAST, left=0.0)
    sentence = explain_verdict(replace(VERDICT, ledger=ledger))[1]
    assert "nothing is left, and nothing can be promoted until they are a year old" in sentence


def test_explain_verdict_says_that_a_test_that_cannot_decide_costs_nothing() -> None:
    checks = (Guardrail("minimum_positives", "failed", "Too few."),)
    sentence = explain_verdict(replace(VERDICT, ledger=LEDGER, guardrails=checks))[1]
    assert sentence.endswith("this one, which cannot decide whatever the effect, uses nothing.")


def test_explain_verdict_says_what_rows_that_were_tested_before_mean() -> None:
    flattered = replace(LEDGER, champion_was_chosen_here=True, n_holdout_tests=1)
    sentences = explain_verdict(replace(VERDICT, ledger=flattered))
    assert "chosen on some of these rows, which flatter it" in sentences[2]
    never = replace(LEDGER, n_holdout_tests=1, fresh_holdouts_possible=False)
    sentences = explain_verdict(replace(VERDICT, ledger=never))
    assert sentences[2] == "With 26 tests a year no holdout of this kind can be fresh."


def test_explain_verdict_says_what_dependent_rows_are_worth() -> None:
    dependent = replace(
        VERDICT,
        n_units=2000,
        effective_units=412.7,
        period="day",
        n_periods=7,
        period_ratio=2.5,
        periods_still_needed=18,
    )
    sentences = explain_verdict(dependent)
    assert numbers(sentences[1]) == ["2,000", "413", "7", "2.50"]
    told = "rows of the same kind, 1,234 of them positives, from 18 more days with rows, would be"
    assert told in sentences[-1]
    of_rows = explain_verdict(replace(dependent, periods_still_needed=None))[-1]
    assert "rows of the same kind, 1,234 of them positives, would be enough" in of_rows
    alone = replace(VERDICT, positives_still_needed=None)
    assert "rows of the same kind would be enough" in explain_verdict(alone)[-1]
    of_column = replace(dependent, n_units=None, effective_units=None, period="wave")
    assert numbers(explain_verdict(of_column)[1]) == ["7", "2.50"]
    assert "7 values of wave" in explain_verdict(of_column)[1]


@pytest.mark.parametrize(
    ("outcome", "named"),
    [("promote", ["0.001", "0.0401", "0.01"]), ("keep_champion", ["0.001"])],
)
def test_explain_verdict_gives_one_reason_for_a_decision(outcome: str, named: list[str]) -> None:
    decided = replace(VERDICT, verdict=outcome)  # type: ignore[arg-type]
    assert [numbers(sentence) for sentence in explain_verdict(decided)] == [EFFECT, named]


def test_explain_verdict_favours_nobody_without_an_effect() -> None:
    first = explain_verdict(replace(VERDICT, effect_size=0.0))[0]
    assert numbers(first) == ["0.8123", "0.8022", "0", "95%", "-0.0012", "0.0214"]
    assert "in favour" not in first


def test_number_and_percent() -> None:
    assert [number(value) for value in (0.123456, 1e-12, math.nan)] == [
        "0.1235",
        "1e-12",
        "unknown",
    ]
    assert [percent(share) for share in (0.95, 0.999, 0.00837)] == ["95%", "99.9%", "0.837%"]
