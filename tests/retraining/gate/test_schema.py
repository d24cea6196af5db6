"""The schema of verdict.json: complete, and true of real verdicts."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, get_args

import jsonschema
import pytest

from retraining.gate import fields, policy, verdict
from retraining.gate.schema import PARTS, descriptions, verdict_schema
from retraining.statistics.inference import PairedResult
from retraining.statistics.metrics import METRICS
from tests import samples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retraining.gate.fields import Outcome


def objects() -> Iterator[tuple[type[Any], dict[str, Any]]]:
    """Every record of a verdict with its schema."""
    schema = verdict_schema()
    records = [*PARTS.values(), verdict.FalsePromotionRate]
    yield verdict.Verdict, schema
    yield from ((record, schema["$defs"][record.__name__]) for record in records)
    assert schema["$defs"].keys() == {record.__name__ for record in records}


def is_valid(mapping: dict[str, Any]) -> bool:
    read = json.loads(json.dumps(mapping, allow_nan=False))
    return bool(jsonschema.Draft202012Validator(verdict_schema()).is_valid(read))


def test_schema_has_every_key_and_no_other_and_describes_each() -> None:
    for record, schema in objects():
        fields = [field.name for field in dataclasses.fields(record)]
        assert schema["required"] == list(schema["properties"]) == fields
        assert schema["additionalProperties"] is False
        texts = [field["description"] for field in schema["properties"].values()]
        assert all(text.endswith(".") and "\n" not in text for text in texts)
    jsonschema.Draft202012Validator.check_schema(verdict_schema())


def test_descriptions_are_those_of_the_schema_by_part() -> None:
    texts = descriptions()
    assert texts["alpha"] == verdict_schema()["properties"]["alpha"]["description"]
    assert texts["ledger.alpha"] != texts["alpha"]
    assert {name.partition(".")[0] for name in texts if "." in name} == PARTS.keys()


def test_schema_allows_the_words_that_the_code_knows() -> None:
    properties = verdict_schema()["properties"]
    assert properties["verdict"]["enum"] == list(get_args(fields.Outcome))
    assert properties["strategy"]["enum"] == list(get_args(policy.Strategy))
    assert properties["metric"]["enum"] == list(METRICS)
    memory = verdict_schema()["$defs"]["Spending"]["properties"]["memory"]
    assert memory["enum"] == list(get_args(policy.Memory))


def test_the_cross_check_has_the_fields_of_a_paired_result() -> None:
    fields = tuple(field.name for field in dataclasses.fields(verdict.CrossCheck))
    assert fields == PairedResult._fields[: len(fields)]


@pytest.mark.parametrize("outcome", get_args(fields.Outcome))
def test_real_verdicts_are_valid_as_json(outcome: Outcome) -> None:
    assert is_valid(samples.make_sample(outcome).verdict.to_mapping())


def test_bare_verdict_is_valid_and_another_key_is_not() -> None:
    bare = dataclasses.replace(
        samples.make_sample("promote").verdict,
        cross_check=None,
        slices=(),
        opinions=(),
        maturities=(),
        ledger=None,
        n_units=None,
    ).to_mapping()
    assert is_valid(bare)
    assert not is_valid(bare | {"winner": "challenger"})
    assert not is_valid({name: value for name, value in bare.items() if name != "n_units"})
    assert not is_valid(bare | {"alpha": 2})
