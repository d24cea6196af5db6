"""What a column is by its name and values: an id, a unit, a time, known only afterwards."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pandas as pd

if TYPE_CHECKING:
    from retraining.drafting.values import Facts

_FEWEST_UNITS: Final = 30
_FEWEST_DISTINCT: Final = 5  # of times, and of counters
_RUNS_WITH: Final = 0.99  # the rank correlation with time of a counter
_KEYS: Final = re.compile(
    r"(?:^|_)(?:id|key|uuid|guid|number|no|nr|num|index)$|^id|[a-z]I[Dd]$|№|номер", re.I
)
_UNITS: Final = re.compile(
    r"customer|client|user|patient|account|person|policy|driver|household|card|device|member"
    r"|borrower|student|employee|company|merchant|subject|owner",
    re.IGNORECASE,
)
_AMOUNTS: Final = re.compile(  # of accounts, at the company: how many, not which one
    r"^(?:n|nb|num|no_of|number|count|total|sum|avg|mean|max|min|share|ratio|pct|percent|years|yrs"
    r"|months|days|hours|weeks|time|age|avg|dist)(?:_|(?-i:[A-Z]))|_(?:count|total|age|amount)$"
    r"|(?:number|count|years|months|days)_(?:of|in|at|with|since)",
    re.IGNORECASE,
)
_ROW_NUMBERS: Final = re.compile(r"row_?(?:names?|num(?:ber)?|id|no)?|index|unnamed.*|x|obs|", re.I)
_EVENTS: Final = re.compile(r"event|time|date|_at$|stamp|when|created|opened|_ts$|^ts$|дата", re.I)
_NO_EVENTS: Final = re.compile(r"birth|dob|born|end|clos|updat|modif|paid|expir|resolv|valid", re.I)
_AFTERWARDS: Final = re.compile(
    r"duration|(?:^|_)l?durat|closed|resolved|settled|recover|chargeback|refund|paid_|_paid|payout"
    r"|scenario|reason|result|outcome|cancel|died|discharge|final(?!_?w)|after"
    r"|(?<!marital)(?<!marital_)(?<!civil)(?<!civil_)(?<!smoking_)status(?![a-z])"
    r"|futime|follow_?up|fu_?(?:time|days|weeks|months|years)|surv(?:ival)?_?(?:time|days|months)"
    r"|(?:time|hours|days|weeks|months|years)_to_",
    re.IGNORECASE,
)

_WEIGHTS: Final = re.compile(
    r"exposure|weight|fnlwgt|propensity|(?:^|_)(?:per|final|pop|p|svy|samp|hh)?_?w(?:g?t|eig)s?(?:_|$)",
    re.IGNORECASE,
)


def rate_key(name: str, fact: Facts) -> float:
    """How much a column looks like a row key; 0: not at all.

    Values have to be unique; numbers with fractions and times are unique by chance.
    """
    if fact.n_missing or fact.n_distinct < len(fact.values) or fact.is_time:
        return 0.0
    if fact.type == "double" and not (_KEYS.search(name) and (fact.values % 1 == 0).all()):
        return 0.0
    if fact.type == "string" and fact.values.str.contains(r"\s").mean() > 0.5:
        return 0.0  # text
    return 0.5 if is_row_number(fact) else 1.0 + 2 * bool(_KEYS.search(name))


def rate_time(name: str, fact: Facts) -> float:
    """How much a column looks like the time of a row; 0: not at all."""
    if not fact.is_time or fact.n_missing or fact.n_distinct < _FEWEST_DISTINCT:
        return 0.0
    suspect = bool(_NO_EVENTS.search(name)) or fact.values.min() < pd.Timestamp("1970-01-02")
    return 1.0 + bool(_EVENTS.search(name)) + (fact.type == "timestamp") - 2.5 * suspect


def rate_unit(name: str, fact: Facts) -> float:
    """How much rows with the same value look dependent; 0: not at all."""
    if fact.is_time or fact.type in ("double", "boolean") or _AMOUNTS.search(name):
        return 0.0
    repeated = _FEWEST_UNITS < fact.n_distinct < 0.9 * len(fact.values)
    # A panel calls its persons just `id`: a key that is repeated is no key of the rows.
    return repeated * (2.0 * bool(_UNITS.search(name)) + bool(_KEYS.search(name)))


def is_known_afterwards(name: str) -> bool:
    """Whether a name speaks of what happens after the moment that is predicted for."""
    return bool(_AFTERWARDS.search(name))


def is_identifier(name: str, fact: Facts) -> bool:
    """Whether every row has its own value, as it has one of a row key."""
    return rate_key(name, fact) > 0


def is_row_number(fact: Facts) -> bool:
    """Whether a column without a name, or with that of an index, counts rows from 0 or 1."""
    if fact.type != "int" or not _ROW_NUMBERS.fullmatch(fact.source):
        return False
    return bool(fact.values.min() in (0, 1) and fact.values.is_monotonic_increasing)


def is_weight(name: str, fact: Facts) -> bool:
    """Whether a number is how much a row counts, by its name."""
    return fact.is_number and bool(_WEIGHTS.search(name))


def is_year(name: str, fact: Facts) -> bool:
    """Whether a number is the year of a row, by its name and values."""
    return fact.is_year and "year" in name.lower() and fact.n_distinct >= _FEWEST_DISTINCT


def is_id(name: str, fact: Facts) -> bool:
    """Whether values name something: as a feature they would be memorised."""
    if fact.type in ("double", "boolean") or fact.is_time or _AMOUNTS.search(name):
        return False
    named = bool(_KEYS.search(name) or _UNITS.search(name)) and fact.n_distinct > _FEWEST_UNITS
    return named or (fact.type == "string" and fact.n_distinct > 0.5 * len(fact.values))


def runs_with(fact: Facts, time: Facts) -> bool:
    """Whether a number grows with the time, as a counter does."""
    if not fact.is_number or fact.n_distinct < _FEWEST_DISTINCT:
        return False
    moments = time.values.astype("int64").where(time.values.notna())
    return bool(abs(fact.values.rank().corr(moments.rank())) > _RUNS_WITH)
