"""What can be repeated, and what is said of the repetition."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import load_text

from retraining.tracking import children, reproduction
from retraining.tracking.checkout import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow.entities import Run

    from tests.steps.calling import Call

    Record = Callable[..., str]

pytestmark = pytest.mark.usefixtures("tracking")

COMMITTED = {
    "mlflow.project.entryPoint": "simulate",
    "step": "simulate",
    "cycle_id": "p1",
    "code.dirty": "false",
    "mlflow.source.git.commit": "0123456789abcdef0123456789abcdef01234567",
    "pinned": '{"days": "2"}',
    "fingerprint.files": "abc",
}


@pytest.fixture
def record() -> Record:
    """Record the run of a step; keyword arguments replace tags, None leaves one out."""

    def make(status: str = "FINISHED", metrics: float = 5.0, **tags: str | None) -> str:
        replaced = {name.replace("__", "."): value for name, value in tags.items()}
        kept = {name: value for name, value in (COMMITTED | replaced).items() if value is not None}
        client = MlflowClient()
        experiment = client.get_experiment_by_name("tests")
        assert experiment is not None
        run = client.create_run(experiment.experiment_id, tags=kept)
        client.log_param(run.info.run_id, "seed", "7")
        client.log_param(run.info.run_id, "days", "77")
        client.log_metric(run.info.run_id, "rows", metrics)
        client.log_text(run.info.run_id, "", "environment.txt")  # every step logs files
        if status != "RUNNING":
            client.set_terminated(run.info.run_id, status)
        return str(run.info.run_id)

    return make


@pytest.fixture
def repeated(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, str]]]:
    """Let a repetition make what `record` made, without a checkout; note what it was told."""
    told = []

    def run(_uri: str, step: str, parameters: Mapping[str, str], **_: object) -> Run:
        told.append((step, dict(parameters)))
        with mlflow.start_run(nested=True) as child:
            mlflow.set_tags({"step": step, "fingerprint.files": "abc"})
            mlflow.log_params({"seed": "7", "days": "2"})
            mlflow.log_metric("rows", 5.0)
        return MlflowClient().get_run(child.info.run_id)

    def check_out(_commit: str, folder: str) -> None:
        for name in ("MLproject", "conda.yaml"):
            shutil.copy(ROOT / name, folder)

    monkeypatch.setattr(children, "run", run)
    monkeypatch.setattr(reproduction, "_check_out", check_out)
    return told


def test_same_results_are_identical(
    call: Call, record: Record, repeated: list[tuple[str, dict[str, str]]]
) -> None:
    run_id = record()
    made = call("reproduce", run_id=run_id)

    assert made.out == f"reproduce: identical: simulate of run {run_id}\n"
    assert f"simulate {run_id}: identical" in made.err
    assert made.tags["result.comparison"] == "identical"
    ((step, told),) = repeated
    assert (step, told["seed"], told["days"]) == ("simulate", "7", "2")
    assert told["pipeline_id"].startswith(f"reproduce-{run_id[:8]}-")
    assert made.tags["input.run"] == run_id
    assert json.loads(load_text(f"runs:/{made.run_id}/comparison.json")) == []
    assert f"-P run_id={made.run_id}" in made.tags["mlflow.note.content"]
    ((again,),) = [
        MlflowClient().search_runs([made.run.info.experiment_id], f"tags.reproduces = '{run_id}'")
        for made in [made]
        if made.run
    ]
    assert again.data.tags["result.comparison"] == "identical"
    assert again.data.tags["mlflow.parentRunId"] == made.run_id


def test_differences_are_shown_in_a_table(
    call: Call, record: Record, repeated: list[tuple[str, dict[str, str]]]
) -> None:
    run_id = record(metrics=6.0, fingerprint__files="xyz")
    made = call("reproduce", run_id=run_id)

    assert repeated
    assert made.out.splitlines() == [
        "simulate: tag fingerprint.files: xyz -> abc",
        "simulate: metric rows: 6.0 -> 5.0",
        f"reproduce: 2 differences: simulate of run {run_id}",
    ]
    assert made.tags["result.comparison"] == "2 differences"
    (first, _) = json.loads(load_text(f"runs:/{made.run_id}/comparison.json"))
    assert (first["name"], first["before"], first["after"]) == ("fingerprint.files", "xyz", "abc")


def test_every_step_of_a_chain_is_repeated(
    call: Call, record: Record, repeated: list[tuple[str, dict[str, str]]]
) -> None:
    """A step that reused a run of its cycle is repeated as that run."""
    chain = record(step="main")
    original = record()
    first = record(step="simulate", mlflow__parentRunId=chain)
    record(step="simulate", mlflow__parentRunId=chain, status="FAILED")
    second = record(
        step="simulate", mlflow__parentRunId=chain, reused_from=original, code__dirty="true"
    )
    ran = json.dumps({"simulate": first, "preprocess": second})
    MlflowClient().set_tag(chain, "chain.steps", ran)

    made = call("reproduce", run_id=chain)

    assert made.out == f"reproduce: identical: 2 steps, simulate, simulate of run {chain}\n"
    assert len(repeated) == 2
    assert f"simulate {original}: identical" in made.err


def test_chain_with_a_step_that_cannot_be_repeated_is_refused_at_once(
    call: Call, record: Record, repeated: list[tuple[str, dict[str, str]]]
) -> None:
    chain = record(step="main")
    steps = ("preprocess", "train", "tune", "ab_test")
    for step in steps:
        record(mlflow__parentRunId=chain, step=step)
    record(mlflow__parentRunId=chain, step="promote", code__dirty="true")

    assert "was made from uncommitted code" in call("reproduce", run_id=chain).refusal
    assert repeated == []


@pytest.mark.parametrize("named", [True, False])
def test_chain_that_lost_steps_is_not_called_identical(
    call: Call, record: Record, repeated: list[tuple[str, dict[str, str]]], *, named: bool
) -> None:
    """A chain of an earlier version does not name its runs."""
    chain, client = record(step="main"), MlflowClient()
    steps = ("preprocess", "train", "tune", "ab_test", "promote")
    ran = {step: record(mlflow__parentRunId=chain, step=step) for step in steps}
    if named:
        client.set_tag(chain, "chain.steps", json.dumps(ran))
    assert "identical: 5 steps" in call("reproduce", run_id=chain).out
    del repeated[:]
    client.delete_run(ran["tune"])
    client.set_tag(ran["promote"], "mlflow.parentRunId", "another")

    refused = call("reproduce", run_id=chain).refusal

    assert f"chain {chain} has lost its runs of tune, promote: restore them" in refused
    assert f"run {ran['tune']} is deleted" in call("reproduce", run_id=ran["tune"]).refusal
    assert repeated == []


def test_step_that_the_commit_lacks_is_refused(
    call: Call, record: Record, repeated: list[tuple[str, dict[str, str]]]
) -> None:
    refused = call("reproduce", run_id=record(step="bogus")).refusal

    assert "commit 0123456 has no step bogus" in refused
    assert repeated == []


@pytest.mark.parametrize(
    ("run", "phrase"),
    [
        ({"step": None}, "is not a finished step (status FINISHED): give the id of a run that a s"),
        ({"code__dirty": "true"}, "was made from uncommitted code: commit the code"),
        ({"code__dirty": None}, "was made from uncommitted code: commit"),
        ({"mlflow.source.git.commit": None}, "was made from uncommitted code: commit"),
        ({"status": "RUNNING"}, "is not a finished step (status RUNNING): give the id of a run"),
        ({"status": "FAILED"}, "is not a finished step (status FAILED)"),
        ({"status": "KILLED", "step": "main"}, "is not a finished step (status KILLED)"),
        (
            {"step": "trial", "mlflow.project.entryPoint": None},
            "is not a finished step (status F",
        ),
        ({}, "commit 0123456789abcdef0123456789abcdef01234567 cannot be checked out from"),
    ],
)
def test_what_cannot_be_repeated_is_refused_with_the_remedy(
    call: Call, record: Record, run: dict[str, Any], phrase: str
) -> None:
    called = call("reproduce", run_id=record(**run))

    assert phrase in called.refusal
    assert called.run is not None
    assert called.run.info.status == "FAILED"


@pytest.mark.parametrize("run_id", ["0" * 32, "nothing", "a'b"])
def test_unknown_run_is_refused(call: Call, run_id: str) -> None:
    refused = call("reproduce", run_id=run_id).refusal

    assert f"run_id={run_id!r} " in refused
    assert "give the id that the MLflow UI shows" in refused


def test_wrong_parameter_exits_with_2_and_leaves_no_run(call: Call) -> None:
    for told in ({}, {"run_id": ""}, {"id": "1"}):
        called = call("reproduce", **told)
        assert (called.code, called.run, called.out) == (2, None, "")
