"""One JVM for the steps of a chain: each makes and stops its own SparkContext in it.

A JVM is what takes long about starting Spark, and a warm one works faster. The chain keeps it and
hands its address to the steps in a variable of the environment; `PYSPARK_GATEWAY_PORT`, PySpark's
own, would make them believe that `spark-submit` had started them. A step that does not find the
JVM, or not what it needs in it, starts one of its own.
"""

from __future__ import annotations

import logging
import os
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from py4j.java_gateway import JavaObject
from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.java_gateway import launch_gateway

from retraining.errors import RetrainingError
from retraining.spark import archive, settings
from retraining.spark.java import java_class

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Java itself writes its reason to standard error.
REMEDY = (
    "install Java 17 or set JAVA_HOME, unset SPARK_HOME, and see that this machine has the "
    "memory of spark.driver.memory"
)

_LOG = logging.getLogger(__name__)
_ADDRESS = "RETRAINING_JVM"
# Properties of the JVM: the process that uses it, and what all properties were at first.
_TENANT = "retraining.tenant"
_PRISTINE = "retraining.pristine"
# Java's own code writes these, past any logger: of a module that Spark asks for, and that there is
# no native BLAS, which Spark does without.
_GREETINGS = (b"WARNING: Using incubator modules: ", b"netlib-blas: JNI_OnLoad: ")


@contextmanager
def shared_jvm(master: str | None = None, paths: Iterable[str] = ()) -> Iterator[None]:
    """Keep a JVM for steps that are started in the block, one after the other, as processes.

    They find it by a variable of this process's environment, which they inherit. The JVM ends with
    the block, and with this process however that ends: it waits for the end of its standard input,
    which the system closes for a process that is killed. There is none with a cluster, and where
    `spark-submit` or `SPARK_CONF_DIR` decide; within another such block its JVM is shared.

    Args:
        master: The Spark master of the steps, as `open_session` takes it.
        paths: What the steps will read and write: `s3a://` needs a JVM with the connector.

    Raises:
        RetrainingError: If there is no Java, or the connector for `s3a://` cannot be downloaded.
    """
    if os.environ.get(_ADDRESS) or settings.decided_elsewhere() or not settings.is_local(master):
        yield
        return
    chosen = archive.used_by(settings.for_creation(master, paths))
    try:
        gateway = _launch(chosen)
    except (PySparkRuntimeError, FileNotFoundError) as error:
        raise RetrainingError(f"Spark does not start ({error})", REMEDY) from error
    properties = java_class(gateway.jvm, "java.lang.System").getProperties()
    properties.put(_PRISTINE, properties.clone())
    address = gateway.gateway_parameters
    os.environ[_ADDRESS] = f"{address.port}:{address.auth_token}"
    try:
        yield
    finally:
        del os.environ[_ADDRESS]
        gateway.close()
        gateway.proc.stdin.close()
        if archive.is_written_by(chosen):
            Thread(target=gateway.proc.wait, daemon=True).start()
        else:
            gateway.proc.wait()


def start(chosen: Mapping[str, str]) -> None:
    """Start the JVM of the next session of this process, or connect to that of `spark-submit`.

    Args:
        chosen: The settings that the session will be created with.

    Raises:
        PySparkRuntimeError: If there is no Java.
    """
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    SparkContext._ensure_initialized(gateway=None if submitted else _launch(chosen))


def attach(chosen: Mapping[str, str]) -> bool:
    """Let the next session of this process run in the chain's JVM, if there is one that fits.

    Whatever an earlier step has left there is removed first.

    Args:
        chosen: The settings that the session will be created with.

    Returns:
        Whether this process has a JVM now, so that the session starts none.
    """
    if SparkContext._gateway:
        return True
    address = os.environ.get(_ADDRESS, "")
    if not address or not settings.is_local(chosen.get("spark.master")):
        return False
    try:
        gateway = _connect(address)
        reason = _reason_against(gateway.jvm, chosen)
        if not reason:
            _clear(gateway)
    except (Py4JError, OSError):
        reason = "does not answer"
    if reason:
        _LOG.info(f"the JVM of the chain {reason}: this step starts its own")
        return False
    SparkContext._ensure_initialized(gateway=gateway)
    return True


def _launch(chosen: Mapping[str, str]) -> Any:  # noqa: ANN401 (py4j has no types)
    conf = SparkConf(loadDefaults=False).setAll(list(chosen.items()))
    gateway = launch_gateway(conf, {"stderr": subprocess.PIPE})  # type: ignore[no-untyped-call]
    Thread(target=_pass_on, args=(gateway.proc.stderr,), daemon=True).start()
    return gateway


def _pass_on(lines: IO[bytes]) -> None:
    """Show what a JVM complains of, but for the lines with which every one of them begins."""
    with lines:
        for line in lines:
            if not line.startswith(_GREETINGS):
                with suppress(OSError):  # a terminal that has closed
                    os.write(2, line)


def _connect(address: str) -> Any:  # noqa: ANN401 (py4j has no types)
    port, _, secret = address.partition(":")
    variables = {"PYSPARK_GATEWAY_PORT": port, "PYSPARK_GATEWAY_SECRET": secret}
    os.environ |= variables
    try:
        return launch_gateway()  # type: ignore[no-untyped-call]
    finally:
        for name in variables:
            del os.environ[name]


def _reason_against(jvm: Any, chosen: Mapping[str, str]) -> str:  # noqa: ANN401 (py4j)
    system = java_class(jvm, "java.lang.System")
    if not _jars(chosen.get("spark.jars")) <= _jars(system.getProperty("spark.jars")):
        return "was started without jars that this step needs"
    me = str(os.getpid())
    properties = system.getProperties()
    tenant = properties.putIfAbsent(_TENANT, me) or me
    if tenant != me and _lives(int(tenant)):
        return f"is used by process {tenant}"
    return "" if properties.replace(_TENANT, tenant, me) else "is used by another process"


def _jars(stated: str | None) -> set[str]:
    """Jars by their paths: a JVM has the URIs of those that it was started with."""
    return {unquote(urlsplit(jar).path) for jar in (stated or "").split(",") if jar}


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _clear(gateway: Any) -> None:  # noqa: ANN401 (py4j)
    """Remove what the last step left; all else in a JVM belongs to a SparkContext."""
    jvm = gateway.jvm
    # A killed step leaves its SparkContext, with its session, views and cached frames.
    left = _module(jvm, "org.apache.spark.SparkContext").getActive()
    if left.isDefined():
        left.get().stop()
    # Java objects that Python processes held are held for them as long as the JVM lives.
    server = JavaObject("GATEWAY_SERVER", gateway._gateway_client)
    names = server.getGateway().getBindings().keySet()
    names.retainAll([name for name in names if not name.startswith("o")])
    properties = java_class(jvm, "java.lang.System").getProperties()
    pristine = properties.get(_PRISTINE)
    properties.keySet().retainAll([*pristine, _PRISTINE, _TENANT])
    properties.putAll(pristine)
    # Opened file systems are kept, with the credentials and the folder they were opened with;
    # this property is the folder, where Hadoop is told none.
    java_class(jvm, "org.apache.hadoop.fs.FileSystem").closeAll()
    properties.put("user.dir", str(Path.cwd()))
    # Levels of loggers.
    java_class(jvm, "org.apache.logging.log4j.LogManager").getContext(False).reconfigure()  # noqa: FBT003 (Java)


def _module(jvm: Any, name: str) -> Any:  # noqa: ANN401 (py4j)
    """Scala's `object` of that name."""
    return getattr(getattr(jvm, f"{name}$"), "MODULE$")
