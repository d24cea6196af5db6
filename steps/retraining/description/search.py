"""The estimator, and the search for a better one."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field, field_validator, model_validator

from retraining.description.section import Number, Section

EstimatorName = Literal[
    "RandomForestClassifier", "GBTClassifier", "LogisticRegression", "DecisionTreeClassifier"
]


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
