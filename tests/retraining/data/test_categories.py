"""Categorical features with too many values are named before a model is fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retraining.data import categories
from retraining.data.files.sources import list_files
from retraining.data.preparation import prepare
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from retraining.description.document import Description

    Describe = Callable[..., Description]

pytestmark = pytest.mark.spark

TREE: dict[str, Any] = {"name": "DecisionTreeClassifier", "parameters": {"maxBins": 64}}


def cities(spark: SparkSession, n_cities: int) -> DataFrame:
    return spark.range(300).selectExpr(f"'city ' || (id % {n_cities}) AS city")


@pytest.mark.parametrize("n_cities", [63, 64, 250])
def test_trees_take_one_category_fewer_than_bins(
    spark: SparkSession, describe: Describe, n_cities: int
) -> None:
    """The last bin is for values that were not in train."""
    rows, description = cities(spark, n_cities), describe(estimator=TREE)
    if n_cities < 64:
        categories.check(rows, description)
        return
    phrase = rf"city has {n_cities}\), estimator.parameters.maxBins=64 can take 63"
    with pytest.raises(RetrainingError, match=phrase) as caught:
        categories.check(rows, description)
    assert "{city: {pool: 31}}" in str(caught.value)


def test_the_smallest_trees_of_a_search_decide(spark: SparkSession, describe: Describe) -> None:
    spaces = {"GBTClassifier": {"maxIter": {"choice": [5]}}}
    description = describe(estimator=TREE, search={"estimators": spaces})
    with pytest.raises(RetrainingError, match=r"search.estimators.GBTClassifier.maxBins=32 .* 31"):
        categories.check(cities(spark, 40), description)


def test_a_rule_makes_them_small(spark: SparkSession, describe: Describe) -> None:
    features = {"plain": ["age"], "categorical": ["city"]}
    for rule in ({"pool": 50}, {"hash": 50}):
        ruled = features | {"categories": {"city": rule}}
        categories.check(cities(spark, 250), describe(features=ruled, estimator=TREE))


def test_a_data_set_with_too_many_is_not_published(
    spark: SparkSession, describe: Describe, tmp_path: Path
) -> None:
    lines = [f"{key},city {key},{20 + key % 60},{150 + key % 47},{key % 2}" for key in range(200)]
    (tmp_path / "raw.csv").write_text("\n".join(lines) + "\n")
    files = list_files(spark, str(tmp_path / "raw.csv"))
    with pytest.raises(RetrainingError, match=r"city has 1\d\d\), .*maxBins=64 can take 63"):
        prepare(
            spark, describe(estimator=TREE), files=files, root=str(tmp_path / "data"), version="v1"
        )

    assert not list((tmp_path / "data").rglob("_MANIFEST.json"))
    assert not list((tmp_path / "data").rglob("*.parquet"))
