"""What a verdict is made of: its records, and the kinds of their fields.

The text below each field is its description in the JSON schema and in the glossary of the report.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

Outcome = Literal["promote", "keep_champion", "inconclusive"]
Number = Annotated[float, WithJsonSchema({"type": ["number", "null"]})]  # NaN where unknown
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Record:
    """A part of verdict.json."""

    __pydantic_config__ = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,
    )


def to_plain(value: object) -> object:
    """The value in JSON: lists for tuples, null for NaN and infinity."""
    if isinstance(value, dict):
        return {name: to_plain(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
