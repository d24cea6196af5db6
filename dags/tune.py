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

from airflow.sdk import Param, dag

import mlflow_project
import mlflow_server
from mlflow_project import optional, step


@dag(
    dag_id="optimise",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(days=2),
    default_args=mlflow_project.DEFAULTS,
    user_defined_macros=mlflow_server.MACROS,
    user_defined_filters=mlflow_project.FILTERS,
    tags=["retraining", "mlflow"],
    params={
        "experiment": Param("optimise", type="string", minLength=1, description="Made if absent."),
        "pipeline_id": optional("string", "Cycle whose data is used. Empty: the newest."),
        "dataset": optional("string", "Another description of the same data, for its search."),
        "trials": optional("integer", "Trials of the search. Empty: as described.", minimum=1),
        "parallelism": optional("integer", "Trials at the same time.", minimum=1),
        "time_limit": optional("integer", "Stop after so many seconds.", minimum=0),
    },
)
def optimise() -> None:
    """Tuning without consequence."""
    step(
        "tune",
        "A search; its run shows the best parameters, its child runs the trials.",
        timeout=timedelta(hours=18),
        experiment="params.experiment",
        trials_experiment="params.experiment",
        register="'false'",
        pipeline_id="params.pipeline_id",
        dataset="params.dataset",
        trials="params.trials",
        parallelism="params.parallelism",
        time_limit="params.time_limit",
    )


optimise()
