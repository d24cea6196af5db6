"""The same chain on this machine and on clusters that lose executors meanwhile.

A standalone cluster runs steps that spark-submit or SPARK_CONF_DIR lead to it; YARN runs a whole
chain, whose data are on HDFS.
"""

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

from tests.stack.cluster import open_cluster
from tests.stack.hadoop import Hadoop, open_hadoop
from tests.stack.process import LOOPBACK, SHORT_LIVED
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.projects import FirstChain

pytestmark = pytest.mark.slow

STEPS = ("preprocess", "train", "tune", "ab_test", "promote")
SPLITS = ("train", "validation", "holdout")
STANDALONE, YARN = "standalone", "yarn"
# No executor can start a Python: the library has no use for one there.
NO_PYTHON = {"PYSPARK_PYTHON": "/no/python", "PYSPARK_DRIVER_PYTHON": sys.executable}


class Seen(NamedTuple):
    """What a cluster did.

    Attributes:
        applications: Names of what it ran.
        killed: Ids of the executors that were killed.
        logs: All that its servers printed.
        left: Processes of applications, and temporary files, that stayed when all was done.
    """

    applications: list[str]
    killed: list[int]
    logs: str
    left: list[int | str]


@contextmanager
def losing_an_executor(executors: Callable[[], list[int]], killed: list[int]) -> Iterator[None]:
    """Kill an executor with -9 as soon as there are two."""

    def kill() -> None:
        wait_until(lambda: len(executors()) == 2, "no two executors start", 600)
        for pid in executors()[:1]:
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
def standalone(first: FirstChain, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Steps on a standalone cluster that no parameter of theirs names."""
    folder = tmp_path_factory.mktemp(STANDALONE)
    killed: list[int] = []
    with open_cluster(folder / "servers") as cluster:
        (folder / "spark-defaults.conf").write_text(
            f"spark.master {cluster.master}\nspark.sql.shuffle.partitions 5\n"
        )
        with losing_an_executor(cluster.executors, killed):
            first.mlflow_run(
                "preprocess",
                input=first.raw,
                dataset=first.dataset,
                data_root=folder / "data",
                pipeline_id=STANDALONE,
                variables=NO_PYTHON | {"SPARK_CONF_DIR": str(folder)},
            )
        words = ("--pipeline-id", STANDALONE, "--model-name", STANDALONE)
        submit(first.project, "train", *words, master=cluster.master)

        with suppress(AssertionError):
            wait_until(lambda: not cluster.executors(), "an executor is left", 30)
        left: list[int | str] = [*cluster.executors()]
        applications = [application["name"] for application in cluster.state()["completedapps"]]
    logs = "".join(server.log.read_text() for server in cluster.servers)
    return Seen(applications, killed, logs, left)


@pytest.fixture(scope="module")
def yarn(first: FirstChain, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """A chain on YARN: raw files on this machine, since their path has no scheme, data on HDFS."""
    killed: list[int] = []
    with open_hadoop(tmp_path_factory.mktemp(YARN) / "hadoop") as hadoop:

        def at_work(step: str) -> list[int]:
            running = (a["name"] for a in hadoop.applications() if a["state"] == "RUNNING")
            return hadoop.executors() if step in running else []

        with (
            losing_an_executor(lambda: at_work("preprocess"), killed),
            losing_an_executor(lambda: at_work("tune"), killed),
        ):
            first.mlflow_run(
                "main",
                input=first.raw,
                dataset=first.dataset,
                data_root="hdfs:///data",
                spark_master="yarn",
                trials=2,
                variables=NO_PYTHON | hadoop.environment,
                **first.parameters(YARN),
            )

        with suppress(AssertionError):
            wait_until(lambda: not hadoop.containers(), "a container is left", 30)
        left: list[int | str] = [*hadoop.containers(), *_temporary_files(hadoop)]
        applications = [application["name"] for application in hadoop.applications()]
    logs = "".join(server.log.read_text() for server in hadoop.servers)
    return Seen(applications, killed, logs, left)


def _temporary_files(hadoop: Hadoop) -> list[str]:
    """What is on HDFS beside the data set, and beside the empty home of the user."""
    listed = hadoop.fs("-ls", "-R", "-C", "/").split()
    return [path for path in listed if "_model-" in path or ".sparkStaging/" in path]


@pytest.mark.parametrize("step", ["preprocess", "train"])
def test_a_standalone_cluster_makes_what_one_machine_makes(
    first: FirstChain, standalone: Seen, step: str
) -> None:
    assert first.differences(step, STANDALONE) == []


@pytest.mark.parametrize("step", STEPS)
def test_yarn_makes_what_one_machine_makes(first: FirstChain, yarn: Seen, step: str) -> None:
    assert first.differences(step, YARN) == []


def test_fingerprints_metrics_and_verdicts_were_compared(first: FirstChain, yarn: Seen) -> None:
    prepared, trained, tested = (
        first.run(step, YARN).data for step in ("preprocess", "train", "ab_test")
    )
    assert prepared.tags["dataset_uri"].startswith("hdfs://")
    assert {f"fingerprint.{name}" for name in SPLITS} < prepared.tags.keys()
    assert {"auroc", "auprc"} < trained.metrics.keys()
    assert tested.tags["verdict"] == first.run("ab_test").data.tags["verdict"]


def test_every_score_is_the_same(first: FirstChain, yarn: Seen, tmp_path: Path) -> None:
    tables = []
    for run in (first.run("ab_test"), first.run("ab_test", YARN)):
        copy = tmp_path / run.info.run_id
        copy.mkdir()
        path = first.client.download_artifacts(run.info.run_id, "scores.parquet", str(copy))
        tables.append(pq.read_table(path).to_pandas())
    local, cluster = (table.sort_values(list(table.columns)) for table in tables)
    assert len(local) == len(cluster) > 0
    for name in ("label", "champion", "challenger"):
        np.testing.assert_allclose(local[name], cluster[name], rtol=1e-9)


def test_every_step_ran_on_its_cluster(first: FirstChain, standalone: Seen, yarn: Seen) -> None:
    """A verdict that moves nothing lets promote do without Spark."""
    verdict = first.run("ab_test", YARN).data.tags["verdict"]
    ran = STEPS if verdict == "promote" else STEPS[:-1]
    assert sorted(yarn.applications) == sorted(ran)
    assert sorted(standalone.applications) == ["preprocess", "train"]


def test_killed_executors_cost_only_time(standalone: Seen, yarn: Seen) -> None:
    assert len(standalone.killed) == 1
    assert standalone.logs.count("Command exited with code 137") == 1
    assert len(yarn.killed) == 2
    assert yarn.logs.count(" is : 137") >= 2  # YARN may end other containers by the same signal


def test_nothing_outlives_its_step(standalone: Seen, yarn: Seen) -> None:
    assert standalone.left == []
    assert yarn.left == []


def test_a_master_that_is_not_there_is_told_in_one_line(
    first: FirstChain, standalone: Seen
) -> None:
    nowhere = f"spark://{LOOPBACK}:1"
    output = first.mlflow_run("train", fails=True, pipeline_id=STANDALONE, spark_master=nowhere)
    assert f"Error: no Spark master answers at {nowhere}: check spark_master" in output
    assert "org.apache.spark" not in output
