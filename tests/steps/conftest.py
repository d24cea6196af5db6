"""One small cycle, made once, and what is needed to call a step on a copy of its store."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING

import pytest
import yaml
from mlflow import MlflowClient

from retraining.comparison import succession
from retraining.tracking import registry
from tests.hdfs import hdfs_by_default
from tests.small import small_description
from tests.steps.calling import Call, Cycle, copied, invoke, use_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mlflow.entities.model_registry import ModelVersion
    from pyspark.sql import SparkSession

PROCESS = {"customers": 300, "terminals": 500, "defects": 5}
FIRST_DAYS, MORE_DAYS = 20, 6
ALIASES = (registry.CHAMPION, registry.CHALLENGER, registry.PREVIOUS)


@pytest.fixture(scope="session")
def cycle(
    spark: SparkSession, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Cycle:
    """One cycle, read only: a test that runs a step asks for `store` too.

    Its paths have no scheme, so they are on this machine, although Hadoop's default is an HDFS.
    """
    folder = tmp_path_factory.mktemp("cycle")
    database = folder / "mlflow.db"
    shutil.copy(empty_store, database)
    client = MlflowClient(f"sqlite:///{database}", f"sqlite:///{database}")
    client.create_experiment("tests", artifact_location=(folder / "artifacts").as_uri())
    description = folder / "small.yaml"
    description.write_text(yaml.safe_dump(small_description(), sort_keys=False))
    with pytest.MonkeyPatch.context() as patch, hdfs_by_default(spark):
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
    for called in (
        made.first_simulated,
        made.first_prepared,
        made.simulated,
        made.prepared,
        made.trained,
        made.tuned,
        made.tested,
    ):
        assert called.tags
    return made


@pytest.fixture
def store(cycle: Cycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the cycle's store, in use."""
    with copied(monkeypatch, cycle.folder / "mlflow.db", tmp_path.name) as database:
        yield database


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


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The versions that the library asks of the registry; MLflow's own requests are left out."""
    asked: list[str] = []

    def listen(method: str) -> None:
        answer = getattr(MlflowClient, method)

        def listening(self: MlflowClient, name: str, which: str) -> ModelVersion:
            if str(sys._getframe(1).f_globals["__name__"]).startswith("retraining."):
                asked.append(f"{name} {which}")
            version: ModelVersion = answer(self, name, which)
            return version

        monkeypatch.setattr(MlflowClient, method, listening)

    listen("get_model_version")
    listen("get_model_version_by_alias")
    return asked


@pytest.fixture
def make_verdict(cycle: Cycle) -> Callable[..., str]:
    """Write the run of an ab_test by hand and return its id."""

    def make(
        verdict: str = "promote",
        *,
        age_days: float = 0,
        status: str = "FINISHED",
        binding: bool = True,
    ) -> str:
        client = MlflowClient()
        experiment = client.get_experiment_by_name("tests")
        assert experiment is not None
        carried = {
            "step": "ab_test",
            "pipeline_id": cycle.cycle_id,
            "input.champion": "models:/fraud/1",
            "input.challenger": "models:/fraud/2",
            "input.data": cycle.data_uri,
            "verdict": verdict,
            "verdict.binding": "true" if binding else "",
        }
        run = client.create_run(
            experiment.experiment_id, tags={k: v for k, v in carried.items() if v}
        )
        ended = int((time.time() - 86_400 * age_days) * 1000)
        if status != "RUNNING":
            client.set_terminated(run.info.run_id, status, end_time=ended)
        return str(run.info.run_id)

    return make


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no model score: what is looked at comes before or after."""
    monkeypatch.setattr(succession, "_try_scoring", lambda *_: None)
