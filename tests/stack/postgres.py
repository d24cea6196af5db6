"""PostgreSQL on a loopback port; databases are created on demand."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.stack.process import LOOPBACK, Server, StackError, free_port, open_server

if TYPE_CHECKING:
    from collections.abc import Iterator

_ACCOUNT = "postgres"  # PostgreSQL refuses to run as root; Debian's package makes this account
_OWNER = "retraining"


class Postgres(NamedTuple):
    """A running PostgreSQL.

    Attributes:
        port: Where it listens on the loopback interface.
        user: Owner of everything in it.
        password: Of that user, new for each folder.
        programs: Folder of `psql`, `pg_dump` and the like.
        server: Its process.
    """

    port: int
    user: str
    password: str
    programs: Path
    server: Server

    def uri(self, database: str, dialect: str = "postgresql+psycopg2") -> str:
        """Address of a database for SQLAlchemy; creates the database if needed."""
        known = self.call("psql", "--command", "SELECT datname FROM pg_database", "postgres")
        if database not in known.split():
            self.call("createdb", database)
        return f"{dialect}://{self.user}:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def call(self, program: str, *arguments: str) -> str:
        """Call one of PostgreSQL's own programs as the owner, and return its output.

        Raises:
            StackError: If it fails, with its error message.
        """
        plain = ("--no-align", "--tuples-only", "--no-psqlrc") if program == "psql" else ()
        done = subprocess.run(
            [self.programs / program, *plain, *arguments],
            env={
                "PATH": os.environ["PATH"],
                "PGHOST": LOOPBACK,
                "PGPORT": str(self.port),
                "PGUSER": self.user,
                "PGPASSWORD": self.password,
            },
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise StackError(f"{program}: {done.stderr.strip()}")
        return done.stdout


@contextmanager
def open_postgres(folder: Path) -> Iterator[Postgres]:
    """Run PostgreSQL in a folder, with the databases that an earlier one left there.

    Raises:
        StackError: If PostgreSQL is not installed, or does not start.
    """
    programs = _programs()
    folder.mkdir(parents=True, exist_ok=True)
    data, word = folder / "postgres", folder / "postgres.password"
    if not data.exists():
        _create(programs, data, word)
    port = free_port()
    # Data for a test need not survive the machine.
    settings = {
        "port": port,
        "listen_addresses": LOOPBACK,
        "unix_socket_directories": "",
        "fsync": "off",
        "max_connections": 200,
    }
    told = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    command = [*_as_account(), str(programs / "postgres"), "-D", str(data), *told]
    # At SIGINT it disconnects its clients; at SIGTERM it would wait for them.
    with open_server("postgres", command, folder, stop_signal=signal.SIGINT) as server:
        password = word.read_text()
        running = Postgres(port, _OWNER, password, programs, server)
        server.wait_for(lambda: _is_ready(running))
        yield running


def _programs() -> Path:
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(found, key=lambda path: int(path.parts[-3]), default=None)
    if newest is None:
        raise StackError("PostgreSQL is not installed: apt-get install postgresql")
    return newest.parent


def _create(programs: Path, data: Path, word: Path) -> None:
    word.touch(mode=0o600)
    word.write_text(secrets.token_urlsafe(24))
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        for path in (word, data):
            shutil.chown(path, _ACCOUNT, _ACCOUNT)
    options = ["--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
    told = [f"--username={_OWNER}", f"--pwfile={word}", f"--pgdata={data}", *options]
    command = [*_as_account(), str(programs / "initdb"), *told]
    done = subprocess.run(command, cwd=data, capture_output=True, text=True)
    if done.returncode:
        shutil.rmtree(data)
        raise StackError(f"initdb: {done.stderr.strip()}")


def _as_account() -> list[str]:
    """For root: run as PostgreSQL's own account, with permission to enter the folders of root."""
    if os.geteuid() != 0:
        return []
    enter = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    account = [f"--reuid={_ACCOUNT}", f"--regid={_ACCOUNT}", "--clear-groups"]
    # A change of account clears the signal at the parent's death, so it is set again.
    return ["setpriv", *account, *enter, "--pdeathsig=KILL", "--"]


def _is_ready(running: Postgres) -> bool:
    try:
        running.call("psql", "--command", "SELECT 1", "postgres")
    except StackError:
        return False
    return True
