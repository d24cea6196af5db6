"""The run of a step: parameters, cycle, note, reuse, and how it ends."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import mlflow
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.artifacts import load_text

from retraining.description import reading
from retraining.errors import RetrainingError
from retraining.tracking import checkout, lineage, runs, values
from retraining.tracking.checkout import ROOT
from retraining.tracking.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mlflow.entities import Run

    from retraining.description.document import Description

pytestmark = pytest.mark.usefixtures("tracking", "committed")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CYCLE = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")


@pytest.fixture
def committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that all code is committed, and list no packages, which takes a while."""
    source = checkout.Source(COMMIT, dirty=False, url="https://example.org/team/project.git")
    monkeypatch.setattr(checkout, "source", lambda root: source)
    monkeypatch.setattr(lineage, "_environment", lambda: "mlflow==3\n")


class Made(Result):
    """The result of a step that did its work."""

    @property
    def summary(self) -> str:
        """One line."""
        return "made it"

    @property
    def metrics(self) -> Mapping[str, float]:
        """One metric."""
        return {"f1": 0.5}


def run_step(
    step: str = "train",
    parameters: dict[str, object] | None = None,
    *,
    inputs: dict[str, str] | None = None,
    fails: BaseException | None = None,
    **settings: Any,  # noqa: ANN401 (of open_step)
) -> Run:
    """Run a step that reuses what it can, or fails; return its run as it was left."""
    expected: AbstractContextManager[object] = suppress(type(fails)) if fails else nullcontext()
    told = parameters or {}
    cycle_id = cast("str | None", told.get("pipeline_id"))
    with expected, lineage.open_step(step, told, cycle_id, **settings) as run:
        if fails:
            raise fails
        run.write(run.reuse(inputs or {}) or Made())
    return mlflow.get_run(run.run_id)


def cycle(run: Run) -> str:
    return str(run.data.tags["cycle_id"])


def test_open_step_records_what_ran() -> None:
    run = run_step(parameters={"pipeline_id": "p1"})

    tags = run.data.tags
    assert run.info.status == "FINISHED"
    assert (tags["step"], tags["mlflow.runName"]) == ("train", "train")
    assert tags["mlflow.project.entryPoint"] == "train"
    assert tags["mlflow.source.git.commit"] == COMMIT
    assert tags["code.dirty"] == "false"
    assert tags["code.digest"] == checkout.digest(ROOT)
    assert tags["version.mlflow"] == mlflow.__version__
    assert tags["result.summary"] == "made it"
    assert load_text(f"runs:/{run.info.run_id}/environment.txt") == "mlflow==3\n"


def test_parameters_are_logged_quoted_and_read_back_as_said() -> None:
    told: dict[str, object] = {
        "data": None,
        "register": True,
        "seed": 7,
        "input": "/data/raw files/*.txt",
        "note": """it's "so\" $HOME \\ and\nmore""",
        "as_of": datetime(2026, 3, 1),
    }
    run = run_step(parameters=told)

    assert run.data.params["data"] == "''"
    assert run.data.params["seed"] == "7"
    assert run.data.params["input"] == "'/data/raw files/*.txt'"
    assert values.read_parameters(run, [*told, "unknown"]) == {
        "data": "",
        "register": "true",
        "seed": "7",
        "input": "/data/raw files/*.txt",
        "note": told["note"],
        "as_of": "2026-03-01",
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        ("", ""),
        (False, "false"),
        (0.05, "0.05"),
        (datetime(2026, 3, 1), "2026-03-01"),
        (datetime(2026, 3, 1, 6, 30), "2026-03-01T06:30:00"),
    ],
)
def test_as_text_can_be_said_again(value: object, expected: str) -> None:
    assert lineage.as_text(value) == expected


def test_open_step_in_a_run_of_mlflow_run_logs_no_parameters_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = MlflowClient().create_run(mlflow.MlflowClient().search_experiments()[0].experiment_id)
    MlflowClient().log_param(made.info.run_id, "seed", "'7'")
    monkeypatch.setenv("MLFLOW_RUN_ID", made.info.run_id)

    run = run_step(parameters={"seed": 7})

    assert run.info.run_id == made.info.run_id
    assert run.data.params == {"seed": "'7'"}
    assert run.data.tags["mlflow.runName"] == "train"


def test_cycle_that_is_given() -> None:
    assert cycle(run_step(parameters={"pipeline_id": "mine"})) == "mine"


def test_cycle_begins_anew() -> None:
    first, second = (cycle(run_step("preprocess", begins_cycle=True)) for _ in range(2))

    assert CYCLE.fullmatch(first)
    assert first != second


def test_cycle_is_the_newest_that_preprocess_finished() -> None:
    newest = [cycle(run_step("preprocess", begins_cycle=True)) for _ in range(2)][-1]
    run_step("preprocess", begins_cycle=True, fails=RetrainingError("bad", "mend"))
    run_step("train", {"pipeline_id": "another"})
    again = f"{runs.REPRODUCTION}01234567-{newest}"
    run_step("preprocess", {"pipeline_id": again})

    assert cycle(run_step("ab_test", {"pipeline_id": None})) == newest
    assert runs.newest_cycle() == newest
    assert runs.find("preprocess", again) is not None


def test_cycle_without_any_is_new() -> None:
    assert CYCLE.fullmatch(cycle(run_step("ab_test")))


def test_reuse_of_an_identical_run() -> None:
    told = {"seed": 7, "data": "", "pipeline_id": "p1", "spark_master": None}
    first = run_step(parameters=told, inputs={"data": "/d"})
    MlflowClient().set_tag(first.info.run_id, "model_version", "3")

    again = run_step(parameters=told | {"spark_master": "local[1]"}, inputs={"data": "/d"})

    assert again.data.tags["reused_from"] == first.info.run_id
    assert again.data.metrics == first.data.metrics == {"f1": 0.5}
    assert again.data.tags["model_version"] == "3"
    assert again.data.tags["result.summary"].startswith(f"reused run {first.info.run_id}: same")
    third = run_step(parameters=told, inputs={"data": "/d"})
    assert third.data.tags["reused_from"] == first.info.run_id


@pytest.mark.parametrize("change", ["parameter", "input", "code", "step", "cycle", "failure"])
def test_reuse_of_nothing_else(monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    told: dict[str, object] = {"seed": 7, "pipeline_id": "p1"}
    fails = RetrainingError("bad", "mend") if change == "failure" else None
    run_step("train", told, inputs={"data": "/d"}, fails=fails)
    if change == "parameter":
        told["seed"] = 8
    if change == "cycle":
        told["pipeline_id"] = "p2"
    if change == "code":
        monkeypatch.setattr(checkout, "digest", lambda root: "another")
    step = "tune" if change == "step" else "train"

    run = run_step(step, told, inputs={"data": "/other" if change == "input" else "/d"})

    assert "reused_from" not in run.data.tags
    assert run.data.tags["result.summary"] == "made it"


@pytest.mark.parametrize(
    ("error", "status", "failure"),
    [
        (KeyboardInterrupt(), "KILLED", None),
        (RetrainingError("no rows", "add some"), "FAILED", "no rows: add some"),
        (RetrainingError("x" * 10_000, "shorten"), "FAILED", "x" * 3_900),
        (ZeroDivisionError("oh"), "FAILED", None),
        (SystemExit(3), "FAILED", None),
    ],
)
def test_run_ends_as_its_step_ended(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, status: str, failure: str | None
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7")  # a step that is stopped lowers it
    run = run_step(fails=error)

    assert run.info.status == status
    assert run.data.tags.get("failure", "").startswith(failure or "")
    assert ("failure" in run.data.tags) is (failure is not None)
    assert ("mlflow.note.content" in run.data.tags) is (failure is not None)
    assert mlflow.active_run() is None


def test_interruption_before_the_step_begins_leaves_the_run_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "newest_cycle", interrupt)
    with pytest.raises(KeyboardInterrupt), lineage.open_step("train", {}):
        pytest.fail("the step began")

    (run,) = MlflowClient().search_runs([e.experiment_id for e in mlflow.search_experiments()])
    assert run.info.status == "KILLED"


@pytest.mark.parametrize("failure", [OSError("gone"), RetrainingError("Spark ended", "see why")])
def test_a_signal_goes_before_what_fails_in_its_wake(failure: Exception) -> None:
    failure.__context__ = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt), lineage.open_step("train", {}) as run:
        raise failure

    killed = mlflow.get_run(run.run_id)
    assert killed.info.status == "KILLED"
    assert "failure" not in killed.data.tags


def test_note_shows_inputs_and_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    made = run_step("preprocess", begins_cycle=True)
    with lineage.open_step("train", {"seed": 7, "data": None, "note": "a b"}) as run:
        run.use("data", "/data/v1", made.info.run_id)
        run.use("files", "3 files")
        run.pin(data=made.info.run_id)
        run.pin(register="false")
        run.summary = "AUC 0.9"

    tags = mlflow.get_run(run.run_id).data.tags
    note = tags["mlflow.note.content"]
    link = f"#/experiments/{made.info.experiment_id}/runs/{made.info.run_id}"
    assert note.startswith("**train**: AUC 0.9\n")
    assert f"Cycle `{cycle(made)}`" in note
    assert f"- data: [/data/v1]({link})\n- files: 3 files\n" in note
    assert f"mlflow run . --env-manager uv -e reproduce -P run_id={run.run_id}\n" in note
    folder = "project-0123456"
    assert f"git clone https://example.org/team/project.git {folder}\n" in note
    assert f"git -C {folder} checkout {COMMIT}\n" in note
    flags = f"-P seed=7 -P data={made.info.run_id} -P note='a b' -P register=false\n"
    assert f"mlflow run {folder} --env-manager uv -e train {flags}" in note
    assert "not committed" not in note
    assert tags["input.data"] == "/data/v1"
    assert tags["pinned"] == f'{{"data": "{made.info.run_id}", "register": "false"}}'


def test_note_of_uncommitted_code_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        checkout, "source", lambda root: checkout.Source(None, dirty=True, url=str(root))
    )
    run = run_step()

    assert "The code was not committed" in run.data.tags["mlflow.note.content"]
    assert run.data.tags["code.dirty"] == "true"


def test_no_credentials_are_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        mlflow, "get_tracking_uri", lambda: "postgresql://robot:s3cr3t@db:5432/mlflow runs"
    )
    run = run_step()

    assert "MLFLOW_TRACKING_URI='postgresql://db:5432/mlflow runs'" in run.data.tags[
        "mlflow.note.content"
    ]  # fmt: skip
    assert "s3cr3t" not in str(run.to_dictionary())


def test_token_in_the_address_of_the_project_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    client = MlflowClient()
    source = {"mlflow.source.name": "https://robot:s3cr3t@example.org/team/project.git#sub"}
    made = client.create_run(client.search_experiments()[0].experiment_id, tags=source)
    monkeypatch.setenv("MLFLOW_RUN_ID", made.info.run_id)

    tags = run_step().data.tags
    assert tags["mlflow.source.name"] == "https://example.org/team/project.git#sub"


def test_description_is_kept_and_pinned(describe: Callable[..., Description]) -> None:
    description = describe()
    with lineage.open_step("train", {}) as run:
        run.keep_description(description)

    uri = f"runs:/{run.run_id}/description.yaml"
    assert mlflow.get_run(run.run_id).data.tags["pinned"] == f'{{"dataset": "{uri}"}}'
    assert reading.from_mapping(yaml.safe_load(load_text(uri))).digest == description.digest


def test_data_set_is_shown_with_the_fingerprint(describe: Callable[..., Description]) -> None:
    with lineage.open_step("train", {}) as run:
        lineage.log_data("people train", "s3a://b/train", "ab12", describe(), context="train")

    inputs = mlflow.get_run(run.run_id).inputs
    assert inputs is not None
    (shown,) = inputs.dataset_inputs
    assert (shown.dataset.name, shown.dataset.digest) == ("people train", "ab12")
    assert "s3a://b/train" in shown.dataset.source
    assert '"name": "height"' in (shown.dataset.schema or "")
    assert [(tag.key, tag.value) for tag in shown.tags] == [("mlflow.data.context", "train")]
