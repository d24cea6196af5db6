"""What the DAGs share: defaults of their tasks, schedules and Params."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, CronTriggerTimetable, Param

from mlflow_step import cycle_id

CHAMPION = Asset(name="champion")

log = logging.getLogger(__name__)


def schedule(cron: str, *, every: timedelta) -> CronTriggerTimetable:
    """Runs at these times (UTC), each for the interval that ends then; none on being unpaused."""
    none = timedelta(0)
    return CronTriggerTimetable(cron, timezone="UTC", interval=every, run_immediately=none)


def optional(kind: str, description: str, **schema: Any) -> Param:  # noqa: ANN401 (JSON schema)
    """A Param that may be left empty."""
    return Param(None, type=["null", kind], description=description, **schema)


def report_failure(context: Any) -> None:  # noqa: ANN401 (Airflow's Context)
    """Log in one line what failed and where to look."""
    ti = context["ti"]
    log.error(
        "%s.%s failed in try %s: see the line that begins with Error above; the docs of the DAG "
        "say what to do. The MLflow runs of this cycle have the tag cycle_id=%s.",
        *(ti.dag_id, ti.task_id, ti.try_number, cycle_id(context["run_id"])),
    )


# What a task of any DAG does unless it says otherwise.
DEFAULTS: dict[str, Any] = {
    "owner": "retraining",
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 4.0,  # the factor from try to try
    "max_retry_delay": timedelta(minutes=30),
    "execution_timeout": timedelta(minutes=10),
    "on_failure_callback": report_failure,
    "max_active_tis_per_dag": 1,  # backfills ignore max_active_runs
}
MODEL_NAME = optional(
    "string", "Registered model. Empty: named after the data set.", pattern=r"^\w[\w .+-]*$"
)
