"""Whole runs of the DAG in this process: a small `mlflow` records how it was called.

The Data Proc operators are real, above stubs of the cloud's API; where steps run on a cluster or on
another host, they go through a real SSH server.
"""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yandexcloud
from yandex.cloud.dataproc.v1.cluster_pb2 import Cluster
from yandex.cloud.dataproc.v1.cluster_service_pb2 import ListClusterHostsResponse
from yandex.cloud.dataproc.v1.subcluster_pb2 import Host, Role

from tests.dags.parsing import CLUSTER, SSH, run

if TYPE_CHECKING:
    from tests.dags.stand_in import Project

# The client reads no further than this.
_KEY = "-----BEGIN PRIVATE KEY-----"
STEPS = ["preprocess", "train", "tune", "ab_test", "promote"]


class Cloud:
    """Stubs of the cloud's API, and the requests that they got, in order."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def client(self, *_: object, **__: object) -> Any:  # noqa: ANN401 (a stub)
        """A stub of any service."""
        return SimpleNamespace(Create=self._take, Delete=self._take, ListHosts=self._list)

    def wait(self, operation: Any, *_: object, **__: object) -> Any:  # noqa: ANN401
        """The result of an operation, at once."""
        return SimpleNamespace(response=Cluster(id="cluster-1"), operation=operation, meta=None)

    def _take(self, request: Any) -> Any:  # noqa: ANN401 (any request)
        self.asked.append(request)
        return SimpleNamespace(id="operation")

    def _list(self, request: Any) -> ListClusterHostsResponse:  # noqa: ANN401
        self.asked.append(request)
        worker = Host(name="worker", role=Role.DATANODE)
        return ListClusterHostsResponse(
            hosts=[worker, Host(name="127.0.0.1", role=Role.MASTERNODE)]
        )


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cloud:
    cloud = Cloud()
    monkeypatch.setattr(yandexcloud.SDK, "client", cloud.client)
    monkeypatch.setattr(yandexcloud.SDK, "wait_operation_and_get_result", cloud.wait)
    account = {"id": "key", "service_account_id": "account", "private_key": _KEY}
    extra = {
        "service_account_json": json.dumps(account),
        "folder_id": "folder",
        "public_ssh_key": "ssh-ed25519 AAAA",
    }
    connection = {"conn_type": "yandexcloud", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_CLOUD", json.dumps(connection))
    return cloud


def test_a_better_challenger_is_promoted_and_announced(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = run(monkeypatch, {})
    assert states.pop("keep_champion") == "skipped"
    assert set(states.values()) == {"success"}
    assert project.steps == STEPS


def test_cycles_of_past_weeks_are_each_as_of_their_day(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = ["2026-01-05", "2026-01-12", "2026-01-19"]
    for day in days:
        date = datetime.fromisoformat(f"{day}T03:00:00+00:00")
        assert run(monkeypatch, {}, day=date)[""] == "success"
    parameters = project.parameters("preprocess")
    assert [each["as_of"] for each in parameters] == days
    assert len({each["pipeline_id"] for each in parameters}) == len(days)


@pytest.mark.parametrize("verdict", ["keep_champion", "inconclusive"])
def test_a_lost_test_is_green_and_says_why(
    verdict: str,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    project.tags["ab_test"] = {"verdict": verdict, "verdict.reasons": "Too few positives."}
    states = run(monkeypatch, {})
    skipped = {task for task, state in states.items() if state == "skipped"}
    assert skipped == {"promote", "announce"}
    assert states[""] == states["keep_champion"] == "success"
    assert project.steps == STEPS[:-1]
    (line,) = [text for text in caplog.messages if "Too few positives." in text]
    assert verdict in line


@pytest.mark.parametrize(("outcome", "dry_run"), [("kept", "false"), ("promoted", "true")])
def test_a_champion_that_has_not_moved_is_not_announced(
    outcome: str, dry_run: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.tags["promote"]["result.outcome"] = outcome
    states = run(monkeypatch, {}, dry_run=dry_run == "true")
    assert (states["promote"], states["announce"], states[""]) == ("success", "skipped", "success")
    (parameters,) = project.parameters("promote")
    assert parameters["dry_run"] == dry_run


def test_a_failed_step_is_reported_in_one_line(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    project.break_step("tune")
    states = run(monkeypatch, {})
    assert (states["tune"], states["ab_test"], states[""]) == (
        "failed",
        "upstream_failed",
        "failed",
    )
    (line,) = [text for text in caplog.messages if "cycle_id=" in text]
    assert "retrain.tune" in line
    assert "\n" not in line


@pytest.mark.usefixtures("host")
def test_steps_run_over_ssh(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    states = run(monkeypatch, SSH)
    assert (states["announce"], states[""]) == ("success", "success")
    assert project.steps == STEPS


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("broken", ["", "train"])
def test_a_cluster_is_created_used_and_deleted_in_any_case(
    broken: str, project: Project, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.break_step(broken)
    states = run(monkeypatch, CLUSTER)
    create, hosts, delete = cloud.asked
    assert (create.zone_id, create.config_spec.hadoop.ssh_public_keys) == (
        "ru-central1-d",
        ["ssh-ed25519 AAAA"],
    )
    (action,) = create.config_spec.hadoop.initialization_actions
    assert (action.uri, list(action.args)) == ("s3a://source/prepare.sh", ["a"])
    assert hosts.cluster_id == delete.cluster_id == "cluster-1"
    assert states["delete_cluster"] == "success"
    assert states[""] == ("failed" if broken else "success")
    assert project.steps == (STEPS[:2] if broken else STEPS)
    for step in project.steps:
        (parameters,) = project.parameters(step)
        assert parameters["spark_master"] == "yarn"


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("place", [{}, SSH], ids=["worker", "ssh"])
def test_a_step_out_of_time_is_ended_where_it_runs(
    place: dict[str, str], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.hanging.touch()
    states = run(monkeypatch, place, seconds=10)
    assert (states["preprocess"], states[""]) == ("failed", "failed")
    process = int(project.hanging.read_text())
    deadline = time.monotonic() + 10
    while _lives(process) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _lives(process)


def _lives(process: int) -> bool:
    """Whether a process exists and is not a zombie, which nobody waits for in these runs."""
    status = Path("/proc", str(process), "status")
    return status.exists() and "State:\tZ" not in status.read_text()
