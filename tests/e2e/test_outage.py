"""A step whose tracking server goes away: for half a minute, for good, or for this user only."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from retraining.tracking.checkout import ROOT
from tests.stack.tracking import open_tracking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.stack.tracking import Tracking

pytestmark = pytest.mark.slow

# Logs a number and then a file for each line that it reads; the file is more than sockets hold.
STEP = """
import os
import sys
import click
import mlflow
from retraining.cli.command import StepCommand
from retraining.tracking import lineage

@click.command(cls=StepCommand)
def step(**parameters):
    with lineage.open_step("step", parameters) as run:
        click.echo(run.run_id)
        for number, line in enumerate(sys.stdin):
            mlflow.log_metric("number", number, step=number)
            mlflow.log_artifact(line.strip())
            click.echo(f"kept {number}")
        run.summary = "all kept"

step()
"""

Step = subprocess.Popen[str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    """A server with users that takes artifacts."""
    folder = tmp_path_factory.mktemp("server")
    with open_tracking(
        folder,
        backend_uri=f"sqlite:///{folder}/runs.db",
        artifacts=str(folder / "artifacts"),
        users=f"sqlite:///{folder}/users.db",
    ) as running:
        yield running


@pytest.fixture
def tracking(server: Tracking, monkeypatch: pytest.MonkeyPatch) -> Tracking:
    """The server, up, whatever an earlier test did to it; this process is its service user."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    if server.server.process.poll() is not None:
        server.stop()
        server.start()
    return server


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Step]]:
    """Start the step; it does something whenever it is written a line."""
    script = tmp_path / "step.py"
    script.write_text(STEP)
    started: list[Step] = []

    def start_step(**variables: str) -> Step:
        process = subprocess.Popen(
            [sys.executable, "-u", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT / "steps")} | variables,
            cwd=tmp_path,
        )
        started.append(process)
        return process

    yield start_step
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three files of 40 MB."""
    made = [tmp_path / f"{number}.bin" for number in range(3)]
    for path in made:
        path.write_bytes(os.urandom(40_000_000))
    return made


def tell(step: Step, path: Path) -> None:
    assert step.stdin is not None
    step.stdin.write(f"{path}\n")
    step.stdin.flush()


def hear(step: Step) -> str:
    assert step.stdout is not None
    return step.stdout.readline().strip()


def signal_all(tracking: Tracking, number: signal.Signals) -> None:
    """Send a signal to every process of the server."""
    os.killpg(tracking.server.process.pid, number)


def digest(path: str | Path) -> str:
    with open(path, "rb") as file:  # noqa: PTH123 (of either kind)
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_half_a_minute_without_a_server_costs_time_only(
    tracking: Tracking, start: Callable[..., Step], files: list[Path]
) -> None:
    step = start()
    run_id = hear(step)
    tell(step, files[0])
    assert hear(step) == "kept 0"

    # Frozen, it takes a part of the file into the buffers of its socket; then it dies.
    started = time.monotonic()
    signal_all(tracking, signal.SIGSTOP)
    tell(step, files[1])
    time.sleep(2)
    signal_all(tracking, signal.SIGKILL)
    time.sleep(30)
    tracking.stop()
    tracking.start()
    assert hear(step) == "kept 1"
    waited = time.monotonic() - started

    tell(step, files[2])
    assert hear(step) == "kept 2"
    _, errors = step.communicate(timeout=60)
    assert step.returncode == 0, errors
    assert 30 < waited < 120
    assert mlflow.get_run(run_id).info.status == "FINISHED"
    history = MlflowClient().get_metric_history(run_id, "number")
    assert [metric.value for metric in history] == [0, 1, 2]
    for path in files:
        kept = download_artifacts(run_id=run_id, artifact_path=path.name)
        assert digest(kept) == digest(path)


def logged(line: str) -> str:
    """The message of a log line, after time, level and step."""
    return line.split(" INFO step: ")[1]


def test_server_that_stays_away_ends_the_step_with_one_line(
    tracking: Tracking, start: Callable[..., Step], files: list[Path]
) -> None:
    step = start(MLFLOW_HTTP_REQUEST_MAX_RETRIES="3")
    run_id = hear(step)
    tracking.stop()
    started = time.monotonic()
    tell(step, files[0])
    _, errors = step.communicate(timeout=120)
    waited = time.monotonic() - started

    assert step.returncode == 1
    *before, last = errors.splitlines()
    assert list(map(logged, before)) == [
        f"run {run_id} stays RUNNING: the tracking server does not answer"
    ]
    assert last.startswith(f"Error: the tracking server {tracking.uri} does not answer (")
    assert "Connection refused" in last
    assert "MLFLOW_TRACKING_URI" in last
    # One request was repeated: at once, after 4 and after 8 seconds. Nothing was on the way out.
    assert 12 < waited < 60
    tracking.start()
    assert mlflow.get_run(run_id).info.status == "RUNNING"


def test_step_that_is_stopped_while_the_server_is_away_ends_soon(
    tracking: Tracking, start: Callable[..., Step], files: list[Path]
) -> None:
    step = start()
    run_id = hear(step)
    tracking.stop()
    tell(step, files[0])
    time.sleep(2)
    started = time.monotonic()
    step.terminate()
    _, errors = step.communicate(timeout=60)

    assert time.monotonic() - started < 30
    assert step.returncode == 143
    assert list(map(logged, errors.splitlines())) == [
        f"run {run_id} stays RUNNING: the tracking server does not answer",
        "interrupted",
    ]


def test_server_that_is_not_there_is_told_without_credentials(start: Callable[..., Step]) -> None:
    uri = "http://robot:s3cr3t@127.0.0.1:1"
    step = start(MLFLOW_TRACKING_URI=uri, MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
    output, errors = step.communicate(timeout=60)

    assert (step.returncode, output) == (1, "")
    assert errors.startswith("Error: the tracking server http://127.0.0.1:1 does not answer (")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (
            {"MLFLOW_TRACKING_PASSWORD": "another-password"},
            "MLFLOW_TRACKING_PASSWORD",
        ),
        (
            {"MLFLOW_EXPERIMENT_NAME": "Default"},
            "experiments/get-by-name",
        ),
    ],
    ids=["unknown", "forbidden"],
)
def test_user_without_permission_is_told_so_in_one_line(
    tracking: Tracking, start: Callable[..., Step], variables: dict[str, str], told: str
) -> None:
    step = start(**variables)
    output, errors = step.communicate(timeout=60)

    assert (step.returncode, output) == (1, "")
    assert errors.startswith(f"Error: the tracking server {tracking.uri} ")
    assert errors.count("\n") == 1
    assert told in errors
