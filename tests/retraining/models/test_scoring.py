"""Scores: the probability of the positive class, whatever a model calls raw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pyspark.ml import Pipeline
from pyspark.ml.classification import DecisionTreeClassifier
from pyspark.ml.feature import VectorAssembler

from retraining.errors import RetrainingError
from retraining.models import scoring

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

# Rows by x and label. A tree makes a leaf of each x.
LEAVES = {0.0: (20, 0), 1.0: (10, 20), 2.0: (32, 28)}


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    values = [
        (f"{x}-{label}-{i}", x, float(label))
        for x, counts in LEAVES.items()
        for label in (0, 1)
        for i in range(counts[label])
    ]
    return spark.createDataFrame(values, "key string, x double, _label double").coalesce(2)


@pytest.fixture(scope="module")
def model(rows: DataFrame) -> PipelineModel:
    tree = DecisionTreeClassifier(labelCol="_label", featuresCol="inputs", maxDepth=2, seed=1)
    return Pipeline(stages=[VectorAssembler(inputCols=["x"], outputCol="inputs"), tree]).fit(rows)


def test_score_is_the_probability_not_the_count_of_a_leaf(
    rows: DataFrame, model: PipelineModel
) -> None:
    """The raw prediction of a tree counts rows, and so ranks the largest leaf first."""
    scored = scoring.score(rows, model, ["x"]).select("x", "score").distinct().collect()
    by_x = {row["x"]: row["score"] for row in scored}
    assert by_x == {0.0: 0.0, 1.0: pytest.approx(20 / 30), 2.0: pytest.approx(28 / 60)}

    raw = model.transform(rows).select("x", "rawPrediction").distinct().collect()
    assert {row["x"]: row["rawPrediction"][1] for row in raw} == {0.0: 0.0, 1.0: 20.0, 2.0: 28.0}


def test_score_adds_two_columns_and_keeps_every_row(rows: DataFrame, model: PipelineModel) -> None:
    scored = scoring.score(rows, model, ["x"])

    types = {field.name: field.dataType.simpleString() for field in scored.schema}
    assert types == {
        "key": "string",
        "x": "double",
        "_label": "double",
        "score": "double",
        "prediction": "int",
    }
    assert scored.count() == 110
    assert {row["prediction"] for row in scored.where("x = 1.0").collect()} == {1}


def test_second_model_can_score_the_same_rows(rows: DataFrame, model: PipelineModel) -> None:
    first = scoring.score(rows, model, ["x"], name="champion").drop("prediction")
    both = scoring.score(first, model, ["x"], name="challenger")

    assert both.columns == ["key", "x", "_label", "champion", "challenger", "prediction"]
    assert both.where("champion = challenger").count() == 110


def test_features_that_the_rows_lack_are_named(rows: DataFrame, model: PipelineModel) -> None:
    with pytest.raises(RetrainingError, match="age, city"):
        scoring.score(rows, model, ["age", "x", "city"])
