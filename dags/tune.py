"""Search hyperparameters alone, in an experiment of its own; the registry stays untouched.

One step, `tune` with `register=false`, on data that a cycle has prepared. To use what it finds, put
the parameters into the data set description; the next `retrain` goes on from there. The trials are
child runs; a retried or cleared task takes over those that have finished.

**Slow but normal**: trials times what `train` takes, over the parallelism. `time_limit` ends it.

| red | what to do |
|---|---|
| no finished preprocess run | let `retrain` run first, or name a cycle that has one |
| timeout | clear the task: finished trials are kept; or set `time_limit` |
| any other | as in the docs of `retrain` |
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
        "experiment": Param("tune", type="string", minLength=1, description="Made if absent."),
        "pipeline_id": optional("string", "Cycle whose data is used. Empty: the newest."),
        "dataset": optional("string", "Another description of the same data, for its search."),
        "trials": optional("integer", "Trials of the search. Empty: as described.", minimum=1),
        "parallelism": optional("integer", "Trials at the same time.", minimum=1),
        "time_limit": optional("integer", "Stop after so many seconds.", minimum=0),
    },
)
def tune() -> None:
    """A search without consequence."""
    step(
        "tune",
        "A search; its run shows the best parameters, its child runs the trials.",
        timeout=timedelta(hours=18),
        experiment="experiment",
        parameters=_parameters,
    )


def _parameters(context: Mapping[str, Any]) -> dict[str, object]:
    chosen = params("pipeline_id", "dataset", "trials", "parallelism", "time_limit")
    experiment = context["params"]["experiment"]
    return {**chosen(context), "trials_experiment": experiment, "register": False}


tune()
