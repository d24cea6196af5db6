"""The session: whose it is, and what it is set to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import mlflow
import pytest

from retraining.spark import session, settings
from retraining.spark.session import open_session
from retraining.tracking.checkout import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

SCRIPT = textwrap.dedent("""
    import json, sys
    from pyspark.sql import SparkSession
    from retraining.spark.session import open_session

    with open_session("own", sys.argv[1] or None) as spark:
        settings = dict(spark.sparkContext.getConf().getAll())
        settings |= {key: spark.conf.get(key) for key in sys.argv[2:]}
    settings["stopped"] = SparkSession.getActiveSession() is None
    print(json.dumps(settings))
""")


def run_alone(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process, and a JVM, of its own."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "JAVA_TOOL"))}
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=own | {"PYTHONPATH": str(ROOT / "steps")},
        timeout=120,
    )


def open_in_a_process(master: str, *keys: str, **environment: str) -> dict[str, Any]:
    """Settings of a session that a process of its own opened and left."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("SPARK_")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, master, *keys],
        capture_output=True,
        text=True,
        env=inherited
        | {"PYTHONPATH": str(ROOT / "steps"), "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1"}
        | environment,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    settings: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return settings


def test_a_jvm_greets_nobody_and_what_it_complains_of_is_shown() -> None:
    script = textwrap.dedent("""
        from py4j.protocol import Py4JJavaError
        from retraining.spark.session import open_session

        with open_session("quiet") as spark:
            try:
                spark._jvm.dev.ludovic.netlib.blas.NativeBLAS.getInstance()
            except Py4JJavaError:
                pass  # as Spark does, on a machine without one
            spark._jvm.java.lang.System.err.println("no space left on device")
    """)
    done = run_alone(script)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr == "no space left on device\n"


def test_after_the_end_of_its_jvm_a_step_can_still_record_why(tracking: str) -> None:
    script = textwrap.dedent("""
        import os, signal
        import click
        from retraining.cli.command import StepCommand, open_run
        from retraining.spark.session import open_session

        @click.command(cls=StepCommand)
        def train() -> None:
            with open_run(None), open_session("train") as spark:
                management = spark._jvm.java.lang.management.ManagementFactory
                name = management.getRuntimeMXBean().getName()
                os.kill(int(name.partition("@")[0]), signal.SIGKILL)
                spark.range(3).count()

        train()
    """)
    done = run_alone(script)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: Spark has ended in the middle of the step")
    assert done.stderr.count("\n") == 1
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert run.info.status == "FAILED"
    assert run.data.tags["failure"] in done.stderr


def test_borrowed_session_is_not_stopped(spark: SparkSession) -> None:
    with open_session("borrower", "local[7]") as borrowed:
        assert borrowed is spark
        assert borrowed.conf.get("spark.sql.session.timeZone") == "UTC"

    assert spark.sparkContext.master == "local[2]"
    assert spark.range(3).count() == 3


def test_borrowed_session_is_not_stopped_by_a_failure(spark: SparkSession) -> None:
    with pytest.raises(ZeroDivisionError), open_session("borrower"):
        raise ZeroDivisionError

    assert spark.range(3).count() == 3


def test_borrowed_session_gets_the_semantics_that_results_depend_on(spark: SparkSession) -> None:
    before = {key: spark.conf.get(key) for key in session._SEMANTICS}
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    spark.conf.set("spark.sql.ansi.enabled", "false")
    try:
        with open_session("borrower") as borrowed:
            now = {key: borrowed.conf.get(key) for key in session._SEMANTICS}
    finally:
        for key, value in before.items():
            spark.conf.set(key, value or "")

    assert now == session._SEMANTICS


def test_own_session_is_stopped_and_set_for_one_machine() -> None:
    settings = open_in_a_process("", "spark.sql.session.timeZone", "spark.sql.ansi.enabled")

    assert settings["stopped"]
    assert settings["spark.app.name"] == "own"
    assert settings["spark.master"] == "local[*]"
    assert settings["spark.scheduler.mode"] == "FAIR"
    assert settings["spark.driver.host"] == "127.0.0.1"
    assert settings["spark.sql.session.timeZone"] == "UTC"
    assert settings["spark.sql.ansi.enabled"] == "true"


def test_settings_of_spark_conf_dir_are_respected(tmp_path: Path) -> None:
    (tmp_path / "spark-defaults.conf").write_text(
        "spark.master local[1]\n"
        "spark.sql.shuffle.partitions 3\n"
        "spark.driver.memory 700m\n"
        "spark.ui.enabled false\n"
        "spark.sql.session.timeZone Asia/Tokyo\n"
    )
    keys = ("spark.sql.shuffle.partitions", "spark.sql.session.timeZone")
    settings = open_in_a_process("", *keys, SPARK_CONF_DIR=str(tmp_path))

    assert settings["stopped"]
    assert settings["spark.master"] == "local[1]"
    assert settings["spark.driver.memory"] == "700m"
    assert settings["spark.sql.shuffle.partitions"] == "3"
    assert settings["spark.sql.session.timeZone"] == "UTC"


@pytest.mark.parametrize(
    ("master", "environment", "expected"),
    [
        (None, {}, "local[*]"),
        ("local[3]", {}, "local[3]"),
        ("yarn", {}, "yarn"),
        (None, {"SPARK_CONF_DIR": "/etc/spark"}, None),
        (None, {"PYSPARK_GATEWAY_PORT": "25333"}, None),
        ("local[3]", {"SPARK_CONF_DIR": "/etc/spark"}, "local[3]"),
    ],
)
def test_laptop_settings_stay_away_from_clusters(
    monkeypatch: pytest.MonkeyPatch,
    master: str | None,
    environment: dict[str, str],
    expected: str | None,
) -> None:
    for name in ("SPARK_CONF_DIR", "PYSPARK_GATEWAY_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    chosen = settings.for_creation(master, [])

    assert chosen.get("spark.master") == expected
    on_laptop = master != "yarn" and not environment
    assert ("spark.driver.memory" in chosen) is not bool(environment)
    assert ("spark.sql.shuffle.partitions" in chosen) is on_laptop
