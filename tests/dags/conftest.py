"""Where steps of a DAG run in tests: a small project, on this machine or behind an SSH server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dags.stand_in import Project, open_project
from tests.stack.sshd import open_sshd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    with open_project(tmp_path) as project:
        profile = project.folder / "profile"
        profile.write_text(f"export MLFLOW_TRACKING_URI={project.address}\n")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", project.address)
        monkeypatch.setenv("AIRFLOW_VAR_RETRAINING_BIN", str(project.folder))
        monkeypatch.setenv("AIRFLOW_VAR_RETRAINING_PROFILE", str(profile))
        yield project


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with open_sshd(tmp_path / "sshd") as sshd:
        monkeypatch.setenv("AIRFLOW_CONN_HOST", sshd.connection)
        yield
