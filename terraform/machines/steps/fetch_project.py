"""Download the project that sync.py has uploaded: one folder per commit, and a link to the newest.

    python fetch_project.py BUCKET FOLDER

A running step keeps the folder in which it was started: the last five remain. Credentials come from
the environment.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

KEY = "project.bundle"
KEPT = 5


def git(*arguments: str) -> str:
    """The output of a git command."""
    done = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def main() -> None:
    """Download the bundle if it has changed since the last time."""
    bucket, folder = sys.argv[1], Path(sys.argv[2])
    seen, link, projects = folder / "project.etag", folder / "project", folder / "projects"
    store = boto3.client("s3")
    try:
        etag = store.head_object(Bucket=bucket, Key=KEY)["ETag"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
            raise
        sys.stdout.write(f"nothing in s3://{bucket}/{KEY} yet: run sync.py\n")
        return
    if link.exists() and seen.exists() and seen.read_text() == etag:
        return
    projects.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        bundle, clone = Path(temporary) / "bundle", Path(temporary) / "clone"
        store.download_file(bucket, KEY, str(bundle))
        git("clone", "--quiet", str(bundle), str(clone))
        commit = git("-C", str(clone), "rev-parse", "HEAD")
        if not (projects / commit).exists():
            clone.rename(projects / commit)
    fresh = folder / "project.new"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(projects / commit)
    fresh.replace(link)
    seen.write_text(etag)
    sys.stdout.write(f"project is now {commit}\n")
    (projects / commit).touch()
    for old in sorted(projects.iterdir(), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old)


if __name__ == "__main__":
    main()
