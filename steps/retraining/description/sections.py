"""The sections of a data set description, and the values that each key may have."""

from __future__ import annotations

import codecs
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from retraining.description.durations import Duration, format_duration
from retraining.description.section import NullValues, Number, Section, Value

EstimatorName = Literal[
    "RandomForestClassifier", "GBTClassifier", "LogisticRegression", "DecisionTreeClassifier"
]
FITTED_FILLS = ("median", "mean", "most_frequent")


class Files(Section):
    """How text files are read; of parquet files, only texts are trimmed and compared to nulls.

    Without `header`, a first row that spells names of columns is one. Without `separator`, it is a
    comma, in .tsv files a tab. `quote: none` says that quotes have no meaning.
    """

    header: bool | None = None
    comment: str | None = Field(default=None, min_length=1, max_length=1)
    separator: str | None = Field(default=None, min_length=1)
    encoding: str = "utf-8"
    quote: str = '"'
    escape: str | None = Field(default=None, min_length=1, max_length=1)
    null_values: NullValues = ()
    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", " ", "'"] | None = None
    trim: bool = True

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str) -> str:
        allowed = "allowed: a name such as utf-8, utf-16, cp1251 or latin-1"
        try:
            name = codecs.lookup(encoding).name
            # Lines are divided before they are decoded, in UTF-16 alone afterwards.
            is_text = name.startswith("utf-16") or "\n".encode(name).endswith(b"\n")
        except (LookupError, ValueError):
            is_text = False
        if not is_text or name.startswith("utf-32") or name == "utf-7":
            raise ValueError(f"{encoding!r} is not an encoding, {allowed}")
        return encoding

    @field_validator("quote", mode="before")
    @classmethod
    def _none_or_character(cls, quote: object) -> object:
        if quote is None:
            return "none"
        if not isinstance(quote, str) or (quote != "none" and len(quote) != 1):
            raise ValueError(f"{quote!r}, allowed: one character, or none")
        return quote

    @model_validator(mode="after")
    def _differ(self) -> Files:
        marks = {"comment": self.comment, "quote": self.quote, "escape": self.escape}
        if self.quote == "none":
            del marks["quote"]
            if self.escape:
                raise ValueError("escape needs a quote, allowed: leave it out")
        for name, mark in {"separator": self.separator, **marks}.items():
            if mark and ("\n" in mark or "\r" in mark):
                raise ValueError(f"{name}: {mark!r} ends a line, allowed: any other character")
        for name, mark in marks.items():
            if mark and mark in (self.separator or ","):
                raise ValueError(f"{name}: {mark!r} is in the separator, allowed: another one")
        if self.comment and self.comment in (self.quote, self.escape):
            raise ValueError(f"comment: {self.comment!r} is also quote or escape, allowed: another")
        return self

    @model_validator(mode="after")
    def _marks_differ(self) -> Files:
        if self.thousands == self.decimal:
            other = "," if self.decimal == "." else "."
            raise ValueError(
                f"thousands: {self.thousands!r} is the decimal mark, too, "
                f"allowed: with decimal: {other!r}"
            )
        return self


class Label(Section):
    """The label, its positive value or values, and how long after the event it is known."""

    column: str
    positive: Value | Annotated[tuple[Value, ...], Field(min_length=1)] = 1
    delay: Duration = timedelta(0)

    @property
    def positives(self) -> tuple[Value, ...]:
        """The values of a positive row."""
        return self.positive if isinstance(self.positive, tuple) else (self.positive,)


class Quarantine(Section):
    """Bad rows are put aside; above a share of all rows, preparation fails."""

    max_share: float = Field(default=0.05, ge=0, le=1)


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


class Estimator(Section):
    """A Spark ML classifier and its parameters by their Spark names."""

    name: EstimatorName
    parameters: dict[str, bool | int | float | str] = Field(default_factory=dict)


class Space(Section):
    """The values among which one parameter is searched; exactly one key.

    `uniform` and `loguniform` take [low, high] (values, not logarithms), `quniform` takes
    [low, high, step] for low, low + step, ... up to high, `randint` takes [low, high) and `choice`
    the options.
    """

    uniform: tuple[float, float] | None = None
    quniform: tuple[Number, Number, Number] | None = None
    loguniform: tuple[float, float] | None = None
    randint: tuple[int, int] | None = None
    choice: tuple[bool | int | float | str, ...] | None = Field(default=None, min_length=1)

    @property
    def kind(self) -> str:
        """The key that is set."""
        return next(kind for kind in type(self).model_fields if getattr(self, kind) is not None)

    @property
    def n_steps(self) -> int:
        """How many steps of `quniform` fit between low and high."""
        low, high, step = map(_decimal, self.quniform or (0, 0, 1))
        return int((high - low) / step)

    def at(self, index: int) -> Number:
        """The value of `quniform` after a number of steps, as it would be written."""
        low, _, step = map(_decimal, self.quniform or (0, 0, 1))
        value = low + index * step
        return int(value) if value == int(value) else float(value)

    @property
    def ends(self) -> tuple[bool | int | float | str, ...]:
        """The least and the greatest value, or all values of a choice."""
        if self.choice is not None:
            return self.choice
        if self.quniform is not None:
            return self.at(0), self.at(self.n_steps)
        if self.randint is not None:
            return self.randint[0], self.randint[1] - 1
        return self.uniform or self.loguniform or ()

    @model_validator(mode="after")
    def _one_kind(self) -> Space:
        kinds = [kind for kind in type(self).model_fields if getattr(self, kind) is not None]
        if len(kinds) != 1:
            allowed = ", ".join(type(self).model_fields)
            raise ValueError(f"has {len(kinds)} kinds of space, allowed: one of {allowed}")
        bounds = self.uniform or self.quniform or self.loguniform or self.randint
        if bounds is not None and bounds[0] >= bounds[1]:
            raise ValueError(f"{kinds[0]}: low {bounds[0]} is not below high {bounds[1]}")
        if self.quniform is not None and self.quniform[2] <= 0:
            raise ValueError(f"quniform: step {self.quniform[2]} is not above 0")
        if self.quniform is not None and not self.n_steps:
            low, high, step = self.quniform
            raise ValueError(f"quniform: step {step} does not fit between {low} and {high}")
        if self.loguniform is not None and self.loguniform[0] <= 0:
            raise ValueError(f"loguniform: low {self.loguniform[0]} is not above 0")
        return self


def _decimal(number: Number) -> Decimal:
    """A number as it is written: 0.1 is a tenth."""
    return Decimal(str(number))


class Search(Section):
    """The hyperparameter search: its limits, its metric on validation, and its spaces."""

    trials: int = Field(default=12, ge=1)
    parallelism: int = Field(default=2, ge=1)
    early_stop: int = Field(default=0, ge=0)
    time_limit: float = Field(default=0, ge=0)
    metric: Literal["auroc", "auprc", "f1", "log_loss", "brier"] = "auroc"
    estimators: dict[EstimatorName, dict[str, Space]] = Field(default_factory=dict)

    @field_validator("metric", mode="before")
    @classmethod
    def _current_name(cls, metric: object) -> object:
        if metric in ("areaUnderROC", "areaUnderPR"):
            name = "auroc" if metric == "areaUnderROC" else "auprc (average precision)"
            raise ValueError(f"{metric!r} is an old name, use {name}")
        return metric


class Capacity(Section):
    """The number of units that can be looked at per day, for which precision is reported."""

    per_day: int = Field(ge=1)
    unit: str
