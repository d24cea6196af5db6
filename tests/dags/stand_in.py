"""A small `mlflow` in place of the real one, and a server that knows the tags of its runs."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlparse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A name that no shell takes for one word unless it is quoted.
FOLDER = "bin of $(touch owned) 'ü\""
# Notes its words and environment; then hangs, fails in one step, or ends as `mlflow run` does.
PROGRAM = r"""#!/bin/sh
cd "$(dirname "$0")" || exit
printf '%s\037' "$@" >> calls && printf '\036' >> calls
env -0 > environment
for word; do [ "$before" = -e ] && step=$word; before=$word; done
[ -e hanging ] && echo $$ > hanging && sleep 600
[ "$(cat broken)" = "$step" ] && echo "Error: broken" && exit 1
echo "2026/01/05 INFO mlflow.projects: === Run (ID '$step') succeeded ==="
"""


@dataclass(frozen=True)
class Project:
    """The place of MLflow and the project: what was called, what the runs' tags say.

    Attributes:
        folder: Of the program.
        address: Of the server.
        tags: Of each run, by its id, which is the name of its step.
    """

    folder: Path
    address: str
    tags: dict[str, dict[str, str]] = field(
        default_factory=lambda: {
            "ab_test": {"verdict": "promote", "verdict.reasons": "It is better."},
            "promote": {
                "result.outcome": "promoted",
                "result.summary": "fraud champion moved from version 1 to 2",
                "model_name": "fraud",
            },
        }
    )

    @property
    def calls(self) -> list[list[str]]:
        """The words of each call, in order."""
        noted = (self.folder / "calls").read_bytes().decode().split("\036")
        return [call.split("\037")[:-1] for call in noted[:-1]]

    @property
    def steps(self) -> list[str]:
        """The steps in the order in which they were called."""
        return [words[words.index("-e") + 1] for words in self.calls]

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of the last call."""
        noted = (self.folder / "environment").read_bytes().decode().split("\0")
        return dict(line.split("=", 1) for line in noted[:-1])

    def parameters(self, step: str) -> list[dict[str, str]]:
        """Parameters of each call of a step, in order."""
        return [
            parameters_of(words)
            for name, words in zip(self.steps, self.calls, strict=True)
            if name == step
        ]

    def break_step(self, name: str) -> None:
        """Let a step fail from now on; the empty name lets all succeed."""
        (self.folder / "broken").write_text(name)

    @property
    def hanging(self) -> Path:
        """If this file exists, steps hang, and write the id of their process to it."""
        return self.folder / "hanging"


def parameters_of(words: list[str]) -> dict[str, str]:
    """Parameters that an `mlflow run` is given."""
    pairs = [word for flag, word in pairwise(words) if flag == "-P"]
    return dict(pair.split("=", 1) for pair in pairs)


@contextmanager
def open_project(folder: Path) -> Iterator[Project]:
    """Put the program into a folder, and run the server."""
    program = folder / FOLDER / "mlflow"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM)
    program.chmod(0o755)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            (run_id,) = parse_qs(urlparse(self.path).query)["run_id"]
            tags = [{"key": key, "value": value} for key, value in project.tags[run_id].items()]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"run": {"data": {"tags": tags}}}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        project = Project(program.parent, f"http://127.0.0.1:{server.server_port}")
        project.break_step("")
        try:
            yield project
        finally:
            server.shutdown()
