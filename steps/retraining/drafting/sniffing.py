"""How a text file is to be read: its encoding, its separator, its header line."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SEPARATORS: Final = (",", ";", "\t", "||", "|", "::", "~", "^", "\x01")
_MARKS: Final = (
    (codecs.BOM_UTF8, "UTF-8"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_CYRILLIC: Final = ("windows-1251", "KOI8-R", "IBM866")
_COMMON: Final = "оеаинтсрвл"  # the letters that make up most of a Russian text
_SNIFFED: Final = 200  # records
_VALUE: Final = re.compile(
    r"[-+]?[\d.,]*\d(?:[eE][-+]?\d+)?|\d{1,4}[-./]\d{1,2}[-./]\d{1,4}.*|true|false", re.IGNORECASE
)


class Form(NamedTuple):
    """How a text file is read.

    Attributes:
        encoding: A name that Python and Java know; the guess is certain for Unicode alone.
        separator: Between fields.
        comment: The character at the start of lines that hold no row, if there is one.
        header: Whether the first record names the columns.
        header_is_sure: Whether the values below the header look different from it.
    """

    encoding: str
    separator: str
    comment: str | None
    header: bool
    header_is_sure: bool


def find_encoding(content: bytes, where: str) -> str:
    """The encoding of a text of which the beginning is given.

    Raises:
        RetrainingError: If it is not text.
    """
    for mark, name in _MARKS:
        if content.startswith(mark):
            return name
    if b"\0" in content:
        even, odd = content[0::2].count(0), content[1::2].count(0)
        if max(even, odd) > 0.3 * len(content) / 2 and min(even, odd) < 0.05 * len(content):
            return "UTF-16LE" if odd > even else "UTF-16BE"
    controls = sum(content.count(code) for code in [*range(9), *range(14, 32)] if code != 1)
    if controls > 0.001 * len(content):
        raise RetrainingError(
            f"{where} is not text", "give text files, or rename it if it is .parquet"
        )
    try:
        codecs.getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError:
        return _find_code_page(content)
    return "UTF-8"


def read_records(text: str, separator: str) -> list[list[str]]:
    """The records of a text, without blank ones; quotes hold separators and line breaks."""
    if len(separator) > 1:
        text, separator = text.replace(separator, "\x1f"), "\x1f"
    csv.field_size_limit(1 << 24)
    lines = io.StringIO(text, newline="")
    records = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    try:
        return [[field.strip() for field in record] for record in records if any(record)]
    except csv.Error as error:
        raise RetrainingError(
            f"a line of the files cannot be split into fields ({error})", "correct the files"
        ) from error


def find_form(text: str, encoding: str) -> Form:
    """How a text is read; a tab-separated or semicolon-separated one by what fits its lines."""
    comment = "#" if text.startswith("#") else None
    start = without_comments(text[:2_000_000], comment)
    separator = max(SEPARATORS, key=lambda one: _rate(start, one))
    records = read_records(start, separator)[:_SNIFFED]
    header, sure = _has_header(records)
    return Form(encoding, separator, comment, header, sure)


def without_comments(text: str, comment: str | None) -> str:
    """The text without the lines that begin with the character of comments."""
    if comment is None:
        return text
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(comment))


def _rate(text: str, separator: str) -> tuple[float, int]:
    """How well a separator fits: the share of equal records with simple values, and its length."""
    if separator not in text:
        return 0.0, 0
    records = read_records(text[:200_000], separator)[:_SNIFFED]
    if len(records) > 1 and len(text) > 200_000:
        records.pop()
    widths = Counter(map(len, records))
    width, count = widths.most_common(1)[0]
    if width == 1:
        return 0.0, 0
    fields = [field for record in records if len(record) == width for field in record]
    others = [other for other in SEPARATORS if other not in separator and separator not in other]
    clean = sum(
        1 for field in fields if _VALUE.fullmatch(field) or not any(o in field for o in others)
    )
    return count / len(records) * clean / len(fields), len(separator)


def _has_header(records: Sequence[Sequence[str]]) -> tuple[bool, bool]:
    """Whether the first record names the columns, and whether that is sure."""
    first, body = records[0], records[1:]
    if not any(first):
        return False, len(first) > 1
    if any(_VALUE.fullmatch(name) for name in first):
        return False, True
    columns = list(zip(*[record for record in body if len(record) == len(first)], strict=True))
    if first.count("") > 1:  # an index may have no name; further gaps may be those of a row
        named = [column for name, column in zip(first, columns, strict=False) if name]
        found = any(map(_are_values, named))
        return found, found
    if any(_are_values(column) for column in columns):
        return True, True
    if len({name.lower() for name in first}) < len(first):
        return False, True
    repeated = sum(name in column for name, column in zip(first, columns, strict=False))
    return not repeated, bool(repeated) and repeated > len(first) / 2


def _are_values(column: Iterable[str]) -> bool:
    given = [value for value in column if value]
    return bool(given) and sum(bool(_VALUE.fullmatch(v)) for v in given) > 0.8 * len(given)


def _find_code_page(content: bytes) -> str:
    """The likeliest encoding with one byte a character: Cyrillic words are high bytes alone."""
    high = re.findall(rb"[\x80-\xff]+", content)
    if sum(map(len, high)) < 2 * len(high):
        return "windows-1252"
    rates = {name: sum(map(content.decode(name, "replace").count, _COMMON)) for name in _CYRILLIC}
    return max(rates, key=lambda name: rates[name])
