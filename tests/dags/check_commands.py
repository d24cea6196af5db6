"""What a step gets when it runs: the words of its command, and the connections."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.dags.parsing import SSH, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.dags.stand_in import Project

SPACES = "  two  words "
QUOTES = """a'b"c' "d" \\' \\"""
SUBSTITUTION = '$(touch "$HOME/owned") `touch owned` ${PATH} $PATH'
COMMANDS = "a; touch owned & touch owned | touch owned > owned #\n\ttouch owned"
GLOBS = "* ~ ? [a-z] {a,b} !! -P x=y"
TEMPLATE = "{{ 1 + 1 }} {% raw %} ${#PATH}"
UNICODE = "данные für „alle“ 数据 🙂"


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("place", [{}, SSH], ids=["worker", "ssh"])
def test_what_is_typed_stays_one_word(
    place: dict[str, str], project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Params of the form and Variables; the folder of the program has a name as bad as these."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_VAR_RETRAINING_PROJECT", SPACES)
    monkeypatch.setenv("AIRFLOW_VAR_RETRAINING_VERSION", QUOTES)
    monkeypatch.setenv("AIRFLOW_VAR_RETRAINING_ENV_MANAGER", GLOBS)
    monkeypatch.setenv("AIRFLOW_VAR_RETRAINING_SPARK_MASTER", COMMANDS)
    params: dict[str, Any] = {
        "experiment": SUBSTITUTION,
        "dataset": TEMPLATE,
        "pipeline_id": UNICODE,
    }
    assert run(monkeypatch, place, "tune", **params) == {"tune": "success", "": "success"}
    (words,) = project.calls
    assert words == [
        *("run", SPACES, "-e", "tune", "-v", QUOTES, "--env-manager", GLOBS),
        *("--experiment-name", SUBSTITUTION),
        *("-P", f"pipeline_id={UNICODE}"),
        *("-P", f"spark_master={COMMANDS}"),
        *("-P", f"dataset={TEMPLATE}"),
        *("-P", f"trials_experiment={SUBSTITUTION}"),
        *("-P", "register=false"),
    ]
    assert not list(tmp_path.rglob("owned"))


def test_connections_reach_the_step_by_its_environment_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections: dict[str, dict[str, object]] = {
        "TRACKING": {"host": "https://mlflow.example", "login": "me", "password": "pass-1"},
        "STORE": {"login": "key", "password": "pass-2", "extra": {"endpoint_url": "http://s3"}},
    }
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, connection in connections.items():
        text = json.dumps({"conn_type": "generic", **connection})
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", text)
    monkeypatch.setenv("AWS_REGION", "of-the-worker")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "of-the-worker")
    states = run(monkeypatch, {"mlflow_conn_id": "tracking", "s3_conn_id": "store"}, "predict")
    assert states[""] == "success"
    given = {
        name: value
        for name, value in project.environment.items()
        if name.startswith(("MLFLOW_TRACKING_", "AWS_"))
    }
    assert given == {
        "MLFLOW_TRACKING_URI": "https://mlflow.example",
        "MLFLOW_TRACKING_USERNAME": "me",
        "MLFLOW_TRACKING_PASSWORD": "pass-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "pass-2",
        "AWS_ENDPOINT_URL": "http://s3",
    }
    assert "pass-" not in str(project.calls)


def test_a_step_without_a_server_fails_before_it_runs(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert run(monkeypatch, {}, "predict")[""] == "failed"
    assert not (project.folder / "calls").exists()
