"""The command line of a step: values, exit codes, and one line about what went wrong."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click
import mlflow
import pytest
from click.testing import CliRunner

from retraining.cli import options
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from click.testing import Result

LIMIT = options.option("--limit", "A number.", type=options.Optional(click.IntRange(1, 9)))


def call(
    *arguments: str,
    decorators: Sequence[Callable[..., Any]] = (),
    body: Callable[[dict[str, object]], None] = lambda given: None,
) -> tuple[Result, dict[str, object]]:
    """Invoke a step that has some options; return what click said and what the step was given."""
    seen: dict[str, object] = {}

    def step(**given: object) -> None:
        seen.update(given)
        body(given)

    for decorator in decorators:
        step = decorator(step)
    command = click.command(cls=options.StepCommand)(step)
    return CliRunner().invoke(command, arguments), seen


@pytest.mark.parametrize(
    ("arguments", "expected"), [([], None), (["--limit", ""], None), (["--limit", "3"], 3)]
)
def test_optional_value(arguments: list[str], expected: int | None) -> None:
    result, given = call(*arguments, decorators=[LIMIT])

    assert result.exit_code == 0
    assert given == {"limit": expected}


@pytest.mark.parametrize("value", ["three", "3.5", "0", "10"])
def test_wrong_number_is_a_usage_error(value: str) -> None:
    result, given = call("--limit", value, decorators=[LIMIT])

    assert result.exit_code == 2
    assert value in result.stderr
    assert given == {}


@pytest.mark.parametrize("arguments", [["--limits", "3"], ["extra"]])
def test_unknown_parameter_is_a_usage_error(arguments: list[str]) -> None:
    result, given = call(*arguments, decorators=[LIMIT])

    assert result.exit_code == 2
    assert given == {}


@pytest.mark.parametrize("value", ["a/b", "a:b", "it's", '"', "x%", "\n"])
def test_name_that_mlflow_cannot_look_up_is_a_usage_error(value: str) -> None:
    for flag, decorator in (
        ("--model-name", options.model_name),
        ("--pipeline-id", options.pipeline_id),
    ):
        result, given = call(flag, value, decorators=[decorator])

        assert result.exit_code == 2
        assert "is no name: use letters" in result.stderr
        assert given == {}


@pytest.mark.parametrize("value", ["fraud", "fraud model v2.1", "20260131-235959-1a2b3c"])
def test_name_is_taken_as_it_is(value: str) -> None:
    _, given = call("--model-name", value, decorators=[options.model_name])

    assert given == {"model_name": value}


def test_shared_options_have_the_defaults_of_mlproject() -> None:
    decorators = [
        options.dataset,
        options.data,
        options.data_root,
        options.model_name,
        options.pipeline_id,
        options.seed,
        options.spark_master,
        options.register,
    ]
    _, given = call(decorators=decorators)

    told = {"dataset": "fraud", "seed": 7, "register": True}
    empty = ("data", "data_root", "model_name", "pipeline_id", "spark_master")
    assert given == told | dict.fromkeys(empty)


def test_help_shows_defaults_on_either_flag() -> None:
    for flag in ("-h", "--help"):
        result, _ = call(flag, decorators=[options.seed])

        assert result.exit_code == 0
        assert "[default: 7;" in result.stdout


def test_expected_failure_is_one_line() -> None:
    def fail(given: dict[str, object]) -> None:
        raise RetrainingError("train has 0 positives\nin 3 rows", "widen   the\twindow")

    result, _ = call(body=fail)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "Error: train has 0 positives in 3 rows: widen the window\n"


def test_unexpected_failure_keeps_its_traceback() -> None:
    def fail(given: dict[str, object]) -> None:
        raise ZeroDivisionError

    result, _ = call(body=fail)

    assert isinstance(result.exception, ZeroDivisionError)


def test_a_step_goes_on_when_the_terminal_that_it_tells_has_closed() -> None:
    shown, terminal = os.openpty()
    os.close(shown)
    told = "from retraining.cli.options import progress; progress('half done'); print('goes on')"
    done = subprocess.run(
        [sys.executable, "-c", told],
        env=os.environ | {"PYTHONPATH": str(options.ROOT / "steps")},
        stdout=subprocess.PIPE,
        stderr=terminal,
    )
    os.close(terminal)
    assert done.stdout == b"goes on\n"


def test_progress_goes_to_standard_error() -> None:
    result, _ = call(body=lambda given: options.progress("half done"))

    assert (result.stdout, result.stderr) == ("", "half done\n")


def test_step_quiets_libraries_and_gives_the_signal_handler_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    during: list[object] = []

    call(body=lambda given: during.append(signal.getsignal(signal.SIGTERM)))

    assert logging.getLogger("alembic").level == logging.WARNING
    assert signal.getsignal(signal.SIGTERM) == before
    assert during != [before]


SLEEPER = """
import sys
import time
import click
import mlflow
from retraining import lineage, options

end_run = mlflow.end_run

def end_slowly(status):
    click.echo("ending")
    time.sleep(2)
    end_run(status)

mlflow.end_run = end_slowly

@click.command(cls=options.StepCommand)
@click.argument("seconds", type=float)
def step(seconds):
    with lineage.open_step("sleep", {}) as run:
        click.echo(run.run_id)
        time.sleep(seconds)

step()
"""


@pytest.fixture
def sleeper(tracking: str, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a step that sleeps, and takes two seconds to end its run when it is stopped."""
    (tmp_path / "step.py").write_text(SLEEPER)
    started: list[subprocess.Popen[str]] = []

    def start(seconds: float, *, by: Sequence[str] = ()) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [
                "env",
                "--default-signal=HUP",
                *by,
                sys.executable,
                tmp_path / "step.py",
                str(seconds),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(options.ROOT / "steps"), "PYTHONUNBUFFERED": "1"},
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
    ],
)
def test_signal_ends_the_run_killed_and_so_the_process(
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
    process = sleeper(3, by=["nohup"])
    run_id = line_of(process)

    process.send_signal(signal.SIGHUP)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 0, errors
    assert mlflow.get_run(run_id).info.status == "FINISHED"
