"""The store of runs, before a step uses it: one that MLflow takes, ready, and where it was."""

from __future__ import annotations

import fcntl
import logging
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import mlflow
from mlflow import MlflowClient, MlflowException
from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException
from mlflow.utils.file_utils import local_file_uri_to_path

from retraining.errors import RetrainingError
from retraining.tracking import outage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities import Experiment

_FOLDER: Final = "filesystem tracking backend"
_STORES: Final = "sqlite:////PATH/mlflow.db, or the http:// address of an MLflow server"
# What to install for a module that SQLAlchemy looks for in vain.
_DRIVERS: Final = {
    "psycopg": "'psycopg[binary]'",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
}

_LOG = logging.getLogger(__name__)


def prepare() -> None:
    """Open the store, and check that it can take the run of a step.

    Raises:
        RetrainingError: MLflow does not take it, the experiment cannot have runs, or the folder of
            the store was moved.
    """
    uri = mlflow.get_tracking_uri()
    if not uri.startswith("http"):
        _open(uri)
    client = MlflowClient()
    if run_id := os.environ.get("MLFLOW_RUN_ID"):
        if uri.startswith("sqlite:"):
            experiment_id = client.get_run(run_id).info.experiment_id
            _refuse_moved(client.get_experiment(experiment_id), uri)
    elif (experiment := _experiment(client, uri)) and uri.startswith("sqlite:"):
        _refuse_moved(experiment, uri)


def _open(uri: str) -> None:
    """Let MLflow make the tables of a new store, or bring old ones up to date."""
    named = f"MLFLOW_TRACKING_URI={outage.address()}"
    try:
        with _alone_at(uri):
            client = MlflowClient()  # already opens the store
            client.search_experiments(max_results=1)
            client.search_registered_models(max_results=1)
    except ModuleNotFoundError as error:
        raise RetrainingError(
            f"{named} needs the Python module {error.name}",
            f"`pip install {_DRIVERS.get(error.name or '', error.name)}` in the environment of the "
            "step, or start an MLflow server on it and give its http:// address",
        ) from error
    except UnsupportedModelRegistryStoreURIException as error:
        raise RetrainingError(f"MLflow keeps no runs at {named}", f"give {_STORES}") from error
    except MlflowException as error:
        if _FOLDER not in str(error):
            raise
        raise RetrainingError(
            f"{named} is a folder, where MLflow keeps no runs any more",
            f"set it to {_STORES}; `mlflow migrate-filestore` moves earlier runs",
        ) from error


@contextmanager
def _alone_at(uri: str) -> Iterator[None]:
    """Wait for other steps that make or change the tables of an SQLite file.

    MLflow looks whether there are tables and then makes them: of several steps at once on a new
    file, all but one would fail. The system releases the lock of a process that ends in any way.
    """
    path = uri.partition("?")[0].removeprefix("sqlite:///")
    if path in (uri, "", ":memory:"):
        yield
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{path}.lock").open("w") as lock:
        with suppress(OSError):  # some network file systems have no locks
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _LOG.info(f"another step opens {path}: waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _experiment(client: MlflowClient, uri: str) -> Experiment | None:
    """The experiment that a new run will be in; None if MLflow chooses or creates it."""
    name, given_id = map(os.environ.get, ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"))
    if name:
        found = client.get_experiment_by_name(name)
        if found and given_id and found.experiment_id != given_id:
            raise RetrainingError(
                f"MLFLOW_EXPERIMENT_NAME={name} and MLFLOW_EXPERIMENT_ID={given_id} are two "
                "experiments",
                "unset one of them",
            )
    elif given_id or not uri.startswith("http"):
        found = _experiment_with(client, given_id or "0")
    else:
        found = None
    if found and found.lifecycle_stage != "active":
        raise RetrainingError(
            f"experiment {found.name!r} is deleted",
            f"restore it by `mlflow experiments restore --experiment-id {found.experiment_id}`, or "
            "set MLFLOW_EXPERIMENT_NAME to another one",
        )
    return found


def _experiment_with(client: MlflowClient, experiment_id: str) -> Experiment:
    try:
        return client.get_experiment(experiment_id)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise RetrainingError(
            f"{outage.address()} has no experiment with the id {experiment_id}",
            "set MLFLOW_EXPERIMENT_NAME to the name of one, old or new",
        ) from error


def _refuse_moved(experiment: Experiment, uri: str) -> None:
    """Refuse to begin the artifacts of an experiment again in a folder that was moved away."""
    location = experiment.artifact_location
    if "://" in location and not location.startswith("file:"):
        return
    folder = Path(local_file_uri_to_path(location))  # type: ignore[no-untyped-call]
    steps = "attributes.status = 'FINISHED' and tags.step LIKE '%'"
    if folder.is_dir() or not MlflowClient().search_runs(
        [experiment.experiment_id], steps, max_results=1
    ):
        return
    now = Path(uri.removeprefix("sqlite:///")).absolute().parent
    moved = now / folder.parent.name / folder.name
    link = f", or make a link there by `ln -s {now} {folder.parents[1]}`" if moved.is_dir() else ""
    raise RetrainingError(
        f"the artifacts of experiment {experiment.name!r} are not in {folder} any more",
        f"MLflow keeps absolute paths: move the folder back{link}",
    )
