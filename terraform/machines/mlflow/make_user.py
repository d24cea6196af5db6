"""Let the steps log in to MLflow: a user who may edit one experiment, and what it makes itself.

    python3 make_user.py http://127.0.0.1:5000

Passwords come from the environment of the server. Doing it again changes nothing but the user's
password, if that is another one now. The administrator's own is set from the environment only in a
new database.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import Any

EXPERIMENT = "retraining"
USER = "retraining"
ADMIN = "admin"
PATIENCE = 300  # seconds; a first start makes all tables


class Server:
    """MLflow, asked as its administrator."""

    def __init__(self, url: str) -> None:
        self.url = url
        login = f"{ADMIN}:{os.environ['MLFLOW_AUTH_ADMIN_PASSWORD']}"
        self.headers = {
            "Authorization": f"Basic {base64.b64encode(login.encode()).decode()}",
            "Content-Type": "application/json",
        }

    def ask(self, method: str, path: str, **body: str) -> dict[str, Any] | None:
        """What it answers; None where it says that something exists already."""
        data = json.dumps(body).encode() if body else None
        url = f"{self.url}/api/{path}"
        request = urllib.request.Request(url, data, self.headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return dict(json.loads(answer.read() or b"{}"))
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            if "RESOURCE_ALREADY_EXISTS" in text:
                return None
            sys.exit(f"make_user: {path}: {error.code} {text}")

    def wait(self) -> None:
        """Return as soon as it answers."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=5).close()
            except OSError as error:
                if time.monotonic() > deadline:
                    sys.exit(f"make_user: {self.url}: {error}")
                time.sleep(2)
            else:
                return


def main() -> None:
    """User, password, experiment, permission."""
    server = Server(sys.argv[1])
    server.wait()
    password = os.environ["RETRAINING_PASSWORD"]
    if server.ask("POST", "2.0/mlflow/users/create", username=USER, password=password) is None:
        server.ask("PATCH", "2.0/mlflow/users/update-password", username=USER, password=password)
    made = server.ask("POST", "2.0/mlflow/experiments/create", name=EXPERIMENT)
    if made is None:
        path = f"2.0/mlflow/experiments/get-by-name?experiment_name={EXPERIMENT}"
        made = (server.ask("GET", path) or {})["experiment"]  # a boot that was cut short made it
    server.ask(
        "POST",
        "3.0/mlflow/users/permissions/grant",
        username=USER,
        resource_type="experiment",
        resource_id=made["experiment_id"],
        permission="EDIT",
    )


if __name__ == "__main__":
    main()
