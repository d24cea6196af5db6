"""Calling a step in this process, and what is left of it: what it printed and its run."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts, load_dict
from pyspark import SparkContext

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest
    from mlflow.entities import Run


@dataclass(frozen=True)
class Called:
    """The exit code of a step, what it printed, and its run if it got as far as starting one."""

    code: int
    out: str
    err: str
    run: Run | None

    @property
    def run_id(self) -> str:
        """Id of the run."""
        assert self.run is not None, self.err
        return str(self.run.info.run_id)

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the run of a step that completed."""
        assert (self.code, self.run is not None) == (0, True), self.err
        assert self.run is not None
        assert self.run.info.status == "FINISHED"
        return dict(self.run.data.tags)

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of the run of a step that completed."""
        assert self.tags
        assert self.run is not None
        return dict(self.run.data.metrics)

    @property
    def parameters(self) -> dict[str, str]:
        """Parameters of the run."""
        assert self.run is not None, self.err
        return dict(self.run.data.params)

    @property
    def logged_data(self) -> dict[str, str]:
        """Digests of the data sets that the run shows as its inputs, by name."""
        assert self.run is not None, self.err
        assert self.run.inputs is not None
        return {
            shown.dataset.name: shown.dataset.digest for shown in self.run.inputs.dataset_inputs
        }

    @property
    def refusal(self) -> str:
        """The one line of an expected failure; no finished run came of it."""
        assert (self.code, self.out) == (1, ""), (self.out, self.err)
        head, _, line = self.err.rstrip("\n").rpartition("\n")
        assert line.startswith("Error: ")
        assert "Error" not in head
        assert "Traceback" not in head
        assert self.run is None or self.run.info.status == "FAILED"
        return line.removeprefix("Error: ")


@dataclass(frozen=True)
class Cycle:
    """A store in which 20 days were prepared, then 26, and two models fitted and compared."""

    folder: Path
    description: Path
    first_simulated: Called
    first_prepared: Called
    simulated: Called
    prepared: Called
    trained: Called
    tuned: Called
    tested: Called

    @property
    def raw(self) -> Path:
        """Folder of the 26 raw files."""
        return self.folder / "data" / "raw" / "fraud"

    @property
    def data_uri(self) -> str:
        """The prepared data set."""
        return self.prepared.tags["dataset_uri"]

    @property
    def cycle_id(self) -> str:
        """The cycle that everything but the first two runs belongs to."""
        return self.prepared.tags["cycle_id"]


Call = Callable[..., Called]


def invoke(entry_point: str, **parameters: object) -> Called:
    """Call the command of an entry point in this process; anything unexpected is raised."""
    module = importlib.import_module("chain" if entry_point == "main" else entry_point)
    words = [
        word
        for name, value in parameters.items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    before = {run.info.run_id for run in runs_of(entry_point)}
    done = CliRunner().invoke(getattr(module, entry_point), words, catch_exceptions=False)
    made = [run for run in runs_of(entry_point) if run.info.run_id not in before]
    assert len(made) < 2
    context = SparkContext._active_spark_context
    assert context is None or context._jsc.getPersistentRDDs().isEmpty(), "a frame stays cached"
    return Called(done.exit_code, done.stdout, done.stderr, made[0] if made else None)


def scores_of(called: Called) -> pd.DataFrame:
    """Scores that a run of ab_test kept."""
    return pd.read_parquet(download_artifacts(f"runs:/{called.run_id}/scores.parquet"))


def verdict_of(called: Called) -> dict[str, Any]:
    """Verdict that a run of ab_test wrote."""
    found: dict[str, Any] = load_dict(f"runs:/{called.run_id}/verdict.json")
    return found


def runs_of(step: str) -> list[Run]:
    """All runs of a step."""
    client = MlflowClient()
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments, f"tags.step = '{step}'"))


def use_store(patch: pytest.MonkeyPatch, database: Path) -> None:
    """Let every step write to this store, in its experiment `tests`."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        patch.delenv(name)
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    experiment = MlflowClient().get_experiment_by_name("tests")
    assert experiment is not None
    patch.setenv("MLFLOW_EXPERIMENT_ID", experiment.experiment_id)


@contextmanager
def copied(patch: pytest.MonkeyPatch, database: Path, name: str) -> Iterator[Path]:
    """A copy of a store, in use; beside the original, so that it has the same data."""
    copy = database.with_name(f"{name}.db")
    shutil.copy(database, copy)
    use_store(patch, copy)
    yield copy
    copy.unlink()
