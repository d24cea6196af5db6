"""A column of a description: its type, how its text is read, and rules for its values."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator, model_validator

from retraining.description.section import Names, NullValues, Number, Section, Value
from retraining.description.times import check_format

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMERIC_TYPES = ("int", "bigint", "double")
TIME_TYPES = ("date", "timestamp")


class Column(Section):
    """A column: its type, other names for it in files, and rules for its values.

    One with an `expression` is in no file: it is Spark SQL over columns of files and those with an
    expression before it.

    `null_values` are texts and numbers that mean that there is no value, beside those of `files`;
    an empty list means that no text of this column does. `format` says how times are written.
    """

    type: Literal["string", "int", "bigint", "double", "boolean", "date", "timestamp"]
    source: Names = ()
    expression: str | None = Field(default=None, min_length=1)
    null_values: NullValues | None = None
    format: str | None = None
    not_null: bool = False
    unique: bool = False
    min: Number | date | None = None
    max: Number | date | None = None
    above: Number | date | None = None
    below: Number | date | None = None
    allowed: tuple[Value, ...] | None = Field(default=None, min_length=1)
    pattern: str | None = None

    @property
    def bounds(self) -> dict[str, Number | date]:
        """Return the bounds that are set, by rule name."""
        bounds = {"min": self.min, "max": self.max, "above": self.above, "below": self.below}
        return {rule: bound for rule, bound in bounds.items() if bound is not None}

    @field_validator("format")
    @classmethod
    def _is_format(cls, pattern: str | None) -> str | None:
        return pattern and check_format(pattern)

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            # Java has more of these than Python (\p{L}); it checks them before rows are read.
            if not error.msg.startswith("bad escape"):
                raise ValueError(f"is not a regular expression ({error})") from error
        return pattern

    @model_validator(mode="after")
    def _rules_fit_type(self) -> Column:
        for rule, bound in self.bounds.items():
            fits = self.type in TIME_TYPES if isinstance(bound, date) else self.numeric
            if not fits:
                raise ValueError(f"{rule}: {bound} does not fit type {self.type}")
        if self.format is not None and self.type not in TIME_TYPES:
            raise ValueError(f"format: {self.format} does not fit type {self.type}")
        for value in self.allowed or ():
            if not self.accepts(value):
                raise ValueError(f"allowed: {value!r} does not fit type {self.type}{self.hint}")
        for contradiction in self._contradictions():
            raise ValueError(contradiction)
        return self

    @property
    def numeric(self) -> bool:
        """Whether values can be summed."""
        return self.type in NUMERIC_TYPES

    @property
    def hint(self) -> str:
        """How a value of this type is written, where that is often missed."""
        return {"string": ", write it in quotes", "boolean": ", write true or false"}.get(
            self.type, ""
        )

    def accepts(self, value: Value) -> bool:
        """Whether this column can hold a value of the description."""
        if isinstance(value, bool):
            return self.type == "boolean"
        if isinstance(value, str):
            return self.type == "string"
        return self.type == "double" or (self.type in NUMERIC_TYPES and isinstance(value, int))

    def _contradictions(self) -> Iterator[str]:
        bounds = self.bounds
        lower = [(bounds[rule], rule) for rule in ("min", "above") if rule in bounds]
        upper = [(bounds[rule], rule) for rule in ("max", "below") if rule in bounds]
        for low, from_rule in lower:
            for high, to_rule in upper:
                both_included = (from_rule, to_rule) == ("min", "max")
                if not (low < high or (both_included and low == high)):  # type: ignore[operator]
                    yield f"{from_rule}: {low} and {to_rule}: {high} leave no value"
        for value in self.allowed or ():
            outside = [
                f"{rule}: {bound}"
                for rule, bound in bounds.items()
                if not isinstance(value, str) and not _keeps(rule, value, bound)
            ]
            if outside:
                yield f"allowed: {value!r} is never valid, by {', '.join(outside)}"


def _keeps(rule: str, value: Number, bound: Number | date) -> bool:
    if isinstance(bound, date):
        return True
    kept = {"min": value >= bound, "max": value <= bound, "above": value > bound}
    return kept.get(rule, value < bound)
