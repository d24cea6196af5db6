"""The command line of a step: values, exit codes, and one line about what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from retraining.cli import options
from retraining.cli.command import StepCommand, examples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from click.testing import Result

LIMIT = options.option("--limit", "A number.", type=click.IntRange(1, 9))


def call(
    *arguments: str,
    decorators: Sequence[Callable[..., Any]] = (),
) -> tuple[Result, dict[str, object]]:
    """Invoke a step that has some options; return what click said and what the step was given."""
    seen: dict[str, object] = {}

    def step(**given: object) -> None:
        seen.update(given)

    for decorator in decorators:
        step = decorator(step)
    command = click.command(cls=StepCommand)(step)
    return CliRunner().invoke(command, arguments), seen


@pytest.mark.parametrize(
    ("arguments", "expected"), [([], None), (["--limit", ""], None), (["--limit", "3"], 3)]
)
def test_value_that_may_be_left_out(arguments: list[str], expected: int | None) -> None:
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
        assert repr(value) in result.stderr.replace("\\\\", "\\")
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


def test_empty_value_is_wrong_for_an_option_that_has_a_default() -> None:
    result, given = call("--seed", "", decorators=[options.seed])

    assert result.exit_code == 2
    assert given == {}


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_shows_defaults_ranges_and_choices(flag: str) -> None:
    color = options.option("--color", "A color.", type=click.Choice(["red", "blue"]))
    result, _ = call(flag, decorators=[options.seed, LIMIT, color])

    assert result.exit_code == 0
    shown = " ".join(result.stdout.split())
    assert "[default: 7; 0<=x<=2147483647]" in shown
    assert "[1<=x<=9]" in shown
    assert "--color [red|blue]" in shown


def test_help_ends_with_the_commands_of_a_docstring() -> None:
    docstring = "Do it.\n\n    mlflow run . -e step\n    python steps/step.py --limit 3\n"
    command = click.command(cls=StepCommand, epilog=examples(docstring))(lambda: None)
    shown = CliRunner().invoke(command, ["--help"]).stdout

    assert shown.endswith("mlflow run . -e step\n    python steps/step.py --limit 3\n")
