"""A cluster as a driver sees it: whether its master answers, and whether work only waits.

Spark itself waits without end, and mostly without a word, for a master that is away, for room on a
cluster, and for executors that nobody will ever start.
"""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import SparkContext

from retraining.errors import RetrainingError, reason
from retraining.spark import hadoop, settings, yarn
from retraining.spark.java import java_class
from retraining.spark.patience import Lack, patience

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SCHEME = "spark://"
# How long work waits for room on a cluster that is up.
_LONGEST, _DEFAULT = "spark.retraining.maxWait", "2h"
# A master that is started again answers by then.
_SECONDS_FOR_AN_ANSWER = 30
# A cluster at work replaces an executor in seconds.
_SECONDS_WITHOUT_EXECUTORS = 60
# One that grows at need has started its first machines by then.
_SECONDS_WITHOUT_NODES = 300
# YARN knows of the end of an application a little later than its driver.
_SECONDS_TO_LEARN_OF_AN_END = 5
_REMEDY = "see that the cluster is up, then run the step again"


def require_master(master: str) -> None:
    """See that the master of a `spark://` URL answers, and that YARN is configured.

    Raises:
        RetrainingError: If none of the masters that the URL names does, for half a minute.
    """
    yarn.require_configuration(master)
    deadline = time.monotonic() + _SECONDS_FOR_AN_ANSWER
    while not _answers(master):
        if time.monotonic() > deadline:
            raise RetrainingError(
                f"no Spark master answers at {master}",
                "check spark_master, and that the cluster is up",
            )
        time.sleep(1)


@contextmanager
def admission(chosen: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Let the driver's application start in the block: on YARN, that can take its time.

    What it waits for is logged, and the wait has an end. An application that does not start is
    removed from its queue.

    Args:
        chosen: The settings of the session to start. Its JVM runs already.

    Yields:
        More settings for it.

    Raises:
        RetrainingError: If the ResourceManager does not answer for half a minute, or YARN does not
            start the application.
    """
    jvm: Any = SparkContext._jvm
    conf = java_class(jvm, "org.apache.spark.SparkConf")()
    if (chosen.get("spark.master") or conf.get("spark.master", "")) != yarn.MASTER:
        yield {}
        return
    cluster = _Yarn(yarn.Yarn(jvm), _longest_wait(conf))
    cluster.yarn.require_answer(_SECONDS_FOR_AN_ANSWER)
    try:
        with patience(cluster.lack, lambda: True, lambda: _break_off(cluster.yarn)):
            yield cluster.yarn.settings()
    except BaseException:
        # In a thread of its own: the connection of this one may wait for an answer still.
        remover = Thread(target=_kill, args=(cluster.yarn,), daemon=True)
        remover.start()
        remover.join(_SECONDS_FOR_AN_ANSWER)
        raise


@contextmanager
def watch(context: SparkContext) -> Iterator[None]:
    """Turn the end of Spark in the middle of the work into one line, and a wait without end too.

    Raises:
        RetrainingError: If the driver's JVM or its application has ended, or work has waited too
            long: for a minute where a standalone cluster will not have an executor, for five where
            YARN has no machine, else for what `spark.retraining.maxWait` says.
    """
    if settings.is_local(context.master):
        with _explained(context, None):
            yield
        return
    longest = _longest_wait(context._jsc.getConf())
    scheduler = context._jsc.sc()
    cluster: _Yarn | _Standalone
    if context.master == yarn.MASTER:
        cluster = _Yarn(yarn.Yarn(context._jvm, context.applicationId), longest)
    else:
        cluster = _Standalone(context, longest)

    def waits() -> bool:
        executors = scheduler.getExecutorMemoryStatus().size() - 1  # the driver counts as one
        cluster.has_had_executors |= executors > 0
        return not executors and bool(context.statusTracker().getActiveStageIds())

    # When Spark stops, its calls raise.
    with (
        patience(cluster.lack, waits, scheduler.stop),
        _explained(context, cluster if isinstance(cluster, _Yarn) else None),
    ):
        yield


class _Standalone:
    """A cluster with a master of Spark's own; of any other kind it is known how many executors."""

    def __init__(self, context: SparkContext, longest: float) -> None:
        self._master = context.master or ""
        self._longest = longest
        conf = context.getConf()
        # Executors that were not needed come back when the cluster has room.
        self._come_and_go = conf.get("spark.dynamicAllocation.enabled", "false") == "true"
        self.has_had_executors = False

    def lack(self) -> Lack:
        """Executors that will not come, or room."""
        lost = self.has_had_executors and not self._come_and_go
        if self._master.startswith(_SCHEME) and (lost or not _answers(self._master)):
            what = f"the Spark cluster {self._master} has no executors any more"
            return Lack(what, _REMEDY, _SECONDS_WITHOUT_EXECUTORS)
        what = f"the Spark cluster {self._master} has no room for an executor"
        return Lack(what, _room("take fewer cores and less memory"), self._longest)


class _Yarn:
    """A cluster of YARN."""

    def __init__(self, client: yarn.Yarn, longest: float) -> None:
        self.yarn = client
        self._longest = longest
        self.has_had_executors = False

    def lack(self) -> Lack:
        """The ResourceManager, machines, or room."""
        if refused := self.yarn.refusal():
            return Lack(refused.what, refused.remedy, _SECONDS_WITHOUT_NODES)
        nodes = self.yarn.nodes()
        if not nodes.active:
            return Lack(
                f"YARN has no NodeManager at work ({nodes.lost} lost, {nodes.unhealthy} unhealthy)",
                "see that they are up and healthy (yarn node -list -all), then run the step again",
                _SECONDS_WITHOUT_NODES,
            )
        application = self.yarn.application()
        what = "YARN has not taken the application in yet"
        if application and application.state == "RUNNING":
            what = f"YARN has no executor for {application.name} in queue {application.queue} yet"
        elif application:
            what = (
                f"YARN has not started {application.name} in queue {application.queue} yet (state "
                f"{application.state}: {application.diagnostics or 'no reason given'})"
            )
        return Lack(what, _room("choose another spark.yarn.queue"), self._longest)

    def end(self) -> RetrainingError | None:
        """Why the application has ended, if YARN knows."""
        deadline = time.monotonic() + _SECONDS_TO_LEARN_OF_AN_END
        try:
            while not (end := self.yarn.application()) or end.state not in yarn.FINAL:
                if time.monotonic() > deadline:
                    return None
                time.sleep(0.5)
        except (Py4JError, OSError):
            return None
        if not end.diagnostics:
            return None
        return hadoop.fault(end.diagnostics) or RetrainingError(
            f"YARN has ended {end.name} as {end.state} ({end.diagnostics})",
            f"yarn logs -applicationId {end.name} says more; then run the step again",
        )


@contextmanager
def _explained(context: SparkContext, cluster: _Yarn | None) -> Iterator[None]:
    """Say why Spark has ended in the middle of the block."""
    try:
        yield
    except RetrainingError:
        raise
    except Exception as error:
        if _runs(context):
            raise
        if cluster and (end := cluster.end()):
            raise end from error
        message = "Spark has ended in the middle of the step"
        remedy = "its messages above say why; if there are none, it may lack memory"
        raise RetrainingError(message, f"{remedy} (spark.driver.memory)") from error


def _longest_wait(conf: Any) -> float:  # noqa: ANN401 (py4j)
    try:
        return float(conf.getTimeAsSeconds(_LONGEST, _DEFAULT))
    except Py4JJavaError as error:
        raise RetrainingError(
            f"{_LONGEST} is not a duration ({reason(error.java_exception)})", "write 30min or 2h"
        ) from error


def _room(otherwise: str) -> str:
    return f"let other applications end, {otherwise}, or raise {_LONGEST}"


def _break_off(client: yarn.Yarn) -> None:
    """Let the start of a SparkContext fail, at once."""
    try:
        client.kill()
    except Py4JJavaError:  # nobody answers: Hadoop itself would go on asking for 15 minutes
        gateway: Any = SparkContext._gateway
        if gateway.proc:
            gateway.proc.kill()


def _kill(client: yarn.Yarn) -> None:
    with suppress(Py4JError, OSError):
        client.kill()


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
