"""Which column is the label, and which ones are the key, the time and the unit of a row."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from retraining.errors import RetrainingError
from retraining.progress import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from retraining.drafting.values import Facts

LEAK: Final = 0.95  # the AUROC of a single column above which it is suspected to hold the label
STRONG: Final = 0.85  # the one above which a feature is doubted
_MOST_CLASSES: Final = 20
_FEWEST_UNITS: Final = 30
_FEWEST_DISTINCT: Final = 5  # of times, and of counters
_RUNS_WITH: Final = 0.99  # the rank correlation with time of a counter
_LABELS: Final = re.compile(
    r"label|target|class|outcome|response|default|churn|fraud|convert|survived|income|deposit"
    r"|claim|accident|died|death|readmit|success|approved|clicked|^y$|^is_|^has_|^bad$|^exited$",
    re.IGNORECASE,
)
_POSITIVE: Final = ("1", "yes", "y", "true", "t", "да", "oui", "ja", "positive", "bad", "poor")
_NEGATIVE: Final = ("0", "no", "n", "false", "f", "нет", "non", "nein", "negative", "good")
_KEYS: Final = re.compile(
    r"(?:^|_)(?:id|key|uuid|guid|number|no|nr|num|index)$|^id|[a-z]I[Dd]$|№|номер", re.I
)
_UNITS: Final = re.compile(
    r"customer|client|user|patient|account|person|policy|driver|household|card|device|member"
    r"|borrower|student|employee|company|merchant|subject|owner",
    re.IGNORECASE,
)
_EVENTS: Final = re.compile(r"event|time|date|_at$|stamp|when|created|opened|_ts$|^ts$|дата", re.I)
_NO_EVENTS: Final = re.compile(r"birth|dob|born|end|clos|updat|modif|paid|expir|resolv|valid", re.I)
_AFTERWARDS: Final = re.compile(
    r"duration|closed|resolved|settled|recover|chargeback|refund|paid_|_paid|payout|scenario"
    r"|reason|result|outcome|status|cancel|died|discharge|final|after"
    r"|futime|follow_?up|fu_?(?:time|days|weeks|months|years)|surv(?:ival)?_?(?:time|days|months)"
    r"|(?:time|hours|days|weeks|months|years)_to_",
    re.IGNORECASE,
)


class Label(NamedTuple):
    """The column to predict.

    Attributes:
        column: Its name.
        positive: The value that is positive; empty for a number of events, of which any is.
        is_positive: By row; null where the label is missing.
        doubts: What a reader should confirm.
    """

    column: str
    positive: tuple[str | int | float | bool, ...]
    is_positive: pd.Series
    doubts: tuple[str, ...]

    @property
    def is_count(self) -> bool:
        """Whether it is a number of events, of which any makes a row positive."""
        return not self.positive


class Roles(NamedTuple):
    """The columns with a role: key and unit and time, each with doubts; None without one."""

    key: str | None
    time: str | None
    unit: str | None
    doubts: Mapping[str, str]


def choose_label(facts: Mapping[str, Facts], named: str | None) -> Label:
    """The named column, or the one that looks most like a label.

    Raises:
        RetrainingError: If there is no such column, or none could be a label.
    """
    _require("label", named, facts)
    rates = {name: _rate(name, fact, facts) for name, fact in facts.items()}
    candidates = sorted((name for name in rates if rates[name] > 0), key=lambda n: -rates[n])
    if named is None and not candidates:
        raise RetrainingError(
            "no column looks like a label: none has two values",
            f"name one with label=: {', '.join(facts)}",
        )
    chosen = named or candidates[0]
    doubts = []
    if named is None:
        others = ", ".join(candidates[1:5])
        doubts.append("is this what to predict?" + (f" or one of: {others}" if others else ""))
    return _describe_label(chosen, facts[chosen], doubts)


def _require(flag: str, named: str | None, facts: Mapping[str, Facts]) -> None:
    """Refuse a name that is none of a column; columns are listed as the files call them."""
    if named is None or named in facts:
        return
    sources = {(fact.source or name).lower(): fact.source or name for name, fact in facts.items()}
    near = get_close_matches(named.lower(), sources, n=1)
    meant = f" (did you mean {sources[near[0]]}?)" if near else ""
    raise RetrainingError(
        f"{flag}={named!r} is not a column{meant}", f"name one of {', '.join(sources.values())}"
    )


def _rate(name: str, fact: Facts, facts: Mapping[str, Facts]) -> float:
    """How much a column looks like a label; 0: not at all."""
    if fact.is_time or fact.n_distinct < 2 or fact.n_distinct > _MOST_CLASSES:
        return 0.0
    hinted = bool(_LABELS.search(name))
    if fact.n_distinct > 2:
        return 0.5 if hinted and fact.type in ("int", "string") else 0.0
    texts = {_text(value).lower() for value in fact.values.dropna().unique()}
    last = list(facts)[-1] == name
    return (
        1.0
        + 2 * hinted
        + 1.5 * last
        + bool(texts & set(_POSITIVE) and texts & set(_NEGATIVE))
        - 2 * bool(_AFTERWARDS.search(name) and not hinted)
        - fact.n_missing / max(1, len(fact.values))
    )


def _describe_label(name: str, fact: Facts, doubts: list[str]) -> Label:
    counts = fact.values.dropna().value_counts()
    if len(counts) < 2:
        raise RetrainingError(
            f"label={name!r} has only the value {_text(counts.index[0])}"
            if len(counts)
            else f"label={name!r} has no value",
            "name another one, or give more files",
        )
    if fact.is_time or (len(counts) > _MOST_CLASSES and not fact.is_number):
        raise RetrainingError(
            f"label={name!r} has type {fact.type} and {len(counts)} values",
            "name a column with few values, or one of numbers",
        )
    has_none = fact.is_number and counts.index.min() <= 0 < counts.index.max()
    if has_none and len(counts) > 2:
        is_positive = (fact.values > 0).where(fact.values.notna())
        doubts.append(f"{len(counts)} values: any above 0 is taken as positive")
        return Label(name, (), is_positive, tuple(doubts))
    if len(counts) > _MOST_CLASSES:
        raise RetrainingError(
            f"label={name!r} has {len(counts)} values, none of which means no event",
            "name a column with few values, or one of numbers of which some are 0",
        )
    chosen = [v for v in counts.index if _text(v).lower() in _POSITIVE or _text(v).startswith(">")]
    if len(chosen) != 1 or (fact.is_number and not has_none):  # 1 of 1 and 2 may mean no
        chosen = [counts.index[-1]]
        others = ", ".join(_text(value) for value in counts.index[:-1][:6])
        doubts.append(f"positive is the rarest value; the others: {others}")
    is_positive = (fact.values == chosen[0]).where(fact.values.notna())
    return Label(name, tuple(_value(v, fact) for v in chosen), is_positive, tuple(doubts))


def choose_roles(
    facts: Mapping[str, Facts], label: str, named_key: str | None, named_time: str | None
) -> Roles:
    """Key, event time and unit, as named or as they look."""
    for flag, named in (("row_key", named_key), ("event_time", named_time)):
        _require(flag, named, facts)
    if named_time is not None and not facts[named_time].is_time:
        raise RetrainingError(
            f"event_time={named_time!r} has type {facts[named_time].type}",
            "name a column of dates, times or years; of times in another form, leave it empty, "
            "and give the column a type, a format and event_time: in the file that is written",
        )
    doubts: dict[str, str] = {}
    others = {name: fact for name, fact in facts.items() if name != label}
    key = named_key or _best(others, _rate_key)
    time = named_time or _best(others, _rate_time)
    unit = _best({n: f for n, f in others.items() if n not in (key, time)}, _rate_unit)
    if key and named_key is None:
        doubts["row_key"] = "no value of it occurs twice in the sample: does it identify a row?"
    if time and named_time is None:
        rivals = [n for n, f in others.items() if n != time and _rate_time(n, f) > 0]
        doubts["event_time"] = "when did the row happen?" + (
            f" or one of: {', '.join(rivals)}" if rivals else ""
        )
    if unit:
        n_units = facts[unit].n_distinct
        doubts["unit"] = (
            f"{counted(n_units, 'value')}: are rows of one {unit} alike? remove it if not"
        )
    return Roles(key, time, unit, doubts)


def _best(facts: Mapping[str, Facts], rate: Callable[[str, Facts], float]) -> str | None:
    rates = {name: rate(name, fact) for name, fact in facts.items()}
    best = max(rates, key=lambda name: rates[name], default=None)
    return best if best is not None and rates[best] > 0 else None


def _rate_key(name: str, fact: Facts) -> float:
    """Unique values; numbers with fractions and times are unique by chance."""
    if fact.n_missing or fact.n_distinct < len(fact.values) or fact.is_time:
        return 0.0
    if fact.type == "double" and not (_KEYS.search(name) and (fact.values % 1 == 0).all()):
        return 0.0
    if fact.type == "string" and fact.values.str.contains(r"\s").mean() > 0.5:
        return 0.0  # text
    return 1.0 + 2 * bool(_KEYS.search(name))


def _rate_time(name: str, fact: Facts) -> float:
    if not fact.is_time or fact.n_missing or fact.n_distinct < _FEWEST_DISTINCT:
        return 0.0
    suspect = bool(_NO_EVENTS.search(name)) or fact.values.min() < pd.Timestamp("1970-01-02")
    return 1.0 + bool(_EVENTS.search(name)) + (fact.type == "timestamp") - 2.5 * suspect


def _rate_unit(name: str, fact: Facts) -> float:
    if fact.is_time or fact.type in ("double", "boolean"):
        return 0.0
    repeated = _FEWEST_UNITS < fact.n_distinct < 0.9 * len(fact.values)
    # A panel calls its persons just `id`: a key that is repeated is no key of the rows.
    return repeated * (2.0 * bool(_UNITS.search(name)) + bool(_KEYS.search(name)))


def auroc(score: pd.Series, is_positive: pd.Series) -> float:
    """How well a number orders rows by their label: 0.5 is by chance; NaN without both classes."""
    known = score.notna() & is_positive.notna()
    positive = is_positive[known].astype(bool)
    n_positives, n_negatives = int(positive.sum()), int((~positive).sum())
    if not n_positives or not n_negatives:
        return float("nan")
    ranks = score[known].rank()[positive].sum()
    return float((ranks - n_positives * (n_positives + 1) / 2) / (n_positives * n_negatives))


def relation(fact: Facts, is_positive: pd.Series) -> float:
    """The AUROC of a single column, at least 0.5: of its values, or of their being missing.

    Categories are ordered by their share of positives in every second row, and judged by the rest.
    """
    positive = is_positive.astype(float)
    found = [auroc(fact.values.isna().astype(float), positive)]
    if fact.is_number or fact.is_time:
        numbers = (
            fact.values.astype("int64").where(fact.values.notna()) if fact.is_time else fact.values
        )
        found.append(auroc(numbers, positive))
        return _largest(found)
    even = pd.Series(np.arange(len(positive)) % 2 == 0, index=positive.index)
    texts = fact.values.fillna("")
    for fitted, judged in ((even, ~even), (~even, even)):
        shares = positive[fitted].groupby(texts[fitted]).mean()
        score = texts[judged].map(shares).fillna(positive[fitted].mean())
        found.append(auroc(score.astype(float), positive[judged]))
    return _largest([found[0], float(np.mean(found[1:]))])


def _largest(found: Sequence[float]) -> float:
    known = [max(value, 1 - value) for value in found if value == value]
    return max(known, default=0.5)


def is_known_afterwards(name: str) -> bool:
    """Whether a name speaks of what happens after the moment that is predicted for."""
    return bool(_AFTERWARDS.search(name))


def is_identifier(name: str, fact: Facts) -> bool:
    """Whether every row has its own value, as it has one of a row key."""
    return _rate_key(name, fact) > 0


def is_id(name: str, fact: Facts) -> bool:
    """Whether values name something: as a feature they would be memorised."""
    if fact.type in ("double", "boolean") or fact.is_time:
        return False
    named = bool(_KEYS.search(name) or _UNITS.search(name)) and fact.n_distinct > _FEWEST_UNITS
    return named or (fact.type == "string" and fact.n_distinct > 0.5 * len(fact.values))


def runs_with(fact: Facts, time: Facts) -> bool:
    """Whether a number grows with the time, as a counter does."""
    if not fact.is_number or fact.n_distinct < _FEWEST_DISTINCT:
        return False
    moments = time.values.astype("int64").where(time.values.notna())
    return bool(abs(fact.values.rank().corr(moments.rank())) > _RUNS_WITH)


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _value(value: object, fact: Facts) -> str | int | float | bool:
    """A value as a description has it."""
    if fact.type == "boolean":
        return value == "true"
    if fact.is_number:
        number = float(str(value))
        return int(number) if number.is_integer() else number
    return str(value)
