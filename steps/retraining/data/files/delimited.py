"""How a record of a text file is divided into fields: separators, quotes, escapes.

A field is quoted or not. A quoted one ends at its closing quote, after which only the separator or
the end of the record may follow; in it, a quote is written twice or after the escape character.
In other fields a quote is a character like any other. The same patterns serve Python, for the first
record of a file, and Spark, for all of them. Their loops are possessive: the records of others must
not make them go back, nor fill the stack.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column

    from retraining.description.text_files import Files

_ANY: Final = "(?s:.)"
# Two characters that Unicode will never assign, before each field of a record and at its end.
_MARK: Final = "\ufdd0"
_LAST: Final = "\ufdd1"
_END: Final = f"(?={_LAST}|(?!{_ANY}))"


@dataclass(frozen=True)
class Grammar:
    """The grammar of a text file.

    Attributes:
        separator: Between two fields.
        quote: Around fields; None if quotes have no meaning.
        escape: Before a quote, or itself, in a quoted field; None if quotes are only doubled.
    """

    separator: str
    quote: str | None
    escape: str | None

    @classmethod
    def of(cls, files: Files, path: str) -> Grammar:
        """The grammar that a description states, or the suffix of a file."""
        is_tabbed = re.search(r"\.tsv(\.\w+)?$", path, re.IGNORECASE) is not None
        separator = files.separator or ("\t" if is_tabbed else ",")
        return cls(separator, None if files.quote == "none" else files.quote, files.escape)

    def is_open(self, text: str) -> bool:
        """Whether a quoted field that begins in a text is not closed at its end."""
        return self.quote is not None and re.match(self._opens, text) is not None

    def split(self, record: str) -> list[str]:
        """The fields of a record; if it is not whole, it is divided at all separators."""
        found = re.finditer(self._field, self.separator + record) if self.quote else ()
        raw = [field[0] for field in found]
        if "".join(raw) != self.separator + record:
            return record.split(self.separator)
        return [self._unquote(field[len(self.separator) :]) for field in raw]

    def opens(self, line: Column) -> Column:
        """As `is_open`, for a column."""
        if self.quote is None:
            return F.lit(False)  # noqa: FBT003 (a value)
        return line.contains(self.quote) & line.rlike(f"^{self._opens}")

    def stays_open(self, line: Column) -> Column:
        """Whether a quoted field is open at the end of a line at whose beginning one was open."""
        return ~line.contains(self.quote or "") | line.rlike(f"^{self._continues}")

    def marked(self, record: Column) -> Column:
        """A record that has quotes, in another form; null for one that has none.

        Before each field is a mark, a quoted one keeps its opening quote only, and a last mark says
        that the record was read to its end.
        """
        if self.quote is None:
            return F.lit(None).cast("string")
        text = F.concat(F.lit(self.separator), record, F.lit(_LAST))
        marked = F.regexp_replace(text, rf"\G(?:{self._field}|{_LAST})", f"{_MARK}$1$2$3")
        return F.when(record.contains(self.quote), marked)

    def is_whole(self, marked: Column) -> Column:
        """Whether no quote of a record is open and nothing follows a closing one in its field."""
        return marked.isNull() | marked.endswith(_MARK)

    def fields(self, record: Column, marked: Column) -> Column:
        """The fields of a record, as an array; of one that is not whole, as far as they go."""
        plain = F.split(record, re.escape(self.separator), -1)
        inner = F.substr(marked, F.lit(2), F.length(marked) - 2)
        return F.when(marked.isNull(), plain).otherwise(F.split(inner, _MARK, -1))

    def unquoted(self, field: Column) -> Column:
        """A field without its opening quote, and without what escapes others in it."""
        if self.quote is None:
            return field
        text = F.substr(field, F.lit(2))
        if self.escape is None:
            text = F.replace(text, F.lit(self.quote * 2), F.lit(self.quote))
        else:
            text = F.regexp_replace(text, self._escaped, "$1")
        return F.when(field.startswith(self.quote), text).otherwise(field)

    def _unquote(self, field: str) -> str:
        quote = re.escape(self.quote or "")
        found = re.fullmatch(f"{self._begins}({_ANY}*){quote}{self._blanks}", field)
        return re.sub(self._escaped, r"\1", found[1]) if found else field

    @cached_property
    def _blanks(self) -> str:
        """Blanks around a quoted field, unless they separate fields."""
        blanks = [blank for blank in " \t" if blank not in self.separator]
        return f"[{''.join(blanks)}]*+" if blanks else ""

    @cached_property
    def _begins(self) -> str:
        return self._blanks + re.escape(self.quote or "")

    @cached_property
    def _escaped(self) -> str:
        """What makes a quote part of the text, and that; an escape before others is one of them."""
        quote = re.escape(self.quote or "")
        if self.escape is None:
            return f"{quote}({quote})"
        escape = re.escape(self.escape)
        return f"(?:{escape}(?={quote}|{escape})|{quote}(?={quote}))({_ANY})"

    @cached_property
    def _body(self) -> str:
        """What is between two quotes."""
        quote = re.escape(self.quote or "")
        if self.escape is None:
            return f"[^{quote}]*+(?:{quote}{quote}[^{quote}]*+)*+"
        escape = re.escape(self.escape)
        others = f"[^{quote}{escape}]*+"
        return f"{others}(?:(?:{escape}{_ANY}|{quote}{quote}){others})*+"

    @cached_property
    def _unquoted_field(self) -> str:
        separator = re.escape(self.separator)
        if len(self.separator) == 1:
            return f"(?!{self._begins})[^{separator}{_LAST}]*+"
        return f"(?!{self._begins})(?:(?!{separator}|{_LAST}){_ANY})*+"

    @cached_property
    def _field(self) -> str:
        """A separator and a field that keeps to the grammar: quote and text, or text alone."""
        separator, quote = re.escape(self.separator), re.escape(self.quote or "")
        after = f"(?:(?={separator})|{_END})"
        quoted = f"{self._blanks}({quote})({self._body}){quote}{self._blanks}{after}"
        return f"{separator}(?:{quoted}|({self._unquoted_field}))"

    @cached_property
    def _closed(self) -> str:
        """A field that is closed, whatever follows its closing quote."""
        quoted = f"{self._begins}{self._body}{self._rest}"
        return f"(?:{quoted}|{self._unquoted_field})"

    @cached_property
    def _rest(self) -> str:
        separator, quote = re.escape(self.separator), re.escape(self.quote or "")
        return f"{quote}(?:(?!{separator}){_ANY})*+"

    @cached_property
    def _open_field(self) -> str:
        """A quoted field without its closing quote, up to the end."""
        escape = f"(?:{re.escape(self.escape)})?" if self.escape else ""
        return f"{self._body}{escape}{_END}"

    @cached_property
    def _opens(self) -> str:
        separator = re.escape(self.separator)
        return f"(?:{self._closed}{separator})*+{self._begins}{self._open_field}"

    @cached_property
    def _continues(self) -> str:
        separator = re.escape(self.separator)
        last = f"{separator}{self._begins}{self._open_field}"
        more = f"{self._rest}(?:{separator}{self._closed})*+{last}"
        return f"(?:{self._open_field}|{self._body}{more})"
