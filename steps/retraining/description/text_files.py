"""How text files are read."""

from __future__ import annotations

import codecs
import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from retraining.description.section import NullValues, Section


class Files(Section):
    """How text files are read; of parquet files, only texts are trimmed and compared to nulls.

    Without `header`, a first row that spells names of columns is one. Without `separator`, it is a
    comma, in .tsv files a tab. `quote: none` says that quotes have no meaning.
    """

    header: bool | None = None
    comment: str | None = Field(default=None, min_length=1, max_length=1)
    separator: str | None = Field(default=None, min_length=1)
    encoding: str = "utf-8"
    quote: str = '"'
    escape: str | None = Field(default=None, min_length=1, max_length=1)
    null_values: NullValues = ()
    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", " ", "'"] | None = None
    trim: bool = True

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str) -> str:
        allowed = "allowed: a name such as utf-8, utf-16, cp1251 or latin-1"
        try:
            name = codecs.lookup(encoding).name
            # Lines are divided before they are decoded, in UTF-16 alone afterwards.
            is_text = name.startswith("utf-16") or "\n".encode(name).endswith(b"\n")
        except (LookupError, ValueError):
            is_text = False
        if not is_text or name.startswith("utf-32") or name == "utf-7":
            raise ValueError(f"{encoding!r} is not an encoding, {allowed}")
        return encoding

    @field_validator("separator")
    @classmethod
    def _is_no_escape(cls, separator: str | None) -> str | None:
        if separator and re.match(r"\\\w", separator):
            raise ValueError('is a backslash and a letter, allowed: "\\t" in double quotes, a tab')
        return separator

    @field_validator("quote", mode="before")
    @classmethod
    def _none_or_character(cls, quote: object) -> object:
        if quote is None:
            return "none"
        if not isinstance(quote, str) or (quote != "none" and len(quote) != 1):
            raise ValueError(f"{quote!r}, allowed: one character, or none")
        return quote

    @model_validator(mode="after")
    def _differ(self) -> Files:
        marks = {"comment": self.comment, "quote": self.quote, "escape": self.escape}
        if self.quote == "none":
            del marks["quote"]
            if self.escape:
                raise ValueError("escape needs a quote, allowed: leave it out")
        for name, mark in {"separator": self.separator, **marks}.items():
            if mark and ("\n" in mark or "\r" in mark):
                raise ValueError(f"{name}: {mark!r} ends a line, allowed: any other character")
        for name, mark in marks.items():
            if mark and mark in (self.separator or ","):
                raise ValueError(f"{name}: {mark!r} is in the separator, allowed: another one")
        if self.comment and self.comment in (self.quote, self.escape):
            raise ValueError(f"comment: {self.comment!r} is also quote or escape, allowed: another")
        return self

    @model_validator(mode="after")
    def _marks_differ(self) -> Files:
        if self.thousands == self.decimal:
            other = "," if self.decimal == "." else "."
            raise ValueError(
                f"thousands: {self.thousands!r} is the decimal mark, too, "
                f"allowed: with decimal: {other!r}"
            )
        return self
