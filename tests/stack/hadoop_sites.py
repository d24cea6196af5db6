"""The configuration of a small Hadoop on free ports of loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape

from tests.stack.process import LOOPBACK, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Addresses(NamedTuple):
    """Where servers listen, as `HOST:PORT`."""

    namenode: str
    namenode_web: str
    resourcemanager: str
    resourcemanager_web: str


def choose_addresses() -> Addresses:
    """Free ports."""
    return Addresses(_free(), _free(), _free(), _free())


def write(configuration: Path, folder: Path, addresses: Addresses) -> None:
    """Write the files of HADOOP_CONF_DIR; all daemons keep their own files in `folder`."""
    configuration.mkdir(parents=True)
    sites = {
        "core-site": {
            "fs.defaultFS": f"hdfs://{addresses.namenode}",
            "hadoop.tmp.dir": folder / "tmp",
        },
        "hdfs-site": _hdfs(folder, addresses),
        "yarn-site": _yarn(addresses),
        "capacity-scheduler": _one_queue(),
    }
    for name, properties in sites.items():
        lines = [
            f"<property><name>{key}</name><value>{escape(str(value))}</value></property>"
            for key, value in properties.items()
        ]
        text = "\n".join(["<configuration>", *lines, "</configuration>", ""])
        (configuration / f"{name}.xml").write_text(text)


def of_node(folder: Path, host: str) -> list[str]:
    """What one NodeManager has for itself, as options of its command: a host, ports, folders."""
    properties = {
        **{name: _free(host) for name in ("address", "localizer.address", "webapp.address")},
        "bind-host": host,
        "local-dirs": folder / "local",
        "log-dirs": folder / "logs",
    }
    return [
        word
        for name, value in properties.items()
        for word in ("-D", f"yarn.nodemanager.{name}={value}")
    ]


def _hdfs(folder: Path, addresses: Addresses) -> Mapping[str, object]:
    return {
        "dfs.namenode.name.dir": (folder / "name").as_uri(),
        "dfs.datanode.data.dir": (folder / "blocks").as_uri(),
        "dfs.namenode.http-address": addresses.namenode_web,
        "dfs.datanode.address": _free(),
        "dfs.datanode.http.address": _free(),
        "dfs.datanode.ipc.address": _free(),
        "dfs.replication": 1,
        "dfs.namenode.safemode.extension": 0,
    }


def _yarn(addresses: Addresses) -> Mapping[str, object]:
    return {
        "yarn.resourcemanager.hostname": LOOPBACK,
        "yarn.resourcemanager.address": addresses.resourcemanager,
        "yarn.resourcemanager.webapp.address": addresses.resourcemanager_web,
        "yarn.resourcemanager.scheduler.address": _free(),
        "yarn.resourcemanager.resource-tracker.address": _free(),
        "yarn.resourcemanager.admin.address": _free(),
        # A node that is killed is lost a minute later, not ten.
        "yarn.nm.liveness-monitor.expiry-interval-ms": 60_000,
        "yarn.resourcemanager.nm.liveness-monitor.interval-ms": 1000,
        "yarn.scheduler.minimum-allocation-mb": 128,
        "yarn.nodemanager.resource.memory-mb": 3072,
        "yarn.nodemanager.resource.cpu-vcores": 2,
        "yarn.nodemanager.vmem-check-enabled": "false",
        "yarn.nodemanager.env-whitelist": "JAVA_HOME,PATH,LANG",
        # A node with a full disk would take no work, and everything would wait.
        "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": 99,
    }


def _one_queue() -> Mapping[str, object]:
    queues = "yarn.scheduler.capacity"
    return {
        f"{queues}.root.queues": "default",
        f"{queues}.root.default.capacity": 100,
        # A tenth, as by default, has no room for the master of an application.
        f"{queues}.maximum-am-resource-percent": 1.0,
    }


def _free(host: str = LOOPBACK) -> str:
    return f"{host}:{free_port()}"
