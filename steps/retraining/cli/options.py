"""What the step scripts share on the command line: option decorators and the exit contract.

Exit codes: 0 = the step completed, whatever the verdict; 1 = an expected failure, told in one
line; 2 = usage. An `MLproject` command hands over every parameter, so an empty value is how a
parameter says "not given".
"""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import click

from retraining.tracking import outage

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

ROOT = Path(__file__).resolve().parents[3]


# What asks a step to stop; the latter when the terminal, or the connection to it, is closed.
_STOPS = (signal.SIGTERM, signal.SIGHUP)


class TerminatedError(KeyboardInterrupt):
    """A signal asks to stop. A KeyboardInterrupt, so that child projects are cancelled too."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


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


class StepCommand(click.Command):
    """A command that tells expected failures in one line and stops cleanly at a signal."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        kwargs["context_settings"] = {"help_option_names": ["-h", "--help"], "show_default": True}
        super().__init__(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        """Run the step; an expected failure becomes exit code 1 and one line."""
        for name in ("mlflow", "alembic", "py4j", "hyperopt"):
            logging.getLogger(name).setLevel(logging.WARNING)
        # It warns, with every model, where there is no pip to be found: uv makes such environments.
        logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
        # MLflow's bars, one a file of a model, and links would drown the lines that steps print.
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        # One that is ignored stays so: nohup lets a step outlive its terminal.
        heard = [s for s in _STOPS if signal.getsignal(s) != signal.SIG_IGN]
        previous = {number: signal.signal(number, _terminate) for number in heard}
        ended = Event()
        if "MLFLOW_RUN_ID" in os.environ:
            Thread(target=_follow, args=(os.getppid(), ended), daemon=True).start()
        try:
            return super().invoke(ctx)
        except TerminatedError as stop:
            sys.exit(128 + stop.number)
        except Exception as error:
            expected = outage.fault(error)
            if expected is None:
                raise
            raise click.ClickException(" ".join(str(expected).split())) from error
        finally:
            ended.set()
            for number, handler in previous.items():
                signal.signal(number, handler)


def progress(message: str) -> None:
    """Say on standard error what is going on, if anybody is left to hear it."""
    # A terminal that closes refuses what is written before its SIGHUP arrives, which decides.
    with suppress(OSError):
        click.echo(message, err=True)


def _follow(parent: int, ended: Event) -> None:
    """Stop with the `mlflow run` that started the step: whoever repeats it counts on that."""
    while not ended.wait(1):
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
            return


def _terminate(number: int, _frame: FrameType | None) -> None:
    for other in _STOPS:
        signal.signal(other, signal.SIG_IGN)  # the next one shall not break off the cleaning up
    raise TerminatedError(number)


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
    "Prepared data set: id of a preprocess run, or its folder. Empty: newest of the pipeline.",
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
