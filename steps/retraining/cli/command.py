"""The command of a step: its exit codes, its log lines, and how it ends at a signal.

Exit codes: 0 = the step completed, whatever the verdict; 1 = an expected failure, reported in one
line; 2 = usage.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from retraining.progress import duration
from retraining.tracking import outage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

# What asks a step to stop; the latter when the terminal, or the connection to it, is closed.
_STOPS = (signal.SIGTERM, signal.SIGHUP)
_LIBRARY = logging.getLogger("retraining")
_TIME = "%Y-%m-%d %H:%M:%S"


class TerminatedError(KeyboardInterrupt):
    """A signal asks to stop. A KeyboardInterrupt, so that child projects are cancelled too."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class StepCommand(click.Command):
    """A command that reports expected failures in one line and stops cleanly at a signal."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        kwargs["context_settings"] = {
            "help_option_names": ["-h", "--help"],
            "max_content_width": 100,
        }
        super().__init__(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        """Run the step; an expected failure becomes exit code 1 and one line."""
        step = (self.name or "").replace("-", "_")
        started = time.monotonic()
        try:
            with _log_lines(step), _stopped_by_signals():
                done = super().invoke(ctx)
                _LIBRARY.info(f"finished in {duration(time.monotonic() - started)}")
                return done
        except TerminatedError as stop:
            sys.exit(128 + stop.number)
        except Exception as error:
            expected = outage.fault(error)
            if expected is None:
                raise
            raise click.ClickException(" ".join(str(expected).split())) from error


def examples(docstring: str | None) -> str:
    """The commands that the docstring of a script shows, as the last part of its --help."""
    lines = (docstring or "").splitlines()
    commands = "\n".join(f"  {line.strip()}" for line in lines if line.startswith("    "))
    return f"\b\nExamples:\n{commands}"  # \b: click keeps the line breaks


class _Console(logging.Handler):
    """Writes to what is standard error at that moment, if anybody is left to read it."""

    def emit(self, record: logging.LogRecord) -> None:
        # A terminal that closes refuses what is written before its SIGHUP arrives, which decides.
        with suppress(OSError):
            tqdm.write(self.format(record), file=sys.stderr)  # above a bar, if there is one


@contextmanager
def _log_lines(step: str) -> Iterator[None]:
    """Show what the library reports, and of other libraries only what matters."""
    for name in ("mlflow", "alembic", "py4j", "hyperopt"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It warns, with every model, where there is no pip to be found: uv makes such environments.
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    # MLflow's bars, one a file of a model, and links would drown the lines that steps print.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    console, level = _Console(), _LIBRARY.level
    console.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s {step}: %(message)s", _TIME))
    _LIBRARY.addHandler(console)
    _LIBRARY.setLevel(logging.INFO)
    try:
        yield
    finally:
        _LIBRARY.removeHandler(console)
        _LIBRARY.setLevel(level)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Raise at SIGTERM and SIGHUP, and when the `mlflow run` that started the step has ended."""
    # One that is ignored stays so: nohup lets a step outlive its terminal.
    heard = [s for s in _STOPS if signal.getsignal(s) != signal.SIG_IGN]
    previous = {number: signal.signal(number, _terminate) for number in heard}
    ended = Event()
    if "MLFLOW_RUN_ID" in os.environ:
        Thread(target=_follow, args=(os.getppid(), ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        for number, handler in previous.items():
            signal.signal(number, handler)


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
