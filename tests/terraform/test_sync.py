"""The DAGs and the project reach their buckets, and the project the host of the steps."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from tests.stack.objects import open_objects
from tests.stack.process import StackError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.objects import Objects

FOLDER = Path(__file__).resolve().parents[2] / "terraform"
BUCKETS = ["--dags", "dags", "--source", "source"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Objects]:
    """An S3 server with the two buckets."""
    try:
        with open_objects(tmp_path_factory.mktemp("store"), "dags", "source") as objects:
            yield objects
    except StackError as error:
        pytest.skip(str(error))


def git(folder: Path, *arguments: str) -> str:
    environment = os.environ | {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "test"), ("EMAIL", "test@example.org"))
    }
    return subprocess.run(
        ["git", "-C", folder, *arguments],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of two DAG files and one step."""
    folder = tmp_path / "sent"
    for name, text in {
        "dags/.airflowignore": "mlflow_*.py\n",
        "dags/retrain.py": "import mlflow_project\n",
        "dags/mlflow_project.py": "",
        "steps/train.py": "import retraining\n",
        "steps/retraining/__init__.py": "",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder.parent, "init", "--quiet", "--initial-branch=main", str(folder))
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=one")
    return folder


def run(script: str, store: Objects, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, FOLDER / script, *arguments],
        env={"PATH": os.environ["PATH"], **store.environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def keys(store: Objects, bucket: str) -> set[str]:
    client = boto3.client(
        "s3",
        endpoint_url=store.endpoint,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
        region_name="us-east-1",
    )
    return {entry["Key"] for entry in client.list_objects_v2(Bucket=bucket).get("Contents", [])}


def test_the_host_gets_the_last_upload(store: Objects, project: Path, tmp_path: Path) -> None:
    host = tmp_path / "host"
    host.mkdir()
    fetch = ("machines/steps/fetch_project.py", store, "source", str(host))
    printed = run("sync.py", store, *BUCKETS, "--project", str(project))
    first = git(project, "rev-parse", "HEAD")
    assert first in printed
    assert keys(store, "dags") == {".airflowignore", "mlflow_project.py", "retrain.py"}
    assert keys(store, "source") == {"project.bundle", "steps.zip", "steps/train.py"}

    assert first in run(*fetch)
    assert run(*fetch) == ""  # nothing new
    assert (host / "project").resolve() == host / "projects" / first
    assert git(host / "project", "rev-parse", "HEAD") == first
    assert git(host / "project", "status", "--porcelain") == ""

    (project / "dags/retrain.py").unlink()
    (project / "steps/train.py").write_text("import retraining  # two\n")
    git(project, "commit", "--quiet", "--all", "--message=two")
    run("sync.py", store, *BUCKETS, "--project", str(project))
    assert keys(store, "dags") == {".airflowignore", "mlflow_project.py"}
    running = (host / "project").resolve()
    run(*fetch)
    assert (host / "project/steps/train.py").read_text() == "import retraining  # two\n"
    assert (running / "steps/train.py").read_text() == "import retraining\n"


def test_only_the_last_commits_remain(store: Objects, project: Path, tmp_path: Path) -> None:
    host = tmp_path / "host"
    host.mkdir()
    for number in range(7):
        git(project, "commit", "--quiet", "--allow-empty", f"--message={number}")
        run("sync.py", store, *BUCKETS, "--project", str(project))
        run("machines/steps/fetch_project.py", store, "source", str(host))
    assert len(list((host / "projects").iterdir())) == 5
    assert git(host / "project", "rev-parse", "HEAD") == git(project, "rev-parse", "HEAD")


def test_uncommitted_changes_are_not_uploaded(
    store: Objects, project: Path, tmp_path: Path
) -> None:
    (project / "steps/train.py").write_text("import something_else\n")
    assert "not committed" in run("sync.py", store, *BUCKETS, "--project", str(project))
    client = boto3.client(
        "s3",
        endpoint_url=store.endpoint,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
        region_name="us-east-1",
    )
    client.download_file("source", "steps.zip", str(tmp_path / "steps.zip"))
    with zipfile.ZipFile(tmp_path / "steps.zip") as archive:
        assert archive.read("train.py") == b"import retraining\n"
        assert "retraining/__init__.py" in archive.namelist()


def test_a_host_without_an_upload_names_the_remedy(tmp_path: Path) -> None:
    try:
        with open_objects(tmp_path / "store", "source") as empty:
            printed = run("machines/steps/fetch_project.py", empty, "source", str(tmp_path))
    except StackError as error:
        pytest.skip(str(error))
    assert "sync.py" in printed
