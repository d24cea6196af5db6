"""Tags and parameters that are longer than MLflow keeps: whole in an artifact, marked where cut."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Final

import mlflow
from mlflow import MlflowClient
from mlflow.artifacts import load_dict, load_text
from mlflow.entities import RunTag
from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH, MAX_TAG_VAL_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlflow.entities import Run

_PARAMETERS: Final = "parameters.json"


def set_tags(run_id: str, values: Mapping[str, str]) -> None:
    """Set tags of a run; of a value that is too long, the tag shows both ends."""
    client = MlflowClient()
    fitting = []
    for name, value in values.items():
        shown = value
        if len(value) > MAX_TAG_VAL_LENGTH:
            client.log_text(run_id, value, _artifact(name))
            half = (MAX_TAG_VAL_LENGTH - len(_mark(name))) // 2
            shown = value[:half] + _mark(name) + value[-half:]
        fitting.append(RunTag(name, shown))
    client.log_batch(run_id, tags=fitting)


def read_tag(run: Run, name: str, default: str = "") -> str:
    """The whole value of a tag that `set_tags` wrote."""
    shown: str = run.data.tags.get(name, default)
    if _mark(name) not in shown:
        return shown
    return str(load_text(f"runs:/{run.info.run_id}/{_artifact(name)}"))


def log_parameters(run_id: str, values: Mapping[str, str], *, logged: bool) -> None:
    """Log parameters as `mlflow run` does, quoted for the shell.

    Args:
        run_id: The run.
        values: Parameters as text.
        logged: Whether `mlflow run` has logged them, cut where they were too long.
    """
    quoted = {name: shlex.quote(value) for name, value in values.items()}
    if any(len(value) > MAX_PARAM_VAL_LENGTH for value in quoted.values()):
        MlflowClient().log_dict(run_id, dict(values), _PARAMETERS)
    if not logged:
        mlflow.log_params({name: text[:MAX_PARAM_VAL_LENGTH] for name, text in quoted.items()})


def read_parameters(run: Run, names: Iterable[str]) -> dict[str, str]:
    """Parameters of a run by name, whole and without the shell quotes that `mlflow run` logs."""
    logged = {name: run.data.params[name] for name in names if name in run.data.params}
    if any(len(value) >= MAX_PARAM_VAL_LENGTH for value in logged.values()):
        whole = load_dict(f"runs:/{run.info.run_id}/{_PARAMETERS}")
        return {name: str(whole[name]) for name in logged}
    return {name: "".join(shlex.split(value)) for name, value in logged.items()}


def read_json(run: Run, name: str) -> dict[str, str]:
    """The mapping that a tag holds as JSON; empty without the tag."""
    mapping: dict[str, str] = json.loads(read_tag(run, name, "{}"))
    return mapping


def _artifact(name: str) -> str:
    return f"tags/{name}.txt"


def _mark(name: str) -> str:
    return f" [... whole in the artifact {_artifact(name)} ...] "
