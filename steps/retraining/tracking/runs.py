"""Runs of other steps, found by their cycle, their step and the status FINISHED.

They are never found as the latest of their kind, since that may be a retry, a backfill or a
reproduction.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

import mlflow
from mlflow.entities import ViewType

from retraining.errors import RetrainingError
from retraining.tracking import commands, outage, tags
from retraining.tracking.pages import every

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow.entities import Run

# Prefix of the cycles of reproductions.
REPRODUCTION = "reproduce-"


def find(
    step: str, cycle_id: str | None = None, having: Mapping[str, str] = MappingProxyType({})
) -> Run | None:
    """The newest FINISHED run of a step that does not reuse another, except reproductions.

    Args:
        step: Entry point.
        cycle_id: Cycle to look in; None for all cycles except those of reproductions.
        having: Further tags that the run must have.
    """
    for run in _search(step, {**having} | ({tags.CYCLE_ID: cycle_id} if cycle_id else {})):
        if cycle_id or not _is_reproduction(run):
            return run
    return None


def tests_of(model_name: str, since: datetime) -> list[Run]:
    """The FINISHED ab_test runs on a model from a time on, except reproductions, newest first."""
    found = _search("ab_test", {tags.MODEL_NAME: model_name}, since)
    return [run for run in found if not _is_reproduction(run)]


def chains(cycle_id: str) -> list[Run]:
    """The runs of `main` in a cycle, whatever became of them, newest first."""
    return list(_search("main", {tags.CYCLE_ID: cycle_id}, finished=False))


def _search(
    step: str, having: Mapping[str, str], since: datetime | None = None, *, finished: bool = True
) -> Iterator[Run]:
    """The runs of a step that do not reuse others, newest first."""
    conditions = ["attributes.status = 'FINISHED'"] if finished else []
    if since:
        conditions.append(f"attributes.start_time >= {since.timestamp() * 1000:.0f}")
    for key, value in {tags.STEP: step, **having}.items():
        quote = '"' if "'" in value else "'"
        conditions.append(f"tags.`{key}` = {quote}{value}{quote}")
    client = mlflow.MlflowClient()
    experiments = [e.experiment_id for e in every(client.search_experiments, ViewType.ACTIVE_ONLY)]
    newest_first = ["attributes.start_time DESC"]
    found = every(client.search_runs, experiments, " and ".join(conditions), order_by=newest_first)
    return (run for run in found if tags.REUSED_FROM not in run.data.tags)


def _is_reproduction(run: Run) -> bool:
    return run.data.tags.get(tags.CYCLE_ID, "").startswith(REPRODUCTION)


def upstream(
    step: str, cycle_id: str, flag: str, having: Mapping[str, str] = MappingProxyType({})
) -> Run:
    """The newest FINISHED run of a step in a cycle.

    Raises:
        RetrainingError: If there is none; `flag` is the parameter that can name one.
    """
    found = find(step, cycle_id, having)
    if found is None:
        raise RetrainingError(
            f"no finished {step} run in cycle {cycle_id!r}",
            f"run `{commands.show(step)}` first, or name one with {flag}=",
        )
    return found


def original_of(run: Run) -> Run:
    """The run itself or, if it reuses an earlier run, that one.

    Raises:
        RetrainingError: If the tracking store does not have that one any more.
    """
    earlier = run.data.tags.get(tags.REUSED_FROM)
    return get_run(earlier, tags.REUSED_FROM) if earlier else run


def get_run(run_id: str, flag: str) -> Run:
    """The run of that id.

    Raises:
        RetrainingError: If the tracking store has no such run; `flag` is the parameter with the id.
    """
    try:
        return mlflow.get_run(run_id)
    except mlflow.MlflowException as error:
        # A server with permissions does not say whether there is such a run.
        if error.error_code not in (
            "RESOURCE_DOES_NOT_EXIST",
            "INVALID_PARAMETER_VALUE",
            "PERMISSION_DENIED",
        ):
            raise
        raise RetrainingError(
            f"{outage.address()} has no run {flag}={run_id!r} that this user may read",
            "give the id that the MLflow UI shows",
        ) from error


def newest_cycle() -> str | None:
    """Cycle of the newest finished preprocess run, except reproductions."""
    run = find("preprocess")
    return run.data.tags.get(tags.CYCLE_ID) if run else None


def new_cycle_id(prefix: str = "") -> str:
    """A new id that sorts by time: `20260131-235959-1a2b3c`."""
    return f"{prefix}{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
