"""The JVM that steps share: who may use it, that it forgets, and when it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from retraining.errors import RetrainingError
from retraining.spark import delta
from retraining.spark.gateway import shared_jvm
from retraining.tracking.checkout import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.spark, pytest.mark.slow]

ADDRESS = "RETRAINING_JVM"
# What a step finds in its JVM: all that another one could have left there.
LOOK = """
import json, logging
from pathlib import Path
from retraining.spark.session import open_session

logging.basicConfig(format="%(message)s")
logging.getLogger("retraining").setLevel(logging.INFO)
with open_session("looks") as spark:
    jvm, context = spark._jvm, spark.sparkContext
    hadoop = spark._jsc.hadoopConfiguration()
    log = jvm.org.apache.logging.log4j.LogManager.getContext(False).getConfiguration()
    databases = [database.name for database in spark.catalog.listDatabases()]
    files = jvm.org.apache.hadoop.fs.FileSystem.get(hadoop)
    properties = jvm.java.lang.System.getProperties()
    seen = {
        "settings": sorted(context.getConf().getAll()),
        "sql": sorted(map(list, spark.sql("SET").collect())),
        "properties": {key: str(properties[key]) for key in properties},
        "hadoop": hadoop.get("leak"),
        "levels": {name: str(found.getLevel()) for name, found in dict(log.getLoggers()).items()},
        "database": spark.catalog.currentDatabase(),
        "databases": databases,
        "tables": [table.name for name in databases for table in spark.catalog.listTables(name)],
        "global views": [table.name for table in spark.catalog.listTables("global_temp")],
        "cached": spark._jsc.getPersistentRDDs().size(),
        "job group": context.getLocalProperty("spark.jobGroup.id"),
        "files": context.listFiles,
        "folder": files.getWorkingDirectory().toString(),
        "rows": spark.read.text("rows.txt").count(),
    }
    jvm_of = jvm.java.lang.management.ManagementFactory.getRuntimeMXBean().getName()
    print(json.dumps({"jvm": jvm_of.partition("@")[0], "seen": seen}))
"""
LEAVE = """
import os, sys
from retraining.spark.session import open_session

with open_session("leaves") as spark:
    jvm, context = spark._jvm, spark.sparkContext
    hadoop = spark._jsc.hadoopConfiguration()
    spark.conf.set("spark.sql.shuffle.partitions", 99)
    spark.conf.set("leak", "1")
    frame = spark.range(1000).cache()
    frame.createTempView("view")
    frame.createGlobalTempView("global")
    spark.sql("CREATE DATABASE leak")
    spark.catalog.setCurrentDatabase("leak")
    frame.write.saveAsTable("leak", path=os.path.abspath(sys.argv[1]))
    context.setSystemProperty("spark.leak", "1")
    context.setSystemProperty("spark.sql.shuffle.partitions", "77")
    context.setJobGroup("leak", "leak")
    context.addFile(os.path.abspath("rows.txt"))
    log4j = jvm.org.apache.logging.log4j
    log4j.core.config.Configurator.setLevel("leak", log4j.Level.FATAL)
    context.setLogLevel("FATAL")
    hadoop.set("leak", "1")
    files = jvm.org.apache.hadoop.fs.FileSystem.get(hadoop)
    files.setWorkingDirectory(jvm.org.apache.hadoop.fs.Path("/"))
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), 9)
"""
# Only where a step is.
OPEN = """
import logging
from retraining.spark.session import open_session

logging.basicConfig(format="%(message)s")
logging.getLogger("retraining").setLevel(logging.INFO)
with open_session("opens", paths=PATHS) as spark:
    name = spark._jvm.java.lang.management.ManagementFactory.getRuntimeMXBean().getName()
    print(name.partition("@")[0], flush=True)
    WORK
"""
# What differs between any two sessions, wherever they run.
PASSING = {"spark.app.id", "spark.app.startTime", "spark.app.submitTime", "spark.driver.port"}


def start(script: str, folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """A process that inherits the address of the JVM, if there is one."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "steps")} | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    """The last line that a process printed, and what it logged."""
    out, log = process.communicate(timeout=300)
    assert process.returncode == 0, log
    return out.splitlines()[-1], log


def look(folder: Path, **variables: str) -> tuple[int, dict[str, Any], str]:
    """The JVM that a step ran in, what it saw there, and what it logged."""
    line, log = output_of(start(LOOK, folder, **variables))
    found = json.loads(line)
    seen = found["seen"]
    for kind in ("settings", "sql"):
        seen[kind] = [pair for pair in seen[kind] if pair[0] not in PASSING]
    seen["properties"].pop("retraining.tenant", None)
    return int(found["jvm"]), seen, log


def opening(paths: tuple[str, ...] = (), work: str = "pass") -> str:
    return OPEN.replace("PATHS", repr(paths)).replace("WORK", work)


def jvms_of(parent: int) -> set[int]:
    """The children of a process that are JVMs."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,comm=", "--ppid", str(parent)], capture_output=True, text=True
    )
    return {int(line.split()[0]) for line in listed.stdout.splitlines() if "java" in line}


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended does not, even if nobody has waited for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 60
    while lives(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with three rows in a file."""
    (tmp_path / "rows.txt").write_text("a\nb\nc\n")
    return tmp_path


@pytest.fixture(scope="module")
def jvm() -> Iterator[int]:
    """A JVM for the tests of this module, by its process id."""
    before = jvms_of(os.getpid())
    with shared_jvm():
        (started,) = jvms_of(os.getpid()) - before
        yield started


def test_a_step_finds_nothing_that_another_left(jvm: int, folder: Path) -> None:
    first, before, _ = look(folder)
    for end in ("regular", "killed"):
        leaver = start(LEAVE, folder, end)
        _, errors = leaver.communicate(timeout=300)
        assert leaver.returncode == (-signal.SIGKILL if end == "killed" else 0), errors

        second, after, log = look(folder)

        assert second == first == jvm
        assert after == before
        assert "starts its own" not in log
    assert (before["database"], before["tables"], before["cached"]) == ("default", [], 0)


def test_a_step_is_set_as_in_a_jvm_of_its_own(jvm: int, folder: Path) -> None:
    shared, there, _ = look(folder)
    own, here, log = look(folder, RETRAINING_JVM="")

    assert (shared, own != jvm) == (jvm, True)
    assert "starts its own" not in log
    # Tables would go to where the JVM was started, but no step makes any; the options of the JVM
    # were those that it was started with.
    of_the_jvm = {"spark.sql.warehouse.dir", "spark.driver.extraJavaOptions"}
    for seen in (there, here):
        for kind in ("settings", "sql"):
            seen[kind] = [pair for pair in seen[kind] if pair[0] not in of_the_jvm]
    for kind in there.keys() - {"properties"}:
        assert there[kind] == here[kind], kind


def test_a_step_works_in_its_own_folder(jvm: int, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "rows.txt").write_text("a\n")

    rows = [look(where)[1]["rows"] for where in (folder, other, folder)]

    assert rows == [3, 1, 3]


def test_two_steps_at_once_have_a_jvm_each(jvm: int, folder: Path) -> None:
    first = start(opening(work="input(); assert spark.range(3).count() == 3"), folder)
    assert first.stdout is not None
    assert int(first.stdout.readline()) == jvm

    second, log = output_of(start(opening(), folder))
    _, errors = first.communicate("\n", timeout=300)

    assert first.returncode == 0, errors
    assert int(second) != jvm
    assert f"is used by process {first.pid}: this step starts its own" in log


def test_a_step_that_needs_other_jars_has_its_own_jvm(jvm: int, folder: Path) -> None:
    (folder / "some.jar").write_bytes(b"PK\5\6" + bytes(18))
    jars = {"spark.jars": str(folder / "some.jar")}
    script = f"from retraining.spark import s3a\ns3a.settings = lambda _: {jars}\n{opening()}"
    assert int(output_of(start(script, folder))[0]) == jvm

    script = script.replace("paths=()", "paths=['s3a://bucket/data']")
    own, log = output_of(start(script, folder))

    assert int(own) != jvm
    assert "was started without jars that this step needs: this step starts its own" in log


def test_steps_share_a_jvm_with_the_jars_that_they_need(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps add rows to a table of Delta Lake, in sessions of their own; one needs no jars."""
    monkeypatch.delenv(ADDRESS, raising=False)
    table = (f"delta:{folder / 'table'}",)
    work = (
        "spark.conf.set('spark.databricks.delta.snapshotPartitions', '1'); "
        "spark.range(3).coalesce(1).write.format('delta').mode('append').save('table'); "
        "assert spark.read.format('delta').load('table').count() == ROWS"
    )
    try:
        delta.jars(table)
    except RetrainingError as error:
        pytest.skip(str(error))
    before = jvms_of(os.getpid())
    with shared_jvm(paths=table):
        (mine,) = jvms_of(os.getpid()) - before
        scripts = (
            opening(table, work.replace("ROWS", "3")),
            opening(),
            opening(table, work.replace("ROWS", "6")),
        )
        found = [output_of(start(script, folder)) for script in scripts]

    assert [int(line) for line, _ in found] == [mine] * 3


def test_a_jvm_that_has_died_is_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ADDRESS, raising=False)
    before = jvms_of(os.getpid())
    with shared_jvm():
        (died,) = jvms_of(os.getpid()) - before
        os.kill(died, signal.SIGKILL)
        wait_for_end(died)

        own, log = output_of(start(opening(), folder))

    assert int(own) != died
    assert "does not answer: this step starts its own" in log


def test_the_jvm_ends_with_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ADDRESS, raising=False)
    before = jvms_of(os.getpid())
    with shared_jvm():
        (mine,) = jvms_of(os.getpid()) - before
        with shared_jvm():
            assert jvms_of(os.getpid()) == before | {mine}
        assert lives(mine)

    assert ADDRESS not in os.environ
    assert not lives(mine)


def test_the_jvm_ends_with_a_process_that_is_killed(folder: Path) -> None:
    keeper = start(
        "import time\n"
        "from retraining.spark.gateway import shared_jvm\n"
        "with shared_jvm():\n"
        "    print('started', flush=True)\n"
        "    time.sleep(300)\n",
        folder,
        RETRAINING_JVM="",
    )
    assert keeper.stdout is not None
    assert keeper.stdout.readline() == "started\n"
    (shared,) = jvms_of(keeper.pid)

    keeper.kill()
    keeper.communicate()

    wait_for_end(shared)


@pytest.mark.parametrize(
    ("master", "variable"),
    [
        ("yarn", None),
        ("spark://host:7077", None),
        (None, "SPARK_CONF_DIR"),
        (None, "PYSPARK_GATEWAY_PORT"),
    ],
)
def test_no_jvm_is_shared_where_others_decide(
    monkeypatch: pytest.MonkeyPatch, master: str | None, variable: str | None
) -> None:
    monkeypatch.delenv(ADDRESS, raising=False)
    if variable:
        monkeypatch.setenv(variable, "1")
    with shared_jvm(master):
        assert ADDRESS not in os.environ
