"""Which columns are the key, the time and the unit of a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from retraining.drafting import kinds
from retraining.drafting.labels import require
from retraining.errors import RetrainingError
from retraining.progress import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retraining.drafting.values import Facts


class Roles(NamedTuple):
    """The columns with a role: key and unit and time, each with doubts; None without one.

    `together` are the columns of a panel that identify a row only together: its unit and its day.
    """

    key: str | None
    time: str | None
    unit: str | None
    doubts: Mapping[str, str]
    together: tuple[str, ...] = ()


def choose_roles(
    facts: Mapping[str, Facts], label: str, named_key: str | None, named_time: str | None
) -> Roles:
    """Key, event time and unit, as named or as they look."""
    for flag, named in (("row_key", named_key), ("event_time", named_time)):
        require(flag, named, facts)
    if named_time is not None and not facts[named_time].is_time:
        raise RetrainingError(
            f"event_time={named_time!r} has type {facts[named_time].type}",
            "name a column of dates, times or years; of times in another form, leave it empty, "
            "and give the column a type, a format and event_time: in the file that is written",
        )
    doubts: dict[str, str] = {}
    others = {name: fact for name, fact in facts.items() if name != label}
    key = named_key or _best(others, kinds.rate_key)
    time = named_time or _best(others, kinds.rate_time)
    unit = _best({n: f for n, f in others.items() if n not in (key, time)}, kinds.rate_unit)
    together: tuple[str, ...] = ()
    if named_key is None and (key is None or kinds.is_row_number(facts[key])):
        together = _find_panel(facts, unit, time)
    if together:
        key, which = None, " and ".join(together)
        doubts["row_key"] = f"no two rows have the same {which}: do they identify a row?"
    if key and named_key is None:
        doubts["row_key"] = "no value of it occurs twice in the sample: does it identify a row?"
        if kinds.is_row_number(facts[key]):
            doubts["row_key"] = (
                "it counts the rows: if later files count from the beginning again, remove this "
                "line, and an id is made of the content"
            )
    if time and named_time is None:
        rivals = [n for n, f in others.items() if n != time and kinds.rate_time(n, f) > 0]
        doubts["event_time"] = "when did the row happen?" + (
            f" or one of: {', '.join(rivals)}" if rivals else ""
        )
    if unit:
        n_units = facts[unit].n_distinct
        doubts["unit"] = (
            f"{counted(n_units, 'value')}: are rows of one {unit} alike? remove it if not"
        )
    return Roles(key, time, unit, doubts, together)


def _find_panel(facts: Mapping[str, Facts], unit: str | None, time: str | None) -> tuple[str, ...]:
    """The unit and the day or year of its rows, if no two rows have the same.

    Two events of a unit at the same moment are rare, so a sample may not have any: moments do not
    count.
    """
    years = (name for name, fact in facts.items() if kinds.is_year(name, fact))
    day = time or next(years, None)
    if unit is None or day is None or facts[day].type == "timestamp" or facts[unit].n_missing:
        return ()
    both = pd.DataFrame({"unit": facts[unit].values, "day": facts[day].values})
    return () if both.duplicated().any() else (unit, day)


def _best(facts: Mapping[str, Facts], rate: Callable[[str, Facts], float]) -> str | None:
    rates = {name: rate(name, fact) for name, fact in facts.items()}
    best = max(rates, key=lambda name: rates[name], default=None)
    return best if best is not None and rates[best] > 0 else None
