"""Verdicts in words, number by number."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from retraining.gate.reasons import explain_verdict
from retraining.gate.verdict import Guardrail, Spending, Verdict
from retraining.gate.wording import number, percent

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
    rows_still_needed=12345,
    positives_still_needed=1234,
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
)
FINDING = (
    "The auroc of the challenger is 0.8123, that of the champion 0.8022: an effect of 0.0101, in "
    "favour of the challenger, with a 95% interval of -0.0012 to 0.0214."
)


def test_explain_verdict_says_what_more_rows_would_do() -> None:
    assert explain_verdict(VERDICT) == (
        FINDING,
        "The p-value 0.0401 is not below alpha 0.01, and the interval reaches above the required "
        "effect of 0.001: these rows can neither show nor rule out that the challenger is better.",
        "The minimum detectable effect is 0.0182: a challenger that is better by this much would "
        "be promoted in 80% of such tests.",
        "About 12,345 more rows of the same kind, 1,234 of them of class 1, would decide, if the "
        "true effect is as large as the observed one.",
    )


def test_explain_verdict_names_what_failed_instead_of_the_doubt() -> None:
    checks = (
        Guardrail("minimum_positives", "failed", "Too few."),
        Guardrail("slices", "passed", "All well."),
        Guardrail("calibration", "failed", "Too bold."),
    )
    verdict = replace(VERDICT, rows_still_needed=None, pvalue=0.001, guardrails=checks)
    sentences = explain_verdict(verdict)
    assert sentences[:3] == (FINDING, "Too few.", "Too bold.")
    assert sentences[3].startswith("The minimum detectable effect is 0.0182")
    assert sentences[4].startswith("The observed effect is too close to the required one")
    assert len(sentences) == 5


def test_explain_verdict_tells_what_stops_a_significant_effect() -> None:
    checks = (Guardrail("slices", "failed", "Worse in Oslo."),)
    verdict = replace(VERDICT, pvalue=0.001, guardrails=checks)
    assert explain_verdict(verdict, unsound="A bad rule.") == (
        FINDING,
        "If the true effect were at most 0.001, an effect this large would come up with "
        "probability 0.001, below alpha 0.01.",
        "Nothing is promoted all the same.",
        "Worse in Oslo.",
        "A bad rule.",
    )


def test_explain_verdict_tells_what_a_promotion_could_not_judge() -> None:
    checks = (Guardrail("slices", "unknown", "Too small to judge: Oslo."),)
    sentences = explain_verdict(replace(VERDICT, verdict="promote", guardrails=checks))
    assert sentences[-1] == "Too small to judge: Oslo."
    assert len(sentences) == 3


def test_explain_verdict_says_what_the_ledger_leaves() -> None:
    ledger = Spending("spending", 0.01, 4, 0, 0.12, 0.2, 0.07, ())
    assert explain_verdict(replace(VERDICT, ledger=ledger))[1] == (
        "4 tests of this model in the last 365 days used 0.12 of the 0.2 that false promotions may "
        "take in a year; this one may use 0.01."
    )
    first = replace(ledger, n_tests=0, spent=0.0)
    assert explain_verdict(replace(VERDICT, ledger=first))[1] == (
        "This is the first test of the model in 365 days; of the 0.2 that false promotions may "
        "take in a year it may use 0.01."
    )


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (
            "promote",
            "If the true effect were at most 0.001, an effect this large would come up with "
            "probability 0.0401, below alpha 0.01.",
        ),
        ("keep_champion", "The whole interval lies at or below the required effect of 0.001."),
    ],
)
def test_explain_verdict_gives_one_reason_for_a_decision(outcome: str, sentence: str) -> None:
    decided = replace(VERDICT, verdict=outcome)  # type: ignore[arg-type]
    assert explain_verdict(decided) == (FINDING, sentence)


def test_explain_verdict_favours_nobody_without_an_effect() -> None:
    first = explain_verdict(replace(VERDICT, effect_size=0.0))[0]
    assert "an effect of 0 with a 95% interval" in first


def test_number_and_percent() -> None:
    assert [number(value) for value in (0.123456, 1e-12, math.nan)] == [
        "0.1235",
        "1e-12",
        "unknown",
    ]
    assert [percent(share) for share in (0.95, 0.999, 0.00837)] == ["95%", "99.9%", "0.837%"]
