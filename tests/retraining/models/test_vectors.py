"""Fills and categories: fitted on train alone, and kept with the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.util import JavaMLReader
from pyspark.sql import functions as F

from retraining.data import features
from retraining.errors import RetrainingError
from retraining.models import evaluation, pipelines, scoring, vectors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from retraining.description.document import Description

    Describe = Callable[..., Description]
    People = Callable[[int], DataFrame]

pytestmark = pytest.mark.spark

SCHEMA = "key int, city string, zone int, age int, height double, tall boolean, ill int"
TRAIN = [
    (0, "Oslo", 1, 20, 150.0, True, 0),
    (1, "Oslo", 1, 30, 160.5, True, 1),
    (2, "it's \\ __THIS__", 2, 31, float("nan"), False, 0),
    (3, "it's \\ __THIS__", 2, None, 170.0, None, 1),
    (4, None, None, 90, None, True, 0),
    (5, "Bergen", 3, 90, 171.0, True, 1),
]
COLUMNS = {"key": "int", "city": "string", "zone": "int", "age": "int", "height": "double"} | {
    "tall": "boolean",
    "ill": "int",
}
# Values that are nowhere in train, and none at all.
LATER = [(10, None, None, None, None, None, 0), (11, "Paris", 7, 40, float("nan"), False, 1)]


def of(describe: Describe, **sections: Any) -> Description:  # noqa: ANN401
    """The description of `TRAIN`; keyword arguments replace keys of `features`."""
    inputs = {"plain": ["age", "height", "tall"], "categorical": ["city", "zone"], **sections}
    columns = {name: {"type": kind} for name, kind in COLUMNS.items()}
    return describe(columns=columns, features=inputs)


def vector(model: PipelineModel, rows: DataFrame) -> dict[int, list[float]]:
    found = model.transform(rows).select("key", "features").collect()
    return {row["key"]: row["features"].toArray().tolist() for row in found}


FILLS = {"age": "median", "height": "mean", "tall": "most_frequent", "city": "most_frequent"}


def test_fills_are_taken_from_train(
    spark: SparkSession, describe: Describe, tmp_path: Path
) -> None:
    """Age 20, 30, 31, 90, 90: 31; height 163 - of 4; two cities twice: the first by alphabet."""
    description = of(describe, fill={**FILLS, "zone": 9})
    train, later = spark.createDataFrame(TRAIN, SCHEMA), spark.createDataFrame(LATER, SCHEMA)
    fitted = vectors.fit(train, description, linear=False)
    fitted.save(str(tmp_path / "model"))
    reader: Any = JavaMLReader(PipelineModel)  # type: ignore[arg-type]
    loaded = reader.session(spark).load(str(tmp_path / "model"))

    mean = (150 + 160.5 + 170 + 171) / 4
    # Cities by frequency: Oslo 3 with the fill, it's 2, Bergen 1, others; zones 1, 2, 3, 9, others.
    for model in (fitted, loaded):
        assert vector(model, train)[4] == [90.0, mean, 1.0, 0.0, 3.0]
        assert vector(model, train)[3] == [31.0, 170.0, 1.0, 1.0, 1.0]
        assert vector(model, later)[10] == [31.0, mean, 1.0, 0.0, 3.0]
        assert vector(model, later)[11] == [40.0, mean, 0.0, 3.0, 4.0]


def test_a_fill_that_train_did_not_need_is_there_for_later_rows(
    spark: SparkSession, describe: Describe
) -> None:
    description = of(describe, fill={**FILLS, "zone": 9}, missing=["age"])
    complete = [row for row in TRAIN if None not in row and row[4] == row[4]]
    frame = spark.createDataFrame(complete, SCHEMA).withColumn("age_missing", F.lit(0))
    prepared = pipelines.prepare(frame, description, pipelines.ClassWeights(1.0, 1.0), 3)
    classifier = pipelines.estimator("LogisticRegression", {"maxIter": 2}, 7)
    model = pipelines.fit(prepared, description, classifier)

    later = spark.createDataFrame(LATER, SCHEMA).withColumn("age_missing", F.lit(1))
    scored = scoring.score(later, model, description.feature_columns).collect()
    assert [0 < row["score"] < 1 for row in scored] == [True, True]
    assert vectors.slots([*model.stages[:-1]])[:4] == ["age", "height", "tall", "city"]


def test_train_without_a_value_has_no_median(spark: SparkSession, describe: Describe) -> None:
    empty = spark.createDataFrame(TRAIN[:3], SCHEMA).withColumn("age", F.lit(None).cast("int"))
    for statistic in ("median", "mean", "most_frequent"):
        with pytest.raises(RetrainingError, match=f"age has no value in train.*{statistic}"):
            vectors.fit(empty, of(describe, fill={**FILLS, "age": statistic}), linear=False)


@pytest.mark.parametrize("linear", [False, True])
def test_rare_categories_are_pooled(
    spark: SparkSession, describe: Describe, *, linear: bool
) -> None:
    """Of 20 cities with 1 to 20 rows the five largest are kept; the rest are one category."""
    rows = [(f"city {n:02}", n % 2) for n in range(20) for _ in range(n + 1)]
    frame = spark.createDataFrame(rows, "city string, ill int").withColumn("key", F.lit(0))
    columns = {"key": {"type": "int"}, "city": {"type": "string"}, "ill": {"type": "int"}}
    description = describe(
        columns=columns, features={"categorical": ["city"], "categories": {"city": {"pool": 5}}}
    )
    model = vectors.fit(frame, description, linear=linear)
    asked = [(19, "city 19"), (15, "city 15"), (14, "city 14"), (0, "city 00"), (99, "nowhere")]
    found = vector(model, spark.createDataFrame(asked, "key int, city string"))
    if linear:
        assert found[19] == [1, 0, 0, 0, 0]
        assert found[15] == [0, 0, 0, 0, 1]
        assert found[14] == found[0] == found[99] == [0, 0, 0, 0, 0]
    else:
        assert found == {19: [0], 15: [4], 14: [5], 0: [5], 99: [5]}


def test_hashed_categories_have_so_many_buckets(spark: SparkSession, describe: Describe) -> None:
    rows = spark.range(500).selectExpr("id AS key", "'city ' || id AS city", "id % 2 AS ill")
    columns = {"key": {"type": "int"}, "city": {"type": "string"}, "ill": {"type": "int"}}
    rule = {"city": {"hash": 8}}
    description = describe(columns=columns, features={"categorical": ["city"], "categories": rule})
    model = vectors.fit(rows, description, linear=False)

    assert sorted({bucket for (bucket,) in vector(model, rows).values()}) == [*range(8)]
    some = rows.where("key < 20").repartition(3)
    assert vector(model, some) == {k: v for k, v in vector(model, rows).items() if k < 20}


def test_too_many_categories_are_named(describe: Describe, people: People) -> None:
    rows = people(60).withColumn("city", F.concat(F.lit("city "), F.col("key") % 40))
    prepared = pipelines.prepare(rows, describe(), pipelines.ClassWeights(1.0, 1.0), 60)
    tree = pipelines.estimator("DecisionTreeClassifier", {}, 7)

    with pytest.raises(RetrainingError, match=r"city has 40 values in train.*maxBins=32 .* 31"):
        pipelines.fit(prepared, describe(), tree)


def test_features_may_have_the_names_that_spark_and_the_library_use(
    spark: SparkSession, describe: Describe
) -> None:
    plain = [
        "label",
        "weight",
        "count",
        "value",
        "champion",
        "challenger",
        "unit",
        "rows",
        "select",
    ]
    types = dict.fromkeys(plain, "double") | {"id": "int", "index": "string", "target": "int"}
    description = describe(
        columns={name: {"type": kind} for name, kind in types.items()},
        label={"column": "target"},
        row_key="id",
        features={
            "plain": plain,
            "categorical": ["index"],
            "derived": {"mean": "count + value"},
            "fill": {**dict.fromkeys(plain, "median"), "index": "most_frequent", "mean": "mean"},
            "missing": ["label", "index"],
            "categories": {"index": {"pool": 1}},
        },
    )
    columns = [f"CAST(id % {n + 2} AS DOUBLE) AS `{name}`" for n, name in enumerate(plain)]
    frame = spark.range(60).selectExpr(
        "CAST(id AS INT) AS id", *columns, "'a' || id % 3 AS index", "CAST(id % 2 AS INT) AS target"
    )
    rows = features.add(frame, description)
    prepared = pipelines.prepare(rows, description, pipelines.ClassWeights(1.0, 1.0), 60)
    tree = pipelines.estimator("DecisionTreeClassifier", {"maxDepth": 3}, 7)
    model = pipelines.fit(prepared, description, tree)
    scored = prepared
    for name in ("_champion", "score"):
        scored = scoring.score(scored, model, description.feature_columns, name=name)
        scored = scored.drop("prediction")

    assert set(pipelines.importances(model)) == set(description.feature_columns)
    assert evaluation.evaluate(scored)["auroc"] > 0.9  # `label` is id % 2, as the target is
    assert scored.where("_champion = score").count() == 60
