"""An SSH server on a loopback port, with its own keys: no configuration of the system is used."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.stack.process import LOOPBACK, Server, StackError, free_port, listens, open_server

if TYPE_CHECKING:
    from collections.abc import Iterator


class Sshd(NamedTuple):
    """A running SSH server.

    Attributes:
        host: Address on which it listens.
        port: Port on which it listens.
        user: The user who may log in.
        key_file: Private key of that user.
        host_key: Public key of the server: type and key.
        server: Its process.
    """

    host: str
    port: int
    user: str
    key_file: Path
    host_key: str
    server: Server

    @property
    def connection(self) -> str:
        """The server as an Airflow connection, in JSON."""
        extra = {
            "key_file": str(self.key_file),
            "no_host_key_check": False,
            "host_key": self.host_key,
        }
        told = {"conn_type": "ssh", "host": self.host, "port": self.port, "login": self.user}
        return json.dumps({**told, "extra": extra})


@contextmanager
def open_sshd(folder: Path) -> Iterator[Sshd]:
    """Run an SSH server that the user of this process can log in to.

    Raises:
        StackError: If it is not installed, or does not start.
    """
    program = find_sshd()
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # as root it does not start without
    host_key, user_key = _make_key(folder / "host_key"), _make_key(folder / "user_key")
    port = free_port()
    settings = {
        "ListenAddress": f"{LOOPBACK}:{port}",
        "HostKey": host_key,
        "AuthorizedKeysFile": user_key.with_suffix(".pub"),
        "PidFile": folder / "sshd.pid",
        "AuthenticationMethods": "publickey",
        "PermitRootLogin": "prohibit-password",
        "StrictModes": "no",  # the folder may be inside one that is writable for all
        "UsePAM": "no",
    }
    file = folder / "sshd_config"
    file.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    with open_server("sshd", [program, "-D", "-e", "-f", file], folder) as server:
        server.wait_for(lambda: listens(port))
        kind, key, *_ = host_key.with_suffix(".pub").read_text().split()
        yield Sshd(LOOPBACK, port, getpass.getuser(), user_key, f"{kind} {key}", server)


def find_sshd() -> str:
    """The `sshd` program; StackError if there is none."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        raise StackError("sshd is not installed: apt-get install openssh-server")
    return program


def _make_key(path: Path) -> Path:
    if not path.exists():
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f", str(path)]
        subprocess.run(command, check=True)
    return path
