"""Durations as a description writes them: "7 days"."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
_READ = {"weeks": 7 * 86_400, **_UNITS}
LONGEST_YEARS: Final = 300  # the calendar has room for several windows of this length
_LONGEST: Final = timedelta(days=LONGEST_YEARS * 366)
TOO_LONG: Final = f"is too long, allowed: at most {LONGEST_YEARS} years"
DURATION = re.compile(r"(\d+) (week|day|hour|minute|second)s?")


def parse_duration(value: object) -> timedelta:
    """Read a duration such as "7 days"; a timedelta is returned as it is.

    Raises:
        ValueError: If the value is neither, or too long.
    """
    if isinstance(value, timedelta):
        return value
    match = DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"is not a duration, allowed: N {'|'.join(_READ)}, for example '7 days'")
    seconds = int(match[1]) * _READ[f"{match[2]}s"]
    if seconds > _LONGEST.total_seconds():
        raise ValueError(TOO_LONG)
    return timedelta(seconds=seconds)


def format_duration(value: timedelta) -> str:
    """Write a duration in the largest unit that divides it, for example "7 days"."""
    seconds = int(value.total_seconds())
    unit = next(unit for unit, size in _UNITS.items() if seconds % size == 0)
    count = seconds // _UNITS[unit]
    return f"{count} {unit.removesuffix('s') if count == 1 else unit}"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{DURATION.pattern}$"}),
]
