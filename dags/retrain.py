"""Train a challenger every week, and promote it if the test says that it is better.

Each step is one `mlflow run` of the project. All steps of a DAG run have the same tag `cycle_id`
in MLflow, by which a retried or cleared task finds what has finished: it is not repeated, and
nothing is registered twice.

**Green and nothing moved** is a usual week: the log of `keep_champion` says why (of `announce`, if
the champion was trained on later data), and the report of the run of `ab_test` in full.

**Slow but normal**: the first run builds the environment of the project (minutes) and reads all
raw files; later ones only new days. `tune` takes the number of trials times what `train` takes,
over its parallelism. Retries come after half a minute and two minutes.

**As of**: rows after `as_of` stay out; by default it is the day (UTC) when the data interval ends,
for a run that is triggered by hand today. Past weeks are made up for, one after the other, by

    airflow backfill create --dag-id retrain --max-active-runs 1 --from-date DAY --to-date DAY

A backfilled challenger never replaces a champion that was trained on later data.

**dry_run** does all, but `promote` only says what would happen. Versions, the alias `challenger`
and the memory of tests are written, and the first version ever becomes champion. To follow such a
verdict afterwards: `mlflow run . -e promote -P verdict_run=RUN_ID`.

| red | what to do |
|---|---|
| any: `mlflow: not found` | Variable `retraining_bin`: the folder of the `mlflow` command |
| any: no MLflow server | set `MLFLOW_TRACKING_URI` of the worker, start the server; clear |
| any: timeout, killed | its run is KILLED, half a data set is none: clear the task |
| `preprocess`: no files, no rows | `input` or `as_of` points past the data |
| `preprocess`: too many bad rows | the quarantine of its run says why; mend the files, clear |
| `ab_test`: the registry has no ... | somebody removed an alias: set it, clear |
| `promote`: champion is version ..., not ... | moved by hand meanwhile: clear `ab_test` and on |

**Roll back**: `mlflow run . -e promote -P action=rollback -P model_name=fraud`; then pause this DAG
until it is known why.
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
        "dataset": Param("fraud", type="string", minLength=1, description="Its name or path."),
        "input": optional("string", "Raw files. Empty: Variable retraining_input."),
        "model_name": mlflow_project.MODEL_NAME,
        "as_of": optional("string", "Later rows stay out. Empty: interval end.", format="date"),
        "trials": optional("integer", "Trials of the search. Empty: as described.", minimum=1),
        "alpha": optional(
            "number",
            "Greatest chance of a false promotion. Empty: as described.",
            exclusiveMinimum=0,
            exclusiveMaximum=1,
        ),
        "dry_run": Param(False, type="boolean", description="Do all, but leave the champion."),  # noqa: FBT003
    },
)
def retrain() -> None:
    """The steps of the project in order, a branch on the verdict, and the news of a champion."""
    step = partial(mlflow_step.step, on_cluster=True)
    with transient_cluster() as before:
        preprocess = step(
            "preprocess",
            "Raw files to train, validation and holdout. Seconds a day of data, once.",
            timeout=timedelta(hours=6),
            parameters=_preprocess,
        )
        train = step(
            "train",
            "The baseline, registered.",
            timeout=timedelta(hours=6),
            parameters=params("model_name"),
        )
        tune = step(
            "tune",
            "A search; its best model waits as challenger. Finished trials survive a retry.",
            timeout=timedelta(hours=18),
            parameters=params("trials", "model_name"),
        )
        ab_test = step(
            "ab_test",
            "Champion and challenger on the same unseen rows; its MLflow run has the report.",
            timeout=timedelta(hours=6),
            parameters=params("alpha", "model_name"),
        )
        promote = step(
            "promote",
            "Moves the alias `champion`, if nothing else did meanwhile.",
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


@task.branch(task_id="verdict", doc_md="Reads the tag `verdict` of the run of ab_test.")
def read_verdict(tested: str) -> str:
    """Which way to go."""
    return "promote" if mlflow_server.tags_of(tested)["verdict"] == "promote" else "keep_champion"


@task(doc_md="The champion stays. Its log, and its XCom, say why.")
def keep_champion(*, ti: Any = None) -> str:  # noqa: ANN401 (Airflow's TaskInstance)
    """Say why."""
    tested = ti.xcom_pull("ab_test")
    tags = mlflow_server.tags_of(tested)
    reason = f"{tags['verdict']}: {tags['verdict.reasons']}"
    log.info("The champion stays. Verdict %s (MLflow run %s)", reason, tested)
    return reason


@task(outlets=[CHAMPION], doc_md="Tells other DAGs of the new champion; skipped if none moved in.")
def announce(promoted: str, *, params: Any = None, outlet_events: Any = None) -> str:  # noqa: ANN401
    """Emit the asset event, if the alias has moved."""
    tags = mlflow_server.tags_of(promoted)
    summary: str = tags["result.summary"]
    log.info("%s (MLflow run %s)", summary, promoted)
    if params["dry_run"] or tags["result.outcome"] != "promoted":
        raise AirflowSkipException(summary)
    outlet_events[CHAMPION].extra = {"model_name": tags["model_name"], "run_id": promoted}
    return summary


retrain()
