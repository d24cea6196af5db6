"""Which texts are times, and in which form people wrote them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterator

TOLERATED: Final = 0.01  # the share of values that may be wrong: such rows are put aside
_GLANCE: Final = 50  # values; if fewer than half of them fit, the others are not looked at
_ISO_DATE: Final = r"(?:19|[2-9]\d)\d\d-\d{1,2}-\d{1,2}"
_ISO_TIME: Final = _ISO_DATE + r"[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[-+]\d\d:?\d\d)?"
_MONTH: Final = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_MONTHS: Final = (
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december)"
)
_CLOCKS: Final = (
    ("", ""),
    (r" \d{2}:\d{2}", " HH:mm"),
    (r" \d{2}:\d{2}:\d{2}", " HH:mm:ss"),
    (r" \d{1,2}:\d{2}", " H:mm"),
    (r" \d{1,2}:\d{2}:\d{2}", " H:mm:ss"),
    (r" \d{1,2}:\d{2} [ap]m", " h:mm a"),
    (r" \d{1,2}:\d{2}:\d{2} [ap]m", " h:mm:ss a"),
)
_DAYS: Final = (
    (r"\d{2}\.\d{2}\.\d{4}", "dd.MM.yyyy"),
    (r"\d{1,2}\.\d{1,2}\.\d{4}", "d.M.yyyy"),
    (r"\d{2}/\d{2}/\d{4}", "dd/MM/yyyy"),
    (r"\d{2}/\d{2}/\d{4}", "MM/dd/yyyy"),
    (r"\d{1,2}/\d{1,2}/\d{4}", "d/M/yyyy"),
    (r"\d{1,2}/\d{1,2}/\d{4}", "M/d/yyyy"),
    (r"\d{2}-\d{2}-\d{4}", "dd-MM-yyyy"),
    (r"\d{2}-\d{2}-\d{4}", "MM-dd-yyyy"),
    (r"\d{4}/\d{2}/\d{2}", "yyyy/MM/dd"),
    (r"\d{4}/\d{1,2}/\d{1,2}", "yyyy/M/d"),
    (r"\d{4}\.\d{1,2}\.\d{1,2}", "yyyy.M.d"),
    (rf"{_MONTH} \d{{1,2}} \d{{4}}", "MMM d yyyy"),
    (rf"{_MONTH} \d{{1,2}}, \d{{4}}", "MMM d, yyyy"),
    (rf"{_MONTHS} \d{{1,2}}, \d{{4}}", "MMMM d, yyyy"),
    (rf"\d{{1,2}} {_MONTH} \d{{4}}", "d MMM yyyy"),
    (rf"\d{{1,2}} {_MONTHS} \d{{4}}", "d MMMM yyyy"),
    (rf"\d{{1,2}}-{_MONTH}-\d{{4}}", "d-MMM-yyyy"),
    (rf"\d{{2}}{_MONTH}\d{{4}}", "ddMMMyyyy"),
    (r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", "yyyyMMdd"),
)
_PYTHON: Final = {
    "yyyy": "%Y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%m", "dd": "%d", "d": "%d",
    "HH": "%H", "H": "%H", "h": "%I", "mm": "%M", "ss": "%S", "a": "%p",
}  # fmt: skip
_LETTERS: Final = re.compile(r"([A-Za-z])\1*")
_EPOCHS: Final = {"seconds": (10**9, 2 * 10**9), "milliseconds": (10**12, 2 * 10**12)}
_WORDS: Final = re.compile(r"time|date|_ts$|^ts$|stamp|epoch|_at$|when|utc", re.IGNORECASE)
_PART: Final = rf"(?:\d{{1,2}}|{_MONTH}[a-z]*\.?)"
_LIKE_A_TIME: Final = (
    rf"(?:\d{{4}}[-./]{_PART}[-./]\d{{1,2}}|{_PART}[-./ ]+{_PART}[-./ ,]+(?:\d{{2}}|\d{{4}}))"
    r"(?:[ T,].*)?"
)


class Reading(NamedTuple):
    """Texts that are times.

    Attributes:
        type: As in a description.
        values: By row of the texts that were given.
        format: As Spark has it; None for the forms of ISO 8601.
        others: Other forms by which all of them can be read, too.
    """

    type: str
    values: pd.Series
    format: str | None = None
    others: tuple[str, ...] = ()


def read(name: str, given: pd.Series) -> Reading | None:
    """The times that texts are; None if they are none, or in a form that is not known.

    Args:
        name: Of the column: numbers are times if it says so.
        given: Texts, none of them missing. Of those that are no time the value is null.
    """
    for pattern, kind in ((_ISO_DATE, "date"), (_ISO_TIME, "timestamp")):
        if fit(given, pattern):
            fits = given.str.fullmatch(pattern)
            return Reading(kind, _parse(given[fits], None).reindex(given.index))
    if fit(given, r"\d{10}|\d{13}", tolerated=0) and _WORDS.search(name):
        return _read_epoch(pd.to_numeric(given))
    found = [*_read_forms(given)]
    if not found or (found[0][0] == "yyyyMMdd" and not _WORDS.search(name)):
        return None
    form, values = found[0]
    others = tuple(other for other, read in found[1:] if not read.equals(values))
    return Reading("timestamp" if ":" in form else "date", values, form, others)


def look_like_times(given: pd.Series) -> bool:
    """Whether texts look like times, in whatever form."""
    return fit(given, _LIKE_A_TIME)


def fit(text: pd.Series, pattern: str, tolerated: float = TOLERATED) -> bool:
    """Whether nearly all texts have a form."""
    if text.head(_GLANCE).str.fullmatch(pattern, case=False).mean() < 0.5:
        return False
    return bool(text.str.fullmatch(pattern, case=False).mean() >= 1 - tolerated)


def _read_forms(given: pd.Series) -> Iterator[tuple[str, pd.Series]]:
    """Each form by which nearly all texts can be read; of a clock, the first one that fits."""
    for pattern, day in _DAYS:
        for clock, suffix in _CLOCKS:
            if fit(given, pattern + clock):
                values = _parse(given, day + suffix)
                if values.notna().mean() >= 1 - TOLERATED:
                    yield day + suffix, values
                break


def _read_epoch(numbers: pd.Series) -> Reading | None:
    for unit, (low, high) in _EPOCHS.items():
        if numbers.between(low, high).all():
            values = pd.to_datetime(numbers, unit="s" if unit == "seconds" else "ms")
            return Reading("timestamp", values, unit)
    return None


def _parse(text: pd.Series, form: str | None) -> pd.Series:
    """Times without a zone; null where a text is none."""
    if form is None:
        moments = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
        return moments.dt.tz_localize(None)
    style = _LETTERS.sub(lambda run: _PYTHON[run[0]], form)
    return pd.to_datetime(text, format=style, errors="coerce")
