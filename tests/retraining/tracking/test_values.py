"""Values that are longer than MLflow keeps, and results of more than one page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import mlflow
import pytest
from mlflow import MlflowClient

from retraining.tracking import children, lineage, pages, registry, reproduction, runs, tags, values

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow.entities.model_registry import ModelVersion

pytestmark = pytest.mark.usefixtures("tracking")

LONG = ",".join(f"/raw/it's day {day}.csv" for day in range(1000))


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MLflow refuse what it would cut."""
    monkeypatch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "false")
    monkeypatch.setattr(lineage, "_environment", lambda: "mlflow==3\n")


def test_long_parameters_inputs_pins_and_notes_are_kept_whole(tmp_path: object) -> None:
    with lineage.open_step("preprocess", {"input": LONG, "seed": 7}) as run:
        run.use("input", LONG)
        run.pin(input=LONG, days="2")
    made = mlflow.get_run(run.run_id)

    assert values.read_parameters(made, ["input", "seed"]) == {"input": LONG, "seed": "7"}
    assert values.read_tag(made, "input.input") == LONG
    assert values.read_json(made, tags.PINNED) == {"input": LONG, "days": "2"}
    assert reproduction.compare(made, made) == []
    for name in ("input.input", tags.PINNED, "mlflow.note.content"):
        assert len(made.data.tags[name]) <= 8000
        assert f"[... whole in the artifact tags/{name}.txt ...]" in made.data.tags[name]
    note = made.data.tags["mlflow.note.content"]
    assert note.startswith("**preprocess**")
    assert "day 999.csv" in note


def test_parameters_that_mlflow_run_has_cut_are_kept_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = MlflowClient()
    experiment = client.get_experiment_by_name("tests")
    assert experiment is not None
    run_id = client.create_run(experiment.experiment_id).info.run_id
    client.log_param(run_id, "input", f"'{LONG}'"[:6000])
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    with lineage.open_step("preprocess", {"input": LONG}):
        pass

    assert values.read_parameters(client.get_run(run_id), ["input"]) == {"input": LONG}


def test_searches_read_every_page(
    register: Callable[[], ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "SIZE", 2)
    client = MlflowClient()
    for _ in range(5):
        registry.tag(register(), {"kind": "any"})
    elsewhere = [client.create_experiment(f"e{number}") for number in range(5)]
    with mlflow.start_run() as parent:
        for _ in range(5):
            with mlflow.start_run(nested=True):
                pass
    for experiment in elsewhere:
        told = {tags.STEP: "main", tags.CYCLE_ID: "p1", "x": json.dumps(experiment)}
        client.create_run(experiment, tags=told)

    assert [int(v.version) for v in registry.versions_of("people")] == [1, 2, 3, 4, 5]
    assert len(registry.versions_of("people", {"kind": "any"})) == 5
    assert len(children.children(parent.info.run_id)) == 5
    assert {run.info.experiment_id for run in runs.chains("p1")} == set(elsewhere)
