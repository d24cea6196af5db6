"""Spark on `s3a://`, against a real S3 server; the shared session has no connector."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from retraining.errors import RetrainingError
from retraining.spark import ivy, s3a
from retraining.tracking.checkout import ROOT
from tests.stack.objects import open_objects
from tests.stack.process import StackError
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack.objects import Objects

pytestmark = pytest.mark.spark

BUCKET = "data"


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Objects]:
    try:
        with open_objects(tmp_path_factory.mktemp("objects"), BUCKET) as running:
            yield running
    except StackError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def client(objects: Objects) -> Any:  # noqa: ANN401 (boto3 has no types)
    return boto3.client(
        "s3",
        endpoint_url=objects.endpoint,
        aws_access_key_id=objects.access_key,
        aws_secret_access_key=objects.secret_key,
        region_name=objects.environment["AWS_REGION"],
    )


def start(objects: Objects, code: str, **environment: str) -> subprocess.Popen[str]:
    """A process that runs code with a session `spark` on two cores."""
    lines = (
        "import json",
        "from pathlib import Path",
        "from retraining.data import manifest",
        "from retraining.data.files import parquet, sources",
        "from retraining.errors import RetrainingError",
        "from retraining.spark import storage",
        "from retraining.spark.session import open_session",
        f"with open_session('test', 'local[2]', ['s3a://{BUCKET}']) as spark:",
    )
    script = "\n".join((*lines, textwrap.indent(textwrap.dedent(code), "    ")))
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "AWS_"))}
    added = {"PYTHONPATH": str(ROOT / "steps"), "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1"}
    return subprocess.Popen(
        [sys.executable, "-c", script],
        env=inherited | added | objects.environment | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(objects: Objects, code: str, **environment: str) -> dict[str, Any]:
    """The JSON that code prints at last."""
    process = start(objects, code, **environment)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    said: dict[str, Any] = json.loads(out.splitlines()[-1])
    return said


def keys(client: Any, prefix: str) -> list[str]:  # noqa: ANN401 (boto3 has no types)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [found["Key"] for page in pages for found in page.get("Contents", ())]


@pytest.mark.slow
def test_a_session_reads_and_writes_a_bucket(objects: Objects, client: Any) -> None:  # noqa: ANN401
    for number in range(1100):
        client.put_object(Bucket=BUCKET, Key=f"many/{number:04}.csv", Body=b"a,b\n1,x\n")
    said = run(
        objects,
        """
        rows = spark.range(1000).selectExpr("id", "id % 3 AS day")
        rows.write.partitionBy("day").parquet("s3a://data/rows")
        storage.write_text(spark, "s3a://data/text.json", "Größe")
        storage.write_text(spark, "s3a://data/text.json", "größer")
        files = sources.list_files(spark, "s3a://data/many")
        stored = sources.list_files(spark, "s3a://data/rows/day=*/*.parquet")
        table = parquet.open_table(spark, "s3a://data/rows", stored[0].path)
        try:
            storage.find(spark, "s3a://no-such-bucket/a")
        except RetrainingError as error:
            failure = str(error)
        print(json.dumps({
            "count": spark.read.parquet("s3a://data/rows").count(),
            "committer": json.loads(storage.read_text(spark, "s3a://data/rows/_SUCCESS")),
            "text": storage.read_text(spark, "s3a://data/text.json"),
            "files": len(files),
            "stored": len(stored),
            "table": table.count(),
            "absolute": storage.make_absolute(spark, "s3a://data/a/b"),
            "failure": failure,
            "settings": spark.sparkContext.getConf().getAll(),
        }))
        """,
    )
    assert said["count"] == 1000
    assert said["committer"]["committer"] == "magic"
    assert said["text"] == "größer"
    assert said["files"] == 1100
    assert said["stored"] == len([key for key in keys(client, "rows/day=") if "part-" in key])
    assert said["table"] == 1000
    assert said["absolute"] == "s3a://data/a/b"
    assert said["failure"] == (
        "s3a://no-such-bucket/a cannot be reached (The specified bucket does not exist.): "
        "check the path, the credentials and that Spark has the connector of its scheme"
    )
    settings = json.dumps(said["settings"])
    assert objects.endpoint in settings
    assert objects.secret_key not in settings
    assert objects.access_key not in settings
    assert client.get_object(Bucket=BUCKET, Key="text.json")["Body"].read() == "größer".encode()


@pytest.mark.slow
def test_a_killed_write_is_no_data_set_and_can_be_made_again(
    objects: Objects,
    client: Any,  # noqa: ANN401
) -> None:
    write = """
        with manifest.stage(spark, "s3a://data/sets", "people", "v1") as folder:
            rows = spark.range(0, {rows}, 1, 4).selectExpr("id", "rand(1) AS a", "rand(2) AS b")
            rows.write.parquet(f"{{folder}}/rows")
            print(json.dumps({{"count": spark.read.parquet(f"{{folder}}/rows").count()}}))
        """
    process = start(objects, write.format(rows=2_000_000_000))
    wait_until(lambda: pending(client) or process.poll() is not None, "no upload begins", 180)
    assert process.poll() is None, process.communicate()[1]
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()

    visible = [key for key in keys(client, "sets/") if "__magic" not in key]
    assert not [key for key in visible if not key.endswith("/")]
    said = run(objects, write.format(rows=1000))
    assert said["count"] == 1000
    assert not pending(client)
    assert not [key for key in keys(client, "sets/") if "__magic" in key]


def pending(client: Any) -> list[str]:  # noqa: ANN401 (boto3 has no types)
    found = client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())
    return [upload["Key"] for upload in found]


def test_a_wrong_secret_is_told_in_one_line(objects: Objects) -> None:
    process = start(
        objects,
        "storage.find(spark, 's3a://data/a')",
        AWS_SECRET_ACCESS_KEY="not-the-secret",  # noqa: S106
    )
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    last = err.splitlines()[-1]
    assert "s3a://data/a cannot be reached (Forbidden): check the path, the credentials" in last


@pytest.mark.slow
def test_a_store_that_has_gone_is_told_in_one_line(objects: Objects) -> None:
    process = start(
        objects,
        """
        spark.range(1).write.parquet("s3a://data/before")
        print("written", flush=True)
        Path("/dev/stdin").read_text()
        spark.range(1).write.parquet("s3a://data/after")
        """,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    (server,) = objects.servers
    server.stop()
    try:
        _, err = process.communicate(timeout=300)
    finally:
        server.start()
    assert process.returncode == 1
    last = err.splitlines()[-1]
    assert "the object store fails Spark (" in last
    assert "Connection refused" in last


@pytest.fixture
def jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the jars of a Spark that has the connector."""
    folder = tmp_path / "jars"
    folder.mkdir()
    for name in ("hadoop-aws-3.4.2.jar", "spark-hadoop-cloud_2.13-4.1.1.jar"):
        (folder / name).touch()
    monkeypatch.setattr(s3a, "_find_spark_home", lambda: str(tmp_path))
    return folder


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, {}),
        ({"AWS_REGION": "eu-west-1"}, {"endpoint.region": "eu-west-1"}),
        (
            {"AWS_ENDPOINT_URL": "https://a", "AWS_DEFAULT_REGION": "ru-central1"},
            {
                "endpoint": "https://a",
                "path.style.access": "true",
                "endpoint.region": "ru-central1",
            },
        ),
        (
            {"AWS_ENDPOINT_URL_S3": "https://b", "AWS_ENDPOINT_URL": "https://a"},
            {
                "endpoint": "https://b",
                "path.style.access": "true",
                "endpoint.region": "us-east-1",
            },
        ),
        (
            {"MLFLOW_S3_ENDPOINT_URL": "https://c", "AWS_ENDPOINT_URL": ""},
            {
                "endpoint": "https://c",
                "path.style.access": "true",
                "endpoint.region": "us-east-1",
            },
        ),
    ],
)
def test_endpoint_and_region_come_from_the_environment(
    jars: Path, environment: dict[str, str], expected: dict[str, str]
) -> None:
    told = s3a.settings(environment)
    prefix = "spark.hadoop.fs.s3a."
    names = ("endpoint", "path.style.access", "endpoint.region")
    found = {name: told[prefix + name] for name in names if prefix + name in told}
    assert found == expected
    assert "spark.jars" not in told


def test_committers_that_spark_lacks_are_not_asked_for(jars: Path) -> None:
    (jars / "spark-hadoop-cloud_2.13-4.1.1.jar").unlink()
    assert not [key for key in s3a.settings({}) if key.startswith("spark.sql.")]


def test_an_unknown_hadoop_is_refused(jars: Path) -> None:
    (jars / "hadoop-aws-3.4.2.jar").rename(jars / "hadoop-client-api-3.4.2.jar")
    with pytest.raises(RetrainingError, match=r"connector for Hadoop 3.4.2 is not known: put"):
        s3a.settings({})


def test_a_download_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = ivy.Packages(("org.example:none:1",), ())
    monkeypatch.setattr(s3a, "_PACKAGES", dict.fromkeys(s3a._PACKAGES, nowhere))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(RetrainingError, match=r"connector cannot be downloaded \(.*none.*\): let"):
        s3a.settings({})
    assert not list((tmp_path / "retraining").iterdir())
