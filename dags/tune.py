"""Search hyperparameters without a cycle, in an experiment of its own; nothing is registered.

One step, `tune` with `register=false`, on the data of an earlier cycle. To use the best parameters,
write them into the data set description; the next `retrain` starts from there. The trials are child
runs; a retried or cleared task keeps those that have finished.

**Slow, but normal**: it takes as long as `train` times the number of trials, divided by the
parallelism. `time_limit` stops it.

| red | what to do |
|---|---|
| no finished preprocess run | run `retrain` first, or name a cycle that has such a run |
| timeout | clear the task, which keeps finished trials; or set `time_limit` |
| any other | see the docs of `retrain` |
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, dag

import mlflow_project
from mlflow_project import optional
from mlflow_step import params, step

if TYPE_CHECKING:
    from collections.abc import Mapping


@dag(
    dag_id="tune",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(days=2),
    default_args=mlflow_project.DEFAULTS,
    tags=["retraining", "mlflow"],
    params={
        "experiment": Param(
            "tune",
            type="string",
            minLength=1,
            description="MLflow experiment, created if it does not exist.",
        ),
        "pipeline_id": optional("string", "Cycle that prepared the data. Empty: the newest."),
        "dataset": optional("string", "Another description of the same data, with another search."),
        "trials": optional(
            "integer", "Trials of the search. Empty: as the description says.", minimum=1
        ),
        "parallelism": optional("integer", "Trials at the same time.", minimum=1),
        "time_limit": optional("integer", "Stop after N seconds.", minimum=0),
    },
)
def tune() -> None:
    """A search without consequence."""
    step(
        "tune",
        "Searches hyperparameters; its run shows the best ones, its child runs are the trials.",
        timeout=timedelta(hours=18),
        experiment="experiment",
        parameters=_parameters,
    )


def _parameters(context: Mapping[str, Any]) -> dict[str, object]:
    chosen = params("pipeline_id", "dataset", "trials", "parallelism", "time_limit")
    experiment = context["params"]["experiment"]
    return {**chosen(context), "trials_experiment": experiment, "register": False}


tune()
