"""What the sections of a description must say together, leakage above all."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from retraining.description.durations import format_duration
from retraining.description.sections import Period, TimeSplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from retraining.description.document import Description

CLASS_WEIGHT = "class_weight"

# Columns that steps add to a frame: a raw column or a feature of that name would be overwritten.
RESERVED = (
    "day",
    "split",
    CLASS_WEIGHT,
    "features",
    "rawPrediction",
    "probability",
    "prediction",
    "score",
)

# A derived feature is a function of one row alone: the same in training, in prediction and in
# every rerun. These words would make it depend on other rows, on the clock or on chance.
_NOT_OF_ONE_ROW = (
    *("over", "select"),
    *("now", "current_date", "current_timestamp", "localtimestamp", "curdate"),
    *("rand", "randn", "random", "randstr", "uniform", "uuid", "shuffle"),
    *("monotonically_increasing_id", "spark_partition_id", "input_file_name"),
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_STRING = re.compile(
    r"""\b[rR]'[^']*'|\b[rR]"[^"]*"|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL
)


def find_problems(description: Description) -> list[str]:
    """List every contradiction between the sections, each with its key, value and remedy."""
    problems = list(_unknown_columns(description))
    if problems:  # the other rules look columns up
        return problems
    for rule in (_names, _types, _forbidden, _derived, _label, _rolling, _time, _split):
        problems.extend(rule(description))
    return problems


def find_identifiers(expression: str) -> set[str]:
    """The words of a SQL expression outside its string literals, in lower case."""
    return {word.lower() for word in re.findall(r"[^\W\d]\w*", _STRING.sub(" ", expression))}


def _unknown_columns(description: Description) -> Iterator[str]:
    features = description.features
    mentions: list[tuple[str, Iterable[str | None]]] = [
        ("label.column", [description.label.column]),
        ("row_key", [description.row_key]),
        ("event_time", [description.event_time]),
        ("unit", [description.unit]),
        ("features.plain", features.plain),
        ("features.categorical", features.categorical),
        ("never_features", description.never_features),
    ]
    for index, rolling in enumerate(features.rolling):
        mentions.append((f"features.rolling.{index}", [rolling.key, rolling.value]))
    if isinstance(description.split, TimeSplit) and description.split.known_positives:
        mentions.append(("split.known_positives.key", [description.split.known_positives.key]))
    if description.capacity:
        mentions.append(("capacity.unit", [description.capacity.unit]))
    columns = ", ".join(description.columns)
    for key, names in mentions:
        for name in names:
            if name is not None and name not in description.columns:
                yield f"{key}: {name} is no column, allowed: {columns}"
    made = description.feature_columns
    for name in features.fill:
        if name not in made:
            yield f"features.fill: {name} is no feature, allowed: {', '.join(made)}"
    for name in description.slices:
        if name not in description.columns and name not in made:
            yield f"slices: {name} is no column, allowed: {columns}, {', '.join(made)}"


def _names(description: Description) -> Iterator[str]:
    made = description.feature_columns[len(description.features.plain) :]
    categorical = description.features.categorical
    named = [(f"columns.{name}", name) for name in description.columns]
    named += [("features", name) for name in made if name not in categorical]
    reserved = {name.lower() for name in RESERVED}
    seen: set[str] = set()
    for key, name in named:
        if not _NAME.fullmatch(name):
            yield f"{key}: {name!r} is no name, allowed: letters, digits and _, a letter first"
        if name.lower() in reserved:
            yield (
                f"{key}: {name} is reserved, allowed: any name but {', '.join(RESERVED)} "
                "(a column can read it with source)"
            )
        if name.lower() in seen:
            yield f"{key}: {name} stands there twice, allowed: names that differ beyond case"
        seen.add(name.lower())
    raw = {name.lower() for name in description.columns}
    for name, column in description.columns.items():
        for source in column.source:
            if source.lower() in raw and source.lower() != name.lower():
                yield f"columns.{name}.source: {source} already names another column"
            raw.add(source.lower())
    inputs = [*description.features.plain, *categorical]
    for name in sorted({name for name in inputs if inputs.count(name) > 1}):
        yield f"features: {name} stands there twice, allowed: once, plain or categorical"


def _types(description: Description) -> Iterator[str]:
    features = description.features
    for name in features.plain:
        column = description.columns[name]
        if not column.numeric and column.type != "boolean":
            yield f"features.plain: {name} has type {column.type}, allowed: a number or boolean"
    for name in features.categorical:
        if description.columns[name].type in ("date", "timestamp", "double"):
            yield (
                f"features.categorical: {name} has type {description.columns[name].type}, "
                "allowed: string, int, bigint, boolean"
            )
    for index, rolling in enumerate(features.rolling):
        column = description.columns[rolling.value]
        if not column.numeric and set(rolling.aggregates) != {"count"}:
            yield (
                f"features.rolling.{index}.value: {rolling.value} has type {column.type}, "
                "allowed: a number, or count alone"
            )
    time = description.event_time
    if time is not None and description.columns[time].type != "timestamp":
        yield f"event_time: {time} has type {description.columns[time].type}, allowed: timestamp"


def _forbidden(description: Description) -> Iterator[str]:
    forbidden = description.forbidden_features
    for kind in ("plain", "categorical"):
        for name in getattr(description.features, kind):
            if name in forbidden:
                yield f"features.{kind}: {name} must not be a feature, it is {forbidden[name]}"


def _derived(description: Description) -> Iterator[str]:
    forbidden = {name.lower(): why for name, why in description.forbidden_features.items()}
    for name, expression in description.features.derived.items():
        words = find_identifiers(expression)
        for word in sorted(words & set(forbidden)):
            yield (
                f"features.derived.{name}: {expression!r} uses {word}, "
                f"which must not be a feature, it is {forbidden[word]}"
            )
        for word in sorted(words & set(_NOT_OF_ONE_ROW) - {c.lower() for c in description.columns}):
            yield (
                f"features.derived.{name}: {expression!r} uses {word}, "
                "allowed: an expression of one row, the same at any time"
            )


def _label(description: Description) -> Iterator[str]:
    label = description.label
    column = description.columns[label.column]
    if not column.accepts(label.positive):
        yield (
            f"label.positive: {label.positive!r} does not fit column {label.column}, "
            f"allowed: a value of type {column.type}"
        )
    elif column.allowed is not None and label.positive not in column.allowed:
        allowed = ", ".join(repr(value) for value in column.allowed)
        yield f"label.positive: {label.positive!r} is never in {label.column}, allowed: {allowed}"
    if label.column in (description.row_key, description.unit, description.event_time):
        yield f"label.column: {label.column} is also row_key, unit or event_time, allowed: neither"


def _rolling(description: Description) -> Iterator[str]:
    label = description.label
    late = {label.column, *description.never_features}
    for index, rolling in enumerate(description.features.rolling):
        key = f"features.rolling.{index}"
        delay = format_duration(rolling.delay)
        if rolling.value in late and rolling.delay < label.delay:
            yield (
                f"{key}.delay: {delay} on {rolling.value} would use labels before they are known, "
                f"allowed: {format_duration(label.delay)} (label.delay) or more"
            )
        elif rolling.value in late and rolling.delay <= timedelta(0):
            yield (
                f"{key}.delay: {delay} on {rolling.value} would use the row's own label, "
                "allowed: above 0 seconds"
            )
        if rolling.key == label.column:
            yield f"{key}.key: {rolling.key} is the label, allowed: any other column"


def _time(description: Description) -> Iterator[str]:
    if description.event_time is not None:
        return
    needs = {
        "split.by: time": isinstance(description.split, TimeSplit),
        "features.rolling": bool(description.features.rolling),
        "label.delay": description.label.delay > timedelta(0),
        "capacity.per_day": description.capacity is not None,
    }
    for key in (key for key, needed in needs.items() if needed):
        yield f"event_time: is missing but {key} needs it, allowed: a column of type timestamp"


def _split(description: Description) -> Iterator[str]:
    split, delay = description.split, description.label.delay
    if not isinstance(split, TimeSplit):
        total = split.train + split.validation + split.holdout
        if abs(total - 1) > 1e-9:
            yield f"split: train, validation and holdout sum to {total:g}, allowed: 1"
        return
    known = split.known_positives
    if known is not None and known.delay < delay:
        yield (
            f"split.known_positives.delay: {format_duration(known.delay)} would use labels before "
            f"they are known, allowed: {format_duration(delay)} (label.delay) or more"
        )
    windows = {"train": split.train, "validation": split.validation, "holdout": split.holdout}
    periods = {name: value for name, value in windows.items() if isinstance(value, Period)}
    if len(periods) == len(windows):
        yield from _periods(periods, max(split.gap, delay))
        return
    if periods:
        yield f"split: {', '.join(periods)} given as periods, allowed: all three or none"
    for name, value in windows.items():
        if isinstance(value, timedelta) and value <= timedelta(0):
            yield f"split.{name}: {format_duration(value)}, allowed: above 0 seconds"
    if split.gap < delay:
        yield (
            f"split.gap: {format_duration(split.gap)} would test on rows whose labels were not "
            f"known at training, allowed: {format_duration(delay)} (label.delay) or more"
        )


def _periods(periods: dict[str, Period], gap: timedelta) -> Iterator[str]:
    train, validation, holdout = (periods[name] for name in ("train", "validation", "holdout"))
    if train.start < validation.end and validation.start < train.end:
        yield (
            f"split.validation: {validation.start} to {validation.end} overlaps train, "
            f"allowed: up to {train.start} or from {train.end}"
        )
    earliest = max(train.end, validation.end) + gap
    if holdout.start < earliest:
        yield (
            f"split.holdout: start {holdout.start} is too early, allowed: {earliest} or later "
            f"({format_duration(gap)} after train and validation)"
        )
