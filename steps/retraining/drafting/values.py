"""What the values of a column are: their type, their marks for missing values, their dates."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import pandas as pd

from retraining.drafting import moments
from retraining.progress import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Marks that stand for a missing value wherever they occur, and those that do so among numbers.
MARKS: Final = ("?", "NA", "N/A", "#N/A", "NULL", "null", "\\N", "NaN", "nan")
_AMONG_NUMBERS: Final = (*MARKS, "n/a", "na", "None", "none", "-", "--", ".", "missing", "unknown")
_SENTINELS: Final = (-9999, -999, -99, -9, -1, 99, 999, 9999, 99999, 999999)
_INT: Final = r"[-+]?(?:0|[1-9]\d{0,17})"
_POINT: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_COMMA: Final = r"[-+]?\d+,\d+"
_THOUSANDS: Final = {
    ",": r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?",
    ".": r"[-+]?\d{1,3}(?:\.\d{3})+(?:,\d+)?",
}
_SIGN: Final = r"[$€£¥₽₹%]"
_SIGNED: Final = rf"[-+]?{_SIGN} ?[-+]?\d[\d.,]*|[-+]?\d[\d.,]* ?{_SIGN}"
_YEARS: Final = (1900, 2100)


class Numerals(NamedTuple):
    """How the files write numbers."""

    decimal: str = "."
    thousands: str | None = None


@dataclass(frozen=True)
class Facts:
    """What a sample shows of a column.

    Attributes:
        source: Its name in the files.
        type: As in a description.
        values: Numbers, times, or texts; missing ones are null.
        marks: Texts that stand for missing values.
        format: How its times are written, if not as ISO 8601 says.
        doubts: What a reader should confirm.
        is_unread: Whether it looks like a time or number, in a form that cannot be read.
    """

    source: str
    type: str
    values: pd.Series
    marks: tuple[str, ...] = ()
    format: str | None = None
    doubts: tuple[str, ...] = field(default=())
    is_unread: bool = False

    @property
    def n_missing(self) -> int:
        """Rows without a value."""
        return int(self.values.isna().sum())

    @property
    def n_distinct(self) -> int:
        """Different values."""
        return int(self.values.nunique())

    @property
    def is_number(self) -> bool:
        """Whether values can be summed."""
        return self.type in ("int", "bigint", "double")

    @property
    def is_year(self) -> bool:
        """Whether all values can be years."""
        return self.type == "int" and bool(self.values.dropna().between(*_YEARS).all())

    @property
    def is_time(self) -> bool:
        """Whether values are moments or days."""
        return self.type in ("date", "timestamp")


def find_numerals(columns: Iterable[pd.Series]) -> Numerals:
    """How numbers are written in all columns together: one file has one way."""
    found = Numerals()
    for text in columns:
        given = text.dropna()
        given = given[~given.isin(_AMONG_NUMBERS)]
        if given.empty or not moments.fit(given, r"[-+]?[\d.,]+"):
            continue
        for decimal, thousands in ((".", ","), (",", ".")):
            grouped = rf"(?:{_THOUSANDS[thousands]}|[-+]?\d+(?:{re.escape(decimal)}\d+)?)"
            marked = given[given.str.contains(thousands, regex=False)]
            if (
                marked.empty
                or not moments.fit(marked, _THOUSANDS[thousands])
                or not moments.fit(given, grouped)
            ):
                continue
            if thousands == "," or given.str.contains(decimal, regex=False).any():
                found = Numerals(decimal, thousands)
        commas = given[given.str.contains(",", regex=False)]
        if len(commas) and moments.fit(commas, _COMMA) and not moments.fit(commas, _THOUSANDS[","]):
            found = Numerals(",", found.thousands if found.thousands == "." else None)
    return found


def examine(name: str, text: pd.Series, numerals: Numerals) -> Facts:
    """Find the type of a column of text, and read its values."""
    for find in (_as_times, _as_numbers, _as_truths):
        if (facts := find(name, text, numerals)) is not None:
            return facts
    marks, given = _given(text, MARKS)
    doubts: tuple[str, ...] = ()
    if moments.look_like_times(given):
        doubts = (
            "looks like a time, but of years before 1900, or of two digits, or in a rare form",
        )
    elif moments.fit(given, _SIGNED):
        example = given.iloc[0]
        doubts = (f"numbers with a sign ({example}): to use them, make a column by an expression",)
    texts = given.reindex(text.index).astype(object)
    return Facts(name, "string", texts, marks, doubts=doubts, is_unread=bool(doubts))


def as_years(fact: Facts) -> Facts:
    """A column of years as one of days, the first of each year; any other as it is."""
    if not fact.is_year:
        return fact
    moments = pd.to_datetime(fact.values.astype("Int64").astype("string"), format="%Y")
    return replace(fact, type="date", values=moments, format="yyyy")


def _given(text: pd.Series, marks: Sequence[str]) -> tuple[tuple[str, ...], pd.Series]:
    """Which marks of missing values a column has, and its other values."""
    found = tuple(mark for mark in marks if (text == mark).any())
    return found, text[~text.isin(found)].dropna()


def _as_numbers(name: str, text: pd.Series, numerals: Numerals) -> Facts | None:
    marks, given = _given(text, _AMONG_NUMBERS)
    if given.empty:
        return None
    plain = given
    if numerals.thousands:
        plain = plain.str.replace(numerals.thousands, "", regex=False)
    if numerals.decimal == ",":
        plain = plain.str.replace(",", ".", regex=False)
    fits = plain.str.fullmatch(_POINT)
    if fits.mean() < 1 - moments.TOLERATED:
        return None
    if (plain.str.fullmatch(r"0\d+")).any():  # 00123 is a code
        return None
    whole = bool(plain[fits].str.fullmatch(_INT).all())
    values = pd.to_numeric(plain[fits]).reindex(text.index)
    largest = values.abs().max()
    kind = "double" if not whole else "int" if largest < 10**9 else "bigint"
    doubts = list(_wrong(given, fits, "a number"))
    doubts += _sentinels(values)
    return Facts(name, kind, values, marks, doubts=tuple(doubts))


def _as_truths(name: str, text: pd.Series, _: Numerals) -> Facts | None:
    marks, given = _given(text, _AMONG_NUMBERS)
    lower = given.str.lower()
    if set(lower) != {"true", "false"}:
        return None
    return Facts(name, "boolean", lower.reindex(text.index), marks)


def _as_times(name: str, text: pd.Series, _: Numerals) -> Facts | None:
    marks, given = _given(text, _AMONG_NUMBERS)
    found = None if given.empty else moments.read(name, given)
    if found is None:
        return None
    doubts = list(_wrong(given, found.values.notna(), "a time"))
    if found.others:
        doubts.append(f"or format: {found.others[0]}, which reads all of them too")
    values = found.values.reindex(text.index)
    return Facts(name, found.type, values, marks, found.format, tuple(doubts))


def _wrong(given: pd.Series, fits: pd.Series, what: str) -> tuple[str, ...]:
    wrong = given[~fits]
    if wrong.empty:
        return ()
    shown = ", ".join(repr(value) for value in wrong.unique()[:3])
    verb, they = ("holds", "it") if len(wrong) == 1 else ("hold", "they")
    rows = counted(len(wrong), "row")
    return (f"{rows} {verb} {shown}, not {what}: {they} would be rejected",)


def _sentinels(values: pd.Series) -> Sequence[str]:
    """Values such as 999 that lie far from all others and are frequent."""
    counts = values.value_counts()
    found = []
    for sentinel in _SENTINELS:
        others = values[values != sentinel].dropna()
        if sentinel not in counts.index or counts[sentinel] < 0.005 * len(values) or others.empty:
            continue
        low, high = others.min(), others.max()
        beyond = sentinel < min(low, 0) if sentinel < 0 else sentinel > 2 * high
        if beyond and others.nunique() > 2:
            share = counts[sentinel] / len(values)
            found.append(
                f"{sentinel} in {share:.1%} of the rows: if it means missing, add "
                f"null_values: [{sentinel}]"
            )
    return found
