"""A cluster that goes away: the driver is told in one line, and does not wait for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING

import pytest

from retraining.errors import RetrainingError
from retraining.spark import cluster
from retraining.tracking.checkout import ROOT
from tests.stack.cluster import Cluster, open_cluster
from tests.stack.process import LOOPBACK, SHORT_LIVED, free_port
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.spark, pytest.mark.slow]

# A job without end, and what its caller is told when it ends all the same.
SCRIPT = textwrap.dedent("""
    import sys
    from retraining.errors import RetrainingError
    from retraining.spark import cluster, patience
    from retraining.spark.session import open_session

    cluster._SECONDS_WITHOUT_EXECUTORS = 5
    cluster._DEFAULT = sys.argv[2]
    patience._SECONDS_BETWEEN_LOOKS, patience._SECONDS_TO_FIRST_LINE = 1, 5
    try:
        with open_session("endless", sys.argv[1]) as spark:
            print("open", flush=True)
            spark.range(10**15).selectExpr("sum(hash(id))").collect()
    except RetrainingError as error:
        print(f"told: {error}")
""")


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with open_cluster(tmp_path_factory.mktemp("cluster"), workers=1) as running:
        yield running


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Cluster]:
    with open_cluster(tmp_path / "cluster", workers=1) as running:
        yield running


@contextmanager
def endless(master: str, longest_wait: str = "2h") -> Iterator[subprocess.Popen[str]]:
    """A driver in a process of its own, with its job under way."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SPARK_")}
    command = [sys.executable, "-c", SCRIPT, master, longest_wait]
    with subprocess.Popen(
        command,
        env=environment | SHORT_LIVED | {"PYTHONPATH": str(ROOT / "steps")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as driver:
        patience = Timer(300, driver.kill)
        patience.start()
        try:
            assert line_with("open", driver)
            yield driver
        finally:
            patience.cancel()
            driver.kill()


def line_with(text: str, driver: subprocess.Popen[str]) -> str:
    """The next line of what a driver prints that holds a text."""
    assert driver.stdout
    lines = []
    for line in driver.stdout:
        lines.append(line)
        if text in line:
            return line.strip()
    raise AssertionError("".join(lines))


def await_executor(running: Cluster) -> None:
    wait_until(running.executors, "no executor starts", 60)


def java_of(driver: subprocess.Popen[str]) -> int:
    """Id of the driver's JVM, its only child."""
    with open(f"/proc/{driver.pid}/task/{driver.pid}/children") as children:  # noqa: PTH123
        return int(children.read().split()[0])


def kill(running: Cluster) -> None:
    """Kill master and worker, and the executors with it."""
    for server in reversed(running.servers):
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()


def test_a_cluster_that_is_gone_ends_the_step(mortal: Cluster) -> None:
    with endless(mortal.master) as driver:
        await_executor(mortal)
        kill(mortal)
        assert line_with("told:", driver) == (
            f"told: the Spark cluster {mortal.master} has no executors any more: "
            "see that the cluster is up, then run the step again"
        )


def test_a_cluster_that_starts_anew_does_not_know_the_step(mortal: Cluster) -> None:
    with endless(mortal.master) as driver:
        await_executor(mortal)
        time.sleep(10)  # it is known to the driver
        kill(mortal)
        for server in mortal.servers:
            server.start()
        assert "has no executors any more" in line_with("told:", driver)


def test_a_jvm_that_is_gone_ends_the_step(steady: Cluster) -> None:
    with endless(steady.master) as driver:
        os.kill(java_of(driver), signal.SIGKILL)
        assert line_with("told:", driver) == (
            "told: Spark has ended in the middle of the step: its messages above say why; "
            "if there are none, it may lack memory (spark.driver.memory)"
        )


def test_a_cluster_without_room_is_waited_for_for_a_while(steady: Cluster) -> None:
    with endless(steady.master):
        await_executor(steady)
        with endless(steady.master, "10s") as second:
            what = f"the Spark cluster {steady.master} has no room for an executor"
            assert f"{what}: waits for 5" in line_with("waits for", second)
            assert f"{what}: let other applications end, " in line_with("told:", second)


def test_a_master_that_never_answers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_SECONDS_FOR_AN_ANSWER", 1)
    for master in (f"spark://{LOOPBACK}:{free_port()}", "spark://no.such.host.invalid:7077"):
        with pytest.raises(RetrainingError, match=f"^no Spark master answers at {master}: check"):
            cluster.require_master(master)


def test_one_of_several_masters_is_enough(steady: Cluster) -> None:
    standby = f"{LOOPBACK}:{free_port()}"
    cluster.require_master(f"spark://{standby},{steady.master.removeprefix('spark://')}")


@pytest.mark.parametrize("master", ["local[*]", "k8s://https://somewhere:443"])
def test_other_masters_are_for_spark_to_judge(master: str) -> None:
    cluster.require_master(master)
