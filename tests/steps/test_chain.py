"""The chain: which steps it runs with which parameters, and the table that it ends with."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
from typing import TYPE_CHECKING

import mlflow
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.artifacts import load_text

from retraining.errors import RetrainingError
from retraining.tracking import children
from retraining.tracking.descriptions import DESCRIPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlflow.entities import Run

    from tests.steps.calling import Call

    Runs = list[tuple[str, dict[str, str]]]

pytestmark = pytest.mark.usefixtures("tracking")

COMPARED = {
    "champion": 0.85,
    "challenger": 0.87,
    "effect_size": 0.02,
    "pvalue": 0.0123,
    "ci_lower": 0.002,
    "ci_upper": 0.038,
    "n_rows": 12345,
    "n_positives": 678,
}
TESTED = {
    "input.champion": "models:/fraud/1",
    "input.challenger": "models:/fraud/2",
    "verdict": "promote",
    "verdict.reasons": "It is better.",
    "scores_uri": "runs:/1/scores.parquet",
}


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Let every step finish at once, and note what it was told."""
    return fake_steps(monkeypatch, COMPARED)


def command_in(line: str) -> dict[str, str]:
    """The parameters of the command that a line shows, as a shell takes them apart."""
    words = shlex.split(line.rpartition("`mlflow run ")[2].rstrip("`"))
    return dict(word.split("=", 1) for word in words if "=" in word)


def fake_steps(
    monkeypatch: pytest.MonkeyPatch, metrics: Mapping[str, float], failing: str = ""
) -> Runs:
    told: Runs = []

    def run(_uri: str, step: str, parameters: Mapping[str, str]) -> Run:
        told.append((step, dict(parameters)))
        if step == failing:
            raise RetrainingError(f"step {step} failed", "the files are gone: give others")
        with mlflow.start_run(nested=True) as child:
            mlflow.log_metrics(dict(metrics) if step == "ab_test" else {})
            mlflow.set_tags(TESTED if step == "ab_test" else {"result.summary": f"{step} done"})
        return MlflowClient().get_run(child.info.run_id)

    monkeypatch.setattr(children, "run", run)
    # As if the chain had found a JVM: nothing here needs one.
    monkeypatch.setenv("RETRAINING_JVM", "shared")
    return told


def test_steps_follow_each_other_in_one_cycle(call: Call, ran: Runs) -> None:
    made = call("main", input="/data/raw", dataset="drivers", seed=3, trials=4, alpha="0.01")

    assert [step for step, _ in ran] == ["preprocess", "train", "tune", "ab_test", "promote"]
    cycle = {"pipeline_id": made.tags["cycle_id"]}
    seeded = {"seed": "3", **cycle}
    assert dict(ran) == {
        "preprocess": {"input": "/data/raw", "dataset": "drivers", **cycle},
        "train": seeded,
        "tune": {"trials": "4", **seeded},
        "ab_test": {"alpha": "0.01", **seeded},
        "promote": cycle,
    }
    assert [line.rpartition("== ")[2] for line in made.err.splitlines() if "== " in line] == [
        step for step, _ in ran
    ]


def test_every_parameter_reaches_the_steps_that_take_it(call: Call, ran: Runs) -> None:
    told = {
        "input": "/data",
        "data_root": "/prepared",
        "as_of": "2026-03-01",
        "model_name": "cards",
        "pipeline_id": "p7",
        "spark_master": "local[1]",
    }
    call("main", **told)

    takers = {name: [step for step, got in ran if name in got] for name in told}
    fits = ["train", "tune", "ab_test"]
    every = ["preprocess", *fits, "promote"]
    assert takers == {
        "input": ["preprocess"],
        "data_root": ["preprocess"],
        "as_of": ["preprocess"],
        "model_name": fits,
        "pipeline_id": every,
        "spark_master": every,
    }
    for _, got in ran:
        assert {name: told[name] for name in told if name in got}.items() <= got.items()


def test_relative_paths_start_where_the_chain_was_started(
    call: Call, ran: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps run in the folder of the project."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(DESCRIPTIONS / "drivers.yaml", tmp_path / "my,own.yaml")
    given = "a.csv, sub/*.{csv,txt},s3a://b/c,delta:t@v3,/d"
    call("main", input=given, dataset="my,own.yaml", data_root="prepared", pipeline_id="p7")
    call("main", input="jdbc:postgresql://db/a?table=(select 1, 2) x", dataset="drivers")

    first, second = (told for step, told in ran if step == "preprocess")
    here = tmp_path
    assert first == {
        "input": f"{here}/a.csv,{here}/sub/*.{{csv,txt}},s3a://b/c,delta:{here}/t@v3,/d",
        "dataset": f"{here}/my,own.yaml",
        "data_root": f"{here}/prepared",
        "pipeline_id": "p7",
    }
    assert second["input"] == "jdbc:postgresql://db/a?table=(select 1, 2) x"
    assert second["dataset"] == "drivers"
    assert call("main", pipeline_id="p7", dataset="my,own.yaml", data_root="prepared/").tags


def test_without_input_days_are_simulated_first(call: Call, ran: Runs) -> None:
    made = call("main", data_root="/prepared")

    told = {"data_root": "/prepared", "seed": "7", "pipeline_id": made.tags["cycle_id"]}
    assert ran[0] == ("simulate", told)
    assert [step for step, _ in ran][1:] == ["preprocess", "train", "tune", "ab_test", "promote"]
    assert ran[1][1] == {
        "dataset": "fraud",
        "data_root": "/prepared",
        "pipeline_id": made.tags["cycle_id"],
    }


def test_it_ends_with_one_table(call: Call, ran: Runs) -> None:
    made = call("main", input="/data")

    assert ran
    shown, _, last = made.out.strip().rpartition("\n")
    assert last == "main: verdict promote"
    lines = [line.split("  ", 1) for line in shown.splitlines()]
    table = {name.strip(): value.strip() for name, value in lines}
    assert table["cycle"] == made.tags["cycle_id"]
    assert (table["champion"], table["challenger"]) == ("models:/fraud/1", "models:/fraud/2")
    assert table["scores"] == "0.8500 -> 0.8700"
    assert table["effect"] == "+0.0200, p 0.0123"
    assert table["interval"] == "[+0.0020, +0.0380]"
    assert table["holdout"] == "12,345 rows, 678 positives"
    assert (table["verdict"], table["because"]) == ("promote", "It is better.")
    assert table["outcome"] == "promote done"
    assert table["report"].endswith("/report.html")
    assert {name for name in table if name.startswith("run ")} == {f"run {s}" for s, _ in ran}
    assert load_text(f"runs:/{made.run_id}/chain.txt") == shown
    assert made.tags["verdict"] == "promote"
    note = made.tags["mlflow.note.content"]
    assert f"mlflow run . --env-manager uv -e reproduce -P run_id={made.run_id}" in note
    assert "because" in note


def test_table_is_complete_where_a_number_cannot_be_estimated(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {name: value for name, value in COMPARED.items() if name not in ("pvalue", "ci_upper")}
    fake_steps(monkeypatch, known)

    assert "[+0.0020, +nan]" in call("main", input="/data").out


def test_failed_step_says_how_to_continue_and_that_works_as_it_is_typed(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after another failure, and with a parameter that was added meanwhile."""
    begun = {"input": "/data/raw", "dataset": "drivers", "trials": 4, "spark_master": "local[1]"}
    broken = fake_steps(monkeypatch, COMPARED, failing="train")
    called = call("main", **begun, seed=3)

    head, _, command = called.refusal.partition(". Fix it, then continue with ")
    assert head == "step train failed: the files are gone: give others"
    assert [step for step, _ in broken] == ["preprocess", "train"]
    assert called.run is not None
    assert called.run.data.tags["failure"] == called.refusal
    told = command_in(command)
    assert set(told) == {"pipeline_id"}
    assert command == f"`mlflow run . --env-manager uv -P pipeline_id={told['pipeline_id']}`"

    assert command_in(call("main", **told, model_name="cards").refusal) == told
    ran = fake_steps(monkeypatch, COMPARED)
    made = call("main", **told, spark_master="local[2]")
    assert made.tags["cycle_id"] == told["pipeline_id"]
    assert ran[0] == ("preprocess", {**broken[0][1], "spark_master": "local[2]"})
    assert dict(ran)["tune"] == {
        "trials": "4",
        "seed": "3",
        "model_name": "cards",
        "spark_master": "local[2]",
        **told,
    }


def test_what_a_cycle_was_begun_with_is_not_contradicted(call: Call, ran: Runs) -> None:
    call("main", pipeline_id="p7", alpha="0.02")
    del ran[:]

    for name, value in {"input": "/x", "dataset": "drivers", "seed": 8, "alpha": 0.03}.items():
        refused = call("main", pipeline_id="p7", **{name: value}).refusal
        assert f"p7 was begun with {name}=" in refused
        assert f"not {value}: leave {name} out" in refused
    assert ran == []
    assert call("main", pipeline_id="p7", dataset="fraud", seed=7, alpha=0.02, trials=3).tags
    assert [step for step, _ in ran][:2] == ["simulate", "preprocess"]


def test_a_command_names_the_environment_that_the_chain_was_run_in(
    call: Call, ran: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step of a chain is run as `local`, which is the environment of the chain."""
    client = MlflowClient()
    experiment = client.get_experiment_by_name("tests")
    assert experiment is not None
    shown = []
    for manager in ("uv", "conda", None):
        run = client.create_run(experiment.experiment_id)
        if manager:
            client.set_tag(run.info.run_id, "mlflow.project.env", manager)
        monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
        CliRunner().invoke(importlib.import_module("chain").main, [])
        note = client.get_run(run.info.run_id).data.tags["mlflow.note.content"]
        shown.append(re.findall(r"--env-manager (\w+)", note))
    assert ran
    assert shown == [["uv", "uv"], ["conda", "conda"], ["local", "local"]]
    assert "RETRAINING_ENV_MANAGER" not in os.environ


@pytest.mark.parametrize(
    ("told", "phrase"),
    [
        ({"dataset": "drivers"}, "only the data set fraud can be simulated, not drivers: say wh"),
        ({"dataset": "frauds"}, "there is no data set description 'frauds'"),
        ({"dataset": "/nowhere.yaml"}, "/nowhere.yaml: No such file"),
    ],
)
def test_nothing_is_run_for_what_cannot_be_prepared(
    call: Call, ran: Runs, told: dict[str, str], phrase: str
) -> None:
    assert phrase in call("main", **told).refusal
    assert ran == []


@pytest.mark.parametrize(
    "told", [{"trials": 0}, {"alpha": 1}, {"seed": "x"}, {"model_name": "a:b"}, {"datset": "fraud"}]
)
def test_wrong_parameter_exits_with_2_and_leaves_no_run(
    call: Call, ran: Runs, told: dict[str, object]
) -> None:
    called = call("main", **told)

    assert (called.code, called.run, called.out) == (2, None, "")
    assert ran == []


def test_cycle_of_the_chain_can_be_named(
    call: Call, ran: Runs, tracking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two chains without a name are two cycles."""
    cycles = [call("main", input="/data").tags["cycle_id"] for _ in range(2)]
    named = call("main", input="/data", pipeline_id="2026 March")

    assert len(set(cycles)) == 2
    assert named.tags["cycle_id"] == "2026 March"
    assert ran[-1] == ("promote", {"pipeline_id": "2026 March"})
