"""Files with one JSON object per line, read by its keys; dots lead to keys of inner objects."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyspark.sql import functions as F
from pyspark.sql import types as T

from retraining.data import values
from retraining.data.files.fields import Part, at_once, folder_values, match
from retraining.data.files.heads import Encoding, read_head
from retraining.data.files.records import FILE, TEXT, is_undecodable, read_lines
from retraining.description.times import EPOCHS
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from pyspark.sql import Column, SparkSession

    from retraining.description.columns import Column as ColumnRules
    from retraining.description.document import Description
    from retraining.description.text_files import Files

_MAP: Final = "map<string,string>"
_OBJECT: Final = "_object"
_NAN: Final = (
    '"NaN"',
    "NaN",
)  # what Spark makes of NaN without quotes, in inner objects the second
_END: Final = "\ufdd1"  # a character that Unicode will never assign


class _Object(tuple[tuple[str, Any], ...]):
    """The keys and values of a JSON object, in which a key may stand twice."""

    __slots__ = ()


class _Layout(NamedTuple):
    """What files must share to be read together.

    Attributes:
        encoding: Of their lines.
        names: Columns with the names that lines may have for them, the first one first.
        folders: Columns that are keys of folders.
    """

    encoding: Encoding
    names: tuple[tuple[str, tuple[str, ...]], ...]
    folders: tuple[tuple[str, str], ...]


def read_json_lines(
    spark: SparkSession,
    paths: Sequence[str],
    description: Description,
    optional: frozenset[str],
) -> Iterator[Part]:
    """Read files of JSON lines, those with the same keys together.

    Which columns there are is decided by the first lines of a file; each line may have another one
    of the names of a column. A line is malformed unless one object is all of it, and has the keys
    that are needed only once.

    Raises:
        RetrainingError: If a file cannot be read, is in another encoding, has no key for a column
            or has it twice, or has an object there.
    """
    files = description.files
    groups: dict[_Layout, list[str]] = defaultdict(list)
    layouts = at_once(lambda path: _layout(spark, path, description, optional), paths)
    for path, layout in zip(paths, layouts, strict=True):
        groups[layout].append(path)
    for layout, alike in groups.items():
        lines = read_lines(spark, alike, layout.encoding)
        text, found = F.col(TEXT), F.col(_OBJECT)
        frame = lines.where(F.trim(text) != "").withColumn(_OBJECT, _object(text))
        needed = {name for _, names in layout.names for name in names}
        is_row = found.isNotNull() & ~_repeats(found, needed) & ~is_undecodable(text)
        given = {
            column: F.coalesce(*(_text(name, description.columns[column], files) for name in names))
            for column, names in layout.names
        }
        given |= folder_values(F.col(FILE), layout.folders)
        yield Part(frame, given, F.when(~is_row, text), F.col(FILE))


def _layout(
    spark: SparkSession, path: str, description: Description, optional: frozenset[str]
) -> _Layout:
    head = read_head(spark, path, description, None)
    lines = [line for line in head.lines if line.strip()]
    objects = [found for line in lines if isinstance(found := _parse(line), _Object)]
    if lines and not objects:
        raise RetrainingError(
            f"{path} has no line with a JSON object ({lines[0][:60]})", "write one object per line"
        )
    names: Counter[str] = Counter()
    inner: set[str] = set()
    for found in objects:
        names |= Counter(_names(found, "", inner))
    matched = match(path, list(names.elements()), description, optional)
    read = tuple(
        (column, _readable(path, (column, *description.columns[column].source), names, inner))
        for column, _ in matched.names
    )
    return _Layout(head.encoding, read, matched.folders)


def _readable(
    path: str, known: Sequence[str], names: Iterable[str], inner: set[str]
) -> tuple[str, ...]:
    """The names of a column without those of objects, if a longer name leads into these."""
    for name in inner.intersection(known):
        if not any(other.startswith(f"{name}.") for other in known):
            keys = sorted(other for other in names if other.startswith(f"{name}."))
            raise RetrainingError(
                f"{name} is an object in {path}",
                f"name what the column {known[0]} is in it: source: [{keys[0] if keys else '...'}]",
            )
    return tuple(name for name in known if name not in inner)


def _parse(line: str) -> object:
    try:
        return json.loads(line, object_pairs_hook=_Object)
    except json.JSONDecodeError:
        return None  # a torn line: the quarantine is for it


def _names(pairs: Iterable[tuple[str, Any]], prefix: str, inner: set[str]) -> Iterator[str]:
    """The keys of an object, and those of the objects in it after a dot; `inner` has these."""
    for key, value in pairs:
        yield prefix + key
        if isinstance(value, _Object) and value:
            inner.add(prefix + key)
            if "." not in key:
                yield from _names(value, f"{prefix}{key}.", inner)


def _object(line: Column) -> Column:
    """The object that a line consists of; null for a line with less, or with more."""
    # Spark reads the first value of a text and ignores the rest, so the end must be a value, too.
    text = F.concat(F.lit("["), line, F.lit(f',{{"{_END}":""}}]'))
    found = F.from_json(text, f"array<{_MAP}>")
    is_alone = F.map_contains_key(F.get(found, F.lit(1)), _END)
    return F.when(is_alone, F.get(found, F.lit(0)))


def _repeats(found: Column, names: Collection[str]) -> Column:
    """Whether an object has a key on the way to these names twice, or twice but for its case."""
    inner: dict[str, set[str]] = defaultdict(set)
    for name in names:
        first, _, rest = name.partition(".")
        inner[first] |= {rest} if rest else set()
    needed = sorted({name.lower() for name in (*names, *inner)})
    lower = F.transform(F.map_keys(found), F.lower)
    keys = F.filter(lower, lambda key: key.isin(needed))
    repeats = F.size(keys) > F.size(F.array_distinct(keys))
    for first, others in inner.items():
        if others:
            value = F.from_json(F.try_element_at(found, F.lit(first)), _MAP)
            repeats |= _repeats(value, others)
    return F.coalesce(repeats, F.lit(False))  # noqa: FBT003 (a value)


def _text(name: str, rule: ColumnRules, files: Files) -> Column:
    """The value under a name, as the text that is parsed; numbers have no marks of a language."""
    value = _value(F.col(_OBJECT), name)
    value = F.when(~value.isin(*_NAN[: 1 + rule.numeric]), value)
    if files.decimal == "." or not (rule.numeric or rule.format in EPOCHS):
        return value
    is_number = _is_number(F.col(TEXT), [name]) | _is_number(F.col(TEXT), name.split("."))
    return F.when(is_number, values.with_mark(value, files)).otherwise(value)


def _is_number(line: Column, keys: Sequence[str]) -> Column:
    """Whether a number, and not a text, is behind some keys of a line."""
    *outer, last = keys
    kind = T.StructType([T.StructField(last, T.DoubleType())])
    for key in reversed(outer):
        kind = T.StructType([T.StructField(key, kind)])
    value = F.from_json(line, kind)
    for key in keys:
        value = value.getField(key)
    return value.isNotNull()


def _value(found: Column, name: str) -> Column:
    """The value under a key, or else behind the keys that dots divide, as text."""
    first, *others = name.split(".")
    value = F.try_element_at(found, F.lit(first))
    for key in others:
        value = F.try_element_at(F.from_json(value, _MAP), F.lit(key))
    return F.coalesce(F.try_element_at(found, F.lit(name)), value) if others else value
