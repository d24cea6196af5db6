"""Batch scoring of rows that hold every feature already."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from pyspark.sql import functions as F

from retraining.data.sources import list_files
from retraining.description.names import RESERVED
from retraining.models import pipelines
from retraining.models.prediction import predict
from retraining.models.store import LoadedModel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from retraining.description.document import Description

pytestmark = pytest.mark.spark


def test_rows_may_have_columns_of_any_names_beside_the_features(
    spark: SparkSession,
    tmp_path: Path,
    describe: Callable[..., Description],
    people: Callable[[int], DataFrame],
) -> None:
    """An earlier prediction, for example, has left its score and prediction with the rows."""
    derived = {"plain": ["age"], "categorical": ["city"], "derived": {"large": "height > 170"}}
    description = describe(features=derived)
    rows = people(60).withColumn("large", F.expr("height > 170")).drop("height", "ill")
    weights = pipelines.ClassWeights(1.0, 1.0)
    train = pipelines.prepare(rows.withColumn("ill", F.col("key") % 2), description, weights, 60)
    model = pipelines.fit(train, description, pipelines.estimator("LogisticRegression", {}, seed=1))
    version = cast("Any", SimpleNamespace(name="people", version="1"))
    loaded = LoadedModel(version, model, description, {})
    scored = {}
    for name, more in (("plain", ()), ("crowded", RESERVED)):
        frame = rows.select("*", *(F.lit("x").alias(other) for other in more))
        frame.write.parquet(str(tmp_path / f"{name}.parquet"))
        files = list_files(spark, str(tmp_path / f"{name}.parquet"))
        output = str(tmp_path / f"scores of {name}")
        scored[name] = predict(spark, loaded, files=files, history=(), folder=output, run_id="run")
    assert scored["crowded"].n_rows == 60
    assert scored["crowded"].fingerprint == scored["plain"].fingerprint
