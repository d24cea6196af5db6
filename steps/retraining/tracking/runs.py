"""Runs of other steps, found by their cycle, their step and the status FINISHED.

Never by being the latest of their kind: a retry, a backfill and a reproduction would be that too.
"""

from __future__ import annotations

import secrets
import shlex
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

import mlflow
from mlflow.entities import ViewType

from retraining.errors import RetrainingError
from retraining.tracking import outage, tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlflow.entities import Run

# Reproductions have cycles of their own, which begin so.
REPRODUCTION = "reproduce-"


def find(
    step: str, cycle_id: str | None = None, having: Mapping[str, str] = MappingProxyType({})
) -> Run | None:
    """The newest FINISHED original run of a step, in one cycle or in any but reproductions.

    Args:
        step: Entry point.
        cycle_id: None looks in all cycles.
        having: Further tags of the run.
    """
    conditions = ["attributes.status = 'FINISHED'"]
    wanted = {tags.STEP: step, **having} | ({tags.CYCLE_ID: cycle_id} if cycle_id else {})
    for key, value in wanted.items():
        quote = '"' if "'" in value else "'"
        conditions.append(f"tags.`{key}` = {quote}{value}{quote}")
    client = mlflow.MlflowClient()
    experiments = [e.experiment_id for e in client.search_experiments(ViewType.ACTIVE_ONLY)]
    token = None
    while True:
        page = client.search_runs(
            experiments,
            " and ".join(conditions),
            order_by=["attributes.start_time DESC"],
            max_results=100,
            page_token=token,
        )
        for run in page:
            reproduction = run.data.tags.get(tags.CYCLE_ID, "").startswith(REPRODUCTION)
            if tags.REUSED_FROM not in run.data.tags and (cycle_id or not reproduction):
                return run
        token = page.token
        if not token:
            return None


def upstream(
    step: str, cycle_id: str, flag: str, having: Mapping[str, str] = MappingProxyType({})
) -> Run:
    """The FINISHED run of a step in this cycle, with these tags.

    Raises:
        RetrainingError: If there is none; `flag` names the parameter that could say which.
    """
    found = find(step, cycle_id, having)
    if found is None:
        raise RetrainingError(
            f"no finished {step} run in cycle {cycle_id!r}",
            f"run `mlflow run . -e {step}` first, or name one with {flag}=",
        )
    return found


def get_run(run_id: str, flag: str) -> Run:
    """The run of that id.

    Raises:
        RetrainingError: If the tracking store has none; `flag` names the parameter that said it.
    """
    try:
        return mlflow.get_run(run_id)
    except mlflow.MlflowException as error:
        # Where users are kept apart, a server does not say whether there is such a run.
        if error.error_code not in (
            "RESOURCE_DOES_NOT_EXIST",
            "INVALID_PARAMETER_VALUE",
            "PERMISSION_DENIED",
        ):
            raise
        raise RetrainingError(
            f"{flag}={run_id!r} is no run of {outage.address()} that this user may read",
            "give the id that the MLflow UI shows",
        ) from error


def newest_cycle() -> str | None:
    """Cycle id of the newest finished preprocess run; reproductions are no cycles."""
    run = find("preprocess")
    return run.data.tags[tags.CYCLE_ID] if run else None


def new_cycle_id(prefix: str = "") -> str:
    """A new id that sorts by time: `20260131-235959-1a2b3c`."""
    return f"{prefix}{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def told_parameters(run: Run, names: Iterable[str]) -> dict[str, str]:
    """Parameters of a run by name, without the shell quotes that `mlflow run` logs."""
    logged = run.data.params
    return {name: "".join(shlex.split(logged[name])) for name in names if name in logged}
