"""Score new rows with the champion: every day, and as soon as there is a new champion.

One step, `predict`: for each raw row it writes the score, the prediction and the version of the
model, to a folder of its own under the data root. The tag `predictions_uri` of its MLflow run names
the folder; its metrics count the rows in quarantine. A retried task finds a run that has finished
and scores nothing twice.

**Input**: the Param `input`, otherwise the Variable `retraining_predict_input`, otherwise the files
that `retrain` reads. Rolling features look back into the Param `history`, otherwise the Variable
`retraining_predict_history`, otherwise the days that `retrain` prepared last.

| red | what to do |
|---|---|
| no model has been registered, the registry has no ... | run `retrain` first |
| no files | nothing has arrived yet; clear the task when it has |
| a column is missing | the raw format changed: fix it, or change the description and retrain |
| any other | see the docs of `retrain` |

**A bad champion scored**: roll back (see the docs of `retrain`), then trigger this DAG. It scores
the same rows again with the current champion, to another folder.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import AssetOrTimeSchedule, dag

import mlflow_project
from mlflow_project import CHAMPION, optional
from mlflow_step import step, variable

if TYPE_CHECKING:
    from collections.abc import Mapping


@dag(
    dag_id="predict",
    doc_md=__doc__,
    schedule=AssetOrTimeSchedule(
        timetable=mlflow_project.schedule("0 6 * * *", every=timedelta(days=1)), assets=[CHAMPION]
    ),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=12),
    default_args=mlflow_project.DEFAULTS,
    tags=["retraining", "mlflow"],
    params={
        "input": optional("string", "Raw files. Empty: Variable retraining_predict_input."),
        "history": optional("string", "Earlier rows. Empty: Variable retraining_predict_history."),
        "model_name": mlflow_project.MODEL_NAME,
    },
)
def predict() -> None:
    """Batch scoring."""
    step(
        "predict",
        "Scores rows with the champion; bad rows go to quarantine.",
        timeout=timedelta(hours=6),
        parameters=_parameters,
    )


def _parameters(context: Mapping[str, Any]) -> dict[str, object]:
    """If a new champion started the DAG run, the model is that of the champion."""
    params = context["params"]
    champions = context["triggering_asset_events"].get(CHAMPION, [])
    return {
        "input": params["input"] or variable("predict_input") or variable("input"),
        "history": params["history"] or variable("predict_history"),
        "model_name": params["model_name"]
        or (champions[-1].extra.get("model_name", "") if champions else ""),
        "data_root": variable("data_root"),
    }


predict()
