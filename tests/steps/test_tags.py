"""What steps leave in MLflow has tags that are documented."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient

from tests.project.test_tags import is_known

if TYPE_CHECKING:
    from tests.steps.calling import Call, Cycle

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("store")]


def test_every_tag_of_a_cycle_is_documented(call: Call, cycle: Cycle) -> None:
    call("promote")
    call("predict", input=cycle.raw)
    client = MlflowClient()
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    models = client.search_registered_models()
    carriers = [run.data.tags for run in client.search_runs(experiments)]
    carriers += [model.tags for model in models]
    carriers += [version.tags for version in client.search_model_versions()]

    names = {name for tags in carriers for name in tags if not name.startswith("mlflow.")}
    assert len(models) == 1
    assert len(names) > 30
    assert not {name for name in names if not is_known(name)}
