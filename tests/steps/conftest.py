"""One small cycle, made once, and what is needed to call a step on a copy of its store."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts, load_dict

from retraining.tracking import registry
from retraining.tracking.inputs import DESCRIPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlflow.entities import Run
    from pyspark.sql import SparkSession

PROCESS = {"customers": 300, "terminals": 500, "defects": 5}
FIRST_DAYS, MORE_DAYS = 20, 6
ALIASES = (registry.CHAMPION, registry.CHALLENGER, registry.PREVIOUS)


class Called(NamedTuple):
    """What a step printed, and the run that it left if it came so far."""

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


class Cycle(NamedTuple):
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
    def pipeline_id(self) -> str:
        """The cycle that everything but the first two runs belongs to."""
        return self.prepared.tags["pipeline_id"]


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


def small_description() -> dict[str, Any]:
    """The description of the fraud data with windows for three weeks and small estimators."""
    mapping: dict[str, Any] = yaml.safe_load((DESCRIPTIONS / "fraud.yaml").read_text())
    mapping["label"]["delay"] = "2 days"
    for rolling in mapping["features"]["rolling"]:
        rolling["windows"] = ["1 day", "3 days"]
    mapping["features"]["rolling"][1]["delay"] = "2 days"
    mapping["features"]["fill"] = {f"terminal_id_tx_fraud_mean_{w}": 0.0 for w in ("1d", "3d")}
    mapping["split"] = {"by": "time", "train": "6 days", "gap": "2 days", "validation": "3 days"}
    mapping["split"]["holdout"] = "4 days"
    forest = {"numTrees": 5, "maxDepth": 4, "maxBins": 32}
    mapping["estimator"] = {"name": "RandomForestClassifier", "parameters": forest}
    mapping["search"]["trials"] = 2
    mapping["search"]["estimators"] = {
        "RandomForestClassifier": {"numTrees": {"choice": [5]}, "maxDepth": {"choice": [3, 5]}},
        "LogisticRegression": {"regParam": {"loguniform": [0.00001, 0.01]}},
    }
    return mapping


def use_store(patch: pytest.MonkeyPatch, database: Path) -> None:
    """Let every step write to this store, in its experiment `tests`."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        patch.delenv(name)
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    experiment = MlflowClient().get_experiment_by_name("tests")
    assert experiment is not None
    patch.setenv("MLFLOW_EXPERIMENT_ID", experiment.experiment_id)


@pytest.fixture(scope="session")
def cycle(
    spark: SparkSession, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Cycle:
    """One cycle, read only: a test that runs a step asks for `store` too."""
    folder = tmp_path_factory.mktemp("cycle")
    database = folder / "mlflow.db"
    shutil.copy(empty_store, database)
    client = MlflowClient(f"sqlite:///{database}", f"sqlite:///{database}")
    client.create_experiment("tests", artifact_location=(folder / "artifacts").as_uri())
    description = folder / "small.yaml"
    description.write_text(yaml.safe_dump(small_description(), sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        use_store(patch, database)
        made = Cycle(
            folder,
            description,
            invoke("simulate", days=FIRST_DAYS, **PROCESS),
            invoke("preprocess", dataset=description),
            invoke("simulate", more=MORE_DAYS, **PROCESS),
            invoke("preprocess", dataset=description),
            invoke("train"),
            invoke("tune"),
            invoke("ab_test"),
        )
    for called in made[2:]:
        assert isinstance(called, Called)
        assert called.tags
    return made


@pytest.fixture
def store(cycle: Cycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the cycle's store, in use; beside the original, so that it has the same data."""
    database = cycle.folder / f"{tmp_path.name}.db"
    shutil.copy(cycle.folder / "mlflow.db", database)
    use_store(monkeypatch, database)
    yield database
    database.unlink()


@pytest.fixture
def call() -> Call:
    """Call a step: `call("train", register="false")`."""
    return invoke


@pytest.fixture
def aliases() -> Callable[[], dict[str, str]]:
    """The version at each alias of a model that stands somewhere."""

    def read(name: str = "fraud") -> dict[str, str]:
        held = {alias: registry.holder(name, alias) for alias in ALIASES}
        return {alias: str(version.version) for alias, version in held.items() if version}

    return read


@pytest.fixture
def description(tmp_path: Path) -> Callable[..., Path]:
    """Write the cycle's description with other sections; keyword arguments replace them."""

    def write(**sections: object) -> Path:
        path = tmp_path / "other.yaml"
        path.write_text(yaml.safe_dump(small_description() | sections, sort_keys=False))
        return path

    return write
