"""Commands of this project, as they are shown to people: they work when typed as they stand."""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mlflow.utils.mlflow_tags import MLFLOW_PROJECT_ENV

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_USED: Final = "RETRAINING_ENV_MANAGER"  # in the environment: the steps of a chain inherit it


def show(
    step: str = "main", parameters: Mapping[str, str] = MappingProxyType({}), *, project: str = "."
) -> str:
    """An `mlflow run`, quoted for a shell; parameters without a value are left out.

    Without `--env-manager`, MLflow looks for conda. The command names what this step was run with.
    """
    entry_point = "" if step == "main" else f" -e {step}"
    given = "".join(f" -P {k}={shlex.quote(v)}" for k, v in parameters.items() if v)
    return f"mlflow run {project} --env-manager {os.environ.get(_USED, 'uv')}{entry_point}{given}"


@contextmanager
def used_environment(tags: Mapping[str, str]) -> Iterator[None]:
    """Let commands name the environment manager of the `mlflow run` that started this step.

    A chain runs its steps in its own environment, so they name that of the chain.

    Args:
        tags: Those of the step's run: MLflow notes its environment there, unless it is `local`.
    """
    known = "MLFLOW_RUN_ID" not in os.environ or _USED in os.environ
    if not known:
        os.environ[_USED] = tags.get(MLFLOW_PROJECT_ENV, "local")
    try:
        yield
    finally:
        if not known:
            del os.environ[_USED]
