"""Train a challenger every week, and promote it if the test shows that it is better.

Each step is one `mlflow run` of the project. All steps of a DAG run have the same tag `cycle_id` in
MLflow. A retried or cleared task finds the runs that have finished by this tag, repeats none of
them and registers nothing twice.

**Green, but the champion stayed**: this is the usual week. The log of `keep_champion` gives the
reason (the log of `announce`, if the champion was trained on later data); the report is in the run
of `ab_test`. A challenger that could not be decided on is tested again next week, on the rows of
all its weeks (`gate.campaign` in the description); the tag `campaign` says how far it is. Until
then newly trained models wait.

**Slow, but normal**: the first run builds the project's environment, which takes minutes, and reads
all raw files; later runs read only the new days. `tune` takes as long as `train` times the number
of trials, divided by its parallelism. Retries start after half a minute and after two minutes.

**as_of**: rows after this day are left out. The default is the day (UTC) on which the data interval
ends, or today for a run that is triggered by hand. This command runs the cycles of past weeks, one
after the other:

    airflow backfill create --dag-id retrain --max-active-runs 1 --from-date DAY --to-date DAY

A challenger of a past week never replaces a champion that was trained on later data.

**dry_run**: everything runs, but `promote` only reports what it would do. Versions, the alias
`challenger` and the ledger of tests are written, and the very first version becomes champion. To
promote afterwards: `mlflow run . --env-manager uv -e promote -P verdict_run=RUN_ID`.

| red | what to do |
|---|---|
| any: `mlflow: not found` | set Variable `retraining_bin` to the folder of the `mlflow` command |
| any: no MLflow server | set the worker's `MLFLOW_TRACKING_URI`, start the server; clear the task |
| any: timeout, killed | its run is KILLED and no partial data set is left: clear the task |
| `preprocess`: no files, no rows | correct `input` or `as_of`: there are no data for them |
| `preprocess`: too many bad rows | its run's quarantine has the reasons; fix the files, clear |
| any: ... but no champion | somebody removed it: run the command that the line shows, clear it |
| `promote`: champion is version ..., not ... | it was moved meanwhile: clear `ab_test` and later |
| `ab_test`: ... has looked at ... meanwhile | another run tested the same models: clear it |

**Roll back**: `mlflow run . --env-manager uv -e promote -P action=rollback -P model_name=fraud`;
then pause this DAG until the cause is known.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import Label, Param, chain, dag, task
from airflow.sdk.exceptions import AirflowSkipException

import mlflow_project
import mlflow_server
import mlflow_step
from mlflow_cluster import transient_cluster
from mlflow_project import CHAMPION, optional
from mlflow_step import params, variable

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)


@dag(
    dag_id="retrain",
    doc_md=__doc__,
    schedule=mlflow_project.schedule("0 3 * * 1", every=timedelta(weeks=1)),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(days=2),
    default_args=mlflow_project.DEFAULTS,
    tags=["retraining", "mlflow"],
    params={
        "dataset": Param(
            "fraud", type="string", minLength=1, description="Data set description: name or path."
        ),
        "input": optional("string", "Raw files. Empty: Variable retraining_input."),
        "model_name": mlflow_project.MODEL_NAME,
        "as_of": optional("string", "Leave out later rows. Empty: interval end.", format="date"),
        "trials": optional(
            "integer", "Trials of the search. Empty: as the description says.", minimum=1
        ),
        "alpha": optional(
            "number",
            "Greatest probability of a false promotion. Empty: as the description says.",
            exclusiveMinimum=0,
            exclusiveMaximum=1,
        ),
        "dry_run": Param(False, type="boolean", description="Run all, but keep the champion."),  # noqa: FBT003
    },
)
def retrain() -> None:
    """The steps of a cycle, a branch on the verdict, and an event for a new champion."""
    step = partial(mlflow_step.step, on_cluster=True)
    with transient_cluster() as before:
        preprocess = step(
            "preprocess",
            "Splits raw files into train, validation and holdout. New days take seconds each.",
            timeout=timedelta(hours=6),
            parameters=_preprocess,
        )
        train = step(
            "train",
            "Trains and registers the baseline.",
            timeout=timedelta(hours=6),
            parameters=params("model_name"),
        )
        tune = step(
            "tune",
            "Searches; the best model becomes challenger, or waits while another is still tested. "
            "A retry keeps finished trials.",
            timeout=timedelta(hours=18),
            parameters=params("trials", "model_name"),
        )
        ab_test = step(
            "ab_test",
            "Tests champion and challenger on the same unseen rows; its MLflow run has the report.",
            timeout=timedelta(hours=6),
            parameters=params("alpha", "model_name"),
        )
        promote = step(
            "promote",
            "Moves the alias `champion`, unless it was moved meanwhile.",
            timeout=timedelta(hours=1),
            parameters=params("dry_run"),
        )
        verdict = read_verdict(ab_test.output)
        chain(*before, preprocess, train, tune, ab_test, verdict, Label("promote"), promote)
    chain(verdict, Label("else"), keep_champion())
    announce(promote.output)


def _preprocess(context: Mapping[str, Any]) -> dict[str, object]:
    chosen, dag_run = context["params"], context["dag_run"]
    day = (dag_run.data_interval_end or dag_run.run_after).date()
    return {
        "input": chosen["input"] or variable("input"),
        "dataset": chosen["dataset"],
        "data_root": variable("data_root"),
        "as_of": chosen["as_of"] or day,
    }


@task.branch(task_id="verdict", doc_md="Reads the tag `verdict` of the `ab_test` run.")
def read_verdict(tested: str) -> str:
    """The task that follows: `promote`, or `keep_champion` for any other verdict."""
    return "promote" if mlflow_server.tags_of(tested)["verdict"] == "promote" else "keep_champion"


@task(doc_md="The champion stays. The log and the XCom give the reason.")
def keep_champion(*, ti: Any = None) -> str:  # noqa: ANN401 (Airflow's TaskInstance)
    """Log and return the verdict with its reasons."""
    tested = ti.xcom_pull("ab_test")
    tags = mlflow_server.tags_of(tested)
    reason = f"{tags['verdict']}: {tags['verdict.reasons']}"
    log.info("The champion stays. Verdict %s (MLflow run %s)", reason, tested)
    return reason


@task(
    outlets=[CHAMPION],
    doc_md="Starts the DAGs that wait for a new champion; skipped if there is none.",
)
def announce(promoted: str, *, params: Any = None, outlet_events: Any = None) -> str:  # noqa: ANN401
    """Emit the asset event if the alias has moved."""
    tags = mlflow_server.tags_of(promoted)
    summary: str = tags["result.summary"]
    log.info("%s (MLflow run %s)", summary, promoted)
    if params["dry_run"] or tags["result.outcome"] != "promoted":
        raise AirflowSkipException(summary)
    outlet_events[CHAMPION].extra = {"model_name": tags["model_name"], "run_id": promoted}
    return summary


retrain()
