"""The Spark session of a step: made once, stopped only by who made it."""

from __future__ import annotations

import logging
import signal
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any

import pyspark
from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from retraining.errors import RetrainingError
from retraining.spark import archive, cluster, faults, gateway, settings
from retraining.spark.java import java_class, remember_classes
from retraining.spark.stages import show_stages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_LOG = logging.getLogger(__name__)
_SECONDS_TO_STOP = 30
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
    # MLflow tries to save a model where Spark cannot, before it does otherwise; what fails is
    # raised anyway.
    "ml.util.Instrumentation": "OFF",
    # That Delta Lake filters deleted rows itself, and not by Parquet.
    "sql.delta.DeltaParquetFileFormat": "OFF",
    # Why a task, a start or an application of YARN fails: the call that waits for it raises that.
    **dict.fromkeys(
        (
            "SparkContext",
            "deploy.yarn.Client",
            "executor.Executor",
            "scheduler.TaskSetManager",
            "network.client.TransportClient",
            "network.client.TransportResponseHandler",
            "scheduler.cluster.YarnClientSchedulerBackend",
            "scheduler.cluster.YarnSchedulerBackend$YarnSchedulerEndpoint",
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
    session = _create(app_name, _SEMANTICS) if borrowed else _start(app_name, master, known)
    session.sparkContext.setLogLevel("ERROR")
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


def _start(app_name: str, master: str | None, paths: Iterable[str]) -> SparkSession:
    if master:
        cluster.require_master(master)
    try:
        chosen = settings.for_creation(master, paths) | _SEMANTICS
        if not gateway.attach(chosen):
            if settings.is_local(master):
                chosen = archive.used_by(chosen)
            gateway.start(chosen)
        with cluster.admission(chosen) as more:
            return _create(app_name, chosen | more)
    except (PySparkException, Py4JError, FileNotFoundError) as error:
        if expected := faults.of_service(error):
            raise expected from error
        reason = faults.first_line(error)
        remedy = "check spark_master, and the settings of Spark and of the cluster"
        if SparkContext._gateway is None:
            remedy = (
                f"{gateway.REMEDY}, check spark_master, and set HADOOP_CONF_DIR if that is yarn"
            )
        if "stopped SparkContext" in reason:
            reason = "its master does not take it in"
            remedy = (
                f"see that it is up, and that its version of Spark is {pyspark.__version__} too"
            )
        raise RetrainingError(
            f"Spark does not start with master {master or 'as configured'!r} ({reason})", remedy
        ) from error


def _create(app_name: str, chosen: Mapping[str, str]) -> SparkSession:
    _set_loggers()
    remember_classes(SparkContext._jvm)
    builder = SparkSession.builder.appName(app_name)
    for key, value in chosen.items():
        builder = builder.config(key, value)
    interrupt = signal.getsignal(signal.SIGINT)
    session = builder.getOrCreate()
    if signal.getsignal(signal.SIGINT) is not interrupt:
        signal.signal(signal.SIGINT, interrupt)  # PySpark puts one of its own in its place
    return session


def _stop(session: SparkSession) -> None:
    # With a ResourceManager that is away, Spark waits for minutes; it ends with its JVM anyway.
    stopper = Thread(target=_stop_quietly, args=(session,), daemon=True)
    stopper.start()
    stopper.join(_SECONDS_TO_STOP)
    if stopper.is_alive():
        _LOG.warning(f"Spark has not stopped after {_SECONDS_TO_STOP} s and is left to itself")
        _forget()


def _stop_quietly(session: SparkSession) -> None:
    try:
        session.stop()
    except (Py4JError, OSError):  # its JVM has ended
        _forget()


def _forget() -> None:
    """MLflow would ask a session that Python still knows for its registry."""
    SparkContext._active_spark_context = None
    SparkSession._instantiatedSession = SparkSession._activeSession = None


def _set_loggers() -> None:
    jvm: Any = SparkContext._jvm  # PySpark has no public way to one logger
    log4j = "org.apache.logging.log4j"
    configurator = java_class(jvm, f"{log4j}.core.config.Configurator")
    levels = java_class(jvm, f"{log4j}.Level")
    for name, level in _LOGGERS.items():
        configurator.setLevel(f"org.apache.spark.{name}", levels.toLevel(level))


def _refuse_s3(paths: Iterable[str]) -> None:
    for path in paths:
        if "s3://" in path:
            raise RetrainingError(f"{path} has no scheme that Spark knows", "write s3a://")
