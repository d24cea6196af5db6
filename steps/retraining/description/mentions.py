"""Names in a description: that they can be names, and that what is mentioned is there."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from retraining.description.columns import NUMERIC_TYPES, TIME_TYPES
from retraining.description.names import RESERVED, ROW_ID
from retraining.description.splitting import OrderSplit, TimeSplit
from retraining.gate.policy import PERIODS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from retraining.description.document import Description

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# The types of the columns that a key may name, where not all are.
_TYPES = {
    "features.plain": (*NUMERIC_TYPES, "boolean"),
    "features.categorical": ("string", "int", "bigint", "boolean"),
    "event_time": TIME_TYPES,
    "weight": NUMERIC_TYPES,
}


def find_unknown(description: Description) -> Iterator[tuple[str, str]]:
    """Yield the keys that mention columns or features which are not there."""
    columns = description.columns
    features = description.features
    period = description.gate.period
    if period not in PERIODS and period not in columns:
        allowed = ", ".join([*PERIODS, *columns])
        yield "gate.period", f"{period} is neither a period nor a column, allowed: {allowed}"
    is_whole = True
    for key, names in _mentions(description):
        unknown = [name for name in names if name is not None and name not in columns]
        if unknown:
            types = _TYPES.get(key)
            fitting = [n for n, column in columns.items() if not types or column.type in types]
            fitting = fitting or [f"a column of type {' or '.join(types or ())}"]
            yield key, _complain(unknown, "column", fitting)
            is_whole &= not key.startswith("features")
    built = description.feature_columns
    if not built:
        yield "features", "is empty, allowed: at least one feature"
    unfilled = [name for name in features.fill if name not in built]
    if unfilled and is_whole:  # else it may be the feature that is misspelt
        yield "features.fill", _complain(unfilled, "feature", built)
    sliced = [name for name in description.slices if name not in {*columns, *built}]
    if sliced:
        yield "slices", _complain(sliced, "column", [*columns, *built])


def find_misnamed(description: Description) -> Iterator[tuple[str, str]]:
    """Yield the keys whose names cannot be names, or are names of something else, too."""
    categorical = description.features.categorical
    built = description.feature_columns[len(description.features.plain) :]
    named = [(f"columns.{name}", name) for name in description.columns]
    named += [("features", name) for name in built if name not in categorical]
    reserved = {name.lower() for name in RESERVED}
    if description.row_key is None and ROW_ID in (name.lower() for name in description.columns):
        yield (
            "row_key",
            f"is missing, and the column {ROW_ID} has the name of the key that is made then, "
            f"allowed: row_key: {ROW_ID}, or another name (a column can read it with source)",
        )
    seen: set[str] = set()
    for key, name in named:
        if not _NAME.fullmatch(name):
            text = f"{name!r} is not a name, allowed: letters, digits and _, a letter first"
            yield key, f"{text}{_other_name(name) if key != 'features' else ''}"
        if name.lower() in reserved:
            yield (
                key,
                f"{name} is reserved, allowed: any name but {', '.join(RESERVED)} "
                "(a column can read it with source)",
            )
        if name.lower() in seen:
            yield key, f"{name} is defined twice, allowed: names that differ by more than case"
        seen.add(name.lower())
    raw = {name.lower() for name in description.columns}
    for name, column in description.columns.items():
        for source in column.source:
            if source.lower() in raw and source.lower() != name.lower():
                yield f"columns.{name}.source", f"{source} already names another column"
            raw.add(source.lower())
    inputs = [*description.features.plain, *categorical]
    for name in sorted({name for name in inputs if inputs.count(name) > 1}):
        yield "features", f"{name} is listed twice, allowed: once, plain or categorical"


def _mentions(description: Description) -> Iterator[tuple[str, Iterable[str | None]]]:
    features = description.features
    yield "label.column", [description.label.column]
    yield "row_key", description.key_columns if description.row_key is not None else ()
    yield "event_time", [description.event_time]
    yield "unit", description.units
    yield "weight", [description.weight]
    yield "features.plain", features.plain
    yield "features.categorical", features.categorical
    yield "never_features", description.never_features
    for index, rolling in enumerate(features.rolling):
        yield f"features.rolling.{index}", [rolling.key, rolling.value]
    if isinstance(description.split, TimeSplit) and description.split.known_positives:
        yield "split.known_positives.key", [description.split.known_positives.key]
    if isinstance(description.split, OrderSplit):
        yield "split.column", description.split.columns
    if description.capacity:
        yield "capacity.unit", [description.capacity.unit]


def _complain(unknown: Collection[str], kind: str, allowed: Collection[str]) -> str:
    verb = "is not a" if len(unknown) == 1 else "are not"
    text = f"{', '.join(unknown)} {verb} {kind}{'s' * (len(unknown) > 1)}"
    near = [match for name in unknown for match in get_close_matches(name, allowed, n=1)]
    meant = f" (did you mean {', '.join(dict.fromkeys(near))}?)" if near else ""
    return f"{text}{meant}, allowed: {', '.join(allowed)}"


def _other_name(name: str) -> str:
    """Say how a column of files can be read under a name of its own."""
    own = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "x"
    own = own if own[0].isalpha() else f"x_{own}"
    return f", and source: ['{name}'] to read it, for example as {own}"
