"""The DAGs as Airflow reads them, under a configuration; nothing is read from anywhere else."""

from __future__ import annotations

import re
import shlex
import socket
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import yaml
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import Variable

if TYPE_CHECKING:
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
    """The DAGs by id, parsed anew; looking at the network or a Variable meanwhile fails."""
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


def steps_of(dags: dict[str, Any]) -> list[tuple[Any, str]]:
    """Each task that runs a step, with the template of its command."""
    found = []
    for dag in dags.values():
        for task in dag.tasks:
            template = getattr(task, "bash_command", None) or getattr(task, "command", None)
            if template:
                found.append((task, template))
    return found


def rendered(task: Any, template: str, *, variables: dict[str, str], **params: object) -> str:  # noqa: ANN401
    """The command of a step in a run of now with these Variables and parameters."""
    context = {
        "params": {**task.dag.params.dump(), **params},
        "var": {"value": variables},
        "run_id": "manual__2026-01-05T03:00:00+00:00",
        "dag_run": SimpleNamespace(data_interval_end=None, run_after=MONDAY),
        "triggering_asset_events": {},
    }
    return str(task.render_template(template, context, task.get_template_env()))


def words_of(command: str) -> list[str]:
    """Words of the `mlflow run` in a command, as bash takes them apart."""
    (line,) = re.findall(r"^exec (mlflow run .*) </dev/null$", command, re.MULTILINE | re.DOTALL)
    return shlex.split(line)


def told(words: list[str]) -> dict[str, str]:
    """Parameters that an `mlflow run` is given."""
    pairs = [word for flag, word in pairwise(words) if flag == "-P"]
    return dict(pair.split("=", 1) for pair in pairs)
