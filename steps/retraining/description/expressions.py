"""Spark SQL in a description: a function of one row, with the same value at any time.

What is allowed is listed: columns, the functions of `functions`, and the words and signs below.
This needs no Spark. What follows only from types is checked when Spark has analysed the expression,
before any row is read (`data.rows.expressions`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from retraining.description.functions import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
    | (?P<comment>--|/\*)
    | (?P<text>[rR](?:'[^']*'|"[^"]*") | '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*")
    | (?P<quoted>`(?:[^`]|``)*`)
    | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?:BD|bd|[LSYDFlsydf])?(?!\w))
    | (?P<word>[^\W\d]\w*)
    | (?P<sign>->|::|[()\[\],.+\-*/%&|^~!=<>])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

_KEYWORDS = """
    all and any as between both case distinct div else end escape false for from ilike in is leading
    like not null or placing regexp rlike some then to trailing true when
"""
_TYPES = """
    array bigint binary boolean byte char character date dec decimal double float int integer
    interval long map numeric real short smallint string time timestamp timestamp_ltz timestamp_ntz
    tinyint varchar
"""
_FIELDS = """
    year years yearofweek quarter quarters month months week weeks day days dayofweek dayofweek_iso
    dayofyear dow dow_iso doy hour hours minute minutes second seconds millisecond milliseconds
    microsecond microseconds
"""
_WORDS = frozenset(f"{_KEYWORDS} {_TYPES} {_FIELDS}".split())
# Before a parenthesis: `DECIMAL(9, 2)`, `IN (1, 2)`.
_CALLED = FUNCTIONS.union(f"{_KEYWORDS} {_TYPES}".split())

_MOMENTS = ("date", "timestamp", "timestamp_ltz", "timestamp_ntz")
# `timestamp '12:30'` is a time of today.
_DATED = re.compile(r"\s*(?:epoch|[+-]?\d{4,7}(?:-.*)?)\s*", re.IGNORECASE | re.DOTALL)


class _Token(NamedTuple):
    kind: str
    text: str

    @property
    def name(self) -> str:
        """A word in lower case, without its quotes."""
        text = self.text[1:-1].replace("``", "`") if self.kind == "quoted" else self.text
        return text.lower()


_NOTHING = _Token("", "")


def names_in(expression: str) -> frozenset[str]:
    """Return the words of an expression outside its texts, in lower case."""
    return frozenset(t.name for t in _tokens(expression) if t.kind in ("word", "quoted"))


def find_foreign(expression: str, names: Collection[str]) -> list[str]:
    """Return the parts of an expression that are not allowed, each once.

    Args:
        expression: Spark SQL.
        names: The columns that it may use, in lower case.
    """
    tokens = [token for token in _tokens(expression) if token.kind != "space"]
    known = {*names, *_variables(tokens)}
    padded = [_NOTHING, *tokens, _NOTHING, _NOTHING]
    foreign = (_foreign(padded[i : i + 4], known) for i in range(len(tokens)))
    return list(dict.fromkeys(part for part in foreign if part))


def is_dated(text: str) -> bool:
    """Whether a text that is read as a time says its date, which the clock would add otherwise."""
    return _DATED.fullmatch(text) is not None


def _tokens(expression: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(expression):
        yield _Token(match.lastgroup or "", match[0])


def _variables(tokens: Sequence[_Token]) -> Iterator[str]:
    """Yield the parameters of lambdas: `x -> ...` and `(x, y) -> ...`."""
    for index, token in enumerate(tokens):
        if token.text != "->" or not index:
            continue
        start = index - 1
        if tokens[start].text == ")":
            while start and tokens[start].text != "(":
                start -= 1
        yield from (t.name for t in tokens[start:index] if t.kind in ("word", "quoted"))


def _foreign(around: Sequence[_Token], known: Collection[str]) -> str:
    """Return what is wrong with the second of four tokens in a row; empty if nothing is."""
    before, token, after, last = around
    if token.kind == "comment":
        return f"{token.text} (a comment)"
    if token.text == "*" and before.kind in ("", "sign") and before.text not in (")", "]"):
        return "* (all columns)"
    if token.kind not in ("word", "quoted"):
        return token.text if token.kind == "other" else ""
    name, is_word = token.name, token.kind == "word"
    if after.text == "(":
        is_clock = name == "unix_timestamp" and last.text == ")"
        is_allowed = name in (_CALLED if is_word else FUNCTIONS) and before.text != "."
        return f"{name}()" if is_clock or not is_allowed else ""
    if is_word and after.kind == "text" and name in (*_MOMENTS, "x"):
        return "" if name == "x" or is_dated(_unquoted(after)) else f"{name}{after.text}"
    is_allowed = before.text == "." or name in known or (is_word and name in _WORDS)
    return "" if is_allowed else name


def _unquoted(text: _Token) -> str:
    return text.text.lstrip("rR")[1:-1]
