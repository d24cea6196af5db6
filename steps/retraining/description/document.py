"""The description of a data set: a data set is described, not programmed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, WrapValidator, model_validator

from retraining.description import consistency
from retraining.description.explain import explain
from retraining.description.sections import (
    Capacity,
    Column,
    Estimator,
    Features,
    Files,
    HashSplit,
    Label,
    Quarantine,
    Search,
    Section,
    TimeSplit,
)
from retraining.errors import RetrainingError
from retraining.gate.policy import Policy

# Part of preparation_digest: raised when the same description comes to mean other rows, so that
# rows prepared before are not mixed with new ones.
_PREPARATION_VERSION = 1
_PREPARATION_KEYS = (
    "files",
    "columns",
    "label",
    "row_key",
    "event_time",
    "features",
    "never_features",
)


def _read_policy(value: object, handler: Any) -> Policy:  # noqa: ANN401 (pydantic's handler)
    if isinstance(value, dict):
        allowed = [field.name for field in fields(Policy)]
        unknown = sorted(str(key) for key in value if key not in allowed)
        if unknown:
            raise ValueError(f"unknown key {', '.join(unknown)}, allowed: {', '.join(allowed)}")
    try:
        policy: Policy = handler(value)
    except RetrainingError as error:
        raise ValueError(str(error)) from error
    return policy


class Description(Section):
    """Everything the steps know about a data set.

    The order of `columns` is the order of the fields in header-less text files.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    summary: str = ""
    files: Files = Files()
    columns: dict[str, Column] = Field(min_length=1)
    label: Label
    row_key: str
    event_time: str | None = None
    unit: str | None = None
    quarantine: Quarantine = Quarantine()
    features: Features
    never_features: tuple[str, ...] = ()
    split: Annotated[TimeSplit | HashSplit, Field(discriminator="by")]
    class_weights: Literal["none", "balanced"] = "none"
    scaler: Literal["none", "standard", "minmax"] = "none"
    estimator: Estimator
    search: Search = Search()
    gate: Annotated[Policy, WrapValidator(_read_policy)] = Field(default_factory=Policy)
    capacity: Capacity | None = None
    slices: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Description:
        if not self.feature_columns:
            raise ValueError("features: is empty, allowed: at least one feature")
        problems = consistency.find_problems(self)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @classmethod
    def from_mapping(cls, mapping: object, where: str = "description") -> Description:
        """Read a description from nested mappings, for example parsed YAML or JSON.

        Args:
            mapping: What `to_mapping` wrote, or what a YAML file held.
            where: The file or place, named in errors.

        Raises:
            RetrainingError: With every problem in one line: key, value, allowed values.
        """
        if not isinstance(mapping, dict):
            raise RetrainingError(f"{where} holds no mapping", "describe a data set in it")
        try:
            return cls.model_validate(mapping)
        except ValidationError as error:
            raise RetrainingError(where, explain(error, mapping)) from error

    def to_mapping(self) -> dict[str, Any]:
        """Write the description as JSON-able values; `from_mapping` reads it back the same.

        Do not sort the keys on the way: the order of `columns` matters.
        """
        return self.model_dump(mode="json", exclude_none=True)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that stand for the whole description."""
        return _digest(self.to_mapping())

    @property
    def preparation_digest(self) -> str:
        """16 hexadecimal digits that stand for what decides the content of prepared rows."""
        mapping = self.to_mapping()
        keys = {key: mapping[key] for key in _PREPARATION_KEYS if key in mapping}
        return _digest({"version": _PREPARATION_VERSION, **keys})

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """The columns that a model sees: plain, categorical, rolling, derived."""
        rolling = tuple(name for entry in self.features.rolling for name in entry.names)
        derived = tuple(self.features.derived)
        return self.features.plain + self.features.categorical + rolling + derived

    @property
    def forbidden_features(self) -> dict[str, str]:
        """The names that must never be a feature, and what they are instead."""
        never = dict.fromkeys(self.never_features, "in never_features")
        roles = {self.row_key: "the row key", self.label.column: "the label"}
        return {**never, **roles, consistency.CLASS_WEIGHT: "the class weight"}

    @property
    def not_null_columns(self) -> tuple[str, ...]:
        """Columns in which a null is an error: by rule, and label, row key and event time."""
        needed = (self.label.column, self.row_key, self.event_time)
        return tuple(n for n, column in self.columns.items() if column.not_null or n in needed)

    @property
    def unique_columns(self) -> tuple[str, ...]:
        """Columns whose values stand in one row only: by rule, and the row key."""
        return tuple(n for n, column in self.columns.items() if column.unique or n == self.row_key)


def load(path: str | Path) -> Description:
    """Read a description from a YAML file.

    Raises:
        RetrainingError: If there is no such file, or no valid description in it.
    """
    path = Path(path)
    try:
        mapping = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # noqa: S506
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise RetrainingError(f"{path}: {reason}", "give the path of a description") from error
    except yaml.YAMLError as error:
        raise RetrainingError(
            f"{path}: {' '.join(str(error).split())}", "write valid YAML"
        ) from error
    return Description.from_mapping(mapping, where=str(path))


class _UniqueKeys(yaml.SafeLoader):
    """YAML without silent loss: of two equal keys, the plain loader drops the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 (its signature)
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key} stands there twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def _digest(mapping: dict[str, Any]) -> str:
    text = json.dumps(mapping, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
