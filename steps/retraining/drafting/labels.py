"""Which column is the label, and which of its values are positive."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple

from retraining.drafting import kinds
from retraining.drafting.relations import FEWEST_JUDGED
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from retraining.drafting.values import Facts

_MOST_CLASSES: Final = 20
_ALTERNATIVES: Final = 6  # other columns that might be the label
_LABELS: Final = re.compile(
    r"label|target|class|outcome|response|default|churn|fraud|convert|survived|deposit"
    r"|claim|accident|died|death|readmit|success|approve|reject|clicked|vote|purchase|bought|buyer"
    r"|attrition|arrest|recid|relapse|diagnos|conflict|affair|cancel|subscri|renew|event|cens"
    r"|^y$|^income$|^is_|^has_|^bad$|^exited$|^left$|^won$",
    re.IGNORECASE,
)
_PERSONS: Final = re.compile(  # who somebody is, rather than what becomes of him
    r"sex|gender|male|race|ethni|black|white|hisp|married|marital|citizen|urban|rural|region|south",
    re.IGNORECASE,
)
_RESULTS: Final = frozenset((
    "good", "bad", "poor", "positive", "negative", "alive", "dead", "died", "win", "loss", "won",
    "lost", "up", "down", "pass", "fail", "passed", "failed", "approved", "rejected", "denied",
))  # fmt: skip
_POSITIVE: Final = frozenset((
    "1", "yes", "y", "true", "t", "positive", "bad", "poor", "dead", "died", "ja", "j", "oui",
    "si", "sí", "sì", "s", "sim", "tak", "evet", "ano", "igen", "kyllä", "da", "да", "д", "так",
    "ya", "có", "是", "はい", "예", "네", "نعم", "כן",
))  # fmt: skip
_NEGATIVE: Final = frozenset((
    "0", "no", "n", "false", "f", "negative", "good", "alive", "nein", "nee", "nej", "nei", "non",
    "não", "nao", "nie", "hayır", "ne", "nem", "ei", "nu", "нет", "н", "ні", "tidak", "không",  # noqa: RUF001
    "否", "不是", "いいえ", "아니오", "아니요", "لا", "לא",
))  # fmt: skip


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


def choose_label(facts: Mapping[str, Facts], named: str | None) -> Label:
    """The named column, or the one that looks most like a label.

    Raises:
        RetrainingError: If there is no such column, or none could be a label.
    """
    require("label", named, facts)
    places = [name for name, fact in facts.items() if not kinds.is_identifier(name, fact)]
    rates = {name: _rate(name, fact, places) for name, fact in facts.items()}
    candidates = sorted((name for name in rates if rates[name] > 0), key=lambda n: -rates[n])
    if named is None and not candidates:
        raise RetrainingError(
            "no column looks like a label: none has two values",
            f"name one with label=: {', '.join(f.source or n for n, f in facts.items())}",
        )
    chosen = named or candidates[0]
    doubts = []
    if named is None:
        others = ", ".join(candidates[1 : 1 + _ALTERNATIVES])
        more = f" and {n} more" if (n := len(candidates) - 1 - _ALTERNATIVES) > 0 else ""
        doubts.append(f"is this what to predict?{others and f' or one of: {others}{more}'}")
    return _describe_label(chosen, facts[chosen], doubts)


def require(flag: str, named: str | None, facts: Mapping[str, Facts]) -> None:
    """Refuse a name that is none of a column; columns are listed as the files call them."""
    if named is None or named in facts:
        return
    sources = {(fact.source or name).lower(): fact.source or name for name, fact in facts.items()}
    near = get_close_matches(named.lower(), sources, n=1)
    meant = f" (did you mean {sources[near[0]]}?)" if near else ""
    raise RetrainingError(
        f"{flag}={named!r} is not a column{meant}", f"name one of {', '.join(sources.values())}"
    )


def _rate(name: str, fact: Facts, places: Sequence[str]) -> float:
    """How much a column looks like a label; 0: not at all."""
    counts = fact.values.value_counts()
    if fact.is_time or not 2 <= len(counts) <= _MOST_CLASSES:
        return 0.0
    texts = {_text(value).lower() for value in counts.index}
    hinted = bool(_LABELS.search(name)) or texts <= _RESULTS
    if len(counts) > 2 and not (hinted and fact.type in ("int", "string")):
        return 0.0
    rate = (
        1.0
        + 2 * hinted
        + 1.5 * (name == places[-1])
        + 0.5 * (name == places[0])
        + bool(texts & _POSITIVE and texts & _NEGATIVE)
        + 0.5 * (kinds.is_known_afterwards(name) and not hinted)
        - (_PERSONS.search(name) is not None)
        - fact.n_missing / max(1, len(fact.values))
        - 1.5 * (len(counts) > 2)
        - 4 * (counts.min() < FEWEST_JUDGED)
    )
    return max(float(rate), 0.1)


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
    # 1 of 1 and 2 may mean no, and of Y, N, U and A nobody knows which ones are meant.
    if len(chosen) != 1 or (fact.is_number and not has_none) or len(counts) > 2:
        chosen = [counts.index[-1]]
        others = ", ".join(_text(value) for value in counts.index[:-1][:6])
        doubts.append(f"positive is the rarest value; the others: {others}")
    is_positive = (fact.values == chosen[0]).where(fact.values.notna())
    return Label(name, tuple(_value(v, fact) for v in chosen), is_positive, tuple(doubts))


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
