"""How rows are split into train, validation and holdout: the section `split`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    InstanceOf,
    PlainSerializer,
    Tag,
    WithJsonSchema,
    model_validator,
)

from retraining.description.durations import (
    DURATION,
    LONGEST_YEARS,
    TOO_LONG,
    Duration,
    format_duration,
    parse_duration,
)
from retraining.description.section import Section
from retraining.description.times import FIRST_YEAR

_MONTHS = re.compile(r"(\d+) (month|year)s?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_SHARE = re.compile(r"(\d+(?:\.\d+)?) ?%( of train)?")
_ALLOWED = (
    "is not a duration, allowed: N weeks|days|hours|minutes|seconds|months|years, or a share of "
    "the time such as '60%', for example '7 days'"
)


@dataclass(frozen=True)
class Months:
    """Calendar months."""

    count: int

    def __str__(self) -> str:
        """As a description writes it."""
        years, rest = divmod(self.count, 12)
        count, unit = (self.count, "month") if rest or not years else (years, "year")
        return f"{count} {unit}{'s' * (count != 1)}"


@dataclass(frozen=True)
class Share:
    """A part of the time, of the rows in order, or of the units of train.

    Attributes:
        part: Between 0 and 1.
        of_train: Whether it is taken from the rows of train, by a hash of their unit.
    """

    part: float
    of_train: bool = False

    def __str__(self) -> str:
        """As a description writes it."""
        return f"{100 * self.part:.12g}%{' of train' * self.of_train}"


def _parse_length(value: object) -> object:
    if isinstance(value, timedelta | Months | Share):
        return value
    text = value.strip() if isinstance(value, str) else ""
    if match := _MONTHS.fullmatch(text):
        count = int(match[1]) * (12 if match[2] == "year" else 1)
        if count > 12 * LONGEST_YEARS:
            raise ValueError(TOO_LONG)
        return Months(count)
    if match := _SHARE.fullmatch(text):
        return _checked(Share(float(match[1]) / 100, bool(match[2])))
    if DURATION.fullmatch(text) is None:
        raise ValueError(_ALLOWED)
    return parse_duration(text)


def _parse_share(value: object) -> object:
    if isinstance(value, str) and (match := _SHARE.fullmatch(value.strip())):
        return _checked(Share(float(match[1]) / 100, bool(match[2])))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _checked(Share(value))
    if isinstance(value, Share):
        return value
    raise ValueError("is not a share, allowed: '60%' or 0.6")


def _checked(share: Share) -> Share:
    if not 0 < share.part < 1:
        raise ValueError("is not a part, allowed: above 0 and below 100%")
    return share


def _format(value: timedelta | Months | Share) -> str:
    return format_duration(value) if isinstance(value, timedelta) else str(value)


def _schema(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^(?:{pattern})$"})


def _checked_day(value: object) -> object:
    if isinstance(value, date) or (isinstance(value, str) and _DAY.fullmatch(value.strip())):
        return value
    raise ValueError("is not a day, allowed: a date such as 2024-01-31")


Day = Annotated[date, BeforeValidator(_checked_day)]


class Period(Section):
    """Whole days from `start` up to but not including `end`."""

    start: Day
    end: Day

    @model_validator(mode="after")
    def _in_order(self) -> Period:
        if self.start >= self.end:
            raise ValueError(f"start {self.start} is not before end {self.end}")
        if self.start.year < FIRST_YEAR:
            raise ValueError(f"start {self.start}, allowed: {FIRST_YEAR} and later years")
        return self


def _length_or_period(value: object) -> str:
    return "period" if isinstance(value, dict | Period) else "length"


Length = Annotated[
    timedelta | InstanceOf[Months] | InstanceOf[Share],
    BeforeValidator(_parse_length),
    PlainSerializer(_format, return_type=str),
    _schema(rf"\d+ (week|day|hour|minute|second|month|year)s?|{_SHARE.pattern}"),
]
Window = Annotated[
    Annotated[Length, Tag("length")] | Annotated[Period, Tag("period")],
    Discriminator(_length_or_period),
]
Part = Annotated[
    InstanceOf[Share],
    BeforeValidator(_parse_share),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": _SHARE.pattern}]}),
]


class KnownPositives(Section):
    """Drops holdout rows whose key had a positive between the start of train and `delay` ago."""

    key: str
    delay: Duration


class TimeSplit(Section):
    """Train, validation and holdout by event time: lengths, shares of the time, or periods.

    With lengths, the holdout ends at `as_of - label.delay`, and `gap` separates the three; shares
    divide the time from the oldest row to that moment, without the gaps. Validation may be a share
    of train ("20% of train"), chosen by a hash of the unit.
    """

    by: Literal["time"]
    train: Window
    gap: Duration = timedelta(0)
    validation: Window
    holdout: Window
    known_positives: KnownPositives | None = None

    @property
    def inner(self) -> Share | None:
        """The share of train that is validation; None if it has a window of its own."""
        share = self.validation
        return share if isinstance(share, Share) and share.of_train else None

    @property
    def windows(self) -> dict[str, timedelta | Months | Share | Period]:
        """What has a window, by the name of the split."""
        validation = {} if self.inner else {"validation": self.validation}
        return {"train": self.train, **validation, "holdout": self.holdout}


class OrderSplit(Section):
    """Train, validation and holdout as shares of the rows in the order of a column, or of several.

    Rows with the same values stay together. Validation may be a share of train.
    """

    by: Literal["order"]
    column: str | Annotated[tuple[str, ...], Field(min_length=1)]
    train: Part
    validation: Part
    holdout: Part

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the order, the most important first."""
        return (self.column,) if isinstance(self.column, str) else self.column

    @property
    def inner(self) -> Share | None:
        """The share of train that is validation; None if validation follows train."""
        return self.validation if self.validation.of_train else None

    @property
    def windows(self) -> dict[str, Share]:
        """The shares of all rows, by the name of the split."""
        validation = {} if self.inner else {"validation": self.validation}
        return {"train": self.train, **validation, "holdout": self.holdout}


def _as_number(value: Any) -> Any:  # noqa: ANN401 (whatever YAML held)
    share = isinstance(value, str) and _SHARE.fullmatch(value.strip())
    return float(share[1]) / 100 if share and not share[2] else value


Fraction = Annotated[float, BeforeValidator(_as_number), Field(gt=0, lt=1)]


class HashSplit(Section):
    """Train, validation and holdout as shares of the units (of the row keys without a unit)."""

    by: Literal["hash"]
    train: Fraction
    validation: Fraction
    holdout: Fraction
    seed: int = Field(default=0, ge=-(2**63), lt=2**63)
