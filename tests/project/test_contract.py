"""MLproject, the scripts and the documents agree."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, get_args

import click
import pytest
from mlflow.projects.utils import load_project

import ab_test
from retraining.gate.policy import Strategy
from retraining.gate.strategies import UNSOUND
from retraining.statistics import metrics
from tests.prose import ENTRY_POINTS, ROOT, command_of, help_of, script_of

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [ROOT / "README.md", ROOT / "terraform/README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SCRIPTS = sorted(path.stem for path in (ROOT / "steps").glob("*.py"))
DOCSTRINGS = {
    name: (importlib.import_module(script_of(name)).__doc__ or "").splitlines()
    for name in ENTRY_POINTS
}


def test_every_script_is_an_entry_point_and_every_entry_point_a_script() -> None:
    assert sorted(map(script_of, ENTRY_POINTS)) == SCRIPTS


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_parameters_and_defaults_equal_those_of_the_command(entry_point: str) -> None:
    project = load_project(str(ROOT))  # type: ignore[no-untyped-call]
    stated = project.get_entry_point(entry_point).parameters
    options = {option.name: str(option.default) for option in command_of(entry_point).params}
    assert {name: parameter.default for name, parameter in stated.items()} == options


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_the_command_line_hands_over_every_parameter_unquoted(entry_point: str) -> None:
    words = ENTRY_POINTS[entry_point]["command"].split()
    options = [(option.opts[0], f"{{{option.name}}}") for option in command_of(entry_point).params]
    assert words[:2] == ["python", f"steps/{script_of(entry_point)}.py"]
    assert list(zip(words[2::2], words[3::2], strict=True)) == options


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_every_option_has_a_flag_that_takes_a_value_and_a_help_text(entry_point: str) -> None:
    for option in command_of(entry_point).params:
        assert isinstance(option, click.Option)
        assert option.help, option.name
        assert not option.is_flag, f"{option.name}: MLproject cannot leave a flag out"
        assert option.opts[0] == "--" + str(option.name).replace("_", "-")


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_command_has_one_typed_parameter_for_every_option(entry_point: str) -> None:
    command = command_of(entry_point)
    assert command.callback is not None
    taken = inspect.signature(command.callback).parameters
    assert list(taken) == [option.name for option in command.params]
    for parameter in taken.values():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert parameter.annotation is not inspect.Parameter.empty


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_help_shows_choices_ranges_examples_and_no_empty_default(entry_point: str) -> None:
    command = command_of(entry_point)
    shown = " ".join(help_of(entry_point).split())
    for option in command.params:
        if isinstance(option.type, click.Choice):
            assert f"{option.opts[0]} [{'|'.join(option.type.choices)}]" in shown
        if isinstance(option.type, click.IntRange | click.FloatRange):
            assert re.search(rf"{option.opts[0]} [A-Z ]+RANGE [^]]*\[[^]]*x[<>]", shown), (
                option.name
            )
    assert 'default: ""' not in shown
    examples = [line.strip() for line in DOCSTRINGS[entry_point] if line.startswith("    ")]
    assert len(examples) > 1
    assert shown.endswith(" ".join(["Examples:", *examples]))


def test_ab_test_offers_every_metric_and_strategy_and_marks_what_is_unsound() -> None:
    assert set(ab_test.METRICS) == set(metrics.METRICS)
    assert set(ab_test.STRATEGIES) == set(get_args(Strategy))
    assert set(ab_test.UNSOUND) == UNSOUND


# Each takes a tenth of a second or more to import.
HEAVY = {"mlflow", "pyspark", "pandas", "numpy", "scipy", "numba", "hyperopt", "matplotlib"}
HEAVY |= {"pydantic", "requests", "sklearn", "sqlalchemy"}
LOADED = """
import atexit, runpy, sys
atexit.register(lambda: print("loaded:", *{name.split(".")[0] for name in sys.modules}))
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_script(script: str, *arguments: str, cwd: Path) -> tuple[int, str, str, set[str]]:
    """Exit code and output of a script in a fresh process, and the packages that it imported."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOADED, ROOT / f"steps/{script}.py", *arguments],
        cwd=cwd,
        env={k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        | {"JAVA_HOME": "/nowhere"},
        capture_output=True,
        text=True,
    )
    output, _, loaded = done.stdout.rpartition("loaded:")
    return done.returncode, output, done.stderr, set(loaded.split())


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_works_from_anywhere_without_warnings_and_imports_nothing_heavy(
    script: str, tmp_path: Path
) -> None:
    code, output, errors, loaded = run_script(script, "--help", cwd=tmp_path)

    assert code == 0, errors
    assert output.startswith("Usage: ")
    assert "click" in loaded
    assert not loaded & HEAVY
    assert not list(tmp_path.iterdir())


def test_options_that_exclude_each_other_are_refused_before_anything_is_imported(
    tmp_path: Path,
) -> None:
    code, _, errors, loaded = run_script("ab_test", "--scores", "x", "--data", "y", cwd=tmp_path)

    assert code == 2
    assert "Error: Invalid value for scores: cannot be combined with data" in errors
    assert not loaded & HEAVY


@pytest.mark.parametrize("script", ["preprocess", "train", "tune", "chain"])
def test_mistake_in_a_description_is_reported_before_mlflow_and_spark_are_imported(
    script: str, tmp_path: Path
) -> None:
    fraud = (ROOT / "steps/datasets/fraud.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(f"{fraud}\nholdouts: 3\n")
    code, output, errors, loaded = run_script(script, "--dataset", "mine.yaml", cwd=tmp_path)

    assert (code, output) == (1, "")
    (line,) = errors.splitlines()
    assert line.startswith("Error: ")
    assert "holdouts" in line
    assert "pydantic" in loaded
    assert not loaded & {"mlflow", "pyspark", "pandas", "hyperopt", "requests", "sqlalchemy"}
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


@pytest.mark.parametrize(
    ("arguments", "code", "phrase"),
    [
        (["train.py", "--sede", "3"], 2, "No such option"),
        (["train.py", "--seed", "three"], 2, "'three' is not a valid integer"),
        (["ab_test.py", "--alpha", "1.5"], 2, "1.5 is not in the range"),
        (["promote.py", "--action", "demote"], 2, "'demote' is not one of"),
        (["reproduce.py"], 2, "run_id"),
        (["train.py"], 1, "no finished preprocess run"),
        (["tune.py", "--trials", "9" * 40], 2, "is not in the range 1<=x<=2147483647"),
        (["preprocess.py", "--dataset", "nosuch"], 1, "no data set description 'nosuch'"),
        (["preprocess.py", "--dataset", "x" * 300], 1, "File name too long: give a shorter path"),
        (["promote.py", "--verdict-run", "0" * 32], 1, "verdict_run='000"),
        (["predict.py", "--model", "models:/nosuch/1", "--input", "x"], 1, "has no models:/nosuch"),
    ],
)
def test_misuse_is_reported_in_one_line(
    arguments: list[str], code: int, phrase: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "steps" / arguments[0], *arguments[1:]],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    assert phrase in lines[0]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("environment", "arguments"),
    [
        ({"JAVA_HOME": "/nowhere"}, []),
        ({"SPARK_HOME": "/nowhere"}, []),
        ({}, ["--spark-master", "locl[2]"]),
        ({}, ["--spark-master", "local[99999999999]"]),
    ],
)
def test_spark_that_does_not_start_is_reported_in_one_line(
    environment: dict[str, str], arguments: list[str], tmp_path: Path
) -> None:
    raw = tmp_path / "raw.parquet"
    done = subprocess.run(
        [sys.executable, ROOT / "steps" / "preprocess.py", "--input", raw, *arguments],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    assert lines[0].startswith("Error: Spark does not start with master")
    assert "Traceback" not in done.stderr


def test_readme_names_every_entry_point() -> None:
    readme = (ROOT / "README.md").read_text()
    for entry_point in ENTRY_POINTS:
        assert f"`{entry_point}`" in readme


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_exist_and_its_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for named in re.findall(r"mlflow run \S+ (?:--env-manager \w+ )?-e ([a-z_]+)", text):
        assert named in ENTRY_POINTS
    for named, parameters in re.findall(r"-e ([a-z_]+)((?:\s-P \w+=\S+)+)", text):
        known = ENTRY_POINTS[named]["parameters"]
        assert set(re.findall(r"-P (\w+)=", parameters)) <= set(known)
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / link).exists(), link
    for script in re.findall(r"`python ([a-z0-9_/]+\.py)", text):
        assert (ROOT / script).is_file() or (page.parent / script).is_file(), script


def test_readme_states_the_two_commands_that_ci_runs() -> None:
    commands = re.findall(r"^    \$ (.+)$", (ROOT / "README.md").read_text(), re.MULTILINE)[:2]
    assert "mlflow run . --env-manager uv" in commands[0]
    assert commands[1] == "tests/run"
