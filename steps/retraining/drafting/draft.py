"""From what a sample shows to a description: which column serves for what, with every doubt."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from retraining.description.names import RESERVED
from retraining.drafting import roles, values
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retraining.drafting.roles import Label, Roles
    from retraining.drafting.sample import Sample
    from retraining.drafting.values import Facts, Numerals

POOLED: Final = 30  # categories that are kept apart; the rarer ones become one
_SLICES: Final = 2
_SLICED: Final = 6  # categories of a slice, each of at least a twentieth of the rows
_SHARES: Final = {"train": 0.6, "validation": 0.2, "holdout": 0.2}
_FEWEST_DAYS: Final = 14  # of shorter spans, windows are some hours
_WEIGHTS: Final = re.compile(r"exposure|weight", re.IGNORECASE)


class Unused(NamedTuple):
    """A column that is not a feature: why, and whether a reader should confirm it."""

    why: str
    is_sure: bool


class Draft(NamedTuple):
    """What a first description says.

    Attributes:
        name: Of the data set.
        sample: The rows that it was made from.
        numerals: How their numbers are written.
        facts: What is known of each column, by its name in the description.
        label: The label.
        roles: Key, time and unit.
        relations: The AUROC of each other column by itself.
        unused: Columns that are not features.
        slices: Columns to look at apart.
        weight: A column that looks like the weight of a row.
    """

    name: str
    sample: Sample
    numerals: Numerals
    facts: Mapping[str, Facts]
    label: Label
    roles: Roles
    relations: Mapping[str, float]
    unused: Mapping[str, Unused]
    slices: tuple[str, ...]
    weight: str | None

    @property
    def features(self) -> dict[str, Facts]:
        """The columns that are features."""
        taken = {self.label.column, self.roles.key, *self.unused}
        return {name: fact for name, fact in self.facts.items() if name not in taken}

    @property
    def positive_share(self) -> float:
        """The share of positives among the rows of the sample that have a label."""
        return float(self.label.is_positive.dropna().mean())

    @property
    def holdout_positives(self) -> int:
        """About how many positives, or negatives if those are fewer, the holdout will have."""
        rarer = min(self.positive_share, 1 - self.positive_share)
        return round(self.sample.n_rows * rarer * _SHARES["holdout"])

    @property
    def split(self) -> dict[str, Any]:
        """By time where rows have one, in windows that move on with it; else by a hash."""
        if self.roles.time is None:
            return {"by": "hash", **_SHARES, "seed": 7}
        times = self.facts[self.roles.time].values
        hours = (times.max() - times.min()).total_seconds() / 3600
        unit, length = ("days", 24) if hours > _FEWEST_DAYS * 24 else ("hours", 1)
        windows = {n: max(1, int(share * hours / length)) for n, share in _SHARES.items()}
        return {"by": "time", **{name: f"{n} {unit}" for name, n in windows.items()}}


def make(
    sample: Sample,
    *,
    name: str,
    label: str | None = None,
    row_key: str | None = None,
    event_time: str | None = None,
) -> Draft:
    """Make a draft; columns that the caller names have their role without doubt.

    Raises:
        RetrainingError: If a named column does not exist, or nothing can be the label.
    """
    columns = sample.columns
    numerals = values.find_numerals(columns.values())
    names = name_columns(list(columns))
    facts = {names[n]: values.examine(n, text, numerals) for n, text in columns.items()}
    label, row_key, event_time = (
        names.get(given, given) if given else None for given in (label, row_key, event_time)
    )
    if event_time in facts:
        facts[event_time] = values.as_years(facts[event_time])
    chosen = roles.choose_label(facts, label)
    found = roles.choose_roles(facts, chosen.column, row_key, event_time)
    others = {n: fact for n, fact in facts.items() if n not in (chosen.column, found.key)}
    relations = {n: roles.relation(fact, chosen.is_positive) for n, fact in others.items()}
    unused = {n: why for n in facts if (why := _unused(n, facts, found, relations))}
    if chosen.is_count:
        unused[chosen.column] = Unused("the label is made from it", is_sure=True)
    slices = [n for n, fact in facts.items() if _is_slice(fact) and n not in unused]
    weights = (n for n, f in others.items() if f.is_number and _WEIGHTS.search(n))
    made = Draft(
        name,
        sample,
        numerals,
        facts,
        chosen,
        found,
        relations,
        {n: why for n, why in unused.items() if n != chosen.column or chosen.is_count},
        tuple(n for n in slices if n != chosen.column)[:_SLICES],
        next(weights, None),
    )
    if not made.features:
        whys = "; ".join(f"{n} {why}" for n, (why, _) in made.unused.items())
        raise RetrainingError(f"no column is left as a feature ({whys})", "give other files")
    return made


def name_columns(sources: list[str]) -> dict[str, str]:
    """Names that a description allows, by the names in the files; no two are the same."""
    named: dict[str, str] = {}
    taken = {name.lower() for name in RESERVED} | {
        source.lower() for source in sources if re.fullmatch(r"[A-Za-z]\w*", source, re.ASCII)
    }
    for number, source in enumerate(sources, 1):
        name = source
        if not re.fullmatch(r"[A-Za-z]\w*", source, re.ASCII) or source.lower() in RESERVED:
            plain = unicodedata.normalize("NFKD", source).encode("ascii", "ignore").decode()
            name = re.sub(r"\W+", "_", plain).strip("_")
            name = name if re.match(r"[A-Za-z]", name) else f"column_{number}"
            while name.lower() in taken:
                name += "_"
            taken.add(name.lower())
        named[source] = name
    return named


def _unused(
    name: str, facts: Mapping[str, Facts], found: Roles, relations: Mapping[str, float]
) -> Unused | None:
    """Why a column is not a feature; None if it is one."""
    fact = facts[name]
    if name in (found.key, found.time, found.unit):
        role = {found.key: "the row key", found.time: "the event time", found.unit: "the unit"}
        return Unused(f"is {role[name]}", is_sure=True)
    if name not in relations:
        return None
    alone = f"its AUROC alone is {relations[name]:.3f}"
    if fact.n_distinct + bool(fact.n_missing) < 2:
        return Unused("has a single value", is_sure=True)
    if relations[name] > roles.LEAK:
        return Unused(
            f"{alone}: is it a copy of the label, or known only afterwards?", is_sure=False
        )
    if not fact.source:
        return Unused("has no name in the files: is it a row number?", is_sure=False)
    if roles.is_identifier(name, fact):
        return Unused("differs in every row: is it another identifier?", is_sure=False)
    if roles.is_id(name, fact):
        what = "is text of many kinds" if fact.type == "string" else "names something"
        return Unused(f"{what}: a model would memorise it", is_sure=fact.type == "string")
    if found.time and roles.runs_with(fact, facts[found.time]):
        return Unused(f"runs with {found.time}: later rows have values never seen", is_sure=True)
    if fact.is_time:
        return Unused("is a time: make a derived feature of it", is_sure=True)
    if roles.is_known_afterwards(name):
        what = f"by its name it may be known only afterwards ({alone})"
        return Unused(f"{what}; if it is known before, make it a feature", is_sure=False)
    return None


def _is_slice(fact: Facts) -> bool:
    if fact.type not in ("string", "boolean") or not 2 <= fact.n_distinct <= _SLICED:
        return False
    return bool(fact.values.value_counts(normalize=True).min() >= 0.05)
