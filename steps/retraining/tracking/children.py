"""Steps as child runs, through `mlflow.projects`: a script never imports a script."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
from mlflow.exceptions import ExecutionException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from retraining.errors import RetrainingError
from retraining.tracking import tags
from retraining.tracking.pages import every

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow.entities import Run

# MLflow keeps the exit code to itself.
_UNSAID = "it gave no reason: there is a traceback above, or it was killed, as when memory runs out"


def run(uri: str, step: str, parameters: Mapping[str, str], *, env_manager: str = "local") -> Run:
    """Run an entry point as a child of the active run, and return its finished run.

    Args:
        uri: Project folder.
        step: Entry point.
        parameters: Only what differs from the defaults.
        env_manager: `local` is this very Python.

    Raises:
        RetrainingError: If the step failed, with what it said.
    """
    client = mlflow.MlflowClient()
    parent = mlflow.active_run()
    experiment = parent.info.experiment_id if parent else None
    before = len(_children(client, parent))
    _use_store_of_any_folder()
    try:
        with _own_python_first():
            submitted = mlflow.projects.run(  # type: ignore[no-untyped-call]
                uri,
                step,
                parameters=dict(parameters),
                experiment_id=experiment,
                env_manager=env_manager,
            )
    except ExecutionException as error:
        failed = _children(client, parent)[before:]
        said = failed[0].data.tags.get(tags.FAILURE, _UNSAID) if failed else str(error)
        raise RetrainingError(f"step {step} failed", said) from error
    except KeyboardInterrupt:
        # MLflow has stopped the step, and then called its run failed.
        for child in _children(client, parent)[before:]:
            client.set_terminated(child.info.run_id, "KILLED")
        raise
    return client.get_run(submitted.run_id)


def children(run_id: str) -> list[Run]:
    """The child runs of a run, oldest first."""
    client = mlflow.MlflowClient()
    return _children(client, client.get_run(run_id))


def _children(client: mlflow.MlflowClient, parent: Run | None) -> list[Run]:
    if parent is None:
        return []
    found = every(
        client.search_runs,
        [parent.info.experiment_id],
        f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent.info.run_id}'",
        order_by=["attributes.start_time ASC"],
    )
    return list(found)


def _use_store_of_any_folder() -> None:
    """Name the store by its absolute path: a repetition runs in a folder of its own."""
    uri = mlflow.get_tracking_uri()
    path = uri.removeprefix("sqlite:///")
    if path != uri and not Path(path).is_absolute():
        mlflow.set_tracking_uri(f"sqlite:///{Path(path).absolute()}")


@contextmanager
def _own_python_first() -> Iterator[None]:
    """Put this Python first on PATH: `local` runs the first `python` there, whichever that is."""
    path = os.environ.get("PATH", "")
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{path}"
    try:
        yield
    finally:
        os.environ["PATH"] = path
