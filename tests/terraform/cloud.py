"""The metadata service of a machine, and Lockbox, on one loopback port."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TOKEN = "of-the-machine"  # noqa: S105


@contextmanager
def open_cloud(
    values: Mapping[str, str], secrets: Mapping[str, Mapping[str, str]]
) -> Iterator[dict[str, str]]:
    """Answer as the cloud does; yields the environment of `render_secrets.py`.

    Args:
        values: Of the machine's settings.
        secrets: Entries by id of the secret, readable with the token of the machine.
    """
    settings = {"secrets": list(secrets), "values": dict(values)}
    instance = "/computeMetadata/v1/instance"
    metadata: dict[str, Any] = {
        f"{instance}/attributes/settings": settings,
        f"{instance}/service-accounts/default/token": {"access_token": _TOKEN},
    }
    payloads = {
        f"/lockbox/v1/secrets/{name}/payload": {
            "entries": [{"key": key, "textValue": text} for key, text in entries.items()]
        }
        for name, entries in secrets.items()
    }

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Metadata-Flavor") == "Google":
                answer = metadata.get(self.path)
            elif self.headers.get("Authorization") == f"Bearer {_TOKEN}":
                answer = payloads.get(self.path)
            else:
                answer = None
            self.send_response(404 if answer is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield {"METADATA_URL": url, "LOCKBOX_URL": url}
        finally:
            server.shutdown()
