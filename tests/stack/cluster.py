"""A standalone Spark cluster: master and workers, in processes without the project's code."""

from __future__ import annotations

import json
import os
import urllib.request
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.stack.process import LOOPBACK, SHORT_LIVED, Server, StackError, free_port, open_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_KEPT = ("PATH", "JAVA_HOME", "HOME", "LANG")
_EXECUTOR = b"org.apache.spark.executor.CoarseGrainedExecutorBackend"
# Mounts an empty file system over each folder, for this process and its children only.
_HIDE = 'while [ "$1" != -- ]; do mount -t tmpfs tmpfs "$1"; shift; done; shift; exec "$@"'


class Cluster(NamedTuple):
    """A running cluster.

    Attributes:
        master: Its URL for `spark_master`.
        ui: Address of the master's pages.
        servers: The master, then the workers.
    """

    master: str
    ui: str
    servers: tuple[Server, ...]

    def state(self) -> dict[str, Any]:
        """The state of workers and applications, as the master reports it."""
        with urllib.request.urlopen(f"{self.ui}/json/", timeout=5) as answer:  # noqa: S310
            said: dict[str, Any] = json.load(answer)
        return said

    def executors(self) -> list[int]:
        """Ids of the processes that run the tasks of applications."""
        groups = {server.process.pid for server in self.servers}
        return [pid for pid in _processes(_EXECUTOR) if _group_of(pid) in groups]


@contextmanager
def open_cluster(
    folder: Path, workers: int = 2, *, hidden: Sequence[Path] = ()
) -> Iterator[Cluster]:
    """Run a master, and workers of one core and 1 GiB each, from the installed PySpark.

    Args:
        folder: For logs and the executors' files.
        workers: Number of workers.
        hidden: Existing folders that the workers see empty, as on other machines; root only.
    """
    home = _spark_home()
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment = {
        **kept,
        **SHORT_LIVED,
        "SPARK_HOME": str(home),
        "SPARK_CONF_DIR": str(folder),
        "SPARK_LOCAL_IP": LOOPBACK,
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": "-XX:+UseSerialGC",
    }
    if hidden and os.geteuid() != 0:
        raise StackError("only root can hide folders from a worker")
    hide = ["unshare", "--mount", "sh", "-ec", _HIDE, "sh", *map(str, hidden), "--"]

    def command(role: str, port: int, ui: int) -> list[str]:
        name = f"org.apache.spark.deploy.{role.lower()}.{role}"
        options = ["--host", LOOPBACK, "--port", str(port), "--webui-port", str(ui)]
        return [str(home / "bin" / "spark-class"), name, *options]

    with ExitStack() as stack:
        port, ui = free_port(), free_port()
        master = stack.enter_context(
            open_server("master", command("Master", port, ui), folder, environment=environment)
        )
        cluster = Cluster(f"spark://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{ui}", (master,))
        master.wait_for(lambda: _alive_workers(cluster) == 0)
        for number in range(1, workers + 1):
            name = f"worker-{number}"
            limits = ["--cores", "1", "--memory", "1g", "--work-dir", str(folder / name)]
            server = stack.enter_context(
                open_server(
                    name,
                    [
                        *(hide if hidden else ()),
                        *command("Worker", free_port(), free_port()),
                        *(*limits, cluster.master),
                    ],
                    folder,
                    environment=environment | {"SPARK_LOCAL_DIRS": str(folder / name)},
                )
            )
            cluster = cluster._replace(servers=(*cluster.servers, server))
        for server in cluster.servers[1:]:
            server.wait_for(lambda: _alive_workers(cluster) == workers)
        yield cluster


def _spark_home() -> Path:
    found = find_spec("pyspark")
    if found is None or found.origin is None:
        raise StackError("PySpark is not installed: `pip install -r` what conda.yaml lists")
    return Path(found.origin).parent


def _alive_workers(cluster: Cluster) -> int | None:
    try:
        return int(cluster.state()["aliveworkers"])
    except (OSError, ValueError):
        return None


def _processes(mark: bytes) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # ended meanwhile
        if mark in words:
            yield int(folder.name)


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None
