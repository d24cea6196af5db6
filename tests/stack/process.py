"""Servers as processes, each with a log; stopping one ends all that it has started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

LOOPBACK = "127.0.0.1"
# A JVM that lives for seconds spends half of its CPU in the second compiler, in vain. Without it
# there is little room for compiled code, which the steps of a chain fill.
SHORT_LIVED = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"}
# The kernel kills the server when its parent ends, however that ends.
_DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")


class StackError(Exception):
    """A server did not start or is not installed; the message gives the remedy."""


class Server:
    """A server process that can be stopped and restarted with the same command.

    Attributes:
        name: Its name in messages.
        log: File of its output.
        process: The process that was started last; it leads a process group of its own.
    """

    process: subprocess.Popen[bytes]

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        folder: Path,
        environment: Mapping[str, str] | None,
        user: str | None,
        stop_signal: signal.Signals,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = [*_DIE_WITH_PARENT, *map(str, command)]
        self._folder = folder
        self._environment = None if environment is None else dict(environment)
        self._user = user
        self._stop_signal = stop_signal

    def start(self) -> None:
        """Start it; it dies with this process, even if that is killed."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                user=self._user,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Ask it to stop; after ten seconds kill it. What is left of its group is killed too."""
        if self.process.poll() is None:
            self.process.send_signal(self._stop_signal)
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        with suppress(ProcessLookupError):  # the group is empty
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait_for(self, is_ready: Callable[[], bool], *, seconds: float = 60) -> None:
        """Return as soon as the server is ready.

        Raises:
            StackError: If it ends first or takes longer, with the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not is_ready():
            code = self.process.poll()
            if code is not None or time.monotonic() > deadline:
                happened = "is not ready" if code is None else f"ended with {code}"
                tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
                raise StackError(f"{self.name} {happened}; the end of {self.log}:\n{tail}")
            time.sleep(0.1)


def free_port() -> int:
    """A port of the loopback interface that is free now."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return int(listener.getsockname()[1])


def listens(port: int) -> bool:
    """Whether a port of the loopback interface accepts connections."""
    with socket.socket() as connection:
        connection.settimeout(1)
        return connection.connect_ex((LOOPBACK, port)) == 0


@contextmanager
def open_server(
    name: str,
    command: Sequence[str | Path],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
) -> Iterator[Server]:
    """Run a server in the background; at the end, it and its whole process group are gone.

    Args:
        name: Of the server, and of its log `<folder>/<name>.log`, which is appended to.
        command: Program and arguments.
        folder: Its working directory, created if needed; the log is there.
        environment: All of its environment variables. None: those of this process.
        user: The user it runs as. None: the user of this process.
        stop_signal: The signal that asks it to stop; ten seconds later it is killed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(name, command, folder, environment, user, stop_signal)
    server.start()
    try:
        yield server
    finally:
        server.stop()
