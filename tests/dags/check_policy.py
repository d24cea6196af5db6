"""What every DAG and every task has, and what the commands say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.definitions.param import ParamValidationError

from tests.dags.parsing import CLUSTER, ENTRY_POINTS, SSH, parse, rendered, steps_of, told, words_of

PLACES: list[dict[str, str]] = [{}, SSH, CLUSTER]


@pytest.fixture(params=PLACES, ids=["worker", "ssh", "cluster"])
def dags(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    return parse(monkeypatch, **request.param)


def test_the_dags_are_there(dags: dict[str, Any]) -> None:
    assert sorted(dags) == ["optimise", "predict", "retrain"]


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
        assert task.doc_md, f"{task.task_id}: say what it makes"
        assert task.owner == "retraining", task.task_id
        assert task.retries >= (0 if task.is_setup else 2), task.task_id
        assert task.retry_exponential_backoff > 1, task.task_id
        assert task.execution_timeout > timedelta(0), task.task_id
        assert task.execution_timeout <= task.dag.dagrun_timeout, task.task_id
        assert task.on_failure_callback, task.task_id


def test_every_step_and_parameter_is_one_of_mlproject(dags: dict[str, Any]) -> None:
    everything = dict.fromkeys(
        ("input", "history", "model_name", "dataset", "pipeline_id", "experiment"), "x"
    )
    numbers = dict.fromkeys(("trials", "alpha", "parallelism", "time_limit"), 1)
    variables = {f"retraining_{name}": "v" for name in ("input", "data_root", "spark_master")}
    for task, template in steps_of(dags):
        words = words_of(rendered(task, template, variables=variables, **everything, **numbers))
        entry_point = words[words.index("-e") + 1]
        assert entry_point == task.task_id
        assert set(told(words)) <= set(ENTRY_POINTS[entry_point]["parameters"])
        assert {"pipeline_id", "spark_master"} <= set(told(words))


def test_what_is_empty_is_not_handed_over(dags: dict[str, Any]) -> None:
    place = {"spark_master"} if "create_cluster" in dags["retrain"].task_ids else set()
    given = {
        task.task_id: set(told(words_of(rendered(task, template, variables={})))) - place
        for task, template in steps_of({"retrain": dags["retrain"]})
    }
    assert given == {
        "preprocess": {"dataset", "as_of", "pipeline_id"},
        "train": {"pipeline_id"},
        "tune": {"pipeline_id"},
        "ab_test": {"pipeline_id"},
        "promote": {"dry_run", "pipeline_id"},
    }


def test_values_stay_one_word_whatever_they_hold(dags: dict[str, Any]) -> None:
    hostile = 'a b\'; touch "$HOME/x" #`id`\n{{ 1 }}'
    for task, template in steps_of({"predict": dags["predict"]}):
        command = rendered(task, template, variables={"retraining_bin": hostile}, input=hostile)
        assert told(words_of(command))["input"] == hostile


def test_a_cycle_is_named_by_its_dag_run(dags: dict[str, Any]) -> None:
    for task, template in steps_of({"retrain": dags["retrain"]}):
        parameters = told(words_of(rendered(task, template, variables={})))
        assert parameters["pipeline_id"] == "manual__2026-01-05T03_00_00+00_00"


def test_as_of_is_the_day_of_the_run_unless_told(dags: dict[str, Any]) -> None:
    preprocess = dags["retrain"].get_task("preprocess")
    template = {task.task_id: text for task, text in steps_of(dags)}["preprocess"]
    for params, expected in (({}, "2026-01-05"), ({"as_of": "2025-12-01"}, "2025-12-01")):
        words = words_of(rendered(preprocess, template, variables={}, **params))
        assert told(words)["as_of"] == expected


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


def test_connections_reach_the_step_by_its_environment_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dags = parse(monkeypatch, mlflow_conn_id="tracking", s3_conn_id="store")
    for task, template in steps_of(dags):
        assert "conn." not in template
        assert "conn.tracking" in task.env["MLFLOW_TRACKING_PASSWORD"]
        assert "conn.store" in task.env["AWS_SECRET_ACCESS_KEY"]


def test_only_the_cycle_runs_on_the_cluster_that_it_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    dags = parse(monkeypatch, **CLUSTER)
    for name, dag in dags.items():
        for task, template in steps_of({name: dag}):
            master = told(words_of(rendered(task, template, variables={}))).get("spark_master")
            assert (task.remote_host is not None, master == "yarn") == (name == "retrain",) * 2
