"""What the columns of a description are made of: above all, which of them reveal the label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retraining.description.expressions import names_in
from retraining.description.names import CLASS_WEIGHT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from retraining.description.document import Description


def find_origins(description: Description) -> dict[str, frozenset[str]]:
    """Return the columns that each computed column mentions, at first or second hand."""
    names = {name.lower(): name for name in description.columns}
    origins: dict[str, frozenset[str]] = {}
    for name, column in description.columns.items():
        if column.expression is not None:
            words = names_in(column.expression)
            direct = {names[word] for word in words if word in names} - {name}
            origins[name] = frozenset(direct.union(*(origins.get(other, ()) for other in direct)))
    return origins


def label_columns(description: Description) -> dict[str, str]:
    """Return the columns that reveal the label, and what each is.

    A label that is made of other columns is revealed by them. If `never_features` has some that
    files hold, it says which ones are known only afterwards: the others may be features. One with
    an expression does not say which of its parts are, so that all of them reveal the label.
    """
    label, origins = description.label.column, find_origins(description)
    made_of = origins.get(label, frozenset())
    never = made_of.intersection(description.never_features)
    if never - origins.keys():
        made_of = frozenset[str]().union(*(origins.get(name, ()) for name in never))
    why = (
        f"what the label {label} is made of; never_features can say which of these columns, "
        "those without an expression, are known only afterwards"
    )
    sources = dict.fromkeys(sorted(made_of), why)
    made = _made_from([label, *made_of], origins, "what reveals the label")
    return {**made, **sources, label: "the label"}


def revealing_columns(description: Description) -> frozenset[str]:
    """Return the label and the columns that are made from it."""
    label = description.label.column
    return frozenset({label, *_made_from([label], find_origins(description), "")})


def never_columns(description: Description) -> dict[str, str]:
    """Return `never_features` and the columns that are made from them, and what each is."""
    made = _made_from(description.never_features, find_origins(description), "never_features")
    return {**made, **dict.fromkeys(description.never_features, "in never_features")}


def late_keys(description: Description) -> dict[str, frozenset[str]]:
    """Return the keys of rolling features that are known only afterwards, and what of them is.

    A column of `never_features` in which null is an error is known when a row is scored.
    """
    origins = find_origins(description)
    late = set(description.never_features) - set(description.not_null_columns)
    keys = dict.fromkeys(entry.key for entry in description.features.rolling)
    found = {key: late & {key, *origins.get(key, ())} for key in keys}
    return {key: frozenset(names) for key, names in found.items() if names}


def forbidden_columns(description: Description) -> dict[str, str]:
    """Return the columns that must not be features, and what they are instead."""
    keys = description.key_columns if len(description.key_columns) == 1 else ()
    made = _made_from(keys, find_origins(description), "the row key")
    return {
        **made,
        **never_columns(description),
        **dict.fromkeys(keys, "the row key"),
        **label_columns(description),
        CLASS_WEIGHT: "the class weight",
    }


def late_columns(description: Description) -> frozenset[str]:
    """Return the columns that may be unknown when a row is scored: no file needs to hold them."""
    return unjudged_columns(description) | _late_features(description)


def unjudged_columns(description: Description) -> frozenset[str]:
    """Return the columns that no rule applies to when a row is scored.

    They are those that reveal the label, a weight that is not a feature, and those that are made
    from what may be unknown.
    """
    origins, label = find_origins(description), description.label.column
    used = _used_columns(description)
    weight = {description.weight} if description.weight else set[str]()
    sources = {label, *(origins.get(label, frozenset()) - used), *(weight - used)}
    made = _made_from(sources | _late_features(description), origins, "")
    return frozenset(sources.union(made.keys() - used))


def _late_features(description: Description) -> frozenset[str]:
    late = set(description.never_features) - set(description.not_null_columns)
    return frozenset(late - _used_columns(description))


def _used_columns(description: Description) -> frozenset[str]:
    """Return the columns that must be known when a row is scored, and what they are made of."""
    features, origins = description.features, find_origins(description)
    words = frozenset[str]().union(*(names_in(e) for e in features.derived.values()))
    used = {
        *description.key_columns,
        *description.units,
        *features.plain,
        *features.categorical,
        *(name for name in description.columns if name.lower() in words),
        *(name for entry in features.rolling for name in (entry.key, entry.value)),
    }
    if description.event_time is not None:
        used.add(description.event_time)
    # Labels of earlier rows are used only where they are known.
    looks_back = (entry.value for entry in features.rolling)
    if description.known_when and not revealing_columns(description).isdisjoint(looks_back):
        words = names_in(description.known_when)
        used.update(name for name in description.columns if name.lower() in words)
    used.discard(description.label.column)
    return frozenset(used.union(*(origins.get(name, ()) for name in used)))


def _made_from(
    names: Iterable[str], origins: dict[str, frozenset[str]], what: str
) -> dict[str, str]:
    """Return the computed columns that mention one of these names."""
    sources = frozenset(names)
    return {name: f"made from {what}" for name, of in origins.items() if not of.isdisjoint(sources)}
