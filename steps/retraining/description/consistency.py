"""Rules across the sections of a description, above all against leakage of the label."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from retraining.description import estimators, feature_rules, mentions, split_rules
from retraining.description.columns import TIME_TYPES
from retraining.description.durations import format_duration
from retraining.description.expressions import find_foreign, names_in
from retraining.description.origins import (
    label_columns,
    late_keys,
    never_columns,
    revealing_columns,
)
from retraining.description.splitting import TimeSplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retraining.description.document import Description


class Problem(NamedTuple):
    """What is wrong with a key of a description.

    Attributes:
        key: Dotted path of the key; "" for the description as a whole.
        text: Value, complaint and allowed values.
    """

    key: str
    text: str


def find_problems(description: Description) -> list[Problem]:
    """List every contradiction between the sections, each with its key, value and remedy."""
    problems = [Problem(key, text) for key, text in mentions.find_unknown(description)]
    if problems:  # the other rules look columns up
        return problems
    rules = (
        mentions.find_misnamed,
        _values,
        _types,
        _computed,
        _forbidden,
        _derived,
        _label,
        _known_when,
        _rolling,
        _time,
        split_rules.find_problems,
        estimators.find_problems,
        feature_rules.find_problems,
    )
    return [Problem(key, text) for rule in rules for key, text in rule(description)]


def _values(description: Description) -> Iterator[tuple[str, str]]:
    for name, column in description.columns.items():
        nulls = {str(value) for value in description.null_values_of(name)}
        for value in column.allowed or ():
            if str(value) in nulls:
                where = "files" if column.null_values is None else f"columns.{name}"
                yield (
                    f"columns.{name}.allowed",
                    f"{value!r} means that there is no value, by {where}.null_values, "
                    "allowed: one of both (null_values: [] for a column in which nothing does)",
                )


def _types(description: Description) -> Iterator[tuple[str, str]]:
    features = description.features
    for name in features.plain:
        column = description.columns[name]
        if not column.numeric and column.type != "boolean":
            yield "features.plain", f"{name} has type {column.type}, allowed: a number or boolean"
    for name in features.categorical:
        kind = description.columns[name].type
        if kind in ("date", "timestamp", "double"):
            allowed = "string, int, bigint, boolean"
            yield "features.categorical", f"{name} has type {kind}, allowed: {allowed}"
    weight = description.weight
    if weight is not None and not description.columns[weight].numeric:
        yield "weight", f"{weight} has type {description.columns[weight].type}, allowed: a number"
    for index, rolling in enumerate(features.rolling):
        column = description.columns[rolling.value]
        if not column.numeric and set(rolling.aggregates) != {"count"}:
            yield (
                f"features.rolling.{index}.value",
                f"{rolling.value} has type {column.type}, allowed: a number, or count alone",
            )
    time = description.event_time
    if time is not None and description.columns[time].type not in TIME_TYPES:
        kind = description.columns[time].type
        yield "event_time", f"{time} has type {kind}, allowed: {', '.join(TIME_TYPES)}"


def _computed(description: Description) -> Iterator[tuple[str, str]]:
    if not description.file_columns:
        yield "columns", "all have an expression, allowed: at least one that files hold"
    known = {name.lower() for name in description.file_columns}
    for name, column in description.columns.items():
        if column.expression is None:
            continue
        key = f"columns.{name}"
        yield from _foreign(f"{key}.expression", column.expression, known)
        known.add(name.lower())
        of_files = ("source", "null_values", "format")
        for other in (other for other in of_files if getattr(column, other, None)):
            yield (
                f"{key}.{other}",
                f"{name} is in no file, allowed: {other} or expression, not both",
            )


def _known_when(description: Description) -> Iterator[tuple[str, str]]:
    if description.known_when is not None:
        known = {name.lower() for name in description.columns}
        yield from _foreign("known_when", description.known_when, known)


def _forbidden(description: Description) -> Iterator[tuple[str, str]]:
    forbidden = description.forbidden_features
    for kind in ("plain", "categorical"):
        for name in getattr(description.features, kind):
            if name in forbidden:
                yield f"features.{kind}", f"{name} must not be a feature, it is {forbidden[name]}"


def _derived(description: Description) -> Iterator[tuple[str, str]]:
    forbidden = {name.lower(): why for name, why in description.forbidden_features.items()}
    known = {name.lower() for name in description.columns}
    rolling = (name for entry in description.features.rolling for name in entry.names)
    known.update(name.lower() for name in rolling)
    for name, expression in description.features.derived.items():
        key = f"features.derived.{name}"
        for word in sorted(names_in(expression) & set(forbidden)):
            yield (
                key,
                f"{expression!r} uses {word}, which must not be a feature, it is {forbidden[word]}",
            )
        yield from _foreign(key, expression, known | set(forbidden))
        known.add(name.lower())


def _foreign(key: str, expression: str, known: set[str]) -> Iterator[tuple[str, str]]:
    foreign = find_foreign(expression, known)
    if foreign:
        yield (
            key,
            f"{expression!r} uses {', '.join(foreign)}, allowed: columns, earlier ones included, "
            "and Spark's functions of one row that have the same value at any time",
        )


def _label(description: Description) -> Iterator[tuple[str, str]]:
    label = description.label
    column = description.columns[label.column]
    allowed = column.allowed
    values = ", ".join(repr(value) for value in allowed or ())
    for value in label.positives:
        if not column.accepts(value):
            fitting = f"a value of type {column.type}{column.hint}"
            text = f"{value!r} does not fit column {label.column}, allowed: {fitting}"
            yield "label.positive", text
        elif allowed is not None and value not in allowed:
            yield "label.positive", f"{value!r} is never in {label.column}, allowed: {values}"
    if allowed is not None and len(allowed) > 2 and not isinstance(label.positive, tuple):
        text = f"{label.positive!r} is one of {len(allowed)} values of {label.column} ({values})"
        yield "label.positive", f"{text}, allowed: a list of the positive ones"
    if allowed is not None and set(allowed) <= set(label.positives):
        yield (
            "label.positive",
            f"leaves no negative value of {label.column}, allowed: some of {values}",
        )
    roles = (*description.key_columns, *description.units, description.event_time)
    roles = (*roles, description.weight)
    for name in sorted(revealing_columns(description).intersection(filter(None, roles))):
        made = "" if name == label.column else f", which is made from {label.column},"
        text = f"{name}{made} is also row_key, unit, event_time or weight, allowed: none of them"
        yield "label.column", text


def _rolling(description: Description) -> Iterator[tuple[str, str]]:
    label = description.label
    revealing = label_columns(description)
    late = {*revealing, *never_columns(description)}
    unknown = late_keys(description)
    for index, rolling in enumerate(description.features.rolling):
        key = f"features.rolling.{index}"
        what = f"{format_duration(rolling.delay)} on {rolling.value} would use"
        if rolling.value in late and rolling.delay < label.delay:
            yield (
                f"{key}.delay",
                f"{what} labels before they are known, "
                f"allowed: {format_duration(label.delay)} (label.delay) or more",
            )
        elif rolling.value in late and rolling.delay <= timedelta(0):
            yield f"{key}.delay", f"{what} the row's own label, allowed: above 0 seconds"
        if rolling.key in revealing:
            yield (
                f"{key}.key",
                f"{rolling.key} is {revealing[rolling.key]}, allowed: another column",
            )
        elif rolling.key in unknown:
            names = ", ".join(sorted(unknown[rolling.key]))
            yield (
                f"{key}.key",
                f"{rolling.key} may be known only afterwards ({names} in never_features), "
                "allowed: another column, or one with not_null: true if every row to be scored "
                "has it",
            )


def _time(description: Description) -> Iterator[tuple[str, str]]:
    if description.event_time is not None:
        return
    needs = {
        "split.by: time": isinstance(description.split, TimeSplit),
        "features.rolling": bool(description.features.rolling),
        "label.delay": description.label.delay > timedelta(0),
        "capacity.per_day": description.capacity is not None,
    }
    for key in (key for key, needed in needs.items() if needed):
        yield (
            "event_time",
            f"is missing but {key} needs it, allowed: a column of type timestamp or date",
        )
