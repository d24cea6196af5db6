"""Which errors are expected: those of disk, database, memory and service, but no defects."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import TYPE_CHECKING

import mlflow
import pytest
from mlflow import MlflowClient
from pyspark.errors import PySparkValueError

from retraining.errors import RetrainingError, reason
from retraining.tracking import faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def refuse(*_: object, **__: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def told(error: BaseException) -> str:
    """The message for the user, which is one line."""
    found = faults.fault(error)
    assert found is not None
    assert "\n" not in str(found)
    return str(found)


def test_store_that_may_only_be_read(tracking: str) -> None:
    uri = tracking.replace("sqlite:///", "sqlite:///file:") + "?mode=ro&uri=true"
    with pytest.raises(mlflow.MlflowException) as error:
        MlflowClient(uri).create_experiment("another")
    assert "attempt to write a readonly database: see that this user may write" in told(error.value)


def test_a_working_directory_that_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(FileNotFoundError) as error:
        os.path.abspath("mlflow.db")  # noqa: PTH100 (as MLflow does)
    assert told(error.value).startswith("the working directory is not there any more: ")
    with pytest.raises(FileNotFoundError) as error:
        os.stat(tmp_path / "gone")  # noqa: PTH116 (as a defect would)
    assert faults.fault(error.value) is None


@pytest.mark.parametrize("said", [*faults._DATABASE])
def test_other_refusals_of_sqlite(said: str) -> None:
    error = mlflow.MlflowException(f"(sqlite3.OperationalError) {said}\n[SQL: INSERT ...]")
    assert f": {said}: " in told(error)


def test_an_exception_that_cannot_be_text_is_a_defect_like_others() -> None:
    error = PySparkValueError(ValueError("x"))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        str(error)
    assert faults.fault(error) is None
    assert reason(error) == "PySparkValueError"


@pytest.mark.usefixtures("tracking")
@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.get_run("0" * 32),
        lambda client: client.get_registered_model("nobody"),
        lambda client: client.get_experiment("99"),
    ],
)
def test_what_the_store_does_not_have(ask: Callable[[MlflowClient], object]) -> None:
    with pytest.raises(mlflow.MlflowException) as error:
        ask(MlflowClient())
    assert any(name in told(error.value) for name in ("0" * 32, "nobody", "99"))


@pytest.mark.usefixtures("tracking")
def test_experiment_that_was_deleted() -> None:
    MlflowClient().delete_experiment("0")
    with pytest.raises(mlflow.MlflowException) as error:
        mlflow.start_run(experiment_id="0")
    assert "experiment 0 must be in the 'active' state" in told(error.value)
    assert "mlflow experiments restore" in told(error.value)


def test_folder_that_refuses_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError) as absent:
        (tmp_path / "none" / "a").write_text("")
    assert faults.fault(absent.value) is None  # the project should have made the folder
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(FileNotFoundError) as error:
        tempfile.gettempdir()
    assert "TMPDIR" in told(error.value)


@pytest.mark.parametrize(
    "number",
    [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EMFILE, errno.ENAMETOOLONG],
)
def test_refusals_of_the_disk_name_the_path(number: int) -> None:
    error = OSError(number, os.strerror(number), "/data/model")
    assert told(error).startswith(f"/data/model: {os.strerror(number)}: ")
    wrapped = mlflow.MlflowException("artifacts")
    wrapped.__cause__ = error
    assert told(wrapped) == told(error)


def test_memory_of_the_driver() -> None:
    assert "memory" in told(MemoryError())


def test_expected_failure_is_its_own_explanation() -> None:
    error = RetrainingError("no rows", "add some")
    assert faults.fault(error) is error


@pytest.mark.parametrize(
    "error", [mlflow.MlflowException("a bug"), KeyError("k"), OSError("disk"), ValueError("no")]
)
def test_defects_stay_as_they_are(error: Exception) -> None:
    assert faults.fault(error) is None
