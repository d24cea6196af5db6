"""The command line of a step: values, exit codes, and one line about what went wrong."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import click
import mlflow
import pytest
from click.testing import CliRunner

from retraining import options
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
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


def test_sigterm_ends_the_run_killed_and_the_process_with_143(
    tracking: str, tmp_path: Path
) -> None:
    script = tmp_path / "step.py"
    script.write_text(
        textwrap.dedent("""
        import time
        import click
        from retraining import lineage, options

        @click.command(cls=options.StepCommand)
        def step(**parameters):
            with lineage.open_step("sleep", parameters) as run:
                click.echo(run.run_id)
                time.sleep(60)

        step()
        """)
    )
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(options.ROOT / "steps")},
        cwd=tmp_path,
    )
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()

    process.terminate()
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 143, errors
    assert "Traceback" not in errors
    assert mlflow.get_run(run_id).info.status == "KILLED"
