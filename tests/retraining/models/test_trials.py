"""Trials as child runs: what they record, and that a search that was stopped goes on."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

import mlflow
import pytest
from mlflow import MlflowClient

from retraining.description.search import Search
from retraining.errors import RetrainingError
from retraining.models import search
from retraining.models.encoding import EncodedRows
from retraining.models.search import Candidate
from retraining.models.trials import Trials
from retraining.tracking import lineage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow.entities import Run

    from retraining.description.document import Description
    from retraining.models.training import TrainingRows

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("tracking")]

CANDIDATE = Candidate(0, "LogisticRegression", {"maxIter": 2, "regParam": 0.1})
SEARCH = Search.model_validate(
    {
        "trials": 4,
        "parallelism": 2,
        "estimators": {
            "LogisticRegression": {
                "maxIter": {"choice": [2]},
                "regParam": {"loguniform": [0.001, 1.0]},
            }
        },
    }
)
ALONE = SEARCH.model_copy(update={"parallelism": 1})


class CountedRows(EncodedRows):
    """Rows that count fits instead of fitting; a negative penalty fails."""

    def __init__(self) -> None:
        self.fitted: list[int] = []

    def evaluate(self, candidate: Candidate, seed: int) -> dict[str, float]:
        """Take the penalty for the metric."""
        self.fitted.append(candidate.number)
        penalty = float(candidate.parameters["regParam"])
        if penalty < 0:
            raise RetrainingError(f"regParam {penalty}", "raise it")
        return {"auroc": penalty, "f1": 0.5}


@pytest.fixture
def run() -> Iterator[lineage.StepRun]:
    """The run of a search."""
    with lineage.open_step("tune", {}, "p1") as opened:
        yield opened


def comparable(results: list[search.TrialResult]) -> list[tuple[Candidate, dict[str, float]]]:
    """What must be the same in every repetition: all but how long it took."""
    return [
        (o.candidate, {k: v for k, v in o.metrics.items() if k != "duration_seconds"})
        for o in results
    ]


def trial_runs(run: lineage.StepRun, experiment: str = "tests") -> list[Run]:
    """The child runs of a search by name."""
    found = MlflowClient().get_experiment_by_name(experiment)
    assert found is not None
    condition = f"tags.`mlflow.parentRunId` = '{run.run_id}'"
    runs = MlflowClient().search_runs([found.experiment_id], condition)
    return sorted(runs, key=lambda child: str(child.info.run_name))


def test_trial_is_a_child_run_with_parameters_and_metrics(run: lineage.StepRun) -> None:
    metrics = Trials(run, CountedRows(), 7, "key", None)(CANDIDATE)

    assert metrics == {"auroc": 0.1, "f1": 0.5}
    (child,) = trial_runs(run)
    assert child.info.status == "FINISHED"
    assert child.info.run_name == "trial-001"
    assert child.data.params == {
        "estimator": "LogisticRegression",
        "maxIter": "2",
        "regParam": "0.1",
    }
    assert child.data.metrics.pop("duration_seconds") >= 0
    assert child.data.metrics == metrics
    assert child.data.tags["step"] == "trial"
    assert child.data.tags["cycle_id"] == "p1"


def test_failed_trial_is_a_failed_run_with_its_reason(run: lineage.StepRun) -> None:
    trials = Trials(run, CountedRows(), 7, "key", None)
    with pytest.raises(RetrainingError):
        trials(CANDIDATE._replace(parameters={"regParam": -1.0}))

    (child,) = trial_runs(run)
    assert child.info.status == "FAILED"
    assert child.data.tags["failure"] == "regParam -1.0: raise it"
    assert child.data.metrics == {}


def test_finished_trial_is_taken_over(run: lineage.StepRun) -> None:
    before, after = CountedRows(), CountedRows()
    first = Trials(run, before, 7, "key", None)
    metrics = first(CANDIDATE)
    failing = CANDIDATE._replace(number=1, parameters={"regParam": -1.0})
    with pytest.raises(RetrainingError):
        first(failing)

    second = Trials(run, after, 7, "key", None)
    assert dict(second(CANDIDATE)).items() >= metrics.items()
    assert after.fitted == []
    with pytest.raises(RetrainingError):
        second(failing)
    assert after.fitted == [1]


@pytest.mark.parametrize("during", ["create_run", "log_batch", "set_tag"])
def test_a_trial_that_is_broken_off_is_killed_at_whatever_moment(
    run: lineage.StepRun, monkeypatch: pytest.MonkeyPatch, during: str
) -> None:
    rows = CountedRows()
    trials = Trials(run, rows, 7, "key", None)

    def closing(call: Callable[..., Any]) -> Callable[..., Any]:
        def closed(*args: Any, **named: Any) -> Any:  # noqa: ANN401
            done = call(*args, **named)
            trials.close()
            return done

        return closed

    def fail(*_: object) -> None:
        raise RuntimeError("its session is gone")

    monkeypatch.setattr(rows, "evaluate", fail)
    monkeypatch.setattr(MlflowClient, during, closing(getattr(MlflowClient, during)))
    with pytest.raises((CancelledError, RuntimeError)):
        trials(CANDIDATE)

    (child,) = trial_runs(run)
    # Its failure was its own where it had ended before.
    assert child.info.status == ("FAILED" if during == "set_tag" else "KILLED")
    assert ("failure" in child.data.tags) == (during == "set_tag")


@pytest.mark.parametrize("change", ["key", "cycle", "number", "parameters"])
def test_other_trial_is_not_taken_over(run: lineage.StepRun, change: str) -> None:
    rows = CountedRows()
    Trials(run, rows, 7, "key", None)(CANDIDATE)
    if change == "cycle":
        run.cycle_id = "p2"
    other = {
        "number": CANDIDATE._replace(number=1),
        "parameters": CANDIDATE._replace(parameters={"maxIter": 2, "regParam": 0.2}),
    }.get(change, CANDIDATE)

    Trials(run, rows, 7, "another" if change == "key" else "key", None)(other)

    assert len(rows.fitted) == 2


def test_trials_in_an_experiment_of_their_own(run: lineage.StepRun) -> None:
    for _ in range(2):
        Trials(run, CountedRows(), 7, "key", "own")(CANDIDATE)

    assert len(trial_runs(run, "own")) == 1
    assert trial_runs(run) == []


def test_deleted_experiment_is_refused(run: lineage.StepRun) -> None:
    MlflowClient().delete_experiment(MlflowClient().create_experiment("gone"))

    with pytest.raises(RetrainingError, match="experiment 'gone' is deleted: restore it"):
        Trials(run, CountedRows(), 7, "key", "gone")


def test_stopped_search_goes_on_where_it_stopped(
    run: lineage.StepRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of four trials have finished when the search is interrupted."""
    rows = CountedRows()

    def interrupt(line: str) -> None:
        if line.startswith("trial 2/4"):
            raise KeyboardInterrupt

    def go_on(key: str) -> list[search.TrialResult]:
        return search.run(ALONE, Trials(run, rows, 7, key, None), seed=7)

    with monkeypatch.context() as patch:
        patch.setattr(search._LOG, "info", interrupt)
        with pytest.raises(KeyboardInterrupt):
            go_on("key")
    assert rows.fitted == [0, 1]

    resumed = go_on("key")
    assert rows.fitted == [0, 1, 2, 3]
    assert comparable(resumed) == comparable(go_on("another"))
    assert {child.info.status for child in trial_runs(run)} == {"FINISHED"}


def test_trials_at_the_same_time_find_what_one_after_the_other_find(
    run: lineage.StepRun, rows: TrainingRows, describe: Callable[..., Description]
) -> None:
    encoded = EncodedRows(rows, describe(), SEARCH.estimators)
    together, alone = (
        search.run(
            settings.model_copy(update={"trials": 2}),
            Trials(run, encoded, 7, f"parallelism {settings.parallelism}", None),
            seed=7,
        )
        for settings in (SEARCH, ALONE)
    )
    encoded.close()

    assert comparable(together) == comparable(alone)
    assert len(trial_runs(run)) == 4


def test_spark_failure_of_a_trial_is_recorded(
    run: lineage.StepRun, rows: TrainingRows, describe: Callable[..., Description]
) -> None:
    spaces = {"LogisticRegression": {"regParam": {"choice": [-1.0]}}}
    settings = Search.model_validate({"trials": 1, "estimators": spaces})
    encoded = EncodedRows(rows, describe(), settings.estimators)
    trials = Trials(run, encoded, 7, "key", None)

    with pytest.raises(RetrainingError, match=r"all 1 trials failed, .*regParam given invalid"):
        search.run(settings, trials, seed=7)
    encoded.close()

    (child,) = trial_runs(run)
    assert child.info.status == "FAILED"
    assert "regParam given invalid value -1" in child.data.tags["failure"]


def test_trials_do_not_take_the_active_run(run: lineage.StepRun) -> None:
    Trials(run, CountedRows(), 7, "key", None)(CANDIDATE)

    active = mlflow.active_run()
    assert active is not None
    assert active.info.run_id == run.run_id
