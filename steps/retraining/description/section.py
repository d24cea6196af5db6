"""What every section of a description is: a mapping of known keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Collection

Number = int | float
Value = bool | int | float | str


def refuse_unknown_keys(value: object, allowed: Collection[str]) -> object:
    """The value, unless it is a mapping with a key that is not allowed."""
    unknown = [str(key) for key in value if key not in allowed] if isinstance(value, dict) else []
    if unknown:
        raise PydanticCustomError(
            "unknown_keys",
            "unknown key, allowed: {allowed}",
            {"keys": unknown, "allowed": ", ".join(allowed)},
        )
    return value


class Section(BaseModel):
    """A mapping of known keys; an unknown key is an error that lists the known ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, value: Any) -> Any:  # noqa: ANN401 (whatever YAML held)
        return refuse_unknown_keys(value, cls.model_fields)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, Value) else value


def _one_or_list(*types: str) -> WithJsonSchema:
    kinds = [{"type": kind} for kind in types]
    one = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return WithJsonSchema({"anyOf": [one, {"type": "array", "items": one}]})


# A single name or value may be written without brackets.
Names = Annotated[tuple[str, ...], BeforeValidator(_as_list), _one_or_list("string")]
NullValues = Annotated[
    tuple[Value, ...], BeforeValidator(_as_list), _one_or_list("boolean", "number", "string")
]
