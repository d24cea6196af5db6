"""Steps as child runs of a tiny project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from retraining.errors import RetrainingError
from retraining.tracking import children
from retraining.tracking.checkout import ROOT

pytestmark = pytest.mark.usefixtures("tracking")

MLPROJECT = """
name: tiny
entry_points:
  look:
    parameters: {out: {type: string, default: ""}, note: {type: string, default: ""}}
    command: python look.py {out} {note}
  exit:
    command: python -c "raise SystemExit(3)"
  fail:
    parameters: {pipeline_id: {type: string, default: ""}}
    command: python fail.py --pipeline-id {pipeline_id}
  refuse:
    command: python refuse.py
  wait:
    parameters: {pipeline_id: {type: string, default: ""}}
    command: python wait.py --pipeline-id {pipeline_id}
"""
LOOK = """
import json, os, sys
seen = {"run_id": os.environ["MLFLOW_RUN_ID"], "python": sys.executable, "note": sys.argv[2]}
seen["store"] = os.environ["MLFLOW_TRACKING_URI"]
open(sys.argv[1], "w").write(json.dumps(seen))
"""
FAIL = """
import click
from retraining.cli import options
from retraining.cli.command import StepCommand, open_run
from retraining.errors import RetrainingError

@click.command(cls=StepCommand)
@options.pipeline_id
def fail(pipeline_id):
    with open_run(pipeline_id):
        raise RetrainingError("there are 3 rows", "give more")

fail()
"""
REFUSE = """
import click
from retraining.cli.command import StepCommand
from retraining.errors import RetrainingError

@click.command(cls=StepCommand)
def refuse():
    raise RetrainingError("columns.age: no such type", "use double")

refuse()
"""
WAIT = """
import time
import click
from retraining.cli import options
from retraining.cli.command import StepCommand, open_run

@click.command(cls=StepCommand)
@options.pipeline_id
def wait(pipeline_id):
    with open_run(pipeline_id):
        print("waiting", flush=True)
        time.sleep(60)

wait()
"""
CHAIN = """
import sys
import click
from retraining.cli.command import StepCommand
from retraining.tracking import children, lineage

@click.command(cls=StepCommand)
def chain(**parameters):
    with lineage.open_step("chain", parameters) as run:
        print(run.run_id, flush=True)
        children.run(sys.path[0], "wait", {"pipeline_id": run.cycle_id})

chain()
"""
FILES = {
    "MLproject": MLPROJECT,
    "look.py": LOOK,
    "fail.py": FAIL,
    "refuse.py": REFUSE,
    "wait.py": WAIT,
    "chain.py": CHAIN,
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A project with steps that look around, exit, fail and wait, and a chain that waits."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "steps"))
    return str(tmp_path)


def test_step_is_a_finished_child_run_by_this_python(
    project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    out = tmp_path / "out file.json"
    with mlflow.start_run() as parent:
        child = children.run(project, "look", {"out": str(out), "note": "it's $HOME"})

    assert os.environ["PATH"] == "/usr/bin:/bin"
    assert child.info.status == "FINISHED"
    assert child.info.experiment_id == parent.info.experiment_id
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    seen = mlflow.artifacts.load_dict(out.as_uri())
    assert seen["run_id"] == child.info.run_id
    assert Path(seen["python"]).parent == Path(sys.executable).parent
    assert seen["note"] == "it's $HOME"
    assert [run.info.run_id for run in children.children(parent.info.run_id)] == [child.info.run_id]


def test_step_in_another_folder_is_told_the_whole_path_of_the_store(
    project: str, empty_store: Path, tmp_path: Path
) -> None:
    here, out = tmp_path / "here", tmp_path / "out.json"
    here.mkdir()
    shutil.copy(empty_store, here / "mlflow.db")
    code = (
        "import mlflow; from retraining.tracking import children\n"
        f"with mlflow.start_run(): children.run({project!r}, 'look', {{'out': {str(out)!r}}})"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=here,
        env=os.environ
        | {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db", "MLFLOW_EXPERIMENT_ID": "0"},
        check=True,
    )
    assert mlflow.artifacts.load_dict(out.as_uri())["store"] == f"sqlite:///{here}/mlflow.db"


def test_failed_step_says_why(project: str) -> None:
    """The first failure is another child's: it must not be told."""
    path = os.environ["PATH"]
    with mlflow.start_run() as parent:
        with pytest.raises(RetrainingError, match=r"^step exit failed: it gave no reason: "):
            children.run(project, "exit", {})
        with pytest.raises(RetrainingError, match=r"^step fail failed: there are 3 rows: give"):
            children.run(project, "fail", {})

    assert os.environ["PATH"] == path
    first, second = children.children(parent.info.run_id)
    assert (first.info.status, second.info.status) == ("FAILED", "FAILED")
    assert second.data.tags["failure"] == "there are 3 rows: give more"


def test_step_that_fails_before_it_opens_its_run_says_why(project: str) -> None:
    refused = pytest.raises(RetrainingError, match=r"^step refuse failed: columns\.age: no such")
    with mlflow.start_run() as parent, refused:
        children.run(project, "refuse", {})

    (child,) = children.children(parent.info.run_id)
    assert child.info.status == "FAILED"
    assert child.data.tags["step"] == "refuse"
    assert child.data.tags["failure"] == "columns.age: no such type: use double"
    assert "columns.age: no such type" in child.data.tags["mlflow.note.content"]


def test_failed_step_without_a_parent(project: str) -> None:
    with pytest.raises(RetrainingError, match=r"^step exit failed: Run \(ID '\w+'\) failed$"):
        children.run(project, "exit", {})


def test_step_that_the_project_lacks(project: str) -> None:
    with mlflow.start_run(), pytest.raises(RetrainingError, match=r"^step jump failed: "):
        children.run(project, "jump", {})


def test_sigterm_reaches_the_step_that_a_chain_waits_for(project: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "chain.py"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    assert process.stdout.readline() == "waiting\n"

    process.terminate()
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 143, errors
    assert mlflow.get_run(run_id).info.status == "KILLED"
    assert [child.info.status for child in children.children(run_id)] == ["KILLED"]


def test_children_of_a_run_without_any() -> None:
    with mlflow.start_run() as parent:
        pass

    assert children.children(parent.info.run_id) == []
