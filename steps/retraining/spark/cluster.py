"""A standalone cluster as a driver sees it: whether its master answers, and executors are left.

Spark itself waits without end for executors that no master will ever start.
"""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from py4j.protocol import Py4JError

from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark import SparkContext

_SCHEME = "spark://"
# A master that is started again answers by then.
_SECONDS_FOR_AN_ANSWER = 30
# A cluster at work replaces an executor in seconds.
_SECONDS_WITHOUT_EXECUTORS = 60
_REMEDY = "see that the cluster is up, then run the step again"


def require_master(master: str) -> None:
    """See that the master of a `spark://` URL answers; any other URL is for Spark to judge.

    Raises:
        RetrainingError: If none of the masters that the URL names does, for half a minute.
    """
    deadline = time.monotonic() + _SECONDS_FOR_AN_ANSWER
    while not _answers(master):
        if time.monotonic() > deadline:
            raise RetrainingError(
                f"no Spark master answers at {master}",
                "check spark_master, and that the cluster is up",
            )
        time.sleep(1)


@contextmanager
def watch(context: SparkContext) -> Iterator[None]:
    """Turn the end of Spark in the middle of the work into one line, and a wait without end too.

    Raises:
        RetrainingError: If the driver's JVM has ended, or a standalone cluster has had no
            executor for a minute and will not have one.
    """
    master = context.master or ""
    left, deserted = Event(), Event()
    watcher = Thread(
        target=_stop_when_deserted, args=(context, master, left, deserted), daemon=True
    )
    if master.startswith(_SCHEME):
        watcher.start()
    try:
        yield
    except RetrainingError:
        raise
    except Exception as error:
        if deserted.is_set():
            message = f"the Spark cluster {master} has no executors any more"
            raise RetrainingError(message, _REMEDY) from error
        if not _runs(context):
            message = "Spark has ended in the middle of the step"
            remedy = "its messages above say why; if there are none, it may lack memory"
            raise RetrainingError(message, f"{remedy} (spark.driver.memory)") from error
        raise
    finally:
        left.set()
        if watcher.is_alive():
            watcher.join()


def _stop_when_deserted(context: SparkContext, master: str, left: Event, deserted: Event) -> None:
    """Stop Spark when work waits for executors and there will be none: its calls then raise."""
    scheduler = context._jsc.sc()
    has_had, waits_since = False, time.monotonic()
    # Executors that were not needed come back when the cluster has room, however long that takes.
    come_and_go = context.getConf().get("spark.dynamicAllocation.enabled", "false") == "true"
    while not left.wait(5):
        try:
            # The driver counts as one.
            executors = scheduler.getExecutorMemoryStatus().size() - 1
            if executors or not context.statusTracker().getActiveStageIds():
                has_had, waits_since = has_had or executors > 0, time.monotonic()
                continue
            if time.monotonic() - waits_since < _SECONDS_WITHOUT_EXECUTORS:
                continue
            if (has_had and not come_and_go) or not _answers(master):
                deserted.set()
                scheduler.stop()
                return
        except (Py4JError, OSError):
            return  # Spark has ended; whoever uses it gets the error


def _answers(master: str) -> bool:
    if not master.startswith(_SCHEME):
        return True
    for address in master.removeprefix(_SCHEME).split(","):
        try:
            where = urlsplit(f"//{address}")
            with socket.create_connection((where.hostname or "", where.port or 0), timeout=5):
                return True
        except (OSError, ValueError):
            continue
    return False


def _runs(context: SparkContext) -> bool:
    try:
        return not context._jsc.sc().isStopped()
    except (Py4JError, OSError, AttributeError):
        return False
