"""Time zones and patterns of times, checked without Spark."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FIRST_YEAR: Final = 1900  # times before it cannot be read

# Units of a time since 1970, and how many of them are a second.
EPOCHS: Final[Mapping[str, int]] = {"seconds": 1, "milliseconds": 1_000}

# How often Spark takes a letter in a row when it reads a text. It formats by some others, too.
_LETTERS = {
    **dict.fromkeys("y", range(1, 7)),
    **dict.fromkeys("ML", range(1, 5)),
    **dict.fromkeys("dHhKkms", range(1, 3)),
    **dict.fromkeys("D", range(1, 4)),
    **dict.fromkeys("S", range(1, 10)),
    **dict.fromkeys("Gz", range(1, 5)),
    **dict.fromkeys("Xx", range(1, 6)),
    "a": (1,),
    "V": (2,),
    "O": (1, 4),
}
_QUOTED = re.compile(r"'[^']*'")
_EXAMPLES = "allowed: seconds, milliseconds or a pattern of Spark such as dd.MM.yyyy HH:mm"
_NOT_OF_JAVA = ("Factory", "localtime", "posixrules")


def check_format(pattern: str) -> str:
    """The pattern, if it is a unit since 1970 or one by which Spark reads a date.

    Raises:
        ValueError: With what is wrong.
    """
    if pattern in EPOCHS:
        return pattern
    text = _QUOTED.sub("", pattern)
    if "'" in text or re.search("[{}#]", text) or text.count("[") != text.count("]"):
        raise ValueError(f"has a quote, bracket, {{, }} or # too many, {_EXAMPLES}")
    runs = [match[0] for match in re.finditer(r"([A-Za-z])\1*", text)]
    for run in runs:
        if len(run) not in _LETTERS.get(run[0], ()):
            meant = f" (the year is {run.lower()})" if run[0] == "Y" else ""
            raise ValueError(f"has {run}, which Spark cannot read{meant}, {_EXAMPLES}")
    for complaint in _misunderstandings(runs):
        raise ValueError(f"{complaint}, {_EXAMPLES}")
    return pattern


def _misunderstandings(runs: Sequence[str]) -> Iterator[str]:
    """Yield what Spark would read otherwise than it is meant, or would read as the first of it."""
    letters = [run[0] for run in runs]
    has = set(letters)
    if "y" not in has:
        yield "has no year (yyyy)"
    if "yy" in runs:
        yield "has yy, by which 85 is 2085 (yyyy, or an expression that completes the year)"
    if "d" in has and not has & set("ML"):
        yield "has a day without a month, which is MM (mm is the minute)"
    if "D" in has and has & set("MLd"):
        yield "has D, the day of the year, beside a month or day, which is d"
    if "m" in has and not has & set("HhKk"):
        yield "has a minute (m) without an hour (the month is M)"
    if letters.count("M") > 1:
        yield "has two months (the minute is m)"
    if has & set("hK") and "a" not in has:
        yield "has an hour of half a day without a (the hour of a day is H)"


def check_zone(name: str) -> str:
    """The name, if it is one of a time zone that Python and Java know.

    Raises:
        ValueError: If it is not.
    """
    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        known = False
    else:
        known = name not in _NOT_OF_JAVA
    if not known:
        raise ValueError("is not a time zone, allowed: UTC or a name such as Europe/Berlin")
    return name
