"""Which code runs: commit, changes, digest, and nothing secret."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import git
import pytest

from retraining.tracking import checkout

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def repository(tmp_path: Path) -> git.Repo:
    """A project with one commit."""
    (tmp_path / "steps" / "datasets").mkdir(parents=True)
    for name in ("MLproject", "conda.yaml", "constraints.txt", "steps/train.py"):
        (tmp_path / name).write_text(f"content of {name}\n")
    (tmp_path / "steps" / "datasets" / "fraud.yaml").write_text("name: fraud\n")
    repository = git.Repo.init(tmp_path)
    with repository.config_writer() as config:
        config.set_value("user", "name", "somebody").set_value("user", "email", "a@b.c")
    repository.git.add("--all")
    repository.index.commit("first")
    return repository


@pytest.fixture(autouse=True)
def forget() -> None:
    """A process looks at its code once; here it changes."""
    checkout.source.cache_clear()
    checkout.digest.cache_clear()


def unknown(root: Path) -> checkout.Source:
    """What is said of code that nobody can look up."""
    return checkout.Source(commit=None, dirty=True, url=str(root))


def test_source_of_a_clean_checkout(repository: git.Repo, tmp_path: Path) -> None:
    assert checkout.source(tmp_path) == checkout.Source(
        commit=repository.head.commit.hexsha, dirty=False, url=str(tmp_path)
    )


@pytest.mark.parametrize("name", ["steps/train.py", "conda.yaml", "constraints.txt", "MLproject"])
def test_source_with_a_changed_file_is_dirty(
    repository: git.Repo, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("changed\n")

    assert checkout.source(tmp_path).dirty


def test_source_with_an_untracked_module_is_dirty(repository: git.Repo, tmp_path: Path) -> None:
    (tmp_path / "steps" / "retraining").mkdir()
    (tmp_path / "steps" / "retraining" / "extra.py").touch()

    assert checkout.source(tmp_path).dirty


def test_source_with_other_inputs_is_clean(repository: git.Repo, tmp_path: Path) -> None:
    (tmp_path / "steps" / "datasets" / "own.yaml").write_text("name: own\n")
    (tmp_path / "steps" / "datasets" / "fraud.yaml").write_text("name: other\n")
    (tmp_path / "README.md").touch()

    assert not checkout.source(tmp_path).dirty


def test_source_without_a_commit(tmp_path: Path) -> None:
    assert checkout.source(tmp_path) == unknown(tmp_path)
    checkout.source.cache_clear()

    git.Repo.init(tmp_path)
    assert checkout.source(tmp_path) == unknown(tmp_path)


def test_source_in_a_folder_of_another_checkout(repository: git.Repo, tmp_path: Path) -> None:
    assert checkout.source(tmp_path / "steps").commit is None


def test_source_that_git_refuses_to_read(
    repository: git.Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that mounts the checkout of another user."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")

    assert checkout.source(tmp_path) == unknown(tmp_path)


def test_source_where_there_is_no_git(
    repository: git.Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "git", None)

    assert checkout.source(tmp_path) == unknown(tmp_path)


def test_source_names_the_remote_without_its_token(repository: git.Repo, tmp_path: Path) -> None:
    repository.create_remote("origin", "https://robot:s3cr3t@example.org/team/project.git")

    assert checkout.source(tmp_path).url == "https://example.org/team/project.git"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://token@example.org/a.git", "https://example.org/a.git"),
        ("https://user:p@ss@example.org/a@b", "https://example.org/a@b"),
        ("postgresql://user:password@db:5432/mlflow", "postgresql://db:5432/mlflow"),
        ("https://example.org/@scope/a.git", "https://example.org/@scope/a.git"),
        ("ssh://git@example.org/a.git", "ssh://git@example.org/a.git"),
        ("git@example.org:team/a.git", "git@example.org:team/a.git"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
    ],
)
def test_without_credentials(uri: str, expected: str) -> None:
    assert checkout.without_credentials(uri) == expected


def test_digest_changes_with_content_and_name_of_a_file(
    repository: git.Repo, tmp_path: Path
) -> None:
    digests = [checkout.digest(tmp_path)]
    module = tmp_path / "steps" / "train.py"
    for change in (
        lambda: module.write_text("changed\n"),
        lambda: module.rename(tmp_path / "steps" / "fit.py"),
        (tmp_path / "steps" / "report.html.j2").touch,
        lambda: (tmp_path / "constraints.txt").write_text("mlflow==0\n"),
    ):
        change()
        checkout.digest.cache_clear()
        digests.append(checkout.digest(tmp_path))

    assert len(set(digests)) == 5


def test_digest_ignores_what_no_step_runs_from(repository: git.Repo, tmp_path: Path) -> None:
    before = checkout.digest(tmp_path)
    (tmp_path / "steps" / "datasets" / "own.yaml").write_text("name: own\n")
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(tmp_path / "steps")])
    checkout.digest.cache_clear()

    assert checkout.digest(tmp_path) == before
