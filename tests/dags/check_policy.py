"""What every DAG and every task has, and the words of the commands."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.definitions.param import ParamValidationError

from tests.dags.parsing import CLUSTER, ENTRY_POINTS, SSH, parse, steps_of, words_of
from tests.dags.stand_in import parameters_of

PLACES: list[dict[str, str]] = [{}, SSH, CLUSTER]


@pytest.fixture(params=PLACES, ids=["worker", "ssh", "cluster"])
def dags(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    return parse(monkeypatch, **request.param)


def test_there_are_three_dags(dags: dict[str, Any]) -> None:
    assert sorted(dags) == ["predict", "retrain", "tune"]


def test_every_dag_is_a_runbook_with_limits(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        assert "| red | what to do |" in dag.doc_md, dag.dag_id
        assert dag.tags, dag.dag_id
        assert not dag.catchup, dag.dag_id
        assert dag.max_active_runs == 1, dag.dag_id
        assert dag.dagrun_timeout, dag.dag_id
        assert all(param.description for param in dag.params.values()), dag.dag_id


def test_every_task_has_doc_owner_retries_with_backoff_and_a_timeout(dags: dict[str, Any]) -> None:
    for task in (task for dag in dags.values() for task in dag.tasks):
        assert task.doc_md, task.task_id
        assert task.owner == "retraining", task.task_id
        assert task.retries >= (0 if task.is_setup else 2), task.task_id
        assert task.retry_exponential_backoff > 1, task.task_id
        assert task.execution_timeout > timedelta(0), task.task_id
        assert task.execution_timeout <= task.dag.dagrun_timeout, task.task_id
        assert task.on_failure_callback, task.task_id


def test_every_step_and_parameter_is_one_of_mlproject(dags: dict[str, Any]) -> None:
    texts = ("input", "history", "model_name", "dataset", "pipeline_id", "experiment")
    numbers = ("trials", "alpha", "parallelism", "time_limit")
    params = dict.fromkeys(texts, "x") | dict.fromkeys(numbers, 1)
    variables = {f"retraining_{name}": "v" for name in ("input", "data_root", "spark_master")}
    for task in steps_of(*dags.values()):
        words = words_of(task, variables, params)
        entry_point = words[words.index("-e") + 1]
        assert entry_point == task.task_id
        assert set(parameters_of(words)) <= set(ENTRY_POINTS[entry_point]["parameters"])
        assert {"pipeline_id", "spark_master"} <= set(parameters_of(words))


def test_empty_parameters_are_left_out(dags: dict[str, Any]) -> None:
    place = {"spark_master"} if "create_cluster" in dags["retrain"].task_ids else set()
    given = {
        task.task_id: set(parameters_of(words_of(task, {}))) - place
        for task in steps_of(dags["retrain"])
    }
    assert given == {
        "preprocess": {"dataset", "as_of", "pipeline_id"},
        "train": {"pipeline_id"},
        "tune": {"pipeline_id"},
        "ab_test": {"pipeline_id"},
        "promote": {"dry_run", "pipeline_id"},
    }


def test_a_search_alone_registers_nothing_and_has_an_experiment(dags: dict[str, Any]) -> None:
    (task,) = steps_of(dags["tune"])
    words = words_of(task, {}, {"experiment": "mine"})
    assert words[words.index("--experiment-name") + 1] == "mine"
    assert parameters_of(words) == {"trials_experiment": "mine", "register": "false"}


def test_predictions_are_those_of_the_model_with_a_new_champion(dags: dict[str, Any]) -> None:
    (task,) = steps_of(dags["predict"])
    for given, expected in (({}, "fraud"), ({"model_name": "drivers"}, "drivers")):
        parameters = parameters_of(words_of(task, {}, given, champion="fraud"))
        assert parameters["model_name"] == expected


def test_a_cycle_is_named_by_its_dag_run(dags: dict[str, Any]) -> None:
    for task in steps_of(dags["retrain"]):
        parameters = parameters_of(words_of(task, {}))
        assert parameters["pipeline_id"] == "manual__2026-01-05T03_00_00+00_00"


def test_as_of_is_the_day_of_the_run_by_default(dags: dict[str, Any]) -> None:
    preprocess = dags["retrain"].get_task("preprocess")
    for params, expected in (({}, "2026-01-05"), ({"as_of": "2025-12-01"}, "2025-12-01")):
        assert parameters_of(words_of(preprocess, {}, params))["as_of"] == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha", 1.5),
        ("alpha", "0.05; rm"),
        ("trials", 0),
        ("as_of", "yesterday"),
        ("model_name", "a/b"),
        ("dataset", ""),
        ("dry_run", "maybe"),
    ],
)
def test_wrong_parameters_are_refused(
    name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = parse(monkeypatch)["retrain"].params
    with pytest.raises(ParamValidationError):
        params[name] = value


def test_only_a_cycle_runs_on_the_cluster_that_it_creates(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, dag in parse(monkeypatch, **CLUSTER).items():
        for task in steps_of(dag):
            master = parameters_of(words_of(task, {})).get("spark_master")
            assert (task.on_cluster, master == "yarn") == (name == "retrain",) * 2
