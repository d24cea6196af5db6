"""The search: child runs, a challenger, and what is left of a search that was stopped."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest
from mlflow import MlflowClient
from pyspark.errors import PySparkException

from retraining.models.encoding import EncodedRows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlflow.entities import Run

    from retraining.models.search import Candidate
    from tests.steps.calling import Call, Cycle

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("store")]


def trials_of(run_id: str, experiment: str = "tests") -> list[Run]:
    """The child runs of a search, by name."""
    found = MlflowClient().get_experiment_by_name(experiment)
    assert found is not None
    condition = f"tags.`mlflow.parentRunId` = '{run_id}'"
    runs = MlflowClient().search_runs([found.experiment_id], condition)
    return sorted(runs, key=lambda run: str(run.info.run_name))


def penalties(*values: float) -> dict[str, Any]:
    """A space of logistic regressions."""
    return {
        "LogisticRegression": {"regParam": {"choice": list(values)}, "maxIter": {"choice": [1]}}
    }


@pytest.fixture
def _no_penalty_of_9(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a fit with this penalty fail, as one does for reasons that only Spark knows."""
    evaluate = EncodedRows.evaluate

    def fail(self: EncodedRows, candidate: Candidate, seed: int) -> dict[str, float]:
        if candidate.parameters["regParam"] == 9:
            raise PySparkException("regParam is too large")
        return evaluate(self, candidate, seed)

    monkeypatch.setattr(EncodedRows, "evaluate", fail)


def test_trials_are_child_runs_of_the_search(cycle: Cycle) -> None:
    first, second = trials_of(cycle.tuned.run_id)

    assert (first.info.run_name, second.info.run_name) == ("trial-001", "trial-002")
    for trial in (first, second):
        assert trial.info.status == "FINISHED"
        assert trial.data.tags["cycle_id"] == cycle.cycle_id
        assert trial.data.params["estimator"] in ("RandomForestClassifier", "LogisticRegression")
        assert f"auroc {trial.data.metrics['auroc']:.5f}" in cycle.tuned.err


def test_the_best_trial_is_fitted_again(cycle: Cycle) -> None:
    best = max(trials_of(cycle.tuned.run_id), key=lambda run: run.data.metrics["auroc"])
    metrics = cycle.tuned.metrics

    assert f"tune: {best.data.params['estimator']} " in cycle.tuned.out
    assert (metrics["trials"], metrics["trials_failed"]) == (2, 0)
    for name in ("auroc", "auprc", "f1", "log_loss"):
        assert metrics[name] == pytest.approx(best.data.metrics[name], rel=1e-12)


def test_the_best_model_becomes_challenger(
    cycle: Cycle, aliases: Callable[..., dict[str, str]]
) -> None:
    version = MlflowClient().get_model_version("fraud", "2")

    assert aliases() == {"champion": "1", "challenger": "2"}
    assert cycle.tuned.tags["model_version"] == "2"
    assert cycle.tuned.out.rstrip().endswith("fraud version 2 is challenger")
    assert version.run_id == cycle.tuned.run_id
    assert version.tags["step"] == "tune"


def test_a_challenger_that_is_worse_on_validation_than_the_champion_says_so(
    call: Call, cycle: Cycle, description: Callable[..., Path]
) -> None:
    """A penalty so large makes all scores the same; this champion is scored again on validation."""
    search = {"trials": 1, "estimators": penalties(1e9)}
    made = call("tune", dataset=description(search=search))

    auroc = cycle.trained.metrics["auroc"]
    for called in (made, cycle.tuned):
        shown = called.tags["champion_on_validation"]
        assert shown == f"auroc {auroc:.6g} of models:/fraud/1"
    assert made.metrics["auroc"] < auroc < cycle.tuned.metrics["auroc"]
    assert f"worse on validation than champion version 1 (auroc {auroc:.4f})" in made.out
    assert f"worse than the {auroc:.4f} of the champion (version 1)" in made.err
    assert "worse" not in cycle.tuned.out + cycle.tuned.err


def test_repeated_in_its_cycle_it_is_reused(call: Call, cycle: Cycle) -> None:
    again = call("tune")

    assert again.tags["reused_from"] == cycle.tuned.run_id
    assert trials_of(again.run_id) == []
    assert len(MlflowClient().search_model_versions("name = 'fraud'")) == 2


@pytest.mark.usefixtures("_no_penalty_of_9")
def test_failed_trials_are_recorded_and_survived(
    call: Call,
    cycle: Cycle,
    description: Callable[..., Path],
    aliases: Callable[..., dict[str, str]],
) -> None:
    """Nothing is registered if it shall not be, and trials can have an experiment of their own."""
    search = {"trials": 6, "early_stop": 0, "estimators": penalties(9.0, 0.1)}
    made = call(
        "tune",
        dataset=description(search=search),
        trials_experiment="trials",
        register="false",
    )

    trials = trials_of(made.run_id, "trials")
    assert trials_of(made.run_id) == []
    failed = [trial for trial in trials if trial.info.status == "FAILED"]
    assert len(trials) == 6
    assert 0 < len(failed) < 6
    for trial in failed:
        assert trial.data.params["regParam"] == "9"
        assert "regParam" in trial.data.tags["failure"]
    assert made.metrics["trials_failed"] == len(failed)
    assert f"best of 6 trials ({len(failed)} failed)" in made.out
    assert "failed: " in made.err
    assert aliases() == {"champion": "1", "challenger": "2"}


def test_interrupted_search_continues_where_it_stopped(
    call: Call,
    cycle: Cycle,
    description: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fit, fitted, noticed = EncodedRows.evaluate, [], threading.Event()

    def stop_at(number: int) -> None:
        def evaluate(self: EncodedRows, candidate: Candidate, seed: int) -> dict[str, float]:
            if candidate.number == number:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                noticed.wait(60)
                raise RuntimeError("its session is gone")
            fitted.append(candidate.number)
            return fit(self, candidate, seed)

        monkeypatch.setattr(EncodedRows, "evaluate", evaluate)

    search = {"early_stop": 0, "parallelism": 1, "estimators": penalties(0.1, 0.2, 0.3)}
    told = {"dataset": description(search=search), "trials": 3, "register": "false"}
    stop_at(2)
    stopped = call("tune", **told)
    assert stopped.run is not None
    assert (stopped.code, stopped.run.info.status) == (130, "KILLED")
    assert [trial.info.status for trial in trials_of(stopped.run_id)] == [
        *("FINISHED", "FINISHED", "KILLED")
    ]

    noticed.set()
    stop_at(99)
    resumed = call("tune", **told)

    assert resumed.metrics["trials"] == 3
    assert fitted == [0, 1, 2]
    assert [trial.info.run_name for trial in trials_of(resumed.run_id)] == ["trial-003"]
    broken_off = trials_of(stopped.run_id)[2]
    assert broken_off.info.status == "KILLED"
    assert "failure" not in broken_off.data.tags


@pytest.mark.usefixtures("_no_penalty_of_9")
@pytest.mark.parametrize(
    ("told", "phrase"),
    [
        ({"pipeline_id": "p0"}, "no finished preprocess run in cycle 'p0'"),
        ({"trials_experiment": "gone"}, "experiment 'gone' is deleted"),
        ({"dataset": "failing"}, "all 2 trials failed, the last with:"),
        ({"dataset": "empty"}, "search.estimators is empty"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(
    call: Call, description: Callable[..., Path], told: dict[str, object], phrase: str
) -> None:
    client = MlflowClient()
    client.delete_experiment(client.create_experiment("gone"))
    estimators = penalties(9.0) if told.get("dataset") == "failing" else {}
    if "dataset" in told:
        told = {"dataset": description(search={"trials": 2, "estimators": estimators})}

    assert phrase in call("tune", **told).refusal
    assert len(client.search_model_versions("name = 'fraud'")) == 2


@pytest.mark.parametrize(
    "told", [{"trials": "-1"}, {"trials": 0}, {"parallelism": 0}, {"time_limit": "x"}, {"try": 1}]
)
def test_wrong_parameter_exits_with_2_and_leaves_no_run(
    call: Call, told: dict[str, object]
) -> None:
    called = call("tune", **told)

    assert (called.code, called.run, called.out) == (2, None, "")


def test_note_shows_the_command_that_repeats_it(cycle: Cycle) -> None:
    note = cycle.tuned.tags["mlflow.note.content"]

    assert f"mlflow run . --env-manager uv -e reproduce -P run_id={cycle.tuned.run_id}" in note
    assert "-P trials=2" in note
    assert "-P register=false" in note
