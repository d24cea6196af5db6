"""HDFS and YARN that refuse or are away: the driver ends, and says why in one line."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING

import pytest

from retraining.tracking.checkout import ROOT
from tests.stack.hadoop import Hadoop, open_hadoop
from tests.stack.process import SHORT_LIVED
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.spark, pytest.mark.slow]

# Runs what it reads, each line in a session, and says how that ended.
SCRIPT = textwrap.dedent("""
    import sys
    from retraining.errors import RetrainingError
    from retraining.spark import cluster, patience, storage
    from retraining.spark.session import open_session

    cluster._SECONDS_FOR_AN_ANSWER, cluster._SECONDS_WITHOUT_NODES = 1, 6
    patience._SECONDS_BETWEEN_LOOKS, patience._SECONDS_TO_FIRST_LINE = 1, 3
    print("up", flush=True)
    for line in sys.stdin:
        try:
            with open_session("test", sys.argv[1]) as spark:
                print("open", spark.sparkContext.applicationId, flush=True)
                exec(line)
        except RetrainingError as error:
            print(f"told: {error}", flush=True)
        else:
            print("told: nothing", flush=True)
""")


class Driver:
    """A driver in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []

    def run(self, line: str) -> None:
        """Have a line run in a session."""
        assert self.process.stdin
        self.lines.clear()
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def line_with(self, text: str) -> str:
        """The next line with a text, of those that it prints; `lines` has all since `run`."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if text in line:
                return self.lines[-1]
        raise AssertionError("\n".join(self.lines))

    def traces(self) -> list[str]:
        """The lines of a Java trace among those that it has printed since `run`."""
        return [line for line in self.lines if line.startswith(("\tat ", "Caused by: "))]

    def told(self, line: str) -> str:
        """The error that a line ends with."""
        self.run(line)
        return self.line_with("told: ").removeprefix("told: ")


@contextmanager
def driver(hadoop: Hadoop, master: str, **variables: str) -> Iterator[Driver]:
    """A driver whose default file system is that HDFS."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("SPARK_")}
    one = hadoop.environment["PYSPARK_SUBMIT_ARGS"].replace("instances=2", "instances=1")
    words = {"PYSPARK_SUBMIT_ARGS": one, "PYTHONPATH": str(ROOT / "steps"), **variables}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, master],
        env=inherited | SHORT_LIVED | hadoop.environment | words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        patience = Timer(300, process.kill)
        patience.start()
        try:
            started = Driver(process)
            started.line_with("up")
            yield started
        finally:
            patience.cancel()
            process.kill()


@pytest.fixture(scope="module")
def hadoop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hadoop]:
    with open_hadoop(tmp_path_factory.mktemp("hadoop") / "cluster", nodes=1) as running:
        yield running


def test_hdfs_that_refuses(hadoop: Hadoop) -> None:
    """Permission, quotas, safe mode; met by Spark, and by what lists and writes single files."""
    write = f"spark.range(9).write.parquet('{hadoop.uri}{{}}')"
    hadoop.fs("-mkdir", "-p", "/user", "/full")
    hadoop.fs("-chmod", "777", "/full")
    hadoop.dfsadmin("-setQuota", "3", "/full")
    with driver(hadoop, "local[1]", HADOOP_USER_NAME="alice") as alice:
        denied = "HDFS denies user alice WRITE on / (root:supergroup:drwxr-xr-x): let its owner "
        assert alice.told(write.format("/mine")).startswith(denied)
        assert alice.told(f"storage.write_text(spark, '{hadoop.uri}/mine/x', 'x')").startswith(
            denied
        )
        quota = (
            "The NameSpace quota (directories and files) of directory /full is exceeded: quota=3"
        )
        full = alice.told(write.format("/full/a/b"))
        assert full.startswith(f"a quota of HDFS is used up ({quota}")
        unknown = "HDFS has no host and no nameservice nosuch: check the path, and that HADOOP_CON"
        assert alice.told("spark.read.parquet('hdfs://nosuch/raw')").startswith(unknown)
        hadoop.dfsadmin("-safemode", "enter")
        try:
            said = alice.told(f"storage.remove(spark, '{hadoop.uri}/full')")
        finally:
            hadoop.dfsadmin("-safemode", "leave")
        assert said.startswith("HDFS takes no changes now (Cannot delete /full. Name node is in ")
        assert not alice.traces()
    with driver(hadoop, "yarn", HADOOP_USER_NAME="alice") as alice:
        assert alice.told("spark.range(9).count()").startswith(
            "user alice has no folder on HDFS where Spark can put what YARN needs: as user hdfs "
        )
        assert not alice.traces()


def test_yarn_that_goes_away(hadoop: Hadoop) -> None:
    """In turn: an application that is killed, no ResourceManager, one without a machine."""
    with driver(hadoop, "yarn") as spark:
        spark.run("spark.range(10**15).selectExpr('sum(hash(id))').collect()")
        application = spark.line_with("open").split()[-1]
        wait_until(hadoop.executors, "no executor starts", 60)
        hadoop.kill_application(application)
        assert spark.line_with("told: ").startswith(
            f"told: YARN ended the application: {application} was killed by user "
        )
        assert not spark.traces()
        hadoop.nodes[0].stop()
        hadoop.resourcemanager.stop()
        address = hadoop.addresses.resourcemanager.rpartition(":")[2]
        assert spark.told("spark.range(9).count()") == (
            f"the ResourceManager of YARN does not answer at localhost:{address} (Connection "
            "refused): see that it is up, and that HADOOP_CONF_DIR names it, then run the step "
            "again"
        )
        hadoop.resourcemanager.start()
        hadoop.resourcemanager.wait_for(lambda: hadoop.active_nodes() == 0)
        told = spark.told("spark.range(9).count()")
        nobody = "YARN has no NodeManager at work (0 lost, 0 unhealthy): "
        assert told.startswith(f"{nobody}see that they are up and healthy")
        assert any(line.startswith(f"{nobody}waits for ") for line in spark.lines)
        (left,) = hadoop.applications()
        assert left["state"] == "KILLED"
