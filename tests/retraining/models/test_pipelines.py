"""Pipelines: weights, rows that are ready for a fit, stages, and fits that repeat exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from retraining.description.names import LABEL
from retraining.errors import RetrainingError
from retraining.models import pipelines, scoring
from retraining.models.pipelines import WEIGHT, ClassWeights

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame

    from retraining.description.document import Description

    Describe = Callable[..., Description]
    People = Callable[[int], DataFrame]

pytestmark = pytest.mark.spark

EQUAL = ClassWeights(1.0, 1.0)
N_ROWS = 400
QUICK: dict[str, dict[str, object]] = {
    "RandomForestClassifier": {"numTrees": 3, "maxDepth": 3, "subsamplingRate": 0.7},
    "GBTClassifier": {"maxIter": 2, "maxDepth": 2, "subsamplingRate": 0.7},
    "DecisionTreeClassifier": {"maxDepth": 2},
    "LogisticRegression": {"maxIter": 3},
}


def fit(
    rows: DataFrame, description: Description, name: str, seed: int = 7, **parameters: object
) -> PipelineModel:
    prepared = pipelines.prepare(rows, description, EQUAL, N_ROWS).cache()
    classifier = pipelines.estimator(name, QUICK[name] | parameters, seed)
    try:
        return pipelines.fit(prepared, description, classifier)
    finally:
        prepared.unpersist()


def content(model: PipelineModel) -> object:
    """What was learnt, without the name that Spark makes up for each object."""
    classifier: Any = model.stages[-1]
    if hasattr(classifier, "coefficients"):
        return [*classifier.coefficients.toArray().tolist(), classifier.intercept]
    return classifier.toDebugString.split("\n", 1)[1]


def stage_names(model: PipelineModel) -> list[str]:
    return [type(stage).__name__ for stage in model.stages]


def test_class_weights_balance_the_classes(describe: Describe) -> None:
    """1,000 rows, 50 positive: 1,000 / (2 * 950) and 1,000 / (2 * 50)."""
    weights = pipelines.class_weights(describe(class_weights="balanced"), 1000, 50)

    assert weights == pytest.approx((0.5263157894736842, 10.0))
    assert 950 * weights.negative == pytest.approx(50 * weights.positive)
    assert pipelines.class_weights(describe(), 1000, 50) == EQUAL


@pytest.mark.parametrize("n_positives", [0, 10])
@pytest.mark.parametrize("kind", ["none", "balanced"])
def test_train_of_one_class_is_refused(describe: Describe, kind: str, n_positives: int) -> None:
    with pytest.raises(RetrainingError, match=f"train has {n_positives} positives in 10 rows"):
        pipelines.class_weights(describe(class_weights=kind), 10, n_positives)


def test_empty_train_is_refused(describe: Describe) -> None:
    with pytest.raises(RetrainingError, match="train has 0 positives in 0 rows"):
        pipelines.class_weights(describe(), 0, 0)


@pytest.mark.parametrize("positive", [1, 0])
def test_prepare_adds_label_and_weight(describe: Describe, people: People, positive: int) -> None:
    description = describe(label={"column": "ill", "positive": positive})
    rows = pipelines.prepare(people(20), description, ClassWeights(0.5, 4.0), 20).collect()

    assert len(rows) == 20
    for row in rows:
        expected = float(row["ill"] == positive)
        assert (row[LABEL], row[WEIGHT]) == (expected, 4.0 if expected else 0.5)
    assert {row[LABEL] for row in rows} == {0.0, 1.0}


def test_prepare_multiplies_the_weights_of_class_and_row(
    describe: Describe, people: People
) -> None:
    description = describe(weight="age")
    rows = pipelines.prepare(people(20), description, ClassWeights(0.5, 4.0), 20).collect()

    for row in rows:
        assert row[WEIGHT] == row["age"] * (4.0 if row[LABEL] else 0.5)
    assert len({row[WEIGHT] for row in rows}) > 2


def test_a_row_of_weight_two_is_fitted_as_two_rows(describe: Describe, people: People) -> None:
    rows = people(100).withColumn("key", F.col("key") * 2)
    doubled = rows.withColumn("more", F.explode(F.expr("sequence(1, IF(key % 3 = 0, 2, 1))")))
    doubled = doubled.withColumn("key", F.col("key") + F.col("more") - 1)
    weighted = rows.withColumn("mass", F.expr("IF(key % 3 = 0, 2, 1)"))
    columns = describe().to_mapping()["columns"] | {"mass": {"type": "double"}}
    by_weight = describe(weight="mass", columns=columns)
    one, two = (
        fit(frame, description, "LogisticRegression", maxIter=50).stages[-1]
        for frame, description in ((weighted, by_weight), (doubled.drop("more"), describe()))
    )
    assert one.coefficients.toArray() == pytest.approx(two.coefficients.toArray(), abs=1e-6)  # type: ignore[attr-defined]


def test_prepare_lays_rows_out_by_their_key_alone(
    describe: Describe, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines, "ROWS_PER_PARTITION", 100)
    rows = people(N_ROWS)

    def laid_out(frame: DataFrame) -> list[Any]:
        prepared = pipelines.prepare(frame, describe(), EQUAL, N_ROWS)
        return prepared.withColumn("partition", F.spark_partition_id()).collect()

    first = laid_out(rows.coalesce(1))
    assert {row["partition"] for row in first} == {0, 1, 2, 3}
    for n_partitions in (2, 7, 200):
        mixed = rows.orderBy(F.rand(n_partitions)).repartition(n_partitions)
        assert laid_out(mixed) == first


def test_prepare_of_few_rows_makes_two_partitions(describe: Describe, people: People) -> None:
    prepared = pipelines.prepare(people(20).repartition(5), describe(), EQUAL, 20)

    assert prepared.rdd.getNumPartitions() == 2


@pytest.mark.parametrize("name", ["RandomForestClassifier", "GBTClassifier", "LogisticRegression"])
def test_fit_does_not_depend_on_the_partitioning_of_its_input(
    describe: Describe, people: People, name: str
) -> None:
    rows = people(N_ROWS)
    one = fit(rows.coalesce(1), describe(), name)
    seven = fit(rows.orderBy(F.rand(3)).repartition(7), describe(), name)

    assert content(one) == content(seven)
    assert len(str(content(one))) > 50


def test_fit_follows_the_seed(describe: Describe, people: People) -> None:
    rows = people(N_ROWS)
    seven, again, eight = (
        fit(rows, describe(), "RandomForestClassifier", seed) for seed in (7, 7, 8)
    )

    assert content(seven) == content(again)
    assert content(seven) != content(eight)


def test_stages_of_the_earlier_driver_system(describe: Describe, people: People) -> None:
    types = {"key": "bigint", "city": "string", "before": "string", "age": "int", "ill": "int"}
    description = describe(
        features={"plain": ["age"], "categorical": ["city", "before"]},
        columns={name: {"type": kind} for name, kind in types.items()},
    )
    rows = people(60).withColumn("before", F.lit("no"))
    model = fit(rows, description, "GBTClassifier", maxBins=16)

    assert pipelines.fitted_parameters(model, description) == {
        "input_columns": "['key', 'city', 'before', 'age', 'ill']",
        "target": "ill",
        "features": "['age', 'city', 'before']",
        "featureSubsetStrategy": "all",
        "impurity": "variance",
        "maxBins": "16",
        "maxDepth": "2",
        "maxIter": "2",
        "minInstancesPerNode": "1",
        "stepSize": "0.1",
        "subsamplingRate": "0.7",
        "stage_0": "StringIndexerModel",
        "stage_1": "StringIndexerModel",
        "stage_2": "VectorAssembler",
        "stage_3": "GBTClassificationModel",
    }


@pytest.mark.parametrize(
    ("name", "scaler", "expected"),
    [
        ("LogisticRegression", "none", ["StringIndexer", "OneHotEncoder", "VectorAssembler"]),
        (
            "LogisticRegression",
            "standard",
            ["StringIndexer", "OneHotEncoder", "VectorAssembler", "StandardScaler"],
        ),
        ("DecisionTreeClassifier", "minmax", ["StringIndexer", "VectorAssembler", "MinMaxScaler"]),
    ],
)
def test_categories_are_one_hot_for_linear_models_only(
    describe: Describe, people: People, name: str, scaler: str, expected: list[str]
) -> None:
    model = fit(people(60), describe(scaler=scaler), name)

    made = [stage.removesuffix("Model") for stage in stage_names(model)]
    assert made == [*expected, name.replace("Classifier", "Classification")]


@pytest.mark.parametrize("name", ["LogisticRegression", "DecisionTreeClassifier"])
def test_unseen_category_is_scored(describe: Describe, people: People, name: str) -> None:
    description = describe()
    model = fit(people(60), description, name)
    rows = people(4).withColumn("city", F.when(F.col("key") < 2, "Paris").otherwise(F.col("city")))

    scored = scoring.score(rows, model, description.feature_columns).collect()

    assert len(scored) == 4
    assert all(0 <= row["score"] <= 1 for row in scored)


def test_weights_change_the_fit(describe: Describe, people: People) -> None:
    description = describe()
    heavy = pipelines.prepare(people(N_ROWS), description, ClassWeights(1.0, 9.0), N_ROWS)
    classifier = pipelines.estimator("LogisticRegression", {"maxIter": 3}, 7)

    weighted = pipelines.fit(heavy, description, classifier)
    assert content(weighted) != content(fit(people(N_ROWS), description, "LogisticRegression"))


@pytest.mark.parametrize(
    ("name", "key", "value", "expected"),
    [
        ("GBTClassifier", "numTrees", 5, "has no parameter 'numTrees': allowed: .*maxIter"),
        ("LogisticRegression", "maxDepth", 5, "has no parameter 'maxDepth'"),
        ("GBTClassifier", "maxDepth", "deep", "GBTClassifier: maxDepth='deep': "),
        ("GBTClassifier", "maxDepth", 2.5, "GBTClassifier: maxDepth=2.5: "),
    ],
)
def test_estimator_refuses_a_wrong_parameter(
    name: str, key: str, value: object, expected: str
) -> None:
    with pytest.raises(RetrainingError, match=expected):
        pipelines.estimator(name, {key: value}, 7)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"maxDepth": -1}, "DecisionTreeClassifier: .*maxDepth given invalid value -1"),
        ({"maxBins": 2}, "city has 3 values in train, and maxBins=2 has room for 1"),
    ],
)
def test_fit_reports_in_one_line_what_spark_rejects(
    describe: Describe, people: People, parameters: dict[str, object], expected: str
) -> None:
    with pytest.raises(RetrainingError, match=expected) as caught:
        fit(people(60), describe(), "DecisionTreeClassifier", 7, **parameters)
    assert "\n" not in str(caught.value)


def test_seed_of_the_step_wins_where_there_is_one() -> None:
    forest = pipelines.estimator("RandomForestClassifier", {"seed": 1}, 7)
    linear = pipelines.estimator("LogisticRegression", {}, 7)

    assert forest.getOrDefault("seed") == 7
    assert not linear.hasParam("seed")


@pytest.mark.parametrize("scaler", ["none", "standard"])
@pytest.mark.parametrize("name", QUICK)
def test_importances_are_by_column_and_add_up(
    describe: Describe, people: People, name: str, scaler: str
) -> None:
    description = describe(scaler=scaler)
    model = fit(people(N_ROWS), description, name)
    shares = pipelines.importances(model)

    if name == "LogisticRegression" and scaler == "none":
        assert shares == {}  # a coefficient by cent is not one by year
        return
    assert set(shares) == set(description.feature_columns)
    assert sum(shares.values()) == pytest.approx(1)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    values = getattr(model.stages[-1], "featureImportances", None)
    if values is not None:
        expected = dict(zip(description.feature_columns, values.toArray(), strict=True))
        assert shares == pytest.approx(expected)
