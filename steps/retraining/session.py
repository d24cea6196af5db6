"""The Spark session of a step: made once, stopped only by who made it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator

# What results depend on is set on every session: event times are read as UTC, and a value that
# does not fit its type is an error on Spark 3.5 as it is on Spark 4.
_SEMANTICS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
}


@contextmanager
def open_session(app_name: str, master: str | None = None) -> Iterator[SparkSession]:
    """Yield a Spark session, borrowed where one is active, else made here and stopped at the end.

    Args:
        app_name: Name shown by Spark's own pages.
        master: A Spark master URL. None leaves the choice to `spark-submit` or `SPARK_CONF_DIR`
            and, where neither is there, takes `local[*]` with settings for a laptop.

    Raises:
        RetrainingError: If Spark does not start.
    """
    borrowed = SparkSession.getActiveSession()
    builder = SparkSession.builder.appName(app_name)
    if borrowed is None:
        for key, value in _creation_settings(master).items():
            builder = builder.config(key, value)
    for key, value in _SEMANTICS.items():
        builder = builder.config(key, value)
    try:
        session = builder.getOrCreate()
    except (PySparkRuntimeError, Py4JJavaError) as error:
        told = error.java_exception if isinstance(error, Py4JJavaError) else error
        raise RetrainingError(
            f"Spark does not start with master {master or 'as configured'!r} "
            f"({str(told).splitlines()[0]})",
            "install Java 17 or set JAVA_HOME, and check spark_master",
        ) from error
    session.sparkContext.setLogLevel("ERROR")
    try:
        yield session
    finally:
        if borrowed is None:
            session.stop()


def _creation_settings(master: str | None) -> dict[str, str]:
    settings = {
        "spark.scheduler.mode": "FAIR",
        "spark.ui.showConsoleProgress": "false",
        # The cells of a comparison are more groups than Spark's quick table holds by default.
        "spark.sql.codegen.aggregate.fastHashMap.capacityBit": "20",
    }
    if master:
        settings["spark.master"] = master
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    if submitted or "SPARK_CONF_DIR" in os.environ or not (master or "local").startswith("local"):
        return settings
    cores = os.cpu_count() or 1
    return {
        "spark.master": "local[*]",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": f"{_driver_gibibytes()}g",
        # Parallel GC: the highest throughput on few cores; G1 is the default above two.
        "spark.driver.extraJavaOptions": "-XX:+UseParallelGC",
        "spark.sql.shuffle.partitions": str(max(4, 2 * cores)),
        "spark.ui.enabled": "false",
        **settings,
    }


def _driver_gibibytes() -> int:
    """A quarter of the machine's memory, at least 1 GiB and at most 8 GiB."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(min(8, max(1, total // 4 // 2**30)))
