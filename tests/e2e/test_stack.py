"""The whole system by its one command: the chain through Airflow, killed servers, the way out.

Where root runs it, Spark's workers see neither the project nor the temporary files of the steps, as
on other machines: models, too, pass through the bucket.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import boto3
import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.prepared import split_folders
from tests.stack.scheduler import Airflow
from tests.stack.system import BUCKET, ROOT
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities import Run

# Its fixture waits for a whole chain in which processes are killed.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

# Where the servers themselves keep what is secret, for their user alone.
KEPT_BY_SERVERS = {"postgres.password", "users.ini", "secrets.json", "passwords.json"}
SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD")
STEPS = ("preprocess", "train", "tune", "ab_test", "promote")


class Stack:
    """The running command, and what it printed."""

    def __init__(self, output: Path) -> None:
        self._output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.stack", *(["--hide"] if os.geteuid() == 0 else [])],
                cwd=ROOT,
                env={k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "AWS_"))},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    @property
    def printed(self) -> str:
        """All that it printed."""
        return self._output.read_text()

    def find(self, pattern: str) -> tuple[str, ...]:
        """The groups of a pattern in what it printed."""
        found = re.search(pattern, self.printed)
        assert found, self.printed
        return found.groups()

    def wait_for(self, words: str, seconds: float) -> None:
        """Return when it has printed this, or has ended."""
        wait_until(
            lambda: words in self.printed or self.process.poll() is not None,
            f"{words!r} is not printed",
            seconds,
        )

    def processes(self) -> list[tuple[int, str]]:
        """What runs below the command, at any depth: process ids and command lines."""
        table = subprocess.run(
            ["ps", "-eww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
        ).stdout
        rows = [line.split(maxsplit=2) for line in table.splitlines()]
        family = {str(self.process.pid)}
        grown = 0
        while grown != len(family):
            grown = len(family)
            family |= {pid for pid, parent, *_ in rows if parent in family}
        return [
            (int(pid), rest[0] if rest else "")
            for pid, _, *rest in rows
            if pid in family and int(pid) != self.process.pid
        ]

    def kill(self, pattern: str) -> None:
        """Kill the processes whose command line matches, as soon as there are any."""
        wait_until(lambda: self.matching(pattern) != [], f"no process matches {pattern}", 180)
        for pid in self.matching(pattern):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def matching(self, pattern: str) -> list[int]:
        """Ids of the processes below the command whose command line matches."""
        return [pid for pid, command in self.processes() if re.search(pattern, command)]


class Bucket(NamedTuple):
    """What lies in the bucket."""

    store: Any

    def listed(self, prefix: str = "") -> list[str]:
        """Keys of the objects whose keys begin so."""
        pages = self.store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def read(self, uri: str) -> bytes:
        """Content of an object."""
        key = uri.removeprefix(f"s3a://{BUCKET}/")
        return bytes(self.store.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def table(self, uri: str) -> pd.DataFrame:
        """The rows of the parquet files in a folder, hidden ones left out."""
        prefix = uri.removeprefix(f"s3a://{BUCKET}/") + "/"
        names = [key.removeprefix(prefix) for key in self.listed(prefix)]
        return pd.concat(
            pd.read_parquet(io.BytesIO(self.read(f"{uri}/{name}")))
            for name in names
            if name.endswith(".parquet") and not name.startswith("_")
        )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The command after its chain, in which a process of each kind was killed."""
    running = Stack(tmp_path_factory.mktemp("stack") / "output")
    try:
        running.wait_for("Airflow runs the chain", 900)
        missing = re.search("^Error: .*install.*", running.printed, re.MULTILINE)
        if missing:
            pytest.skip(missing[0])
        running.wait_for("preprocess: running", 300)
        running.kill(r"python steps/preprocess\.py")
        running.wait_for("train: running", 900)
        running.kill("CoarseGrainedExecutorBackend")
        running.wait_for("tune: running", 900)
        running.kill(r"airflow scheduler$")
        running.kill(r"uvicorn.*mlflow\.server")
        running.wait_for("Ctrl-C shuts everything down", 1800)
        assert running.process.poll() is None, running.printed
        yield running
    finally:
        running.process.terminate()
        running.process.wait(120)


@pytest.fixture(scope="module")
def airflow(stack: Stack) -> Airflow:
    url, password = stack.find(r"Airflow +(\S+) +admin / (\S+)")
    return Airflow(url, password, {}, [])


@pytest.fixture(scope="module")
def service(stack: Stack) -> dict[str, str]:
    """The environment of the steps: that of the process which starts them."""
    (pid,) = (pid for pid, command in stack.processes() if command.endswith("airflow scheduler"))
    words = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(word.split("=", 1) for word in words if word.startswith(("MLFLOW_", "AWS_")))


@pytest.fixture
def client(service: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A client that logs in as the steps do."""
    for name, value in service.items():
        monkeypatch.setenv(name, value)
    return MlflowClient(service["MLFLOW_TRACKING_URI"])


@pytest.fixture
def bucket(client: MlflowClient) -> Bucket:
    """The bucket, as a client other than Spark and MLflow sees it."""
    return Bucket(boto3.client("s3"))


def newest(client: MlflowClient, step: str) -> Run:
    """The newest finished run of a step."""
    experiment = client.get_experiment_by_name("retraining")
    assert experiment is not None
    wanted = f"tags.step = '{step}' and attributes.status = 'FINISHED'"
    return client.search_runs([experiment.experiment_id], wanted, max_results=1)[0]


def test_the_chain_ends_in_a_verdict_that_can_be_read(stack: Stack, client: MlflowClient) -> None:
    assert "the chain ended: success" in stack.printed
    (verdict,) = stack.find(r"verdict (\w+): ")
    champion = client.get_model_version_by_alias("fraud", "champion")
    assert str(champion.version) == ("2" if verdict == "promote" else "1")
    experiment = client.get_experiment_by_name("retraining")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.step != 'trial'")
    done = {run.data.tags["step"]: run for run in reversed(runs)}
    expected = {*STEPS, "simulate"} if verdict == "promote" else {*STEPS[:-1], "simulate"}
    assert expected <= set(done)
    assert {run.info.status for run in done.values()} == {"FINISHED"}
    assert len({done[step].data.tags["cycle_id"] for step in expected - {"simulate"}}) == 1
    assert done["train"].data.params["spark_master"].startswith("spark://")


def test_another_client_finds_all_of_it_in_the_bucket(bucket: Bucket) -> None:
    keys = bucket.listed()
    for pattern in (
        r"raw/fraud/2\d{3}-\d\d-\d\d\.txt",
        r"data/fraud/\w{32}/_MANIFEST\.json",
        r"data/fraud/\w{32}/rows/day=2\d{3}-\d\d-\d\d/part-.*\.parquet",
        r"artifacts/.*/verdict\.json",
        r"artifacts/.*/report\.html",
        r"artifacts/.*/MLmodel",
    ):
        assert any(re.fullmatch(pattern, key) for key in keys), (pattern, keys)


def test_a_data_set_is_in_the_bucket_with_its_manifest(
    bucket: Bucket, client: MlflowClient
) -> None:
    run = newest(client, "preprocess")
    uri = run.data.tags["dataset_uri"]
    assert uri == f"s3a://{BUCKET}/data/fraud/{run.info.run_id}"
    manifest = json.loads(bucket.read(f"{uri}/_MANIFEST.json"))
    assert len(manifest["files"]) == len([key for key in bucket.listed() if key.startswith("raw/")])
    for name, split in manifest["splits"].items():
        tables = map(bucket.table, split_folders(manifest, name))
        assert sum(map(len, tables)) == split["n_rows"]


def test_writes_are_committed_without_renaming(bucket: Bucket, client: MlflowClient) -> None:
    uri = newest(client, "preprocess").data.tags["dataset_uri"]
    for folder in ("rows", "quarantine"):
        assert json.loads(bucket.read(f"{uri}/{folder}/_SUCCESS"))["committer"] == "magic"


def test_a_new_champion_starts_to_score(
    stack: Stack, airflow: Airflow, bucket: Bucket, client: MlflowClient
) -> None:
    (verdict,) = stack.find(r"verdict (\w+): ")
    if verdict == "promote":
        wait_until(lambda: airflow.runs("predict"), "no run of predict", 60)
        (run,) = airflow.runs("predict")
        assert run["run_type"] == "asset_triggered"
    else:
        assert airflow.runs("predict") == []
        newest_days = ",".join(f"s3a://{BUCKET}/{key}" for key in bucket.listed("raw/")[-3:])
        run = {"dag_run_id": airflow.trigger("predict", input=newest_days)}
    assert airflow.wait("predict", run["dag_run_id"], seconds=600) == "success"
    predicted = newest(client, "predict")
    scores = bucket.table(predicted.data.tags["predictions_uri"])
    assert len(scores) == predicted.data.metrics["rows_scored"] > 0
    assert set(scores.run_id) == {predicted.info.run_id}
    assert scores.score.between(0, 1).all()


def test_nothing_passing_is_left_in_the_bucket(bucket: Bucket) -> None:
    assert bucket.store.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []
    passing = ("_model-", "__magic", "_temporary", "_UNFINISHED", ".tmp")
    assert [key for key in bucket.listed() if any(name in key for name in passing)] == []


def test_what_was_killed_cost_time_and_nothing_else(stack: Stack, client: MlflowClient) -> None:
    assert "preprocess: up_for_retry" in stack.printed
    assert "airflow-scheduler ended with -9: restarting it" in stack.printed
    assert re.search(r"mlflow ended with -?\d+: restarting it", stack.printed)
    versions = client.search_model_versions("name = 'fraud'")
    assert len({version.run_id for version in versions}) == len(versions) == 2


def test_cleared_tasks_repeat_nothing(stack: Stack, airflow: Airflow, client: MlflowClient) -> None:
    (verdict,) = stack.find(r"verdict (\w+): ")
    (run,) = (found["dag_run_id"] for found in airflow.runs("retrain"))
    versions = len(client.search_model_versions("name = 'fraud'"))
    champion = client.get_model_version_by_alias("fraud", "champion").version
    done = {step: airflow.xcom("retrain", run, step) for step in ("tune", "ab_test")}
    follows = ("promote", "announce") if verdict == "promote" else ("keep_champion",)

    airflow.clear("retrain", run, *done, "verdict", *follows)

    assert airflow.wait("retrain", run, seconds=900) == "success"
    for step, first in done.items():
        again = client.get_run(airflow.xcom("retrain", run, step))
        assert again.data.tags["reused_from"] == first
    assert len(client.search_model_versions("name = 'fraud'")) == versions
    assert client.get_model_version_by_alias("fraud", "champion").version == champion


def test_a_step_that_is_broken_off_leaves_nothing_behind(
    stack: Stack, airflow: Airflow, client: MlflowClient
) -> None:
    """A search that would take hours, when somebody sets its DAG run to failed."""
    run = airflow.trigger("tune", trials=1000)

    def searches() -> list[Run]:
        # Not by its name: MLflow permits an experiment to its maker a moment after it is made.
        made = client.search_experiments(filter_string="name = 'tune'")
        ids = [experiment.experiment_id for experiment in made]
        return list(client.search_runs(ids, "tags.step = 'trial'") if ids else ())

    wait_until(lambda: searches() != [], "no trial begins", 300)
    steps = stack.matching(r"steps/tune\.py")
    assert steps
    airflow.call("PATCH", f"dags/tune/dagRuns/{quote(run)}", {"state": "failed"})

    # Its `mlflow run` ends at once, and the step is nobody's child while it ends its runs.
    wait_until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in steps), "the step goes on", 120
    )
    experiment = searches()[0].info.experiment_id
    left = client.search_runs([experiment], "attributes.status = 'RUNNING'")
    assert left == []
    (search,) = client.search_runs([experiment], "tags.step = 'tune'")
    assert search.info.status == "KILLED"


def test_no_secret_is_written_where_others_read(stack: Stack, service: dict[str, str]) -> None:
    (folder,) = stack.find(r"files in (\S+)")
    searched = 0
    for path in Path(folder).rglob("*"):
        if path.is_file() and path.name not in KEPT_BY_SERVERS:
            content = path.read_bytes()
            searched += len(content)
            for name in SECRETS:
                assert service[name].encode() not in content, (name, path)
    assert searched > 10e6


def test_at_ctrl_c_nothing_is_left(stack: Stack) -> None:
    (folder,) = stack.find(r"files in (\S+)")
    family = {pid for pid, _ in stack.processes()}
    assert len(family) > 8

    stack.process.send_signal(signal.SIGINT)

    assert stack.process.wait(120) == 0
    assert not Path(folder).exists()
    left = [pid for pid in family if Path(f"/proc/{pid}").exists()]
    assert left == []
