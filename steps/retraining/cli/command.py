"""The command of a step: its run, its exit codes, its log lines, and how it ends at a signal.

Exit codes: 0 = the step completed, whatever the verdict; 1 = an expected failure, reported in one
line; 2 = usage; 128 and more = a signal, as 130 for Ctrl-C.

MLflow, Spark and the numerical libraries take seconds to import. To answer --help and mistakes at
once, a script imports at its top only what its options and its result need; the functions that do
the work import the rest. This module follows the same rule.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import time
import warnings
from contextlib import contextmanager, suppress
from functools import partial
from threading import Event, Thread, Timer
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from retraining.errors import RetrainingError
from retraining.progress import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from retraining.tracking.lineage import StepRun

# Thousands of modules are imported and leave nothing to collect, but at the default threshold the
# collector walks through them hundreds of times: a fifth of the time that imports take.
gc.set_threshold(50_000, 20, 20)

# Signals that ask a step to stop. SIGINT is Ctrl-C; SIGHUP comes when the terminal of the step, or
# the connection to it, closes.
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LIBRARY = logging.getLogger("retraining")
_TIME = "%Y-%m-%d %H:%M:%S"
_OPENED = "retraining.run_opened"  # in a context's meta: the run reports its failure itself


class TerminatedError(KeyboardInterrupt):
    """A signal asks to stop. A KeyboardInterrupt, at which MLflow cancels child projects too."""

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
        step, started = _step_of(ctx), time.monotonic()
        try:
            with _log_lines(step), _stopped_by_signals():
                try:
                    _refuse_yarn_container()
                    done = super().invoke(ctx)
                except KeyboardInterrupt:
                    _LIBRARY.info("interrupted")
                    raise
                _LIBRARY.info(f"finished in {duration(time.monotonic() - started)}")
                return done
        except KeyboardInterrupt as stop:
            number = stop.number if isinstance(stop, TerminatedError) else signal.SIGINT
            sys.exit(128 + number)
        except Exception as error:
            expected = _expected(error)
            if expected is None:
                raise
            if _OPENED not in ctx.meta and "MLFLOW_RUN_ID" in os.environ:
                from retraining.tracking import lineage

                lineage.report_failure(os.environ["MLFLOW_RUN_ID"], step, expected)
            raise click.ClickException(" ".join(str(expected).split())) from error


@contextmanager
def open_run(cycle_id: str | None, *, begins_cycle: bool = False) -> Iterator[StepRun]:
    """Open the run of the step that click has called, with the parameters that it was given.

    The result that is written on the run is printed once the run has ended.

    Args:
        cycle_id: The cycle that the caller named; None if the caller named none.
        begins_cycle: Whether the step starts a new cycle then; otherwise it joins the newest one.
    """
    from retraining.tracking import lineage

    context = click.get_current_context()
    step = _step_of(context)
    context.meta[_OPENED] = True
    with lineage.open_step(step, context.params, cycle_id, begins_cycle=begins_cycle) as run:
        yield run
    click.echo(f"{step}: {run.summary}")


def examples(docstring: str | None) -> str:
    """The commands that the docstring of a script shows, as the last part of its --help."""
    lines = (docstring or "").splitlines()
    commands = "\n".join(f"  {line.strip()}" for line in lines if line.startswith("    "))
    return f"\b\nExamples:\n{commands}"  # \b: click keeps the line breaks


def _refuse_yarn_container() -> None:
    """Refuse to be the driver there: without the project's folder, and where nobody reads why."""
    if "SPARK_YARN_STAGING_DIR" in os.environ:
        raise RetrainingError(
            "this step runs in a container of YARN (--deploy-mode cluster)",
            "submit it with --deploy-mode client: the driver needs the folder of the project",
        )


def _step_of(context: click.Context) -> str:
    """The entry point of MLproject: the name of the function, which click spells with hyphens."""
    return (context.command.name or "").replace("-", "_")


def _expected(error: Exception) -> RetrainingError | None:
    """What to report in place of an error; None if it is not an expected one."""
    if isinstance(error, RetrainingError):
        return error
    # Without MLflow, nothing has been asked of a server yet.
    if "mlflow" not in sys.modules and not isinstance(error, OSError):
        return None
    from retraining.tracking import faults

    return faults.fault(error)


class _Console(logging.Handler):
    """Writes to what is standard error at that moment, if anybody is left to read it."""

    def emit(self, record: logging.LogRecord) -> None:
        # A terminal that closes refuses what is written before its SIGHUP arrives, which decides.
        with suppress(OSError):
            tqdm.write(self.format(record), file=sys.stderr)  # above a bar, if there is one


def _matters(record: logging.LogRecord) -> bool:
    """Py4J logs each call that a JVM or a signal has broken off with a traceback; it raises too."""
    of_library = record.name.partition(".")[0] == _LIBRARY.name
    return of_library or (record.levelno >= logging.WARNING and "py4j" not in record.pathname)


@contextmanager
def _log_lines(step: str) -> Iterator[None]:
    """Show what the library reports, and of other libraries only what matters."""
    for name in ("mlflow", "alembic", "py4j", "hyperopt"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It warns, with every model, where there is no pip to be found: uv makes such environments.
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    # They log each refusal of the database with a traceback, each request that is sent again with
    # the objects that sent it, and raise what comes of it too.
    for name in ("mlflow.store.db.utils", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # PySpark says what Spark fails of with all of Java's trace, and raises it too.
    warnings.filterwarnings("ignore", "toPandas attempted Arrow optimization", UserWarning)
    # MLflow's bars, one a file of a model, and links would drown the lines that steps print.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    console, level, root = _Console(), _LIBRARY.level, logging.getLogger()
    console.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s {step}: %(message)s", _TIME))
    console.addFilter(_matters)
    # On the root: a library that logs there while it has no handler gives it one of its own.
    root.addHandler(console)
    _LIBRARY.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(console)
        _LIBRARY.setLevel(level)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Raise at these signals, and when the `mlflow run` that started the step has ended."""
    # A signal that is ignored stays ignored: nohup lets a step outlive its terminal.
    heard = [s for s in _STOPS if signal.getsignal(s) != signal.SIG_IGN]
    previous = {number: signal.signal(number, _terminate) for number in heard}
    hook = sys.unraisablehook
    sys.unraisablehook = partial(_ask_again, hook)
    ended = Event()
    if "MLFLOW_RUN_ID" in os.environ:
        Thread(target=_follow, args=(os.getppid(), ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        sys.unraisablehook = hook
        for number, handler in previous.items():
            signal.signal(number, handler)


def _follow(parent: int, ended: Event) -> None:
    """Stop together with the `mlflow run` that started the step, which may be started again."""
    while not ended.wait(1):
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
            return


def _ask_again(
    otherwise: Callable[[sys.UnraisableHookArgs], object], unraisable: sys.UnraisableHookArgs
) -> None:
    """Send a signal again that came while an object was finalised, where what is raised is lost."""
    stop, number = unraisable.exc_value, signal.SIGINT
    if not isinstance(stop, KeyboardInterrupt):
        otherwise(unraisable)
        return
    if isinstance(stop, TerminatedError):
        number = signal.Signals(stop.number)
        signal.signal(number, _terminate)
    # Soon, since what this function raises is lost, too.
    again = Timer(0.1, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()


def _terminate(number: int, _frame: FrameType | None) -> None:
    for other in _STOPS:
        signal.signal(other, signal.SIG_IGN)  # a second signal must not interrupt the cleaning up
    raise TerminatedError(number)
