"""HDFS and YARN: Hadoop's own daemons, each a process, on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pyspark.find_spark_home import _find_spark_home

from tests.stack import hadoop_programs, hadoop_sites
from tests.stack.process import LOOPBACK, Server, StackError, open_server

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECONDS = 90
_EXECUTOR = b"org.apache.spark.executor.YarnCoarseGrainedExecutorBackend"
_QUICK = "-XX:+UseSerialGC\\ -XX:TieredStopAtLevel=1"
# For steps: nothing is uploaded, and two containers fit into one node.
_SPARK = {
    "spark.yarn.jars": f"local:{_find_spark_home()}/jars/*",
    "spark.yarn.am.memory": "512m",
    "spark.sql.shuffle.partitions": "4",
    "spark.executor.instances": "2",
    "spark.executor.memory": "768m",
    "spark.executor.extraJavaOptions": _QUICK,
    "spark.yarn.am.extraJavaOptions": _QUICK,
}


class Hadoop(NamedTuple):
    """A running cluster; each of its servers can be stopped, as by `kill -9`, and started again.

    Attributes:
        folder: Logs of the servers, and of containers: `node-1/logs/APPLICATION/CONTAINER/stderr`.
        uri: Of HDFS, `hdfs://127.0.0.1:PORT`.
        configuration: For HADOOP_CONF_DIR; where no scheme is stated, it means that HDFS.
        environment: Variables for steps with `spark_master=yarn`: of two executors, unless
            PYSPARK_SUBMIT_ARGS says otherwise. With HADOOP_USER_NAME a step is another user than
            the superuser who has started the cluster.
    """

    folder: Path
    uri: str
    configuration: Path
    environment: dict[str, str]
    namenode: Server
    datanode: Server
    resourcemanager: Server
    nodes: tuple[Server, ...]
    addresses: hadoop_sites.Addresses

    @property
    def servers(self) -> tuple[Server, ...]:
        """All servers."""
        return (self.namenode, self.datanode, self.resourcemanager, *self.nodes)

    def wait(self) -> None:
        """Return as soon as all servers are up and know each other.

        Raises:
            StackError: If one ends first, or it takes longer than 90 seconds.
        """
        for server in (self.namenode, self.datanode):
            server.wait_for(self._can_store, seconds=_SECONDS)
        for server in (self.resourcemanager, *self.nodes):
            server.wait_for(lambda: self.active_nodes() == len(self.nodes), seconds=_SECONDS)

    def fs(self, *words: str | Path) -> str:
        """What `hdfs dfs WORDS` prints: `-mkdir`, `-put`, `-cat`, `-chmod`, ..."""
        return self._run(hadoop_programs.FS, *words)

    def dfsadmin(self, *words: str) -> str:
        """What `hdfs dfsadmin WORDS` prints: `-safemode enter`, `-setQuota 12 /folder`, ..."""
        return self._run(hadoop_programs.DFSADMIN, *words)

    def kill_application(self, application: str) -> None:
        """Do as `yarn application -kill ID`."""
        self._run(hadoop_programs.APPLICATION, "application", "-kill", application)

    def applications(self) -> list[dict[str, Any]]:
        """What the ResourceManager has run since its start: `id`, `name`, `state` and more."""
        answer = _ask(self.addresses.resourcemanager_web, "ws/v1/cluster/apps")
        return list((answer.get("apps") or {}).get("app", ()))

    def active_nodes(self) -> int | None:
        """How many nodes the ResourceManager uses; None if it does not answer."""
        answer = _ask(self.addresses.resourcemanager_web, "ws/v1/cluster/metrics")
        nodes: int | None = answer.get("clusterMetrics", {}).get("activeNodes")
        return nodes

    def containers(self) -> list[int]:
        """Ids of all processes in containers: each is in a group of its own."""
        mark = f"LOCAL_DIRS={self.folder}/".encode()
        return [
            pid
            for pid, variables in _processes("environ")
            if any(variable.startswith(mark) for variable in variables)
        ]

    def executors(self) -> list[int]:
        """Ids of the processes that run the tasks of applications."""
        # Containers are started by shells, with the same words in one.
        of_spark = {pid for pid, words in _processes("cmdline") if _EXECUTOR in words}
        return [pid for pid in self.containers() if pid in of_spark]

    def end_containers(self) -> None:
        """Kill all processes in containers: they outlive a NodeManager that is killed."""
        for pid in self.containers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _run(self, program: str, *words: str | Path) -> str:
        command = [*hadoop_programs.java(self.configuration), program, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise StackError(f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}")
        return done.stdout

    def _can_store(self) -> bool:
        page = "jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState"
        states = _ask(self.addresses.namenode_web, page).get("beans") or [{}]
        return (states[0].get("FSState"), states[0].get("NumLiveDataNodes")) == ("Operational", 1)


@contextmanager
def open_hadoop(folder: Path, nodes: int = 2) -> Iterator[Hadoop]:
    """Run an empty HDFS of one DataNode, and a YARN of nodes of two cores and 3 GiB each.

    The nodes are 127.0.0.2, 127.0.0.3 and so on, which makes them different hosts.

    Args:
        folder: For all files of the cluster; there must be none yet.
        nodes: Number of NodeManagers.

    Raises:
        StackError: If there is no Java, or a server does not start.
        RetrainingError: If Hadoop cannot be downloaded.
    """
    addresses = hadoop_sites.choose_addresses()
    configuration = folder / "conf"
    hadoop_sites.write(configuration, folder, addresses)
    java = hadoop_programs.java(configuration)
    environment = hadoop_programs.environment()
    with (folder / "format.log").open("wb") as log:
        words = [*java, hadoop_programs.NAMENODE, "-format", "-force", "-nonInteractive"]
        subprocess.run(words, env=environment, stdout=log, stderr=log, check=True)

    with ExitStack() as stack:

        def start(name: str, program: str, *options: str) -> Server:
            command = [*java, "-Dlog4j2.level=INFO", program, *options]
            return stack.enter_context(
                open_server(
                    name, command, folder, environment=environment, stop_signal=signal.SIGKILL
                )
            )

        hadoop = Hadoop(
            folder,
            f"hdfs://{addresses.namenode}",
            configuration,
            _for_steps(configuration),
            start("namenode", hadoop_programs.NAMENODE),
            start("datanode", hadoop_programs.DATANODE),
            start("resourcemanager", hadoop_programs.RESOURCEMANAGER),
            tuple(
                start(
                    f"node-{number}",
                    hadoop_programs.NODEMANAGER,
                    *hadoop_sites.of_node(folder / f"node-{number}", f"127.0.0.{number + 1}"),
                )
                for number in range(1, nodes + 1)
            ),
            addresses,
        )
        # After the NodeManagers, which could start others.
        stack.callback(hadoop.end_containers)
        hadoop.wait()
        yield hadoop


def _for_steps(configuration: Path) -> dict[str, str]:
    settings = [word for key, value in _SPARK.items() for word in ("--conf", f"{key}={value}")]
    return {
        "HADOOP_CONF_DIR": str(configuration),
        "SPARK_LOCAL_IP": LOOPBACK,
        "PYSPARK_SUBMIT_ARGS": " ".join([*settings, "pyspark-shell"]),
    }


def _ask(address: str, page: str) -> dict[str, Any]:
    """The answer of a server in JSON; empty if there is none."""
    try:
        with urllib.request.urlopen(f"http://{address}/{page}", timeout=5) as answer:
            said: dict[str, Any] = json.load(answer)
    except OSError:
        return {}
    return said


def _processes(what: str) -> Iterator[tuple[int, list[bytes]]]:
    """The words of `cmdline` or the variables of `environ` of every process."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile, or of another user
            yield int(folder.name), (folder / what).read_bytes().split(b"\0")
