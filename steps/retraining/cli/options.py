"""Options that several steps share, and how an option says that it was not given.

An `MLproject` command passes every parameter, so an empty value stands for "not given".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable


class StepOption(click.Option):
    """An option that takes a value; if its default is empty, an empty value is None."""

    def type_cast_value(self, ctx: click.Context, value: object) -> Any:  # noqa: ANN401
        """None for an empty value of an option whose default is empty, else the typed value."""
        if value == self.default == "":
            return None
        return super().type_cast_value(ctx, value)


class Name(click.ParamType[str]):
    """A name that MLflow accepts for a model and that can be searched for in tags."""

    name = "name"

    def convert(
        self,
        value: Any,  # noqa: ANN401 (click's signature)
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str:
        """Return the name; refuse one that would only fail after hours of work."""
        if not re.fullmatch(r"\w[\w .+-]*", value):
            allowed = "letters, digits, spaces and . _ - +, starting with a letter or digit"
            self.fail(f"{value!r} is not a valid name: use {allowed}", param, ctx)
        return str(value)


def option(
    flag: str,
    description: str,
    *,
    type: click.ParamType[Any] | None = None,  # noqa: A002 (click's name)
    default: str = "",
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An option with a short help text; its default is text, as in MLproject."""
    return click.option(
        flag,
        cls=StepOption,
        type=type or click.STRING,
        default=default,
        show_default=default != "",
        help=description,
    )


# Two options keep names that users have in their scripts: `--dataset` names a description, and
# `--pipeline-id` a cycle, which is the tag `cycle_id` of its runs.
dataset = option(
    "--dataset",
    "Data set description: a name in steps/datasets, or the path of a YAML file.",
    default="fraud",
)
description_override = option(
    "--dataset",
    "Data set description to use, as a name or a path. "
    "Default: the one that the data was prepared with.",
)
data = option(
    "--data",
    "Prepared data set, as the id of a preprocess run or a folder. Default: that of the cycle.",
)
data_root = option(
    "--data-root",
    "Folder of this machine, or URI (s3a://, hdfs://), for data sets. Default: `data` next to the "
    "SQLite store, or in the project.",
)
model_name = option(
    "--model-name",
    "Name of the registered model. Default: the name of the data set description.",
    type=Name(),
)
pipeline_id = option(
    "--pipeline-id", "Cycle that the run belongs to. Default: the newest one.", type=Name()
)
pipeline_id_of_first_step = option(
    "--pipeline-id",
    "Cycle that the run belongs to: a new one, or one to continue. Default: a new one.",
    type=Name(),
)
alpha = option(
    "--alpha",
    "Largest acceptable probability of a false promotion. Default: gate.alpha of the description.",
    type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
)
seed = option(
    "--seed", "Seed of every random choice.", type=click.IntRange(0, 2**31 - 1), default="7"
)
spark_master = option(
    "--spark-master",
    "Spark master URL. Default: from spark-submit or SPARK_CONF_DIR, else local[*].",
)
register = option(
    "--register",
    "Whether to register the model. false: log it on the run and leave the registry unchanged.",
    type=click.BOOL,
    default="true",
)
