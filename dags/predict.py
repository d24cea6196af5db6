"""Score new rows with the champion: every day, and at once when there is a new champion.

One step, `predict`: one row with score, prediction and model version for each raw row, in a folder
of its own under the data root; its MLflow run names the folder (tag `predictions_uri`) and counts
what went to quarantine. A retried task finds a finished run and scores nothing twice.

**Input**: Param `input`, else Variable `retraining_predict_input`, else all that is trained on.
Rolling features look back into Param `history` or Variable `retraining_predict_history`.

| red | what to do |
|---|---|
| no model was registered, the registry has no ... | let `retrain` run first |
| no files | nothing has arrived; clear the task when it has |
| a column is missing | the raw format has changed: mend it, or describe the data anew and retrain |
| any other | as in the docs of `retrain` |

**A wrong champion scored**: roll back (docs of `retrain`), then trigger this DAG: all is scored
again by the champion that serves now, in another folder.
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
        "Scores of the champion, with bad rows in quarantine.",
        timeout=timedelta(hours=6),
        parameters=_parameters,
    )


def _parameters(context: Mapping[str, Any]) -> dict[str, object]:
    """Of the step; a new champion that has started the DAG run names its model."""
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
