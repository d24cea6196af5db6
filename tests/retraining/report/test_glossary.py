"""Every name that a reader meets has a sentence, and the schema says the same."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import jsonschema
import pytest

from retraining.gate import policy, verdict
from retraining.report import glossary
from retraining.report.glossary import METRICS_IN_WORDS, TERMS, meaning
from retraining.statistics.inference import PairedResult
from retraining.statistics.metrics import METRICS
from tests import samples

if TYPE_CHECKING:
    from retraining.gate.verdict import Outcome

SCHEMA: Final[dict[str, Any]] = json.loads(
    (Path(glossary.__file__).parents[1] / "gate" / "verdict.schema.json").read_text()
)
FIELDS: Final = tuple(field.name for field in dataclasses.fields(verdict.Verdict))
PARTS: Final = {
    "cross_check": PairedResult._fields,
    "guardrails": verdict.Guardrail._fields,
    "slices": verdict.Slice._fields,
    "opinions": verdict.Opinion._fields,
    "maturities": verdict.Maturity._fields,
    "ledger": verdict.Spending._fields,
}
GUARDRAILS: Final = ("leak", "scores", "self_test", "calibration", "secondary")
KINDS: Final = get_args(verdict.Outcome)


def test_every_field_metric_outcome_and_guardrail_has_a_sentence() -> None:
    names = {*FIELDS, *METRICS, *KINDS, *GUARDRAILS}
    assert names <= set(TERMS)
    assert all(meaning(name, part) for part, fields in PARTS.items() for name in fields)
    assert set(METRICS_IN_WORDS) == set(METRICS)


def test_sentences_end_and_differ() -> None:
    assert all(text.endswith(".") and text[0].isupper() for text in TERMS.values())
    assert len(set(TERMS.values())) == len(TERMS)


def test_schema_says_what_the_glossary_says() -> None:
    told = {name: value["description"] for name, value in SCHEMA["properties"].items()}
    assert told == {name: meaning(name) for name in FIELDS}
    for part, fields in PARTS.items():
        told = {
            name: value["description"]
            for name, value in SCHEMA["$defs"][part]["properties"].items()
        }
        assert told == {name: meaning(name, part) for name in fields}


def test_schema_has_every_key_and_no_other() -> None:
    objects = [(SCHEMA, FIELDS), *((SCHEMA["$defs"][part], PARTS[part]) for part in PARTS)]
    for schema, fields in objects:
        assert schema["required"] == list(schema["properties"]) == list(fields)
        assert schema["additionalProperties"] is False
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_schema_allows_the_words_that_the_code_knows() -> None:
    properties = SCHEMA["properties"]
    assert properties["verdict"]["enum"] == list(KINDS)
    assert properties["strategy"]["enum"] == list(get_args(policy.Strategy))
    assert properties["metric"]["enum"] == list(METRICS)
    assert SCHEMA["$defs"]["ledger"]["properties"]["memory"]["enum"] == list(
        get_args(policy.Memory)
    )


@pytest.mark.parametrize("outcome", KINDS)
def test_real_verdicts_are_valid_as_json(outcome: Outcome) -> None:
    mapping = samples.make_sample(outcome).verdict.to_mapping()
    told = json.loads(json.dumps(mapping, allow_nan=False))
    jsonschema.validate(told, SCHEMA, cls=jsonschema.Draft202012Validator)


def test_bare_verdict_is_valid_and_another_key_is_not() -> None:
    whole = samples.make_sample("promote").verdict
    bare = dataclasses.replace(
        whole, cross_check=None, slices=(), opinions=(), maturities=(), ledger=None, n_units=None
    ).to_mapping()
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert validator.is_valid(json.loads(json.dumps(bare)))
    assert not validator.is_valid(bare | {"winner": "challenger"})
