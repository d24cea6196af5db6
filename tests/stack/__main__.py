"""Start the whole system, run the chain once through Airflow, and stay up until Ctrl-C.

tests/up
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import boto3
import click
import yaml
from mlflow import MlflowClient

from tests.small import small_description
from tests.stack.process import StackError
from tests.stack.scheduler import ENDED
from tests.stack.system import BUCKET, ROOT, open_system, revive

if TYPE_CHECKING:
    from types import FrameType

    from tests.stack.system import System

_DAYS, _CUSTOMERS, _TERMINALS, _TRIALS = 20, 300, 500, 2
_LONGEST_CHAIN = timedelta(minutes=40)


@click.command()
@click.option("--hide", is_flag=True, help="Hide the project from Spark's workers (root only).")
def main(*, hide: bool) -> None:
    """Start the whole system, run the chain once, and stay up until Ctrl-C."""
    # A shell lets its background jobs ignore SIGINT.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, _interrupt)
    with tempfile.TemporaryDirectory(prefix="retraining-") as folder:
        try:
            with open_system(
                Path(folder), lambda part: say(f"starting {part}"), hide=hide
            ) as system:
                os.environ.update(system.environment)
                show(system, folder)
                upload_transactions(Path(folder) / "raw")
                run_chain(system, describe(Path(folder)))
                say("Ctrl-C shuts everything down and removes what it wrote")
                while True:
                    revive(system, say)
                    time.sleep(1)
        except StackError as error:
            sys.exit(f"Error: {error}")
        except KeyboardInterrupt:
            say("shut down")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def show(system: System, folder: str) -> None:
    """Print addresses and logins; all addresses can be reached from this machine only."""
    tracking, airflow, objects = system.tracking, system.airflow, system.objects
    login = tracking.administrator
    say(
        f"""
Airflow   {airflow.url}  {airflow.user} / {airflow.password}
MLflow    {tracking.uri}  {login["MLFLOW_TRACKING_USERNAME"]} / {login["MLFLOW_TRACKING_PASSWORD"]}
Spark     {system.cluster.ui}
S3        {objects.endpoint}, bucket {BUCKET}
          AWS_ACCESS_KEY_ID={objects.access_key} AWS_SECRET_ACCESS_KEY={objects.secret_key}
Logs      files in {folder}
"""
    )


def upload_transactions(folder: Path) -> None:
    """Simulate card transactions of the last weeks and upload them to the bucket."""
    start = datetime.now(UTC).date() - timedelta(days=_DAYS)
    told = {"output": folder, "start": start, "days": _DAYS}
    told |= {"customers": _CUSTOMERS, "terminals": _TERMINALS}
    say(f"simulating {_DAYS} days of card transactions")
    words = [word for name, value in told.items() for word in ("-P", f"{name}={value}")]
    program = Path(sys.executable).parent / "mlflow"
    done = subprocess.run(
        [program, "run", ROOT, "--env-manager", "local", "-e", "simulate", *words],
        cwd=folder.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise StackError(f"simulate failed:\n{done.stdout}")
    client = boto3.client("s3")
    for path in sorted(folder.iterdir()):
        client.upload_file(str(path), BUCKET, f"raw/fraud/{path.name}")


def describe(folder: Path) -> Path:
    """A description for so few days, by which a challenger of two trials is tested in any case."""
    description = small_description()
    description["gate"]["worse_on_validation"] = "test"
    path = folder / "fraud.yaml"
    path.write_text(yaml.safe_dump(description, sort_keys=False))
    return path


def run_chain(system: System, description: Path) -> None:
    """Trigger the DAG, and print the states of its tasks and the verdict."""
    system.airflow.unpause("predict")  # a new champion starts it
    run = system.airflow.trigger("retrain", dataset=str(description), trials=_TRIALS)
    say(f"Airflow runs the chain: {system.airflow.url}/dags/retrain/runs/{run}")
    known: dict[str, str] = {}
    deadline = time.monotonic() + _LONGEST_CHAIN.total_seconds()
    state = "queued"
    while state not in ENDED:
        if time.monotonic() > deadline:
            raise StackError(f"{run} is still {state} after {_LONGEST_CHAIN}: {known}")
        time.sleep(2)
        revive(system, say)
        with suppress(OSError):  # Airflow's API server may be away for a moment
            state = system.airflow.state("retrain", run)
            for task, now in system.airflow.states("retrain", run).items():
                if now not in (known.get(task), "None", "scheduled", "queued"):
                    say(f"{datetime.now(UTC):%H:%M:%S}  {task}: {now}")
                    known[task] = now
    if state == "success":
        tags = MlflowClient().get_run(system.airflow.xcom("retrain", run, "ab_test")).data.tags
        say(f"verdict {tags['verdict']}: {tags['verdict.reasons']}")
    say(f"the chain ended: {state}")


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
