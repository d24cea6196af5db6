"""What is told of a server that fails a request, and what stays an error of the program."""

from __future__ import annotations

import os
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import mlflow
import pytest
from botocore.exceptions import NoCredentialsError
from mlflow import MlflowClient
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

from retraining.errors import RetrainingError
from retraining.tracking import outage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
URI = "MLFLOW_TRACKING_URI"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask once, and forget afterwards which server it was."""
    monkeypatch.setenv(RETRIES, "0")
    monkeypatch.setenv(URI, "")


@contextmanager
def answering(status: int, body: bytes = b"") -> Iterator[str]:
    """A server that answers every request alike; its address has credentials in it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST  # noqa: N815 (their names)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name)
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as served:
        Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://robot:s3cr3t@127.0.0.1:{served.server_port}"
        served.shutdown()


def failure_of(uri: str, kept: Path | None = None) -> Exception:
    """What MLflow raises of a server for a call, or for an artifact that it shall take."""
    os.environ[URI] = uri
    store: Any = HttpArtifactRepository
    artifacts = store(f"{uri}/api/2.0/mlflow-artifacts/artifacts/1")
    with pytest.raises((mlflow.MlflowException, OSError)) as caught:
        artifacts.log_artifact(kept) if kept else MlflowClient().get_experiment("1")
    return caught.value


def told(error: BaseException) -> str:
    """The message for the user, with a placeholder for the server."""
    found = outage.fault(error)
    assert found is not None
    assert "s3cr3t" not in str(found)
    assert outage.address() in str(found)
    return str(found).replace(outage.address(), "SERVER")


@pytest.mark.parametrize("artifact", [False, True])
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, "MLFLOW_TRACKING_USERNAME"),
        (403, "MLFLOW_EXPERIMENT_NAME"),
        (503, "(too many 503 error responses)"),
    ],
)
def test_refused_request(tmp_path: Path, status: int, expected: str, artifact: bool) -> None:  # noqa: FBT001
    kept = tmp_path / "kept.txt"
    kept.write_text("text")
    with answering(status, b"no") as uri:
        error = failure_of(uri, kept if artifact else None)

    assert told(error).startswith("the tracking server SERVER ")
    assert expected in told(error)
    if status == 403:
        assert ("artifacts/1/kept" if artifact else "experiments/get") in told(error)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("http://robot:s3cr3t@127.0.0.1:1", "[Errno 111] Connection refused)"),
        ("http://nowhere.invalid:5000", "Failed to resolve 'nowhere.invalid' ("),
    ],
)
def test_server_that_is_not_there(uri: str, expected: str) -> None:
    error = failure_of(uri)

    assert told(error).startswith("the tracking server SERVER ")
    assert expected in told(error)


def test_server_that_talks_another_protocol() -> None:
    with answering(200) as uri:
        error = failure_of(uri.replace("http:", "https:"))

    assert "WRONG_VERSION_NUMBER" in told(error)


def test_download_of_several_files_that_was_refused() -> None:
    text = "The following failures occurred: 403 Client Error: FORBIDDEN for url: http://host/a"

    assert "MLFLOW_EXPERIMENT_NAME" in told(mlflow.MlflowException(text))


def test_bucket_that_refuses() -> None:
    said = str(outage.fault(NoCredentialsError()))
    for text in ("bucket", "(Unable to locate credentials)", "AWS_ACCESS_KEY_ID"):
        assert text in said


@pytest.mark.parametrize("error", [mlflow.MlflowException("a bug"), KeyError("k"), OSError("disk")])
def test_other_failures_stay_as_they_are(error: Exception) -> None:
    assert outage.fault(error) is None


def test_bad_request_is_a_bug() -> None:
    with answering(400, b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "no"}') as uri:
        assert outage.fault(failure_of(uri)) is None


def test_expected_failure_is_its_own_explanation() -> None:
    error = RetrainingError("no rows", "add some")

    assert outage.fault(error) is error


def test_server_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RETRIES, "1")
    error = failure_of("http://127.0.0.1:1")

    assert not outage.is_lost(RetrainingError("no rows", "add some"))
    assert os.environ[RETRIES] == "1"
    assert outage.is_lost(error)
    assert os.environ[RETRIES] == "0"
    outage.hurry(retries=3)
    assert os.environ[RETRIES] == "0"
