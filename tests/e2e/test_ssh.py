"""`airflow dags test` with steps that really run, on a host that Airflow reaches by SSH."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from mlflow import MlflowClient

from tests.stack.process import SHORT_LIVED, StackError
from tests.stack.scheduler import ROOT, find_program, prepare_home
from tests.stack.sshd import Sshd, find_sshd, open_sshd
from tests.stack.tracking import open_tracking
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities import Run

    from tests.e2e.projects import FirstChain

pytestmark = pytest.mark.slow

STEPS = ["preprocess", "train", "tune", "ab_test", "promote"]


class Host(NamedTuple):
    """Airflow without servers, the host of the steps, and the MLflow server that both know."""

    dataset: str
    newest_day: str
    airflow: dict[str, str]
    sshd: Sshd
    client: MlflowClient

    def dags_test(self, dag: str, **conf: object) -> subprocess.Popen[str]:
        """Start one run of a DAG, to its end in one process."""
        return subprocess.Popen(
            [find_program(), "dags", "test", dag, "--conf", json.dumps(conf)],
            env=self.airflow,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def runs(self, experiment: str) -> dict[str, Run]:
        """The runs of steps in an experiment, by step, in the order in which they started."""
        found = self.client.get_experiment_by_name(experiment)
        runs = self.client.search_runs(
            [found.experiment_id] if found else [], order_by=["attributes.start_time"]
        )
        steps = {run.data.tags.get("step"): run for run in runs}
        return {step: run for step, run in steps.items() if step in STEPS}


@pytest.fixture(scope="module")
def host(first: FirstChain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("ssh")
    try:
        find_program()
        find_sshd()
    except StackError as error:
        pytest.skip(str(error))
    server = open_tracking(
        folder / "mlflow",
        backend_uri=f"sqlite:///{folder}/mlflow.db",
        artifacts=str(folder / "artifacts"),
    )
    with server as tracking, open_sshd(folder / "sshd") as sshd:
        profile = folder / "profile"
        # A login has neither this process's PATH nor its JAVA_HOME.
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "JAVA_HOME")}
        told = kept | SHORT_LIVED | tracking.environment
        profile.write_text("".join(f"export {name}='{value}'\n" for name, value in told.items()))
        values = {
            "project": ROOT,
            "bin": Path(sys.executable).parent,
            "env_manager": "local",
            "input": first.raw,
            "data_root": folder / "data",
            "profile": profile,
        }
        airflow = {
            **prepare_home(folder / "airflow"),
            **tracking.environment,
            "AIRFLOW__RETRAINING__SSH_CONN_ID": "host",
            "AIRFLOW_CONN_HOST": sshd.connection,
            **{f"AIRFLOW_VAR_RETRAINING_{key.upper()}": str(text) for key, text in values.items()},
        }
        newest = max(first.raw.iterdir()).stem
        yield Host(str(first.dataset), newest, airflow, sshd, MlflowClient(tracking.uri))


def test_all_steps_of_the_dag_run_on_the_host(host: Host) -> None:
    made = host.dags_test("retrain", dataset=host.dataset, trials=2, as_of=host.newest_day)
    printed, _ = made.communicate(timeout=1200)
    assert made.returncode == 0, printed
    runs = host.runs("Default")
    assert list(runs)[:4] == STEPS[:4]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert len({run.data.tags["cycle_id"] for run in runs.values()}) == 1
    assert ("promote" in runs) == (runs["ab_test"].data.tags["verdict"] == "promote")
    assert host.sshd.server.log.read_text().count("Accepted publickey") == len(runs)
    assert host.client.get_model_version_by_alias("fraud", "champion").version


def test_a_step_whose_connection_breaks_is_killed(host: Host) -> None:
    made = host.dags_test("tune", trials=500)
    try:
        wait_until(lambda: host.runs("tune"), "no search begins", 180)
        made.send_signal(signal.SIGKILL)
    finally:
        made.kill()
        made.communicate(timeout=120)
    wait_until(lambda: host.runs("tune")["tune"].info.status != "RUNNING", "the search goes on", 60)
    assert host.runs("tune")["tune"].info.status == "KILLED"
