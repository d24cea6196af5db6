"""The JSON schema of verdict.json, generated from the types of a verdict."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from retraining.gate import verdict
from retraining.gate.campaign import Campaign
from retraining.gate.campaign_plan import PlannedRule
from retraining.gate.looks import Look
from retraining.gate.spending import Spending

if TYPE_CHECKING:
    from pydantic_core.core_schema import CoreSchema

# The fields of a verdict that hold records, with the class of the record.
PARTS: Final = {
    "cross_check": verdict.CrossCheck,
    "guardrails": verdict.Guardrail,
    "slices": verdict.Slice,
    "opinions": verdict.Opinion,
    "maturities": verdict.Maturity,
    "ledger": Spending,
    "campaign": Campaign,
    "looks": Look,
    "plan": PlannedRule,
}


class _Untitled(GenerateJsonSchema):
    """Without titles that repeat the names of the fields."""

    def field_title_should_be_set(self, schema: CoreSchema) -> bool:  # noqa: ARG002
        """Never."""
        return False


@cache
def verdict_schema() -> dict[str, Any]:
    """The schema of verdict.json (JSON Schema, draft 2020-12)."""
    adapter = TypeAdapter(verdict.Verdict)
    schema = adapter.json_schema(mode="serialization", schema_generator=_Untitled)
    whole = {"$schema": GenerateJsonSchema.schema_dialect, **schema, "title": "verdict.json"}
    lines: dict[str, Any] = json.loads(json.dumps(whole), object_hook=_on_one_line)
    return lines


@cache
def descriptions() -> dict[str, str]:
    """The description of every field; of a record's field by "part.name"."""
    schema = verdict_schema()
    texts = {name: field["description"] for name, field in schema["properties"].items()}
    for part, record in PARTS.items():
        fields = schema["$defs"][record.__name__]["properties"]
        texts |= {f"{part}.{name}": field["description"] for name, field in fields.items()}
    return texts


def _on_one_line(node: dict[str, Any]) -> dict[str, Any]:
    """Without the line breaks that the description has in the source."""
    text = node.get("description")
    return node | {"description": " ".join(text.split())} if isinstance(text, str) else node
