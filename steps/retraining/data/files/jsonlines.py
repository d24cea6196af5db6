"""Files with one JSON object per line, read by its keys; dots lead to keys of inner objects."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from pyspark.sql import functions as F

from retraining.data.files.fields import Part, at_once, escape_glob, folder_values, match
from retraining.data.files.heads import Encoding, read_head
from retraining.data.files.records import FILE, TEXT, is_undecodable, read_lines
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pyspark.sql import Column, SparkSession

    from retraining.data.files.fields import Matched
    from retraining.description.document import Description

_MAP = "map<string,string>"


class _Object(tuple[tuple[str, Any], ...]):
    """The keys and values of a JSON object, in which a key may stand twice."""

    __slots__ = ()


class _Layout(NamedTuple):
    encoding: Encoding
    matched: Matched


def read_json_lines(
    spark: SparkSession,
    paths: Sequence[str],
    description: Description,
    optional: frozenset[str],
) -> Iterator[Part]:
    """Read files of JSON lines, those with the same keys together.

    Which keys there are is decided by the first lines of a file.

    Raises:
        RetrainingError: If a file cannot be read, is in another encoding, has no key for a column
            or has it twice, or has an object there.
    """
    groups: dict[_Layout, list[str]] = defaultdict(list)
    layouts = at_once(lambda path: _layout(spark, path, description, optional), paths)
    for path, layout in zip(paths, layouts, strict=True):
        groups[layout].append(path)
    for (encoding, matched), alike in groups.items():
        lines = read_lines(spark, [escape_glob(path) for path in alike], encoding)
        text = F.col(TEXT)
        frame = lines.where(F.trim(text) != "").withColumn("_object", F.from_json(text, _MAP))
        is_row = F.col("_object").isNotNull() & F.rtrim(text).endswith("}") & ~is_undecodable(text)
        given = {column: _value(F.col("_object"), name) for column, name in matched.names}
        given |= folder_values(F.col(FILE), matched.folders)
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
    for column, name in matched.names:
        if name in inner:
            keys = sorted(other for other in names if other.startswith(f"{name}."))
            raise RetrainingError(
                f"{name} is an object in {path}",
                f"name what the column {column} is in it: source: [{keys[0] if keys else '...'}]",
            )
    return _Layout(head.encoding, matched)


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


def _value(found: Column, name: str) -> Column:
    """The value under a key, or else behind the keys that dots divide, as text."""
    first, *others = name.split(".")
    value = F.try_element_at(found, F.lit(first))
    for key in others:
        value = F.try_element_at(F.from_json(value, _MAP), F.lit(key))
    return F.coalesce(F.try_element_at(found, F.lit(name)), value) if others else value
