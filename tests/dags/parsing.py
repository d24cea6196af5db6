"""The DAGs as Airflow reads them under a configuration; nothing else is read meanwhile."""

from __future__ import annotations

import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import yaml
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import Asset, Variable

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

ROOT = Path(__file__).resolve().parents[2]
ENTRY_POINTS = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]
SSH = {"ssh_conn_id": "host"}
MONDAY = datetime(2026, 1, 5, 3, tzinfo=UTC)
CLUSTER = {
    **SSH,
    "dataproc_conn_id": "cloud",
    "dataproc_cluster": '{"zone": "ru-central1-d", "s3_bucket": "logs", "subnet_id": "subnet", '
    '"initialization_actions": [{"uri": "s3a://source/prepare.sh", "args": ["a"], "timeout": 60}]}',
}


def parse(monkeypatch: pytest.MonkeyPatch, **configuration: str) -> dict[str, Any]:
    """The DAGs by id, parsed again; an access to the network or to a Variable fails."""
    for key, value in configuration.items():
        monkeypatch.setenv(f"AIRFLOW__RETRAINING__{key.upper()}", value)
    for name in [name for name in sys.modules if name.startswith("mlflow_")]:
        monkeypatch.delitem(sys.modules, name)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("read while a DAG is parsed")

    with monkeypatch.context() as patched:
        patched.setattr(socket.socket, "connect", refuse)
        patched.setattr(Variable, "get", refuse)
        bag = DagBag(str(ROOT / "dags"))
    assert bag.import_errors == {}
    return dict(bag.dags)


def steps_of(*dags: Any) -> list[Any]:  # noqa: ANN401 (Airflow's DAG)
    """The tasks that run a step."""
    return [task for dag in dags for task in dag.tasks if hasattr(task, "mlflow_run")]


def words_of(
    task: Any,  # noqa: ANN401 (one of Airflow's operators)
    variables: dict[str, str],
    params: Mapping[str, object] = MappingProxyType({}),
    *,
    champion: str = "",
) -> list[str]:
    """The `mlflow run` of a step in a run of `MONDAY` with these Variables and parameters.

    Args:
        task: Of the step.
        variables: Airflow Variables by name.
        params: Params of the DAG that are not left as they are.
        champion: Name of the model whose new champion has started the DAG run, if one has.
    """
    event = SimpleNamespace(extra={"model_name": champion})
    context = {
        "params": {**task.dag.params.dump(), **params},
        "run_id": "manual__2026-01-05T03:00:00+00:00",
        "dag_run": SimpleNamespace(data_interval_end=None, run_after=MONDAY),
        "triggering_asset_events": {Asset(name="champion"): [event]} if champion else {},
    }

    def get(name: str, default: str) -> str:
        return variables.get(name, default)

    with patch.object(Variable, "get", get):
        return list(task.mlflow_run.words(context))


def run(
    monkeypatch: pytest.MonkeyPatch,
    configuration: dict[str, str],
    name: str = "retrain",
    day: datetime | None = None,
    seconds: float = 20,
    **params: object,
) -> dict[str, str]:
    """Run a DAG now, or as of a day: the states of its tasks, and that of the run under ``.

    No task may take longer than these seconds.
    """
    dag = parse(monkeypatch, **configuration)[name]
    for task in dag.tasks:
        task.retries = 0
        task.execution_timeout = timedelta(seconds=seconds)
    ended = dag.test(logical_date=day, run_conf=params)
    states = {ti.task_id: str(ti.state) for ti in ended.get_task_instances()}
    return {**states, "": str(ended.state)}
