"""A committed copy of the project, as a user clones it, and `mlflow run` in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlflow import MlflowClient

from retraining.tracking import reproduction
from tests.stack.process import SHORT_LIVED

if TYPE_CHECKING:
    from mlflow.entities import Run

ROOT = Path(__file__).resolve().parents[2]

Runner = Callable[..., str]
# Parameters that differ on purpose between chains that are compared.
_WHERE = {"pipeline_id", "data_root", "model_name", "spark_master"}


class FirstChain(NamedTuple):
    """A chain that later ones are compared with; each is known by its cycle.

    Attributes:
        project: A clone with tracking store and data.
        mlflow_run: Its runner.
        raw: Folder of the raw files that it and the chains compared with it read.
        more: Folder of the files of the days after.
        dataset: Its description.
        data_root: Where its data sets are.
        printed: What it printed.
    """

    project: Path
    mlflow_run: Runner
    raw: Path
    more: Path
    dataset: Path
    data_root: Path
    printed: str

    @staticmethod
    def parameters(name: str) -> dict[str, Any]:
        """What keeps a chain apart from others of the store: its cycle and its models."""
        return {"pipeline_id": name, "model_name": name}

    @property
    def client(self) -> MlflowClient:
        """Of the tracking store."""
        return MlflowClient(f"sqlite:///{self.project}/mlflow.db")

    def run(self, step: str, cycle_id: str = "first") -> Run:
        """The one run of a step in a chain."""
        wanted = f"tags.step = '{step}' and tags.cycle_id = '{cycle_id}'"
        (run,) = self.client.search_runs(["0"], wanted)
        return run

    def differences(self, step: str, cycle_id: str) -> list[reproduction.Difference]:
        """How a step of another chain differs, as `reproduce` compares them."""
        other = self.run(step, cycle_id)
        assert other.info.status == "FINISHED"
        found = reproduction.compare(self.run(step), other)
        return [d for d in found if d.kind != "parameter" or d.name not in _WHERE]


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=tester", "-c", "user.email=tester@localhost")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def clone(folder: Path) -> Path:
    """The working tree as it is now, committed in a repository of its own."""
    listed = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "as it is")
    return folder


def runner(project: Path) -> Runner:
    """Call `mlflow run . -e ENTRY_POINT -P ...` in a project and return what it printed.

    `variables` are more environment variables, and with `fails` it must end with an error.
    """

    def run(
        entry_point: str,
        *,
        fails: bool = False,
        variables: Mapping[str, str] | None = None,
        **parameters: str | int | Path,
    ) -> str:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        words = [word for name, value in parameters.items() for word in ("-P", f"{name}={value}")]
        done = subprocess.run(
            ["mlflow", "run", ".", "--env-manager", "local", "-e", entry_point, *words],
            cwd=project,
            env=environment | SHORT_LIVED | dict(variables or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    return run
