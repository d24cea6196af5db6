"""An S3 server: versitygw, one program in Go that keeps objects as files of a folder."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.stack.process import LOOPBACK, Server, StackError, free_port, listens, open_server

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE = "github.com/versity/versitygw/cmd/versitygw"
VERSION = "v1.8.0"
REGION = "us-east-1"


class Objects(NamedTuple):
    """A running S3 server.

    Attributes:
        endpoint: Its address.
        access_key: Of its only user, new at each start.
        secret_key: Of the same user.
        environment: The variables that a client needs, as AWS's own programs and MLflow read them.
        servers: Its process.
    """

    endpoint: str
    access_key: str
    secret_key: str
    environment: dict[str, str]
    servers: tuple[Server, ...]


@contextmanager
def open_objects(folder: Path, *buckets: str) -> Iterator[Objects]:
    """Run an S3 server in a folder, with the objects that an earlier one left there.

    Raises:
        StackError: If it cannot be built, or does not start.
    """
    program = _program()
    # Buckets are folders; attributes of objects are kept in a folder beside them, since not every
    # file system has extended attributes.
    root, beside = folder / "buckets", folder / "attributes"
    for path in (*(root / bucket for bucket in buckets), beside):
        path.mkdir(parents=True, exist_ok=True)
    port = free_port()
    endpoint = f"http://{LOOPBACK}:{port}"
    access_key, secret_key = secrets.token_hex(10).upper(), secrets.token_urlsafe(30)
    told = {
        # In the environment, since everybody can read a command line.
        "ROOT_ACCESS_KEY": access_key,
        "ROOT_SECRET_KEY": secret_key,
        "VGW_PORT": f"{LOOPBACK}:{port}",
        "VGW_REGION": REGION,
        "VGW_KEEP_ALIVE": "true",
        "VGW_QUIET": "true",
    }
    command: list[str | Path] = [program, "posix", "--sidecar", beside, root]
    environment = {
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint,
        "MLFLOW_S3_ENDPOINT_URL": endpoint,
    }
    with open_server("versitygw", command, folder, environment=told) as server:
        server.wait_for(lambda: listens(port))
        yield Objects(endpoint, access_key, secret_key, environment, (server,))


def _program() -> Path:
    """The program in the user's cache, built there on first use."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program = cache / "retraining" / f"versitygw-{VERSION}" / "versitygw"
    if program.exists():
        return program
    go = shutil.which("go")
    if go is None:
        raise StackError("the S3 server is built with Go: install Go 1.25 or newer")
    command = [go, "install", f"{MODULE}@{VERSION}"]
    environment = {**os.environ, "GOBIN": str(program.parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise StackError(f"go install {MODULE}@{VERSION}: {done.stderr.strip()}")
    return program
