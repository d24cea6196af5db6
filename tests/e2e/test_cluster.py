"""The same chain on this machine and on a standalone cluster that loses executors meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.stack.cluster import Cluster, open_cluster
from tests.stack.process import LOOPBACK, SHORT_LIVED
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.projects import FirstChain

pytestmark = pytest.mark.slow

STEPS = ("preprocess", "train", "tune", "ab_test", "promote")
SPLITS = ("train", "validation", "holdout")
CLUSTER, AGAIN = "cluster", "again"
# No executor can start a Python: the library has no use for one there.
NO_PYTHON = {"PYSPARK_PYTHON": "/no/python", "PYSPARK_DRIVER_PYTHON": sys.executable}


class Seen(NamedTuple):
    """What the cluster did.

    Attributes:
        applications: Names of what it ran.
        killed: Ids of the executors that were killed.
        logs: All that master and workers printed.
        left: Executors that stayed when all was done.
    """

    applications: list[str]
    killed: list[int]
    logs: str
    left: list[int]


@contextmanager
def losing_an_executor(cluster: Cluster, killed: list[int]) -> Iterator[None]:
    """Kill an executor with -9 as soon as both have come up."""

    def kill() -> None:
        wait_until(lambda: len(cluster.executors()) == 2, "no two executors start", 120)
        for pid in cluster.executors()[:1]:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    killer = Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        killer.join()


def submit(project: Path, step: str, *words: str, **options: str) -> None:
    """Call `spark-submit OPTIONS steps/STEP.py WORDS` in the project."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    told = [word for name, value in options.items() for word in (f"--{name}", value)]
    program = Path(sys.executable).parent / "spark-submit"
    done = subprocess.run(
        [program, *told, f"steps/{step}.py", *words],
        cwd=project,
        env=inherited | SHORT_LIVED | NO_PYTHON,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def seen(first: FirstChain, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The steps of a chain on a cluster, started in all three ways."""
    folder = tmp_path_factory.mktemp("cluster")
    killed: list[int] = []
    with open_cluster(folder / "servers") as cluster:
        by_master = {"spark_master": cluster.master, "variables": NO_PYTHON}
        (folder / "spark-defaults.conf").write_text(
            f"spark.master {cluster.master}\nspark.sql.shuffle.partitions 5\n"
        )
        by_folder = {"variables": NO_PYTHON | {"SPARK_CONF_DIR": str(folder)}}
        chain = first.parameters(CLUSTER)
        data = {
            "input": first.raw,
            "dataset": first.dataset,
            "data_root": folder / "data",
            **by_master,
        }

        with losing_an_executor(cluster, killed):
            first.mlflow_run("preprocess", pipeline_id=CLUSTER, **data)
        # Nothing is new: all days are taken over, and the same splits made.
        first.mlflow_run("preprocess", pipeline_id=AGAIN, **data)
        words = ("--pipeline-id", CLUSTER, "--model-name", CLUSTER)
        submit(first.project, "train", *words, master=cluster.master)
        with losing_an_executor(cluster, killed):
            first.mlflow_run("tune", trials=2, **chain, **by_folder)
        first.mlflow_run("ab_test", **chain, **by_folder)
        first.mlflow_run("promote", pipeline_id=CLUSTER, **by_master)

        with suppress(AssertionError):
            wait_until(lambda: not cluster.executors(), "an executor is left", 30)
        left = cluster.executors()
        applications = [application["name"] for application in cluster.state()["completedapps"]]
    logs = "".join(server.log.read_text() for server in cluster.servers)
    return Seen(applications, killed, logs, left)


@pytest.mark.parametrize("step", STEPS)
def test_a_cluster_makes_what_one_machine_makes(first: FirstChain, seen: Seen, step: str) -> None:
    assert first.differences(step, CLUSTER) == []


def test_fingerprints_metrics_and_verdicts_were_compared(first: FirstChain, seen: Seen) -> None:
    prepared, trained, tested = (
        first.run(step, CLUSTER).data for step in ("preprocess", "train", "ab_test")
    )
    assert {f"fingerprint.{name}" for name in SPLITS} < prepared.tags.keys()
    assert {"auroc", "auprc"} < trained.metrics.keys()
    assert tested.tags["verdict"] == first.run("ab_test").data.tags["verdict"]


def test_a_second_cycle_makes_the_same_of_days_taken_over(first: FirstChain, seen: Seen) -> None:
    one, other = (first.run("preprocess", name).data.tags for name in (CLUSTER, AGAIN))
    assert "no file is read" in other["result.summary"]
    for name in SPLITS:
        assert one[f"fingerprint.{name}"] == other[f"fingerprint.{name}"]


def test_every_score_is_the_same(first: FirstChain, seen: Seen, tmp_path: Path) -> None:
    tables = []
    for run in (first.run("ab_test"), first.run("ab_test", CLUSTER)):
        copy = tmp_path / run.info.run_id
        copy.mkdir()
        path = first.client.download_artifacts(run.info.run_id, "scores.parquet", str(copy))
        tables.append(pq.read_table(path).to_pandas())
    local, cluster = (table.sort_values(list(table.columns)) for table in tables)
    assert len(local) == len(cluster) > 0
    for name in ("label", "champion", "challenger"):
        np.testing.assert_allclose(local[name], cluster[name], rtol=1e-9)


def test_every_step_ran_on_the_cluster(first: FirstChain, seen: Seen) -> None:
    """A verdict that moves nothing lets promote do without Spark."""
    verdict = first.run("ab_test", CLUSTER).data.tags["verdict"]
    ran = STEPS if verdict == "promote" else STEPS[:-1]
    assert sorted(seen.applications) == sorted(("preprocess", *ran))


def test_killed_executors_cost_only_time(seen: Seen) -> None:
    assert len(seen.killed) == 2
    assert seen.logs.count("Command exited with code 137") == 2


def test_no_executor_outlives_its_step(seen: Seen) -> None:
    assert seen.left == []


def test_a_master_that_is_not_there_is_told_in_one_line(first: FirstChain, seen: Seen) -> None:
    nowhere = f"spark://{LOOPBACK}:1"
    output = first.mlflow_run("train", fails=True, pipeline_id=CLUSTER, spark_master=nowhere)
    assert f"Error: no Spark master answers at {nowhere}: check spark_master" in output
    assert "org.apache.spark" not in output
