"""Raw files, data sets, models on their way and predictions in a bucket, on a cluster of others.

The workers see neither the project nor the driver's temporary files: as on other machines.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.stack.cluster import open_cluster
from tests.stack.objects import open_objects
from tests.stack.process import StackError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow.entities import Run

    from tests.stack.objects import Objects

pytestmark = pytest.mark.slow

BUCKET = "retraining"
SETS = "sets"
DAYS_TO_SCORE = 3
# Where MLflow passes models between driver and workers unless it is told otherwise.
DEFAULT_PLACE = Path("/tmp/mlflow")  # noqa: S108


class Bucket(NamedTuple):
    """What the steps left.

    Attributes:
        runs: By step.
        keys: Of all objects.
        pending: Keys of uploads that were begun and not ended.
        contents: Of the objects that are not raw files, by key.
        printed: What the steps said.
        objects: The server.
        database: The tracking store.
    """

    runs: dict[str, Run]
    keys: list[str]
    pending: list[str]
    contents: dict[str, bytes]
    printed: str
    objects: Objects
    database: bytes

    def under(self, uri: str) -> dict[str, bytes]:
        """The objects in a folder, by the rest of their keys."""
        prefix = uri.removeprefix(f"s3a://{BUCKET}/") + "/"
        return {
            key.removeprefix(prefix): content
            for key, content in self.contents.items()
            if key.startswith(prefix)
        }


@pytest.fixture(scope="module")
def bucket(
    project: Path, mlflow_run: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Bucket:
    """Preprocess, train and predict, with nothing but runs and models on this disk."""
    folder = tmp_path_factory.mktemp("servers")
    temporary = tmp_path_factory.mktemp("driver")
    DEFAULT_PLACE.mkdir(exist_ok=True)
    hidden = [project, temporary, DEFAULT_PLACE] if os.geteuid() == 0 else []
    mlflow_run("simulate", days=50, customers=500, terminals=300)
    raw = sorted((project / "data" / "raw" / "fraud").glob("*.txt"))
    try:
        with (
            open_objects(folder / "objects", BUCKET) as objects,
            open_cluster(folder / "spark", workers=1, hidden=hidden) as cluster,
        ):
            client = boto3.client(
                "s3",
                endpoint_url=objects.endpoint,
                aws_access_key_id=objects.access_key,
                aws_secret_access_key=objects.secret_key,
                region_name=objects.environment["AWS_REGION"],
            )
            for path in raw:
                client.upload_file(str(path), BUCKET, f"raw/fraud/{path.name}")
            variables = objects.environment | {"TMPDIR": str(temporary)}
            common = {"spark_master": cluster.master, "variables": variables}
            root = f"s3a://{BUCKET}/{SETS}"
            newest = ",".join(
                f"s3a://{BUCKET}/raw/fraud/{path.name}" for path in raw[-DAYS_TO_SCORE:]
            )
            printed = mlflow_run(
                "preprocess", input=f"s3a://{BUCKET}/raw/fraud", data_root=root, **common
            )
            printed += mlflow_run("train", **common)
            printed += mlflow_run("predict", input=newest, data_root=root, **common)
            return _found(project, client, printed, objects)
    except StackError as error:
        pytest.skip(str(error))


def _found(project: Path, client: Any, printed: str, objects: Objects) -> Bucket:  # noqa: ANN401
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    keys = [found["Key"] for page in pages for found in page["Contents"]]
    pending = client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())
    contents = {
        key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        for key in keys
        if key.startswith(f"{SETS}/")
    }
    database = project / "mlflow.db"
    runs = MlflowClient(f"sqlite:///{database}").search_runs(["0"])
    return Bucket(
        {run.data.tags["step"]: run for run in runs},
        keys,
        [upload["Key"] for upload in pending],
        contents,
        printed,
        objects,
        database.read_bytes(),
    )


def test_a_data_set_is_in_the_bucket_with_its_manifest(bucket: Bucket) -> None:
    run = bucket.runs["preprocess"]
    uri = run.data.tags["dataset_uri"]
    assert uri == f"s3a://{BUCKET}/{SETS}/fraud/{run.info.run_id}"
    found = bucket.under(uri)
    manifest = json.loads(found["_MANIFEST.json"])
    assert manifest["splits"]["train"]["uri"] == f"{uri}/splits/split=train"
    assert len(manifest["files"]) == len([key for key in bucket.keys if key.startswith("raw/")])
    for name, split in manifest["splits"].items():
        folder = f"splits/split={name}/"
        tables = [
            pd.read_parquet(io.BytesIO(content))
            for key, content in found.items()
            if key.startswith(folder) and key.endswith(".parquet")
        ]
        assert sum(map(len, tables)) == split["n_rows"]


def test_writes_are_committed_without_renaming(bucket: Bucket) -> None:
    found = bucket.under(bucket.runs["preprocess"].data.tags["dataset_uri"])
    for folder in ("rows", "splits", "quarantine"):
        assert json.loads(found[f"{folder}/_SUCCESS"])["committer"] == "magic"


def test_predictions_are_in_the_bucket(bucket: Bucket) -> None:
    run = bucket.runs["predict"]
    found = bucket.under(run.data.tags["predictions_uri"])
    tables = [
        pd.read_parquet(io.BytesIO(content))
        for key, content in found.items()
        if key.endswith(".parquet") and not key.startswith("_")
    ]
    scores = pd.concat(tables)
    assert len(scores) == run.data.metrics["rows_scored"] > 0
    assert set(scores.run_id) == {run.info.run_id}
    assert scores.score.between(0, 1).all()
    assert "_UNFINISHED" not in found


def test_nothing_passing_is_left(bucket: Bucket) -> None:
    assert bucket.pending == []
    passing = ("_model-", "__magic", "_temporary", "_UNFINISHED", ".tmp")
    assert [key for key in bucket.keys if any(name in key for name in passing)] == []


def test_credentials_are_written_nowhere(project: Path, bucket: Bucket) -> None:
    secrets = (bucket.objects.secret_key, bucket.objects.access_key)
    written = [bucket.printed.encode(), bucket.database, *bucket.contents.values()]
    written += [path.read_bytes() for path in (project / "mlruns").rglob("*") if path.is_file()]
    for secret in secrets:
        assert not any(secret.encode() in content for content in written)
