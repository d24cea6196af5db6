"""The inputs of a model."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from retraining.description.durations import Duration, format_duration
from retraining.description.section import Section

FITTED_FILLS = ("median", "mean", "most_frequent")
_SMOOTHING = 10.0


class Rolling(Section):
    """Aggregates over the earlier rows of a key.

    A window of length `w` holds the rows of the key in `(t - delay - w, t - delay]`, where `t` is
    the row's event time.
    """

    key: str
    value: str
    aggregates: tuple[Literal["count", "sum", "mean", "min", "max"], ...] = Field(min_length=1)
    windows: tuple[Duration, ...] = Field(min_length=1)
    delay: Duration = timedelta(0)

    @field_validator("windows")
    @classmethod
    def _positive(cls, windows: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
        if min(windows) <= timedelta(0):
            raise ValueError("has an empty window, allowed: above 0 seconds")
        return windows

    def name(self, aggregate: str, window: timedelta) -> str:
        """Return the column of one aggregate over one window: `terminal_id_count_7d`."""
        count, unit = format_duration(window).split()
        what = "count" if aggregate == "count" else f"{self.value}_{aggregate}"
        return f"{self.key}_{what}_{count}{unit[0]}"

    @property
    def names(self) -> tuple[str, ...]:
        """Return all columns of this entry, window by window."""
        return tuple(self.name(agg, win) for win in self.windows for agg in self.aggregates)


def _or_target(schema: dict[str, Any]) -> None:
    mapping = dict(schema)
    schema.clear()
    schema["anyOf"] = [mapping, {"const": "target"}]


class Category(Section):
    """How a categorical feature with many values is kept small; exactly one key.

    `pool` keeps the N most frequent values of train and makes one of all others; `hash` puts all
    values into N buckets; `target` makes a number of a value, the share of positives among its rows
    of train. It is drawn to the share of all rows, which counts as N rows more.
    """

    model_config = ConfigDict(json_schema_extra=_or_target)

    pool: int | None = Field(default=None, ge=1)
    hash: int | None = Field(default=None, ge=2)
    target: float | None = Field(default=None, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _target_needs_no_number(cls, value: object) -> object:
        return {"target": _SMOOTHING} if value == "target" else value

    @model_validator(mode="after")
    def _one_kind(self) -> Category:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError("has not one kind of rule, allowed: pool, hash or target")
        return self

    @property
    def kind(self) -> str:
        """The key that is set."""
        return next(kind for kind in type(self).model_fields if getattr(self, kind) is not None)

    @property
    def size(self) -> int:
        """How many values are kept apart."""
        return self.pool or self.hash or 0


class Features(Section):
    """The inputs of a model. A null without a fill is an error.

    `fill` replaces nulls and NaN by a value, or by the median, the mean or the most frequent value
    of train. `missing` adds a feature `x_missing`, 1 where x had no value and 0 elsewhere.
    """

    plain: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    derived: dict[str, str] = Field(default_factory=dict)
    rolling: tuple[Rolling, ...] = ()
    fill: dict[str, bool | int | float | str] = Field(default_factory=dict)
    missing: tuple[str, ...] = ()
    categories: dict[str, Category] = Field(default_factory=dict)

    @property
    def fitted_fills(self) -> dict[str, str]:
        """The statistic of train that replaces nulls, by feature."""
        return {name: str(how) for name, how in self.fill.items() if how in FITTED_FILLS}

    @property
    def values(self) -> dict[str, bool | int | float | str]:
        """The value that replaces nulls, by feature, where it is stated."""
        return {name: value for name, value in self.fill.items() if value not in FITTED_FILLS}

    @property
    def targets(self) -> dict[str, float]:
        """The smoothing of the features that are encoded by their share of positives."""
        rules = self.categories.items()
        return {name: rule.target for name, rule in rules if rule.target is not None}

    @property
    def flags(self) -> tuple[str, ...]:
        """The features that `missing` adds."""
        return tuple(f"{name}_missing" for name in self.missing)
