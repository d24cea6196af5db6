"""The code that runs: its commit, whether files differ from it, and a digest of the files."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

# The folder of MLproject.
ROOT = Path(__file__).resolve().parents[3]

# The files that a step runs from. Descriptions are inputs: each run records their content.
_FILES = ("MLproject", "conda.yaml", "constraints.txt")
_CODE = (*_FILES, "steps", ":(exclude)steps/datasets")


class Source(NamedTuple):
    """The code of a run.

    Attributes:
        commit: SHA of HEAD; None if the project is not a git checkout.
        dirty: The code differs from the commit, or this is unknown (no checkout, no git, or a
            checkout that git refuses to read because it belongs to another user).
        url: Remote `origin` without credentials, or else the local folder.
    """

    commit: str | None
    dirty: bool
    url: str


@cache
def source(root: Path) -> Source:
    """Describe the checkout at `root`."""
    unknown = Source(commit=None, dirty=True, url=str(root))
    try:
        import git
    except ImportError:  # there is no git on this machine
        return unknown
    try:
        repository = git.Repo(root)
        commit = repository.head.commit.hexsha
        changed = repository.git.status("--porcelain", "--untracked-files=all", "--", *_CODE)
    except (git.GitError, ValueError, OSError):
        return unknown
    url = repository.remotes.origin.url if "origin" in repository.remotes else str(root)
    return Source(commit, bool(changed), without_credentials(url))


def without_credentials(uri: str) -> str:
    """The URI without user, password and token; the user of an ssh URI is not a secret."""
    return re.sub(r"(?<!ssh:)//[^/]*@", "//", uri)


@cache
def digest(root: Path) -> str:
    """Digest of every Python file, template and environment file that a step runs from."""
    files = [root / name for name in _FILES]
    files += [p for p in (root / "steps").rglob("*") if p.suffix in {".py", ".j2"}]
    content = hashlib.sha256()
    for path in sorted(files):
        content.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return content.hexdigest()[:16]
