"""Parameters of estimators: what is accepted without Spark is what Spark accepts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import IllegalArgumentException
from pyspark.ml.param import TypeConverters

from retraining.description import estimators
from retraining.description.estimators import PARAMETERS, Parameter
from retraining.description.reading import from_mapping, load
from retraining.description.search import EstimatorName
from retraining.errors import RetrainingError
from retraining.models import pipelines

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DATASETS = Path(__file__).parents[3] / "steps" / "datasets"
CONVERTERS = {
    TypeConverters.toInt: int,
    TypeConverters.toFloat: float,
    TypeConverters.toBoolean: bool,
    TypeConverters.toString: str,
}
# Columns and the seed are set by the library; a list or matrix cannot be written.
OTHERS = {"seed", "thresholds"} | {
    f"{side}BoundsOn{what}"
    for side in ("lower", "upper")
    for what in ("Coefficients", "Intercepts")
}


def refused(classifier: Any, name: str, value: object) -> bool:  # noqa: ANN401 (of Spark)
    """Whether Spark itself refuses a value, in Python or in Java."""
    tried = classifier.copy()
    try:
        tried.set(tried.getParam(name), value)
        tried._transfer_params_to_java()
    except (TypeError, ValueError, IllegalArgumentException, Py4JJavaError):
        return True
    return False


def beyond(parameter: Parameter) -> list[float]:
    """Values just outside the range, and the open ends."""
    step = 1 if parameter.type is int else 1e-6
    found = []
    if parameter.low > float("-inf"):
        found.append(parameter.low if parameter.open_low else parameter.low - step)
    if parameter.high < 2**31 - 1:
        found.append(parameter.high if parameter.open_high else parameter.high + step)
    return [value for value in found if value != parameter.other]


def within(parameter: Parameter) -> list[float]:
    """The ends of the range, and what is accepted outside."""
    step = 1 if parameter.type is int else 1e-6
    found = [parameter.low + step * parameter.open_low]
    if parameter.high < 2**31 - 1:
        found.append(parameter.high - step * parameter.open_high)
    return found if parameter.other is None else [*found, parameter.other]


@pytest.mark.spark
@pytest.mark.parametrize("name", get_args(EstimatorName))
def test_the_table_says_what_spark_says(spark: SparkSession, name: EstimatorName) -> None:
    classifier: Any = pipelines.estimator(name, {}, 7)
    params = {
        param.name: param
        for param in classifier.params
        if not param.name.endswith("Col") and param.name not in OTHERS
    }
    table = PARAMETERS[name]
    assert set(table) == set(params)
    for key, parameter in table.items():
        assert CONVERTERS[params[key].typeConverter] is parameter.type, key
        default = classifier.getOrDefault(key)
        assert parameter.complaint(default) == "", key
        if parameter.type in (int, float):
            kind = parameter.type
            assert not any(refused(classifier, key, kind(value)) for value in within(parameter))
            assert all(refused(classifier, key, kind(value)) for value in beyond(parameter)), key
            assert all(parameter.complaint(kind(value)) for value in beyond(parameter)), key
            assert not any(parameter.complaint(kind(value)) for value in within(parameter)), key


@pytest.mark.spark
def test_the_texts_are_those_that_spark_takes(spark: SparkSession) -> None:
    forest = pipelines.estimator("RandomForestClassifier", {}, 7)
    for name in ("impurity", "featureSubsetStrategy"):
        parameter = PARAMETERS["RandomForestClassifier"][name]
        for value in ("gini", "Entropy", "variance", "all", "3", "0.5", "1.0", "0", "1.5", "half"):
            assert refused(forest, name, value) == bool(parameter.complaint(value)), (name, value)


def test_the_examples_have_no_problems() -> None:
    for name in ("fraud", "drivers"):
        assert list(estimators.find_problems(load(DATASETS / f"{name}.yaml"))) == []


GBT, FOREST = "search.estimators.GBTClassifier", "search.estimators.RandomForestClassifier"


@pytest.mark.parametrize(
    ("key", "value", "phrases"),
    [
        ("estimator.parameters.maxDpeth", 5, ("'maxDpeth'", "did you mean maxDepth?", "maxBins")),
        ("estimator.parameters.maxdepth", 5, ("did you mean maxDepth?",)),
        ("estimator.parameters.regParam", 0.1, ("GBTClassifier has no parameter 'regParam'",)),
        ("estimator.parameters.seed", 7, ("--seed",)),
        ("estimator.parameters.maxDepth", 31, ("31, allowed: a whole number from 0 to 30",)),
        ("estimator.parameters.maxDepth", 2.5, ("2.5, allowed: a whole number",)),
        ("estimator.parameters.maxDepth", "deep", ("'deep', allowed: a whole number",)),
        ("estimator.parameters.maxDepth", True, ("True, allowed: a whole number",)),
        ("estimator.parameters.maxIter", 2**31, ("2147483648, allowed",)),
        ("estimator.parameters.stepSize", 0, ("0, allowed: a number above 0 to 1",)),
        ("estimator.parameters.cacheNodeIds", 1, ("1, allowed: true or false",)),
        ("estimator.parameters.checkpointInterval", 0, ("from 1 or -1",)),
        ("estimator.parameters.impurity", "gini", ("'gini', allowed: variance",)),
        (f"{GBT}.maxdept", {"choice": [3]}, ("did you mean maxDepth?",)),
        (f"{GBT}.maxDepth.quniform", [3, 40, 1], ("40, allowed", "to 30")),
        (f"{GBT}.maxDepth.quniform", [3, 5, 0.5], ("step 0.5",)),
        (f"{GBT}.stepSize.loguniform", [0.05, 3], ("3.0, allowed", "to 1")),
        (f"{FOREST}.maxDepth", {"uniform": [2, 8]}, ("fractions", "quniform")),
        (f"{FOREST}.impurity", {"randint": [2, 8]}, ("a choice of entropy, gini",)),
        (f"{FOREST}.impurity", {"choice": ["gini", "log"]}, ("'log', allowed: entropy, gini",)),
    ],
)
def test_a_wrong_parameter_is_refused_when_the_description_is_read(
    key: str, value: object, phrases: tuple[str, ...]
) -> None:
    mapping = load(DATASETS / "drivers.yaml").to_mapping()
    *parents, last = key.split(".")
    inner: Any = mapping
    for parent in parents:
        inner = inner.setdefault(parent, {})
    inner[last] = value
    with pytest.raises(RetrainingError) as caught:
        from_mapping(mapping)

    assert f"{key}" in str(caught.value)
    assert all(phrase in str(caught.value) for phrase in phrases), str(caught.value)
    assert str(caught.value).count(key) == 1


def test_the_limit_of_categories_is_that_of_the_smallest_trees() -> None:
    mapping = load(DATASETS / "drivers.yaml").to_mapping()
    spaces = {"maxBins": {"choice": [256, 64]}}
    mapping["search"]["estimators"] = {"GBTClassifier": spaces, "LogisticRegression": {}}

    assert estimators.category_limits(from_mapping(mapping)) == {
        "estimator.parameters.maxBins=32": 31,
        "search.estimators.GBTClassifier.maxBins=64": 63,
        "one-hot encoding (LogisticRegression)": 10_000,
    }
