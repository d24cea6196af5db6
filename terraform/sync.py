"""Upload the DAGs and the project to their buckets.

    python terraform/sync.py --dags BUCKET --source BUCKET

The root of the bucket of the DAGs is Airflow's DAG folder; files that are no longer in `dags/` are
deleted there. Of the project only the last commit is uploaded: `project.bundle` (git, for the host
of the steps), `steps.zip`, and the steps themselves under `steps/` (for jobs submitted with
`--py-files`).

Needs boto3 and git, and in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY the keys of an account with
the role storage.editor on both buckets.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

ROOT = Path(__file__).resolve().parent.parent
STORE = "https://storage.yandexcloud.net"
# Object Storage has refused the checksums that newer S3 clients add by default.
PLAIN = Config(
    request_checksum_calculation="when_required", response_checksum_validation="when_required"
)


def main() -> None:
    """Read the command line, upload, and print what was uploaded."""
    parser = argparse.ArgumentParser(
        description="Upload the DAGs and the project to their buckets."
    )
    parser.add_argument("--dags", required=True, help="bucket of the DAGs")
    parser.add_argument("--source", required=True, help="bucket of the project")
    parser.add_argument("--project", type=Path, default=ROOT, help="folder of the project")
    arguments = parser.parse_args()
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or STORE
    store = boto3.client("s3", endpoint_url=endpoint, region_name="ru-central1", config=PLAIN)
    files = send_dags(store, arguments.project / "dags", arguments.dags)
    commit = send_project(store, arguments.project, arguments.source)
    sys.stdout.write(
        f"uploaded {files} files of DAGs to {arguments.dags}, "
        f"project {commit} to {arguments.source}\n"
    )


def send_dags(store: Any, folder: Path, bucket: str) -> int:  # noqa: ANN401 (boto3's clients)
    """Make the bucket equal to the folder; modules come before the DAGs that import them."""
    files = [folder / ".airflowignore", *sorted(folder.glob("*.py"), key=_is_dag)]
    for file in files:
        store.upload_file(str(file), bucket, file.name)
    objects = store.list_objects_v2(Bucket=bucket).get("Contents", [])
    for key in {entry["Key"] for entry in objects} - {file.name for file in files}:
        store.delete_object(Bucket=bucket, Key=key)
    return len(files)


def send_project(store: Any, folder: Path, bucket: str) -> str:  # noqa: ANN401
    """Upload the last commit and return it."""
    if _git(folder, "status", "--porcelain"):
        sys.stderr.write("note: changes that are not committed are not uploaded\n")
    with tempfile.TemporaryDirectory() as temporary:
        bundle, archive = Path(temporary, "project.bundle"), Path(temporary, "steps.zip")
        _git(folder, "bundle", "create", "--quiet", str(bundle), "HEAD")
        _git(folder, "archive", "--format=zip", f"--output={archive}", "HEAD:steps")
        store.upload_file(str(archive), bucket, archive.name)
        for name in _git(folder, "ls-tree", "--name-only", "HEAD", "steps/").splitlines():
            if name.endswith(".py"):
                store.put_object(Bucket=bucket, Key=name, Body=_git(folder, "show", f"HEAD:{name}"))
        store.upload_file(str(bundle), bucket, bundle.name)
    return _git(folder, "rev-parse", "HEAD")


def _is_dag(file: Path) -> bool:
    return not file.name.startswith("mlflow_")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


if __name__ == "__main__":
    main()
