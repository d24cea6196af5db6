"""Models as MLflow keeps them: complete, and the same after loading."""

from __future__ import annotations

import json
from importlib import metadata
from typing import TYPE_CHECKING

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import load_text
from mlflow.models import get_model_info

from retraining.errors import RetrainingError
from retraining.models import pipelines, scoring, store
from retraining.tracking import registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from retraining.description.document import Description

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("tracking")]


def test_model_comes_back_with_all_that_travels_with_it(
    spark: SparkSession,
    describe: Callable[..., Description],
    people: Callable[[int], DataFrame],
) -> None:
    description = describe(scaler="standard", class_weights="balanced")
    rows = people(60).cache()
    prepared = pipelines.prepare(rows, description, pipelines.ClassWeights(1.0, 2.0), 60)
    classifier = pipelines.estimator("LogisticRegression", {"maxIter": 2}, 7)
    model = pipelines.fit(prepared, description, classifier)
    scored = scoring.score(rows, model, description.feature_columns)
    training = {"data": "/d/v1", "trained_until": "2026-03-01T00:00:00+00:00"}

    with mlflow.start_run() as run:
        uri = store.log_model(model, description, scored, training, "data")
    version = registry.register("people", uri, run.info.run_id, once={"identity": "a"}, more={})
    loaded = store.load(version, spark, "data")

    assert (loaded.version.version, loaded.uri) == (version.version, "models:/people/1")
    assert loaded.training == training
    assert loaded.description == description
    assert list(loaded.description.columns) == list(description.columns)
    again = scoring.score(rows, loaded.model, loaded.description.feature_columns)
    columns = ["key", "score", "prediction"]
    assert again.select(columns).collect() == scored.select(columns).collect()

    info = get_model_info(uri)
    assert info.signature is not None
    assert info.signature.inputs.input_names() == ["age", "height", "city"]
    assert info.signature.outputs.input_names() == ["score"]
    example = json.loads(load_text(f"{uri}/input_example.json"))
    assert example["columns"] == ["age", "height", "city"]
    assert len(example["data"]) == 5
    requirements = load_text(f"{uri}/requirements.txt").split()
    assert f"pyspark=={metadata.version('pyspark')}" in requirements
    assert f"mlflow=={mlflow.__version__}" in requirements
    rows.unpersist()


def test_version_without_a_description_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {}\nmetadata: {team: another}\n")
    MlflowClient().create_registered_model("foreign")
    version = MlflowClient().create_model_version("foreign", tmp_path.as_uri())

    with pytest.raises(RetrainingError, match=r"^models:/foreign/1 carries no data set descrip"):
        store.load(version, spark, "data")
