"""Rules for fills, flags of missing values, and categories of a description."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retraining.description.estimators import category_limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retraining.description.document import Description

_STATISTICS = {
    "string": ("most_frequent",),
    "boolean": ("most_frequent",),
    "number": ("median", "mean", "most_frequent"),
}


def find_problems(description: Description) -> Iterator[tuple[str, str]]:
    """Yield each key whose value does not fit the feature that it is for."""
    features = description.features
    for name, value in features.fill.items():
        if name in description.feature_columns:
            complaint = _fill(description, name, value)
            if complaint:
                yield f"features.fill.{name}", complaint
    for name in features.missing:
        if name not in features.fill:
            allowed = ", ".join(features.fill) or "features that have one"
            yield "features.missing", f"{name} has no value in features.fill, allowed: {allowed}"
    if features.categories:
        place, limit = min(category_limits(description).items(), key=lambda item: item[1])
        for name, rule in features.categories.items():
            key = f"features.categories.{name}"
            if name not in features.categorical:
                allowed = ", ".join(features.categorical)
                yield key, f"{name} is not in features.categorical, allowed: {allowed}"
            elif rule.size > limit:
                yield f"{key}.{rule.kind}", f"{rule.size}, allowed: to {limit} ({place})"


def _fill(description: Description, name: str, value: bool | float | str) -> str:  # noqa: FBT001
    """What is wrong with a fill; an empty text if nothing is."""
    kind = _type_of(description, name)
    group = kind if kind in _STATISTICS else "number"
    category = name in description.features.categorical
    statistics = ("most_frequent",) if category else _STATISTICS[group]
    if value in statistics:
        return ""
    if kind == "string":
        fits, values = isinstance(value, str) and value not in ("median", "mean"), "a text"
    elif kind == "boolean":
        fits, values = isinstance(value, bool), "true or false"
    elif kind in ("int", "bigint"):
        fits, values = isinstance(value, int) and not isinstance(value, bool), "a whole number"
    elif kind == "double":
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        values = "a number"
    else:
        fits, values = not isinstance(value, str), "a number, true, false"
    what = "a categorical feature" if category else f"of type {kind}" if kind else "a derived one"
    return "" if fits else f"{value!r}, allowed: {', '.join((values, *statistics))} ({what})"


def _type_of(description: Description, name: str) -> str:
    """The type of a feature; an empty text for a derived one, a number or boolean."""
    if name in description.columns:
        return description.columns[name].type
    for entry in description.features.rolling:
        for window in entry.windows:
            for aggregate in entry.aggregates:
                if entry.name(aggregate, window) != name:
                    continue
                if aggregate in ("sum", "mean"):
                    return "double"
                return "bigint" if aggregate == "count" else description.columns[entry.value].type
    return "int" if name in description.features.flags else ""
