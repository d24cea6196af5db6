"""From raw files with gaps to a verdict and a prediction: fills and categories of train."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mlflow
import pandas as pd
import pytest
import yaml
from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as F

from tests.steps.calling import scores_of

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from tests.steps.calling import Call

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("tracking")]

N_ROWS, N_CITIES = 900, 60
DESCRIPTION: dict[str, Any] = {
    "name": "patients",
    "columns": {
        "id": {"type": "int", "not_null": True},
        "age": {"type": "int"},
        "height": {"type": "double"},
        "smokes": {"type": "boolean"},
        "city": {"type": "string"},
        "clinic": {"type": "int"},
        "visits": {"type": "int"},
        "ill": {"type": "int", "allowed": [0, 1]},
    },
    "label": {"column": "ill"},
    "row_key": "id",
    "features": {
        "plain": ["age", "height", "smokes", "visits"],
        "categorical": ["city", "clinic"],
        "fill": {"age": "median", "height": "mean", "smokes": "most_frequent"}
        | {"city": "most_frequent", "clinic": "most_frequent", "visits": 0},
        "missing": ["age"],
        "categories": {"city": {"pool": 10}, "clinic": "target"},
    },
    "split": {"by": "hash", "train": 0.5, "validation": 0.25, "holdout": 0.25},
    "estimator": {"name": "DecisionTreeClassifier", "parameters": {"maxDepth": 3}},
    "search": {
        "trials": 2,
        "estimators": {"LogisticRegression": {"maxIter": {"choice": [3]}}},
    },
}


def patients(numbers: range) -> pd.DataFrame:
    """Rows of which every seventh has no age, and others have gaps elsewhere; the old are ill."""
    rows = []
    for number in numbers:
        age, noise = 20 + number * 31 % 60, number * 7919 % 101
        rows.append(
            {
                "id": number,
                "age": "" if number % 7 == 0 else age,
                "height": "" if number % 11 == 0 else 150 + number * 17 % 47 + 0.5,
                "smokes": "" if number % 13 == 0 else str(number % 3 == 0).lower(),
                "city": "" if number % 17 == 0 else f"city {number * number % N_CITIES}",
                "clinic": "" if number % 23 == 0 else age * 7 + number % 7,
                "visits": "" if number % 19 == 0 else number % 5,
                "ill": int(age + noise > 100),
            }
        )
    return pd.DataFrame(rows)


def test_gaps_are_filled_the_same_way_from_preprocess_to_predict(
    call: Call, spark: SparkSession, tmp_path: Path
) -> None:
    raw, described = tmp_path / "patients.csv", tmp_path / "patients.yaml"
    patients(range(N_ROWS)).to_csv(raw, index=False, header=False)
    described.write_text(yaml.safe_dump(DESCRIPTION, sort_keys=False))

    prepared = call("preprocess", input=raw, dataset=described)
    assert prepared.metrics["rows_read"] == N_ROWS
    assert prepared.metrics["quarantined"] == 0
    uri = prepared.tags["dataset_uri"].removeprefix("file:")
    train = pd.read_parquet(f"{uri}/splits/split=train")
    assert (train["age"].isna() == (train["id"] % 7 == 0)).all()
    assert (train["age_missing"] == train["age"].isna().astype(int)).all()
    assert (train["visits"].isna() == (train["id"] % 19 == 0)).all()

    trained, again = call("train"), call("train", seed=8, register="false")
    median = train["age"].quantile(interpolation="lower")
    assert f"age: a missing value counts as {median}, the median of train" in trained.err
    assert trained.metrics["auroc"] == again.metrics["auroc"] > 0.6  # a tree has no use for a seed
    call("tune")
    tested = call("ab_test")
    scores = scores_of(tested).set_index("key")["champion"].sort_index()

    made = call("predict", input=raw, model="models:/patients/1")
    written = pd.read_parquet(made.tags["predictions_uri"].removeprefix("file:"))
    found = written.set_index("key")["score"]
    assert (len(found), made.metrics["quarantined"]) == (N_ROWS, 0)
    assert found.loc[scores.index].tolist() == pytest.approx(scores.tolist(), rel=1e-12)

    loaded = mlflow.spark.load_model("models:/patients/1")
    holdout = (
        spark.read.parquet(f"{uri}/splits/split=holdout")
        .drop("visits")
        .withColumn("visits", F.lit(None).cast("int"))
    )
    score = vector_to_array(F.col("probability")).getItem(1).alias("score")
    table = loaded.transform(holdout).select("id", score).toPandas().set_index("id")
    assert len(table) == len(scores)
    assert table["score"].between(0, 1).all()
    filled = [number for number in scores.index if number % 19 == 0]
    assert table["score"].loc[filled].tolist() == pytest.approx(scores.loc[filled].tolist())
