"""Which column of a table of scores is which."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from retraining.gate.policy import PERIODS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from retraining.description.document import Description

ROLES: Final = ("champion", "challenger")

# No column of a description has a colon in its name.
_SLICE: Final = "slice:"


class ScoreColumns(NamedTuple):
    """The columns of a table of scores; None for what the table does not have.

    Attributes:
        label: 0 or 1.
        champion: Scores of one model.
        challenger: Scores of the other.
        key: What identifies a row.
        unit: What rows that may depend on each other have in common.
        second: A second unit.
        day: The day of the event.
        period: What rows that may share a shock have in common; None where it is the day.
        weight: How much a row counts.
        capacity_unit: What can be looked at, a number of them a day; None where it is `unit`.
        slices: Columns by the name of the slice.
    """

    label: str = "label"
    champion: str = "champion"
    challenger: str = "challenger"
    key: str | None = None
    unit: str | None = None
    second: str | None = None
    day: str | None = None
    period: str | None = None
    weight: str | None = None
    capacity_unit: str | None = None
    slices: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def of_table(cls, names: Iterable[str]) -> ScoreColumns:
        """The columns of a table by their names; all that are none of these are slices.

        A slice that has the name of another column is written as `slice:weight`.
        """
        present = [*names]
        known: dict[str, Any] = {field: name for field, name in _NAMES.items() if name in present}
        others = [name for name in present if name not in _NAMES.values()]
        slices = {name.removeprefix(_SLICE): name for name in others}
        return cls(**known, slices=slices)

    @classmethod
    def of_holdout(cls, description: Description) -> ScoreColumns:
        """The columns that are kept of a scored holdout."""
        capacity = description.capacity
        apart = capacity is not None and capacity.unit not in description.units[:1]
        taken = {name.lower() for name in _NAMES.values()}
        return cls(
            key=_NAMES["key"],
            unit=_NAMES["unit"] if description.units else None,
            second=_NAMES["second"] if len(description.units) > 1 else None,
            day=_NAMES["day"] if description.event_time else None,
            period=_NAMES["period"] if description.gate.period not in PERIODS else None,
            weight=_NAMES["weight"] if description.weight else None,
            capacity_unit=_NAMES["capacity_unit"] if apart else None,
            slices={
                name: f"{_SLICE}{name}" if name.lower() in taken else name
                for name in description.slices
            },
        )

    @property
    def scores(self) -> tuple[str, str]:
        """The columns of both models' scores, in the order of `ROLES`."""
        return self.champion, self.challenger

    @property
    def units(self) -> list[str]:
        """The columns of the units, none, one or two."""
        return [name for name in (self.unit, self.second) if name]

    @property
    def names(self) -> tuple[str, ...]:
        """All columns of the table."""
        given = (name for name in self[:-1] if isinstance(name, str))
        return *given, *self.slices.values()


_NAMES: Final = {
    **{name: name for name in ("label", *ROLES, "key", "unit", "day", "period", "weight")},
    "second": "unit_2",
    "capacity_unit": "_capacity_unit",
}
