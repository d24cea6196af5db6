"""How a step reports what goes on and what goes wrong, and how it ends at a signal."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import click
import mlflow
import pytest
from click.testing import CliRunner

from retraining.cli.command import StepCommand
from retraining.errors import RetrainingError
from retraining.tracking.checkout import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from click.testing import Result


def call(body: Callable[[], object]) -> Result:
    """Invoke a step that does this."""
    return CliRunner().invoke(click.command("step", cls=StepCommand)(body), [])


def test_expected_failure_is_one_line() -> None:
    def fail() -> None:
        raise RetrainingError("train has 0 positives\nin 3 rows", "widen   the\twindow")

    result = call(fail)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "Error: train has 0 positives in 3 rows: widen the window\n"


def test_a_step_is_not_the_driver_in_a_container_of_yarn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "SPARK_YARN_STAGING_DIR", "hdfs://cluster/user/me/.sparkStaging/application_1"
    )
    done: list[None] = []

    result = call(lambda: done.append(None))

    assert (result.exit_code, done) == (1, [])
    assert "--deploy-mode cluster" in result.stderr
    assert "submit it with --deploy-mode client" in result.stderr


def test_unexpected_failure_keeps_its_traceback() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    result = call(fail)

    assert isinstance(result.exception, ZeroDivisionError)


def test_a_step_goes_on_when_the_terminal_that_it_writes_to_has_closed() -> None:
    shown, terminal = os.openpty()
    os.close(shown)
    code = (
        "import click, logging; from retraining.cli.command import StepCommand\n"
        "@click.command(cls=StepCommand)\n"
        "def step(): logging.getLogger('retraining.x').info('half done'); print('goes on')\n"
        "step()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT / "steps")},
        stdout=subprocess.PIPE,
        stderr=terminal,
    )
    os.close(terminal)
    assert done.stdout == b"goes on\n"


def test_progress_goes_to_standard_error() -> None:
    log = logging.getLogger("retraining.anywhere")
    result = call(lambda: log.info("half done"))

    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert [line.split(" ", 2)[2] for line in lines[:1]] == ["INFO step: half done"]
    assert re.fullmatch(r"[\d-]+ [\d:]+ INFO step: finished in 0\.\d s", lines[1])


def test_what_py4j_logs_of_a_broken_call_is_not_shown_nor_are_lines_doubled() -> None:
    """It logs on the root logger, to which Python gives a handler if there is none."""
    code = (
        "import click, logging; from retraining.cli.command import StepCommand\n"
        "from py4j import clientserver\n"
        "calls = 'logging.exception(1); clientserver.logger.error(2)'\n"
        "@click.command(cls=StepCommand)\n"
        "def step():\n"
        "    exec(compile(calls, 'py4j/x.py', 'exec'))\n"
        "    logging.getLogger('other').warning('beware')\n"
        "    raise KeyboardInterrupt\n"
        "step()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT / "steps")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 130
    shown = [line.split(" ", 2)[2] for line in done.stderr.splitlines()]
    assert shown == ["WARNING step: beware", "INFO step: interrupted"]


def test_step_quiets_libraries_and_gives_the_signal_handler_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    during: list[object] = []

    call(lambda: during.append(signal.getsignal(signal.SIGTERM)))

    assert logging.getLogger("alembic").level == logging.WARNING
    assert signal.getsignal(signal.SIGTERM) == before
    assert during != [before]


SLEEPER = """
import sys
import time
import click
import mlflow
from retraining.cli.command import StepCommand
from retraining.tracking import lineage

end_run = mlflow.end_run

def end_slowly(status):
    click.echo("ending")
    time.sleep(2)
    end_run(status)

mlflow.end_run = end_slowly

class Slow:
    def __init__(self, seconds):
        self.seconds = seconds

    def __del__(self):
        time.sleep(self.seconds)

@click.command(cls=StepCommand)
@click.argument("seconds", type=float)
@click.argument("finalised", type=float)
def step(seconds, finalised):
    with lineage.open_step("sleep", {}) as run:
        click.echo(run.run_id)
        Slow(finalised)
        time.sleep(seconds)

step()
"""


@pytest.fixture
def sleeper(tracking: str, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a step that sleeps, and takes two seconds to end its run when it is stopped."""
    (tmp_path / "step.py").write_text(SLEEPER)
    started: list[subprocess.Popen[str]] = []

    def start(
        seconds: float, *, finalised: float = 0, by: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [
                "env",
                "--default-signal=HUP,INT",
                *by,
                sys.executable,
                tmp_path / "step.py",
                str(seconds),
                str(finalised),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT / "steps"), "PYTHONUNBUFFERED": "1"},
            cwd=tmp_path,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (signal.SIGTERM, None),
        (signal.SIGHUP, None),
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGHUP, signal.SIGTERM),
        (signal.SIGINT, None),
        (signal.SIGINT, signal.SIGINT),
    ],
)
def test_signal_ends_the_run_as_killed_and_the_process(
    sleeper: Callable[..., subprocess.Popen[str]],
    first: signal.Signals,
    second: signal.Signals | None,
) -> None:
    process = sleeper(60)
    run_id = line_of(process)

    process.send_signal(first)
    assert line_of(process) == "ending"
    if second:
        process.send_signal(second)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 128 + first, errors
    assert "Traceback" not in errors
    assert errors.rstrip().endswith(": interrupted")
    assert mlflow.get_run(run_id).info.status == "KILLED"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_that_comes_while_an_object_is_finalised_is_not_lost(
    sleeper: Callable[..., subprocess.Popen[str]], number: signal.Signals, code: int
) -> None:
    """Python drops what is raised there; the objects of Spark ML ask their JVM to forget them."""
    process = sleeper(60, finalised=60)
    run_id = line_of(process)
    time.sleep(1)

    process.send_signal(number)
    assert line_of(process) == "ending"
    _, errors = process.communicate(timeout=30)

    assert process.returncode == code, errors
    assert mlflow.get_run(run_id).info.status == "KILLED"


def test_step_ends_with_the_mlflow_run_that_started_it(
    sleeper: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = mlflow.MlflowClient()
    run_id = client.create_run(os.environ["MLFLOW_EXPERIMENT_ID"]).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    caller = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    process = sleeper(60, by=[sys.executable, "-c", caller])
    assert line_of(process) == run_id

    process.kill()

    assert line_of(process) == "ending"
    process.communicate(timeout=30)  # its output ends when the step does
    assert client.get_run(run_id).info.status == "KILLED"


def test_step_under_nohup_outlives_its_terminal(
    sleeper: Callable[..., subprocess.Popen[str]],
) -> None:
    process = sleeper(10, by=["nohup"])
    run_id = line_of(process)

    assert process.poll() is None
    process.send_signal(signal.SIGHUP)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 0, errors
    assert mlflow.get_run(run_id).info.status == "FINISHED"
