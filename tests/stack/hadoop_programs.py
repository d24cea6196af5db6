"""The programs of Hadoop and how Java starts them: one jar of Maven Central, others of PySpark."""

from __future__ import annotations

import os
import re
import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.find_spark_home import _find_spark_home

from retraining.spark import ivy
from tests.stack.process import StackError

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMENODE = "org.apache.hadoop.hdfs.server.namenode.NameNode"
DATANODE = "org.apache.hadoop.hdfs.server.datanode.DataNode"
RESOURCEMANAGER = "org.apache.hadoop.yarn.server.resourcemanager.ResourceManager"
NODEMANAGER = "org.apache.hadoop.yarn.server.nodemanager.NodeManager"
FS = "org.apache.hadoop.fs.FsShell"
DFSADMIN = "org.apache.hadoop.hdfs.tools.DFSAdmin"
APPLICATION = "org.apache.hadoop.yarn.client.cli.ApplicationCLI"

# Any others would hide what the daemons' jar has brought along.
_OF_PYSPARK = (
    *("hadoop-client-api-*", "hadoop-client-runtime-*", "slf4j-api-*", "jcl-over-slf4j-*"),
    *("log4j-*", "jsr305-*"),
)
_KEPT = ("PATH", "HOME", "LANG")


def java(configuration: Path) -> Sequence[str]:
    """The beginning of a command: Java with a configuration and all classes of Hadoop.

    Raises:
        StackError: If there is no Java.
        RetrainingError: If Hadoop cannot be downloaded.
    """
    opened = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in ("java.lang", "java.util")]
    return [
        str(_java_home() / "bin" / "java"),
        *("-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *opened),
        "-Djava.net.preferIPv4Stack=true",
        *("-cp", ":".join(map(str, [configuration, *_jars()]))),
    ]


def environment() -> dict[str, str]:
    """The variables that daemons, and through them containers, are started with."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {"JAVA_HOME": str(_java_home())}


def _java_home() -> Path:
    if home := os.environ.get("JAVA_HOME"):
        return Path(home)
    program = shutil.which("java")
    if program is None:
        raise StackError("Hadoop needs Java: install Java 17 or set JAVA_HOME")
    return Path(program).resolve().parents[1]


@cache
def _jars() -> list[Path]:
    """The daemons of the Hadoop version that PySpark has the clients of, and what they need."""
    of_pyspark = Path(_find_spark_home()) / "jars"
    found = [path for pattern in _OF_PYSPARK for path in sorted(of_pyspark.glob(f"{pattern}.jar"))]
    version = re.fullmatch(r"hadoop-client-api-(.+)", found[0].stem)
    assert version
    packages = ivy.Packages(
        (
            f"org.apache.hadoop:hadoop-client-minicluster:{version[1]}",
            # The ResourceManager makes certificates for its proxy.
            "org.bouncycastle:bcprov-jdk18on:1.82",
            "org.bouncycastle:bcpkix-jdk18on:1.82",
        ),
        ("org.apache.hadoop:hadoop-client-api", "org.apache.hadoop:hadoop-client-runtime"),
    )
    return [*ivy.jars("Hadoop's daemons", f"hadoop-{version[1]}", packages), *found]
