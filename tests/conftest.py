"""Fixtures that every folder shares, how tests are spread over processes, and what was skipped."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

# Files that share a fixture of the whole session, which is made once if one process runs them all,
# or a program that sets itself up when it is first called; those that take longest come first.
_TOGETHER = (
    ("tests/e2e/test_stack.py",),
    (
        "tests/e2e/test_chain.py",
        "tests/e2e/test_cluster.py",
        "tests/e2e/test_server.py",
        "tests/e2e/test_spark35.py",
        "tests/e2e/test_ssh.py",
    ),
    ("tests/steps/",),
    ("tests/terraform/",),
)

# The second compiler of a JVM takes more CPU than it saves where rows are few. Without it there is
# room for 48 MB of compiled code. Hundreds of tests fill it: code is then dropped and compiled
# again, which takes a third of the CPU. Each time the heap or the room for classes has to grow,
# everything is collected.
_COMPILER = ("-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=240m")
_JVM = ("-XX:+UseSerialGC", "-XX:MetaspaceSize=512m", "-Xms1g", *_COMPILER)

# How long an example takes depends on what else the machine does; no test is about time.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """Let the main module of a process of pytest-xdist look like one.

    PySpark takes a main module without file and spec for that of a doctest, and ends the process
    when MLflow looks whether a model is one of Spark Connect. The JVMs of steps get one compiler.
    """
    os.environ["SPARK_SUBMIT_OPTS"] = " ".join(_COMPILER)
    if hasattr(config, "workerinput"):
        sys.modules["__main__"].__spec__ = ModuleSpec("__main__", None)


def _group_of(nodeid: str) -> str:
    """The tests that one process runs one after the other: those of a file, or of several."""
    for files in _TOGETHER:
        if nodeid.startswith(files):
            return files[0]
    return nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Hand out groups of tests, in the order in which they were collected."""
    from xdist.scheduler import LoadScopeScheduling

    class Grouped(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return _group_of(nodeid)

    config.option.loadscopereorder = False
    return Grouped(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a cycle as slow; with several processes, begin with what takes longest."""
    for item in items:
        if "cycle" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
    if hasattr(config, "workerinput"):
        first = [files[0] for files in _TOGETHER]
        items.sort(key=lambda item: (*first, group := _group_of(item.nodeid)).index(group))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line for each reason how many tests were skipped, and what would run them."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    if reasons:
        terminalreporter.section("skipped")
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count} skipped: {reason}")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One small session for all tests: two cores, two shuffle partitions, no UI, UTC."""
    from pyspark.sql import SparkSession

    from retraining.spark.java import remember_classes

    warehouse = tmp_path_factory.mktemp("warehouse")
    session = (
        SparkSession.builder.master("local[2]")
        .appName("tests")
        .config("spark.sql.shuffle.partitions", 2)
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.hadoop.parquet.page.verify-checksum.enabled", "true")
        .config("spark.sql.warehouse.dir", warehouse.as_uri())
        .config("spark.python.sql.dataFrameDebugging.enabled", "false")
        .config("spark.sql.codegen.cache.maxEntries", 2000)  # one data set makes more than 100
        .config("spark.driver.memory", "2g")
        .config("spark.driver.extraJavaOptions", " ".join(_JVM))
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    remember_classes(session._jvm)
    yield session
    session.stop()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with MLflow's tables: to make them takes seconds, to copy them none."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}", f"sqlite:///{path}").search_registered_models()
    return path


@pytest.fixture
def tracking(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URI of a tracking store and registry in `tmp_path`, with an experiment `tests` as default.

    Set through the environment, so that a step in a process of its own writes there too.
    """
    import mlflow

    uri = f"sqlite:///{shutil.copy(empty_store, tmp_path / 'mlflow.db')}"
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert mlflow.get_tracking_uri() == uri  # a URI that another test set in the process wins
    folder = (tmp_path / "artifacts").as_uri()
    experiment = mlflow.MlflowClient().create_experiment("tests", artifact_location=folder)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    yield uri
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder of reference data; a test that needs it is skipped where it is absent."""
    folder = os.environ.get("REFERENCE_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip(f"REFERENCE_DATA is {folder!r}: set it to the folder of reference data")
    return Path(folder)
