"""Option types, and the options that several steps share.

An `MLproject` command hands over every parameter, so an empty value is how a parameter says "not
given".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable


class Optional(click.ParamType[Any]):
    """Another parameter type, or an empty string for "not given" (None)."""

    def __init__(self, inner: click.ParamType[Any]) -> None:
        self.inner = inner
        self.name = f"{inner.name} or empty"

    def convert(
        self,
        value: Any,  # noqa: ANN401 (click's signature)
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401
        """None for an empty string, else what the inner type makes of the value."""
        return None if value in ("", None) else self.inner.convert(value, param, ctx)


class Name(click.ParamType[str]):
    """A name that MLflow takes for a model, and that can be looked for in its tags."""

    name = "name"

    def convert(
        self,
        value: Any,  # noqa: ANN401 (click's signature)
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str:
        """The name itself; others are refused before a step has worked for hours."""
        if not re.fullmatch(r"\w[\w .+-]*", value):
            allowed = "letters, digits, spaces and . _ - +, the first a letter or digit"
            self.fail(f"{value!r} is no name: use {allowed}", param, ctx)
        return str(value)


def option(
    flag: str,
    description: str,
    *,
    type: click.ParamType[Any] | None = None,  # noqa: A002 (click's name)
    default: object = "",
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An option of a step: its help is one short phrase, its default an empty value."""
    return click.option(flag, type=type, default=default, help=description)


STRING = Optional(click.STRING)

# Two options keep names that users have in their scripts: `--dataset` names a description, and
# `--pipeline-id` a cycle, which is the tag `cycle_id` of its runs.
dataset = option(
    "--dataset",
    "Data set description: a name in steps/datasets, or the path of a YAML file.",
    default="fraud",
)
description_override = option(
    "--dataset",
    "Data set description to work by. Empty: the one that the data was prepared with.",
    type=STRING,
)
data = option(
    "--data",
    "Prepared data set: id of a preprocess run, or its folder. Empty: newest of the cycle.",
    type=STRING,
)
data_root = option(
    "--data-root",
    "Folder or URI for data sets. Empty: `data` beside the SQLite store, else in the project.",
    type=STRING,
)
model_name = option(
    "--model-name",
    "Registered model. Empty: the name of the data set description.",
    type=Optional(Name()),
)
pipeline_id = option(
    "--pipeline-id",
    "Cycle that this run belongs to. Empty: a new one where a cycle begins, else the newest.",
    type=Optional(Name()),
)
seed = option(
    "--seed", "Seed of every random choice.", type=click.IntRange(0, 2**31 - 1), default=7
)
spark_master = option(
    "--spark-master",
    "Spark master URL. Empty: what spark-submit or SPARK_CONF_DIR say, else local[*].",
    type=STRING,
)
register = option(
    "--register",
    "Register the model. false: log it on the run only, the registry stays untouched.",
    type=click.BOOL,
    default="true",
)
