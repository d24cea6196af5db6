"""What a session is created with: what is fixed once its JVM and its context run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from retraining.spark import delta, jdbc, s3a

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOG_LEVELS = Path(__file__).with_name("log4j2.properties").as_uri()
_LOGGING = f"'-Dlog4j2.configurationFile={_LOG_LEVELS}'"

# Rows are judged by one method that is longer than those which Java compiles without being asked.
_COMPILE_ALL = "-XX:-DontCompileHugeMethods"


def decided_elsewhere() -> bool:
    """Whether `spark-submit` or `SPARK_CONF_DIR` decide how Spark runs, and not this project."""
    return "PYSPARK_GATEWAY_PORT" in os.environ or "SPARK_CONF_DIR" in os.environ


def is_local(master: str | None) -> bool:
    """Whether Spark runs in the driver alone: on the master named or, without one, by default."""
    return (master or "local").startswith("local")


def for_creation(master: str | None, paths: Iterable[str]) -> dict[str, str]:
    """Settings to create a session with.

    Args:
        master: A Spark master URL. None leaves the choice to `spark-submit` or `SPARK_CONF_DIR`
            and, where neither is there, takes `local[*]` with settings for a laptop.
        paths: What the session will read and write; `s3a://`, databases and tables of Delta Lake
            need jars of their own.

    Raises:
        RetrainingError: If they cannot be downloaded.
    """
    settings = {
        "spark.scheduler.mode": "FAIR",
        "spark.ui.showConsoleProgress": "false",
        # Files are looked up by the driver; very many by some tasks, not by one task each.
        "spark.sql.sources.parallelPartitionDiscovery.threshold": "256",
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "64",
        # PySpark would note for each operation on a column from which line of Python it comes:
        # that takes longer than the operation.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        # Parquet files carry checksums; without this, changed bytes can be read as other values.
        "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
        # The cells of a comparison are more groups than Spark's quick table holds by default.
        "spark.sql.codegen.aggregate.fastHashMap.capacityBit": "20",
    }
    if master:
        settings["spark.master"] = master
    if decided_elsewhere():
        # Unless it is told to, Java compiles no longer method, but interprets it for each row;
        # Spark then makes several methods of it, and copies the row from one to the next.
        return settings | {"spark.sql.codegen.hugeMethodLimit": "8000"}
    if any("s3a://" in path for path in paths):
        settings |= s3a.settings(os.environ)
    if tables := delta.jars(paths):
        settings |= delta.SETTINGS
    if more := [*tables, *jdbc.jars(paths)]:
        known = [settings["spark.jars"]] if "spark.jars" in settings else []
        settings["spark.jars"] = ",".join([*known, *map(str, more)])
    # The driver runs here, wherever the executors do.
    settings["spark.driver.memory"] = f"{_driver_gibibytes()}g"
    if not is_local(master):
        return {
            "spark.driver.extraJavaOptions": _LOGGING,
            "spark.executor.defaultJavaOptions": _COMPILE_ALL,  # before what a user adds to them
            **settings,
        }
    cores = os.cpu_count() or 1
    return {
        "spark.master": "local[*]",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.extraJavaOptions": _java_options(),
        "spark.sql.shuffle.partitions": str(max(16, 8 * cores)),
        "spark.ui.enabled": "false",
        **settings,
    }


def _java_options() -> str:
    # Parallel GC: the highest throughput on few cores; G1 is the default above two.
    return f"-XX:+UseParallelGC {_COMPILE_ALL} {_LOGGING}"


def _driver_gibibytes() -> int:
    """A quarter of the machine's memory, at least 1 GiB and at most 8 GiB."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(min(8, max(1, total // 4 // 2**30)))
