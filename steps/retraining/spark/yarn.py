"""YARN as a driver sees it: its ResourceManager, its nodes, and the application of this driver.

Asked through Hadoop's own client in the JVM of the driver, which knows the configuration: addresses
and standbys, Kerberos, and what `spark-submit` or `SPARK_CONF_DIR` change of it.
"""

from __future__ import annotations

import os
import time
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import uuid4

from py4j.protocol import Py4JJavaError
from pyspark.find_spark_home import _find_spark_home

from retraining.errors import RetrainingError, full_text, reason
from retraining.spark import hadoop
from retraining.spark.java import java_class

if TYPE_CHECKING:
    from collections.abc import Iterator

MASTER: Final = "yarn"
_YARN: Final = "org.apache.hadoop.yarn"
# States of an application that has ended.
FINAL: Final = ("FINISHED", "FAILED", "KILLED")
# Of diagnostics, which may hold the end of a log.
_LENGTH: Final = 600
_TAGS: Final = "spark.yarn.tags"
_VARIABLES: Final = ("HADOOP_CONF_DIR", "YARN_CONF_DIR")
# A question is answered at once or not at all; left to itself, Hadoop asks for 15 to 24 minutes.
_IMPATIENT: Final = {
    "yarn.resourcemanager.connect.max-wait.ms": "1000",
    "yarn.resourcemanager.connect.retry-interval.ms": "500",
    "yarn.client.failover-max-attempts": "2",
    "yarn.client.failover-sleep-base-ms": "500",
    "yarn.client.failover-sleep-max-ms": "500",
    "ipc.client.connect.max.retries": "1",
    "ipc.client.connect.max.retries.on.timeouts": "1",
    "ipc.client.connect.timeout": "5000",
    "ipc.client.rpc-timeout.ms": "10000",
}


class Application(NamedTuple):
    """What YARN says of an application.

    Attributes:
        name: Its id.
        state: As YARN spells it.
        queue: The queue that it was submitted to.
        diagnostics: Why it is in that state, in one line; empty if YARN does not say.
    """

    name: str
    state: str
    queue: str
    diagnostics: str


class Nodes(NamedTuple):
    """How many machines YARN knows, by what they are."""

    active: int
    lost: int
    unhealthy: int


def require_configuration(master: str | None) -> None:
    """See that Hadoop's configuration is named where Spark needs it, which says so in a trace.

    Raises:
        RetrainingError: If the master is YARN and no variable names it.
    """
    folders = [os.environ.get("SPARK_CONF_DIR"), Path(_find_spark_home()) / "conf"]
    if (
        master != MASTER
        or "PYSPARK_GATEWAY_PORT" in os.environ  # spark-submit has seen to it
        or any(map(os.environ.get, _VARIABLES))
        or any(Path(folder, "spark-env.sh").exists() for folder in folders if folder)
    ):
        return
    raise RetrainingError(
        "spark_master is yarn, but neither HADOOP_CONF_DIR nor YARN_CONF_DIR is set",
        "set HADOOP_CONF_DIR to the folder with core-site.xml and yarn-site.xml of the cluster",
    )


class Yarn:
    """The YARN that the driver's JVM is configured for, and the application of the driver.

    Every question raises a `Py4JJavaError` after a few seconds if the ResourceManager is away.

    Args:
        jvm: The JVM of the driver, with or without a SparkContext.
        name: Id of the application; None if it has not been submitted yet.
    """

    def __init__(self, jvm: Any, name: str | None = None) -> None:  # noqa: ANN401 (py4j)
        self._jvm = jvm
        self._tag = f"retraining-{uuid4()}"
        ids = java_class(jvm, f"{_YARN}.api.records.ApplicationId")
        self._id = ids.fromString(name) if name else None

    def settings(self) -> dict[str, str]:
        """What the application has to be submitted with, for `application` to find it."""
        conf = java_class(self._jvm, "org.apache.spark.SparkConf")()
        return {_TAGS: ",".join(filter(None, [conf.get(_TAGS, ""), self._tag]))}

    def require_answer(self, seconds: float) -> None:
        """See that the ResourceManager answers.

        Raises:
            RetrainingError: If it has not done so when the time is over.
        """
        deadline = time.monotonic() + seconds
        while refused := self.refusal():
            if time.monotonic() > deadline:
                raise refused
            time.sleep(1)

    def refusal(self) -> RetrainingError | None:
        """Why the ResourceManager does not answer; None if it does."""
        try:
            self.nodes()
        except Py4JJavaError as error:
            return hadoop.fault(full_text(error)) or RetrainingError(
                f"the ResourceManager of YARN does not answer ({reason(error.java_exception)})",
                "see that it is up, and that HADOOP_CONF_DIR names it",
            )
        return None

    def nodes(self) -> Nodes:
        """The machines of the cluster."""
        seen = self._client.getYarnClusterMetrics()
        return Nodes(
            seen.getNumActiveNodeManagers(),
            seen.getNumLostNodeManagers(),
            seen.getNumUnhealthyNodeManagers(),
        )

    def application(self) -> Application | None:
        """The application of the driver; None if it has not been submitted yet."""
        if self._id is None:
            self._id = next(self._tagged(), None)
        if self._id is None:
            return None
        report = self._client.getApplicationReport(self._id)
        return Application(
            str(self._id.toString()),
            str(report.getYarnApplicationState().toString()),
            str(report.getQueue()),
            shorten(str(report.getDiagnostics() or ""), _LENGTH, placeholder=" ..."),
        )

    def kill(self) -> None:
        """End the application, if there is one: Spark's wait for it ends, too."""
        if self.application():
            self._client.killApplication(self._id)

    def _tagged(self) -> Iterator[Any]:
        protocol = f"{_YARN}.api.protocolrecords"
        asked = java_class(self._jvm, f"{protocol}.GetApplicationsRequest").newInstance()
        tags = java_class(self._jvm, "java.util.Collections").singleton(self._tag)
        asked.setApplicationTags(tags)
        for report in self._client.getApplications(asked):
            yield report.getApplicationId()

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 (py4j)
        util = java_class(self._jvm, "org.apache.spark.deploy.SparkHadoopUtil").get()
        hadoop_conf = util.newConfiguration(java_class(self._jvm, "org.apache.spark.SparkConf")())
        conf = java_class(self._jvm, f"{_YARN}.conf.YarnConfiguration")(hadoop_conf)
        for key, value in _IMPATIENT.items():
            conf.set(key, value)
        client = java_class(self._jvm, f"{_YARN}.client.api.YarnClient").createYarnClient()
        client.init(conf)
        client.start()
        return client
