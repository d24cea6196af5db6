"""The description of a data set, instead of a program for it."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field

from retraining.description import origins
from retraining.description.columns import Column  # noqa: TC001 (pydantic needs it)
from retraining.description.features import Features  # noqa: TC001 (pydantic needs it)
from retraining.description.label import Label  # noqa: TC001 (pydantic needs it)
from retraining.description.names import ROW_ID
from retraining.description.search import Estimator, Search
from retraining.description.section import Section, refuse_unknown_keys
from retraining.description.splitting import HashSplit, OrderSplit, TimeSplit
from retraining.description.text_files import Files
from retraining.description.times import check_zone
from retraining.digests import digest
from retraining.gate.policy import Policy

if TYPE_CHECKING:
    from retraining.description.section import Value

# Part of preparation_digest. Increase it when the same description comes to mean other rows, so
# that rows prepared before are not mixed with new ones.
_PREPARATION_VERSION = 4
_PREPARATION_KEYS = (
    "files",
    "timezone",
    "columns",
    "label",
    "row_key",
    "event_time",
    "weight",
    "known_when",
    "features",
    "never_features",
)


def _of_policy(value: object) -> object:
    return refuse_unknown_keys(value, [field.name for field in fields(Policy)])


class Quarantine(Section):
    """Bad rows are put aside; above a share of all rows, preparation fails."""

    max_share: float = Field(default=0.05, ge=0, le=1)


class Capacity(Section):
    """The number of units that can be looked at per day, for which precision is reported."""

    per_day: int = Field(ge=1)
    unit: str


class Description(Section):
    """Everything that the steps know about a data set.

    The order of `columns`, without those made by an expression, is the order of the fields in
    header-less text files.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    summary: str = ""
    files: Files = Files()
    columns: dict[str, Column] = Field(min_length=1)
    label: Label
    row_key: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    event_time: str | None = None
    timezone: Annotated[str, AfterValidator(check_zone)] = "UTC"
    unit: str | Annotated[tuple[str, str], Field(min_length=2)] | None = None
    weight: str | None = None
    known_when: str | None = Field(default=None, min_length=1)
    quarantine: Quarantine = Quarantine()
    features: Features
    never_features: tuple[str, ...] = ()
    split: Annotated[TimeSplit | HashSplit | OrderSplit, Field(discriminator="by")]
    class_weights: Literal["none", "balanced"] = "none"
    scaler: Literal["none", "standard", "minmax"] = "none"
    estimator: Estimator
    search: Search = Search()
    gate: Annotated[Policy, BeforeValidator(_of_policy)] = Field(default_factory=Policy)
    capacity: Capacity | None = None
    slices: tuple[str, ...] = ()

    @property
    def zone(self) -> ZoneInfo:
        """The zone of times without one, of days and of hours."""
        return ZoneInfo(self.timezone)

    def null_values_of(self, column: str) -> tuple[Value, ...]:
        """The texts and numbers that mean that a column has no value."""
        own = self.columns[column].null_values
        return self.files.null_values if own is None else own and (*self.files.null_values, *own)

    @property
    def units(self) -> tuple[str, ...]:
        """The columns by which rows may depend on each other, none, one or two."""
        if self.unit is None:
            return ()
        return (self.unit,) if isinstance(self.unit, str) else self.unit

    def to_mapping(self) -> dict[str, Any]:
        """Return the description as JSON-able values; `reading.from_mapping` reads them back.

        Do not sort the keys on the way: the order of `columns` matters.
        """
        return self.model_dump(mode="json", exclude_none=True)

    @property
    def digest(self) -> str:
        """Digest of the whole description, 16 hexadecimal digits."""
        return _digest(self.to_mapping())

    @property
    def preparation_digest(self) -> str:
        """Digest of the sections that decide the content of prepared rows."""
        mapping = self.to_mapping()
        keys = {key: mapping[key] for key in _PREPARATION_KEYS if key in mapping}
        return _digest({"version": _PREPARATION_VERSION, **keys, "not_null": self.not_null_columns})

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """The inputs of a model, in order: plain, categorical, rolling, derived, flags."""
        features = self.features
        rolling = tuple(name for entry in features.rolling for name in entry.names)
        built = (*rolling, *features.derived, *features.flags)
        return features.plain + features.categorical + built

    @property
    def needed_features(self) -> tuple[str, ...]:
        """The features that every row must have a value of: those without a fill."""
        return tuple(name for name in self.feature_columns if name not in self.features.fill)

    @property
    def file_columns(self) -> dict[str, Column]:
        """The columns that files hold: those without an expression."""
        return {n: column for n, column in self.columns.items() if column.expression is None}

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The columns that make a row unique; `row_id`, which is made, if none are named."""
        if self.row_key is None:
            return (ROW_ID,)
        return (self.row_key,) if isinstance(self.row_key, str) else self.row_key

    @property
    def kept_columns(self) -> tuple[str, ...]:
        """The columns of a prepared row, without its features."""
        return (*self.columns, *(() if self.row_key is not None else (ROW_ID,)))

    @property
    def forbidden_features(self) -> dict[str, str]:
        """The names that must not be features, and what they are instead."""
        return origins.forbidden_columns(self)

    @property
    def not_null_columns(self) -> tuple[str, ...]:
        """Columns in which null is an error: by rule, or by their role.

        A row of no unit, or of no period, would stop the comparison, long after it was prepared.
        """
        order = self.split.columns if isinstance(self.split, OrderSplit) else ()
        roles = (self.label.column, *self.key_columns, *self.units, self.weight, *order)
        needed = (*roles, self.event_time, self.gate.period)
        return tuple(n for n, column in self.columns.items() if column.not_null or n in needed)

    @property
    def unique_keys(self) -> tuple[tuple[str, ...], ...]:
        """Columns whose values together occur once: the row key, and single ones by rule."""
        key = () if self.row_key is None else (self.key_columns,)
        ruled = ((name,) for name, column in self.columns.items() if column.unique)
        return tuple(dict.fromkeys((*key, *ruled)))


def _digest(mapping: dict[str, Any]) -> str:
    text = json.dumps(mapping, ensure_ascii=False, separators=(",", ":"))
    return digest(text)
