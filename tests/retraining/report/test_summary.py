"""A verdict in one sentence, one line, and one page of Markdown."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import pytest

from retraining.gate.fields import Outcome
from retraining.gate.verdict import Guardrail
from retraining.gate.wording import align
from retraining.report.summary import headline, line, markdown
from tests.samples import FACTS, NAMES, make_sample

if TYPE_CHECKING:
    from retraining.gate.verdict import Verdict

PLAIN = ("champion", "challenger")


def verdict_of(outcome: Outcome, **values: object) -> Verdict:
    return replace(make_sample(outcome).verdict, **values)  # type: ignore[arg-type]


def failing(*names: str) -> tuple[Guardrail, ...]:
    return tuple(Guardrail(name, "failed", "Found.") for name in names)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcome", "values", "words"),
    [
        ("promote", {}, ["Promote the challenger", "the champion"]),
        ("keep_champion", {}, ["Keep the champion", "the challenger is not better"]),
        (
            "inconclusive",
            {"guardrails": ()},
            ["No decision", "whether the challenger is better", "the champion stays"],
        ),
        (
            "inconclusive",
            {"pvalue": 0.3, "guardrails": failing("slices")},
            ["No decision", "worse for some of the rows", "the champion stays"],
        ),
        (
            "inconclusive",
            {"guardrails": failing("slices", "secondary", "leak")},
            ["No promotion", "some of the rows, ", "another metric and ", "champion stays until"],
        ),
        (
            "inconclusive",
            {"guardrails": failing("slices", "minimum_positives")},
            ["No decision", "too few rows"],
        ),
        ("inconclusive", {"guardrails": failing("self_test")}, ["No decision", "the gate failed"]),
        ("inconclusive", {"strategy": "subsample_ttest"}, ["No decision", "rule is not reliable"]),
    ],
)
def test_headline_says_what_follows_and_why(
    outcome: Outcome, values: dict[str, object], words: list[str]
) -> None:
    text = headline(verdict_of(outcome, **values), PLAIN)
    assert [word for word in words if word not in text] == []


def test_headline_calls_models_by_their_names() -> None:
    text = headline(verdict_of("promote"), NAMES)
    assert text.startswith("Promote fraud version 4: ")
    assert "than fraud version 3" in text


@pytest.mark.parametrize(
    ("numbers", "texts"),
    [
        ((0.01774, 0.005718, 0.02978), ("+0.0177", "+0.0057", "+0.0298")),
        ((-12.5, -20.0, 5.0), ("-12.5", "-20.0", "+5.0")),
        ((150.0, -900.0, 1200.0), ("+150", "-900", "+1200")),
        ((1e-9, 0.0, 2e-9), ("+1e-09", "+0", "+2e-09")),
        ((0.25, math.nan, math.nan), ("+0.25", "unknown", "unknown")),
        ((0.0, 0.0, 0.0), ("+0", "+0", "+0")),
    ],
)
def test_effects_have_the_decimals_of_their_interval(
    numbers: tuple[float, float, float], texts: tuple[str, str, str]
) -> None:
    assert align(*numbers) == texts


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_line_is_short_and_plain(outcome: Outcome) -> None:
    verdict = verdict_of(outcome, guardrails=failing(*"abcdefghij", "minimum_positives"))
    text = line(verdict, ("*old*\n" * 50, "new\tmodel"))
    assert text.startswith(f"{outcome}: new model against *old* *old*")
    assert len(text) < 200
    assert text.isprintable()


def test_line_distinguishes_long_names_by_their_ends() -> None:
    names = ("card_payments_fraud_detection version 3", "card_payments_fraud_detection version 4")
    text = line(make_sample("promote").verdict, names)
    assert text.startswith("promote: card_payments_…ction version 4 against card_payments_…ction v")


def test_line_holds_the_numbers_and_failed_guardrails() -> None:
    verdict = make_sample("inconclusive").verdict
    text = line(verdict, NAMES)
    assert f"auroc {verdict.champion:.4f} -> {verdict.challenger:.4f}" in text
    assert text.endswith("12,000 rows, failed: slices, secondary, calibration")


def test_markdown_holds_verdict_reasons_guardrails_slices_and_facts() -> None:
    verdict = make_sample("inconclusive").verdict
    text = markdown(verdict, FACTS, NAMES)
    plain = text.replace("\\", "")
    assert text.startswith("**inconclusive**: No promotion yet: fraud version 4 ")
    for sentence in (*verdict.reasons, *(item.sentence for item in verdict.guardrails)):
        assert sentence in plain
    for title, fact in FACTS.items():
        assert f"- {title}: {fact}" in plain
    assert "| amount_band=below 50 | worse |" in plain
    assert "Slices not shown: 1 too small to judge alone." in plain
    assert len(text) < 5_000


def test_markdown_shows_the_worst_of_many_slices() -> None:
    verdict = make_sample("promote").verdict
    many = tuple(
        replace(verdict.slices[0], name=f"hour={hour}", effect_size=hour / 100, status="not_worse")
        for hour in range(24)
    )
    text = markdown(replace(verdict, slices=many), {})
    assert text.count("| hour=") == 10
    assert "hour=23" not in text
    assert "Slices not shown: 14 that do better." in text


def test_markdown_leaves_out_what_is_absent() -> None:
    text = markdown(verdict_of("promote", guardrails=(), slices=()), {})
    assert "guardrail" not in text
    assert "lice" not in text


def test_markdown_escapes_what_would_be_markup() -> None:
    text = markdown(verdict_of("promote", reasons=("a | b\n# <c> `d`",)), {}, ("*m*", "_n_"))
    assert r"a \| b \# \<c\> \`d\`" in text
    assert r"\*m\*" in text
    tables = [row for row in text.splitlines() if row.startswith("| ")]
    assert all(row.count(" | ") in (1, 2, 3) for row in tables)
