"""Every name that a reader meets has a sentence."""

from __future__ import annotations

from typing import get_args, get_type_hints

from retraining.gate import fields, verdict
from retraining.gate.schema import descriptions
from retraining.report.glossary import METRICS_IN_WORDS, TERMS, meaning
from retraining.statistics.metrics import METRICS


def test_every_metric_outcome_and_guardrail_has_a_sentence() -> None:
    guardrails = get_args(get_type_hints(verdict.Guardrail)["name"])
    assert {*METRICS, *get_args(fields.Outcome), *guardrails} <= set(TERMS)
    assert set(METRICS_IN_WORDS) == set(METRICS)


def test_fields_mean_what_the_schema_says() -> None:
    assert descriptions().items() <= TERMS.items()
    assert meaning("alpha", "ledger") == descriptions()["ledger.alpha"]
    assert meaning("alpha") == descriptions()["alpha"]


def test_sentences_end_and_differ() -> None:
    assert all(text.endswith(".") for text in TERMS.values())
    plain = [text for name, text in TERMS.items() if "." not in name]
    assert len(set(plain)) == len(plain)
