"""The inputs of a model."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator, model_validator

from retraining.description.durations import Duration, format_duration
from retraining.description.section import Section

FITTED_FILLS = ("median", "mean", "most_frequent")


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


class Category(Section):
    """How a categorical feature with many values is kept small; exactly one key.

    `pool` keeps the N most frequent values of train and makes one of all others; `hash` puts all
    values into N buckets.
    """

    pool: int | None = Field(default=None, ge=1)
    hash: int | None = Field(default=None, ge=2)

    @model_validator(mode="after")
    def _one_kind(self) -> Category:
        if (self.pool is None) == (self.hash is None):
            raise ValueError("has not one kind of rule, allowed: pool or hash")
        return self

    @property
    def kind(self) -> str:
        """The key that is set."""
        return "hash" if self.pool is None else "pool"

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
    def flags(self) -> tuple[str, ...]:
        """The features that `missing` adds."""
        return tuple(f"{name}_missing" for name in self.missing)
