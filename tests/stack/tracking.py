"""An MLflow tracking server with a registry, and optionally with users."""

from __future__ import annotations

import base64
import configparser
import json
import os
import secrets
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from tests.stack.process import LOOPBACK, Server, free_port, open_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

ADMINISTRATOR = "administrator"
SERVICE_USER = "retraining"
EXPERIMENT = "retraining"


class Tracking:
    """A tracking server that can go away and come back at the same address.

    Attributes:
        uri: Its address, without credentials.
        environment: What a client needs: address, experiment and, if there are users, name and
            password of the service user, who may do no more than the steps need.
        administrator: The same for the administrator; like `environment` where nobody logs in.
        server: Its process at present.
    """

    server: Server

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        port = free_port()
        self.uri = f"http://{LOOPBACK}:{port}"
        self.environment = {"MLFLOW_TRACKING_URI": self.uri}
        self.administrator = self.environment
        self._command = [*command, "--host", LOOPBACK, "--port", str(port)]
        self._folder = folder
        self._environment = dict(environment)
        self._running = ExitStack()

    def start(self) -> None:
        """Start the server, for the first time or after a stop, and wait until it answers."""
        opened = open_server("mlflow", self._command, self._folder, environment=self._environment)
        self.server = self._running.enter_context(opened)
        self.server.wait_for(self._answers, seconds=120)

    def stop(self) -> None:
        """Stop the server; requests that it has begun are finished."""
        self._running.close()

    def call(self, path: str, **body: str) -> dict[str, Any]:
        """Send a request as the administrator: `call("2.0/mlflow/users/create", ...)`."""
        name = self.administrator.get("MLFLOW_TRACKING_USERNAME", "")
        word = self.administrator.get("MLFLOW_TRACKING_PASSWORD", "")
        login = base64.b64encode(f"{name}:{word}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        url = f"{self.uri}/api/{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return dict(json.loads(answer.read() or b"{}"))

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def open_tracking(
    folder: Path,
    *,
    backend_uri: str,
    artifacts: str,
    environment: Mapping[str, str] | None = None,
    serve_artifacts: bool = True,
    users: str | None = None,
) -> Iterator[Tracking]:
    """Run `mlflow server`.

    Args:
        folder: Where it writes its log and, if there are users, their settings.
        backend_uri: Database of runs and models.
        artifacts: Where artifacts lie: `s3://bucket/folder` or a local folder.
        environment: Further variables of the server, as the credentials of the artifact store.
        serve_artifacts: Clients send artifacts to the server; else straight to where they lie,
            and need credentials for that themselves.
        users: Database of users; None lets everybody in.
    """
    folder.mkdir(parents=True, exist_ok=True)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    told = {
        # In the environment, since everybody can read a command line.
        "MLFLOW_BACKEND_STORE_URI": backend_uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **(environment or {}),
    }
    place = (
        ["--serve-artifacts", "--artifacts-destination", artifacts]
        if serve_artifacts
        else ["--no-serve-artifacts", "--default-artifact-root", artifacts]
    )
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", *place]
    if users:
        command += ["--app-name", "basic-auth"]
        told |= _settings(folder / "users.ini", users)
    tracking = Tracking(command, folder, inherited | told)
    try:
        tracking.start()
        if users:
            _add_service_user(tracking, told["MLFLOW_AUTH_ADMIN_PASSWORD"])
        yield tracking
    finally:
        tracking.stop()


def _settings(path: Path, users: str) -> dict[str, str]:
    """Write the settings of users, and return the variables that point there."""
    settings = configparser.ConfigParser(interpolation=None)
    settings["mlflow"] = {
        "default_permission": "NO_PERMISSIONS",
        "database_uri": users,
        "admin_username": ADMINISTRATOR,
        # To check a password takes tenths of a second of CPU, and every request has one.
        "auth_cache_ttl_seconds": "60",
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
    }
    path.touch(mode=0o600)
    with path.open("w") as file:
        settings.write(file)
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(path),
        "MLFLOW_AUTH_ADMIN_PASSWORD": secrets.token_urlsafe(24),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(24),
    }


def _login(uri: str, name: str, password: str) -> dict[str, str]:
    return {
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_TRACKING_USERNAME": name,
        "MLFLOW_TRACKING_PASSWORD": password,
        "MLFLOW_EXPERIMENT_NAME": EXPERIMENT,
    }


def _add_service_user(tracking: Tracking, password: str) -> None:
    """Add the service user, who may write to one experiment and to what it creates itself."""
    tracking.administrator = _login(tracking.uri, ADMINISTRATOR, password)
    own = secrets.token_urlsafe(24)
    tracking.call("2.0/mlflow/users/create", username=SERVICE_USER, password=own)
    made = tracking.call("2.0/mlflow/experiments/create", name=EXPERIMENT)
    tracking.call(
        "3.0/mlflow/users/permissions/grant",
        username=SERVICE_USER,
        resource_type="experiment",
        resource_id=made["experiment_id"],
        permission="EDIT",
    )
    tracking.environment = _login(tracking.uri, SERVICE_USER, own)
