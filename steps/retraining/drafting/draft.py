"""From what a sample shows to a description: which column serves for what, with every doubt."""

from __future__ import annotations

import re
import unicodedata
from math import isnan, nan
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from retraining.description.names import RESERVED
from retraining.drafting import kinds, labels, roles, values
from retraining.drafting.relations import LEAK, are_judged, relation
from retraining.errors import RetrainingError
from retraining.gate.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from retraining.drafting.labels import Label
    from retraining.drafting.roles import Roles
    from retraining.drafting.sample import Sample
    from retraining.drafting.values import Facts, Numerals

POOLED: Final = 30  # categories that are kept apart; the rarer ones become one
_SLICES: Final = 2
_SLICED: Final = 6  # categories of a slice, each of at least a twentieth of the rows
# Of train, validation and holdout: the first ones that give the gate enough positives.
_SHARES: Final = ((0.6, 0.2, 0.2), (0.5, 0.2, 0.3), (0.4, 0.2, 0.4))
_SPLITS: Final = ("train", "validation", "holdout")
_MARGIN: Final = 1.2  # times the positives that the gate asks for, since a hash is not exact
_FEWEST_DAYS: Final = 14  # of shorter spans, windows are some hours


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
        relations: The AUROC of each other column by itself; NaN where a class has few rows.
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
    def shares(self) -> dict[str, float]:
        """Of the splits: the holdout is as large as the gate needs it, if that is possible."""
        wanted = _MARGIN * Policy().minimum_positives
        enough = (shares for shares in _SHARES if self._rarer * shares[-1] >= wanted)
        return dict(zip(_SPLITS, next(enough, _SHARES[0]), strict=True))

    @property
    def holdout_positives(self) -> int:
        """About how many positives, or negatives if those are fewer, the holdout will have."""
        return round(self._rarer * self.shares["holdout"])

    @property
    def _rarer(self) -> float:
        return self.sample.n_rows * min(self.positive_share, 1 - self.positive_share)

    @property
    def split(self) -> dict[str, Any]:
        """By time where rows have one, in windows that move on with it; else by a hash."""
        if self.roles.time is None:
            return {"by": "hash", **self.shares, "seed": 7}
        return {"by": "time", **_windows(self.facts[self.roles.time].values, self.shares)}


def _windows(times: pd.Series, shares: Mapping[str, float]) -> dict[str, str]:
    """Lengths in the unit that the times come in: years, months, days or hours."""
    first, last = times.min(), times.max()
    months = 12 * (last.year - first.year) + last.month - first.month
    hours = (last - first).total_seconds() / 3600
    if (times == times.dt.normalize()).all() and times.dt.day.nunique() == 1:
        is_yearly = times.dt.month.nunique() == 1
        unit, n = ("years", months // 12 + 1) if is_yearly else ("months", months + 1)
    else:
        unit, n = ("days", hours / 24) if hours > _FEWEST_DAYS * 24 else ("hours", hours)
    lengths = {name: max(1, int(share * n)) for name, share in shares.items()}
    if unit in ("years", "months"):
        lengths["train"] = max(1, int(n) - lengths["validation"] - lengths["holdout"])
    return {
        name: f"{length} {unit if length > 1 else unit[:-1]}" for name, length in lengths.items()
    }


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
    chosen = labels.choose_label(facts, label)
    found = roles.choose_roles(facts, chosen.column, row_key, event_time)
    others = {n: fact for n, fact in facts.items() if n not in (chosen.column, found.key)}
    judged = are_judged(chosen.is_positive)
    relations = {
        n: relation(fact, chosen.is_positive) if judged else nan for n, fact in others.items()
    }
    known = chosen.is_positive.notna()
    unused = {n: why for n in facts if (why := _unused(n, facts, found, relations, known))}
    if chosen.is_count:
        unused[chosen.column] = Unused("the label is made from it", is_sure=True)
    slices = [n for n, fact in facts.items() if _is_slice(fact) and n not in unused]
    weights = (n for n, fact in others.items() if kinds.is_weight(n, fact))
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
    name: str,
    facts: Mapping[str, Facts],
    found: Roles,
    relations: Mapping[str, float],
    known: pd.Series,
) -> Unused | None:
    """Why a column is not a feature; None if it is one."""
    fact = facts[name]
    if name in (found.key, found.time, found.unit):
        role = {found.key: "the row key", found.time: "the event time", found.unit: "the unit"}
        return Unused(f"is {role[name]}", is_sure=True)
    if name not in relations:
        return None
    judged = not isnan(relations[name])
    alone = f"its AUROC alone is {relations[name]:.3f}"
    if fact.n_distinct + bool(fact.n_missing) < 2:
        return Unused("has a single value", is_sure=True)
    if fact.values[known].nunique(dropna=False) < 2:
        return Unused("has a single value where the label is known", is_sure=True)
    if relations[name] > LEAK:
        return Unused(
            f"{alone}: is it a copy of the label, or known only afterwards?", is_sure=False
        )
    if not fact.source:
        return Unused("has no name in the files: is it a row number?", is_sure=False)
    if kinds.is_identifier(name, fact):
        return Unused("differs in every row: is it another identifier?", is_sure=False)
    if kinds.is_id(name, fact):
        what = "is text of many kinds" if fact.type == "string" else "names something"
        return Unused(f"{what}: a model would memorise it", is_sure=fact.type == "string")
    if found.time and kinds.runs_with(fact, facts[found.time]):
        return Unused(f"runs with {found.time}: later rows have values never seen", is_sure=True)
    if fact.is_unread:
        return Unused("is a time or a number that is not read yet: see its column", is_sure=False)
    if fact.is_time:
        return Unused("is a time: make a derived feature of it", is_sure=True)
    if kinds.is_known_afterwards(name):
        what = f"by its name it may be known only afterwards{judged * f' ({alone})'}"
        return Unused(f"{what}; if it is known before, make it a feature", is_sure=False)
    return None


def _is_slice(fact: Facts) -> bool:
    if fact.type not in ("string", "boolean") or not 2 <= fact.n_distinct <= _SLICED:
        return False
    return bool(fact.values.value_counts(normalize=True).min() >= 0.05)
