"""The Spark session of a step: made once, stopped only by who made it."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyspark
from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from retraining.errors import RetrainingError
from retraining.spark import archive, cluster, faults, gateway, settings
from retraining.spark.stages import show_stages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# What results depend on is set on every session: a description has the clock of UTC if it states no
# other, and a value that does not fit its type, or a time that does not fit its format, is treated
# by Spark 3.5 as it is by Spark 4.
_SEMANTICS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
}
# Errors alone are shown, but for these.
_LOGGERS = {
    # That a cluster has no room for the work, which waits for it without end.
    "scheduler.TaskSchedulerImpl": "WARN",
    # MLflow tries to save a model where Spark cannot, before it does otherwise; what fails is
    # raised anyway.
    "ml.util.Instrumentation": "OFF",
    # That Delta Lake filters deleted rows itself, and not by Parquet.
    "sql.delta.DeltaParquetFileFormat": "OFF",
    # Why a task fails: the call that waits for it raises that too.
    **dict.fromkeys(
        (
            "executor.Executor",
            "scheduler.TaskSetManager",
            "sql.execution.datasources.FileFormatWriter",
            "util.Utils",
        ),
        "OFF",
    ),
}


@contextmanager
def open_session(
    app_name: str, master: str | None = None, paths: Iterable[str | None] = ()
) -> Iterator[SparkSession]:
    """Yield a Spark session, borrowed where one is active, else made here and stopped at the end.

    Args:
        app_name: Name shown by Spark's own pages.
        master: A Spark master URL. None leaves the choice to `spark-submit` or `SPARK_CONF_DIR`
            and, where neither is there, takes `local[*]` with settings for a laptop.
        paths: What the session will read and write; where one is on `s3a://`, and neither
            `spark-submit` nor `SPARK_CONF_DIR` says how to reach it, Spark gets its connector.

    Raises:
        RetrainingError: If Spark does not start, or ends before the work is done, or is failed by
            the object store.
    """
    known = [path for path in paths if path]
    _refuse_s3(known)
    borrowed = SparkSession.getActiveSession()
    if borrowed is None and master:
        cluster.require_master(master)
    chosen = _SEMANTICS
    try:
        if borrowed is None:
            chosen = settings.for_creation(master, known) | _SEMANTICS
            if not gateway.attach(chosen):
                chosen = archive.used_by(chosen)
                gateway.start(chosen)
        builder = SparkSession.builder.appName(app_name)
        for key, value in chosen.items():
            builder = builder.config(key, value)
        interrupt = signal.getsignal(signal.SIGINT)
        session = builder.getOrCreate()
        if signal.getsignal(signal.SIGINT) is not interrupt:
            signal.signal(signal.SIGINT, interrupt)  # PySpark puts one of its own in its place
    except (PySparkException, Py4JJavaError, FileNotFoundError) as error:
        reason = faults.first_line(error)
        remedy = f"{gateway.REMEDY}, and check spark_master"
        if "stopped SparkContext" in reason:
            reason = "its master does not take it in"
            remedy = (
                f"see that it is up, and that its version of Spark is {pyspark.__version__} too"
            )
        raise RetrainingError(
            f"Spark does not start with master {master or 'as configured'!r} ({reason})", remedy
        ) from error
    session.sparkContext.setLogLevel("ERROR")
    _set_loggers(session)
    try:
        with cluster.watch(session.sparkContext), show_stages(session.sparkContext):
            yield session
    except (Py4JJavaError, PySparkException) as error:
        if expected := faults.fault(error):
            raise expected from error
        raise
    finally:
        if borrowed is None:
            _stop(session)


def _stop(session: SparkSession) -> None:
    try:
        session.stop()
    except (Py4JError, OSError):
        # Its JVM has ended. MLflow would ask a session that Python still knows for its registry.
        SparkContext._active_spark_context = None
        SparkSession._instantiatedSession = SparkSession._activeSession = None


def _set_loggers(session: SparkSession) -> None:
    jvm: Any = session._jvm  # PySpark has no public way to one logger
    log4j = jvm.org.apache.logging.log4j
    for name, level in _LOGGERS.items():
        log4j.core.config.Configurator.setLevel(
            f"org.apache.spark.{name}", log4j.Level.toLevel(level)
        )


def _refuse_s3(paths: Iterable[str]) -> None:
    for path in paths:
        if "s3://" in path:
            raise RetrainingError(f"{path} has no scheme that Spark knows", "write s3a://")
