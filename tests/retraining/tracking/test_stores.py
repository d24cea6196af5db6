"""Stores that a step cannot use, said in one line, and a new one that four steps open at once."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import pytest
from mlflow import MlflowClient
from sqlalchemy.exc import DatabaseError

from retraining.errors import RetrainingError
from retraining.tracking import faults, lineage, stores
from retraining.tracking.checkout import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

PREPARE = "from retraining.tracking import stores; stores.prepare()"
HOLD = """
import fcntl, sys, time
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Use a store; no experiment is named."""

    def set_uri(uri: str) -> None:
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    return set_uri


def said(error: BaseException) -> str:
    """The line that a step would end with."""
    expected = faults.fault(error)
    assert expected, error
    return str(expected)


@pytest.mark.parametrize(
    ("uri", "phrase"),
    [
        ("{folder}", "is a folder, where MLflow keeps no runs any more: set it to sqlite:///"),
        ("file://{folder}", "is a folder, where MLflow keeps no runs any more"),
        ("ftp://host/runs", "MLflow keeps no runs at MLFLOW_TRACKING_URI=ftp://host/runs: give sq"),
        ("sqlite:///{folder}/text", "file is not a database: name another file"),
        ("postgresql://u:secret@host/x", "needs the Python module psycopg: `pip install 'psycopg["),
        ("mysql://u:secret@host/x", "needs the Python module MySQLdb: `pip install mysqlclient`"),
    ],
)
def test_store_that_mlflow_does_not_take(
    use: Callable[[str], None], tmp_path: Path, uri: str, phrase: str
) -> None:
    (tmp_path / "text").write_text("a text that is longer than the header of a database\n" * 9)
    use(uri.format(folder=tmp_path))

    with pytest.raises((RetrainingError, DatabaseError)) as refused:
        stores.prepare()

    assert phrase in said(refused.value)
    assert "secret" not in said(refused.value)


def test_no_store_named_beside_an_old_folder_of_runs(
    use: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    (tmp_path / "mlruns" / "0" / "meta.yaml").write_text("{}")
    monkeypatch.chdir(tmp_path)
    use("")

    with pytest.raises(RetrainingError, match="mlruns is a folder, where MLflow keeps no runs"):
        stores.prepare()


def test_experiment_that_is_deleted_or_absent(tracking: str, use: Callable[[str], None]) -> None:
    client = MlflowClient()
    gone = client.create_experiment("gone")
    client.delete_experiment(gone)
    client.delete_experiment("0")
    use(tracking)
    for variables, phrase in (
        ({}, "experiment 'Default' is deleted: restore it by `mlflow experiments restore --exp"),
        ({"NAME": "gone"}, f"experiment 'gone' is deleted: .*--experiment-id {gone}`"),
        ({"ID": gone}, "experiment 'gone' is deleted"),
        ({"ID": "99"}, "has no experiment with the id 99"),
        ({"ID": "1", "NAME": "gone"}, "NAME=gone and MLFLOW_EXPERIMENT_ID=1 are two experiments"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(f"MLFLOW_EXPERIMENT_{name}", value)
            with (
                pytest.raises(RetrainingError, match=phrase),
                lineage.open_step("train", {}),
            ):
                pass
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "begun by this")
        stores.prepare()


def test_a_folder_that_was_moved_is_not_begun_again(
    empty_store: Path, use: Callable[[str], None], tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    database = shutil.copy(empty_store, old / "mlflow.db")
    use(f"sqlite:///{database}")
    location = (old / "mlruns" / "7").as_uri()
    experiment = MlflowClient().create_experiment("work", artifact_location=location)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "work")
        patch.setattr(lineage, "_environment", lambda: "mlflow==3\n")
        for _ in range(2):  # the first run finds no folder either
            with lineage.open_step("train", {}) as run:
                pass
        assert Path(old, "mlruns", "7", run.run_id).is_dir()
        shutil.move(old, new)
        use(f"sqlite:///{new}/mlflow.db")
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "work")

        with pytest.raises(RetrainingError, match="absolute paths: move the folder back") as moved:
            stores.prepare()
        assert f"`ln -s {new} {old}`" in str(moved.value)
        with mlflow.start_run(experiment_id=experiment) as begun:  # as `mlflow run` does
            pass
        patch.setenv("MLFLOW_RUN_ID", begun.info.run_id)
        with (
            pytest.raises(RetrainingError, match=r"are not in .*/old/mlruns/7 any more"),
            lineage.open_step("train", {}),
        ):
            pass
        assert not old.exists()

        old.symlink_to(new)
        with lineage.open_step("train", {}) as run:
            pass
        assert Path(new, "mlruns", "7", run.run_id).is_dir()


def test_four_steps_at_once_on_a_new_file_wait_for_each_other(
    use: Callable[[str], None], tmp_path: Path
) -> None:
    """A process that has the lock and is killed keeps nobody waiting."""
    use(f"sqlite:///{tmp_path}/new/mlflow.db")
    (tmp_path / "new").mkdir()
    lock = tmp_path / "new" / "mlflow.db.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, lock], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError), lock.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        steps = [
            subprocess.Popen(
                [sys.executable, "-c", PREPARE],
                env=os.environ | {"PYTHONPATH": str(ROOT / "steps")},
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(4)
        ]
        holder.kill()
    for step in steps:
        _, errors = step.communicate()
        assert step.returncode == 0, errors
    assert [e.name for e in MlflowClient().search_experiments()] == ["Default"]
