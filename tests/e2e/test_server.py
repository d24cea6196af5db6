"""Steps against an MLflow server on PostgreSQL, by a user of few rights, artifacts on S3."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.stack.objects import Objects, open_objects
from tests.stack.postgres import Postgres, open_postgres
from tests.stack.tracking import EXPERIMENT, Tracking, open_tracking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlflow.entities import Run

    from tests.e2e.projects import FirstChain

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_jvm")]

BUCKET = "artifacts"


class Stack(NamedTuple):
    """What runs.

    Attributes:
        postgres: The database of everything.
        objects: The store of artifacts.
        proxied: A server with users that hands artifacts on.
        direct: A server without users whose clients go to the store themselves.
        folder: Where all of them write.
    """

    postgres: Postgres
    objects: Objects
    proxied: Tracking
    direct: Tracking
    folder: Path

    @property
    def secrets(self) -> dict[str, str]:
        """Everything that nobody may read anywhere, by what it is."""
        word = "MLFLOW_TRACKING_PASSWORD"
        return {
            "database": self.postgres.password,
            "store": self.objects.secret_key,
            "access key": self.objects.access_key,
            "service user": self.proxied.environment[word],
            "administrator": self.proxied.administrator[word],
        }

    @property
    def direct_environment(self) -> dict[str, str]:
        """What a client of the direct server needs: it writes to the store itself."""
        return self.direct.environment | self.objects.environment

    def objects_under(self, prefix: str) -> dict[str, bytes]:
        """Content of every object whose name begins so, by the rest of its name."""
        store: Any = boto3.client(
            "s3",
            endpoint_url=self.objects.endpoint,
            region_name=self.objects.environment["AWS_REGION"],
            aws_access_key_id=self.objects.access_key,
            aws_secret_access_key=self.objects.secret_key,
        )
        pages = store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        return {
            key.removeprefix(prefix): store.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            for key in keys
        }


class Cycle(NamedTuple):
    """What some steps did.

    Attributes:
        printed: All that they printed.
        runs: Their runs.
    """

    printed: list[str]
    runs: dict[str, Run]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """PostgreSQL, an S3 server, and two MLflow servers on both."""
    folder = tmp_path_factory.mktemp("stack")
    with (
        open_postgres(folder / "postgres") as postgres,
        open_objects(folder / "objects", BUCKET) as objects,
        open_tracking(
            folder / "proxied",
            backend_uri=postgres.uri("mlflow"),
            artifacts=f"s3://{BUCKET}/proxied",
            environment=objects.environment,
            users=postgres.uri("users"),
        ) as proxied,
        open_tracking(
            folder / "direct",
            backend_uri=postgres.uri("direct"),
            artifacts=f"s3://{BUCKET}/direct",
            serve_artifacts=False,
        ) as direct,
    ):
        yield Stack(postgres, objects, proxied, direct, folder)


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[MlflowClient]:
    """A client of the server with users, as its service user."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.proxied.environment.items():
            patch.setenv(name, value)
        yield MlflowClient(stack.proxied.uri, stack.proxied.uri)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the steps write what is not an artifact."""
    return tmp_path_factory.mktemp("steps")


@pytest.fixture(scope="module")
def scores(folder: Path) -> Path:
    """A table of scores of two models."""
    path = folder / "scores.parquet"
    rng = np.random.default_rng(0)
    label = rng.random(2000) < 0.3
    champion, challenger = (gain * label + rng.normal(size=2000) for gain in (1, 2))
    table = {"label": label.astype(int), "champion": champion, "challenger": challenger}
    pd.DataFrame(table).to_parquet(path)
    return path


def prepared(first: FirstChain) -> str:
    """The data set that the steps fit: that of another store."""
    return first.run("preprocess").data.tags["dataset_uri"]


@pytest.fixture(scope="module")
def cycle(
    stack: Stack, client: MlflowClient, first: FirstChain, scores: Path, folder: Path
) -> Cycle:
    """Steps of the service user, who has no credentials of the store."""
    user, word = (
        stack.proxied.environment[f"MLFLOW_TRACKING_{n}"] for n in ("USERNAME", "PASSWORD")
    )
    # For once with the credentials where they can be read most easily.
    address = stack.proxied.uri.replace("//", f"//{user}:{word}@")
    named = {
        "MLFLOW_TRACKING_URI": address,
        "MLFLOW_EXPERIMENT_NAME": EXPERIMENT,
        # `mlflow run` would print them itself.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }
    known = stack.proxied.environment
    printed = [
        first.mlflow_run("simulate", variables=named, output=folder / "raw", days=1),
        first.mlflow_run("train", variables=known, data=prepared(first)),
        first.mlflow_run("ab_test", variables=known, scores=scores),
    ]
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    made = client.search_runs([experiment.experiment_id])
    return Cycle(printed, {run.data.tags["step"]: run for run in made})


def test_steps_finish_and_say_where(stack: Stack, client: MlflowClient, cycle: Cycle) -> None:
    assert {run.info.status for run in cycle.runs.values()} == {"FINISHED"}
    assert str(client.get_model_version_by_alias("fraud", "champion").version) == "1"
    note = cycle.runs["train"].data.tags["mlflow.note.content"]
    assert f"\nMLFLOW_TRACKING_URI={stack.proxied.uri} mlflow run " in note


def test_report_scores_and_models_are_in_the_bucket(stack: Stack, cycle: Cycle) -> None:
    kept = stack.objects_under("proxied/")
    experiment, run_id = cycle.runs["ab_test"].info.experiment_id, cycle.runs["ab_test"].info.run_id
    folder = f"{experiment}/{run_id}/artifacts"
    assert b"<html" in kept[f"{folder}/report.html"]
    assert any(re.fullmatch(rf"{folder}/.*\.parquet", name) for name in kept)
    assert sum(name.endswith("/MLmodel") for name in kept) == 1


def test_user_was_told_apart_by_the_server(stack: Stack, cycle: Cycle) -> None:
    """The service user made the model, so that it is its own, and sees nothing else."""
    granted = stack.proxied.call("2.0/mlflow/registered-models/create", name="of others")
    assert granted["registered_model"]["name"] == "of others"
    with pytest.raises(mlflow.MlflowException, match="Permission denied"):
        MlflowClient(stack.proxied.uri, stack.proxied.uri).get_registered_model("of others")


def test_a_step_can_be_repeated(stack: Stack, cycle: Cycle, first: FirstChain) -> None:
    run_id = cycle.runs["train"].info.run_id
    output = first.mlflow_run("reproduce", variables=stack.proxied.environment, run_id=run_id)
    cycle.printed.append(output)
    assert "reproduce: identical" in output


def test_steps_write_to_the_bucket_themselves_where_the_server_does_not(
    stack: Stack, cycle: Cycle, scores: Path, first: FirstChain
) -> None:
    known = stack.direct_environment
    cycle.printed.extend(
        (
            first.mlflow_run("train", variables=known, data=prepared(first)),
            first.mlflow_run("ab_test", variables=known, scores=scores),
        )
    )
    assert "fraud version 1" in cycle.printed[-2]
    kept = stack.objects_under("direct/")
    assert sum(name.endswith("/MLmodel") for name in kept) == 1
    assert sum(name.endswith("artifacts/report.html") for name in kept) == 1


def test_bucket_that_refuses_is_told_in_one_line(
    stack: Stack, first: FirstChain, folder: Path
) -> None:
    wrong = stack.direct_environment | {"AWS_SECRET_ACCESS_KEY": "another-key"}
    output = first.mlflow_run(
        "simulate", fails=True, variables=wrong, output=folder / "refused", days=1
    )
    (line,) = re.findall("^Error: .*$", output, re.MULTILINE)
    assert "bucket" in line
    assert "AWS_SECRET_ACCESS_KEY" in line
    assert "Traceback" not in output


def test_no_secret_is_written_anywhere(stack: Stack, client: MlflowClient, cycle: Cycle) -> None:
    """The last test: it looks at all that the others left."""
    (simulated,) = client.search_runs(
        [cycle.runs["train"].info.experiment_id], "tags.step = 'simulate'"
    )
    note = simulated.data.tags["mlflow.note.content"]
    assert f"\nMLFLOW_TRACKING_URI={stack.proxied.uri} mlflow run " in note

    written = {
        **{f"printed {n}": text.encode() for n, text in enumerate(cycle.printed)},
        **{f"object {name}": content for name, content in stack.objects_under("").items()},
        **{str(path): path.read_bytes() for path in stack.folder.glob("*/*.log")},
    }
    for database in ("mlflow", "users", "direct"):
        written[database] = stack.postgres.call("pg_dump", "--inserts", database).encode()
    # It is all there: the dump of runs, the objects, the logs of the servers.
    assert cycle.runs["train"].info.run_id.encode() in written["mlflow"]
    assert sum(name.endswith(".log") for name in written) == 4
    assert len(written) > 50
    found = [
        f"{what} in {where}"
        for what, secret in stack.secrets.items()
        for where, content in written.items()
        if secret.encode() in content
    ]
    assert found == []
