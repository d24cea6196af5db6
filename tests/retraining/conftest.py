"""A small data set that several modules are tried on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retraining.description import reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame, SparkSession

    from retraining.description.document import Description


@pytest.fixture
def describe() -> Callable[..., Description]:
    """Make the description of `people`; keyword arguments replace sections."""

    def make(**sections: Any) -> Description:  # noqa: ANN401 (whatever YAML may hold)
        mapping = {
            "name": "people",
            "columns": {
                "key": {"type": "bigint"},
                "city": {"type": "string"},
                "age": {"type": "int"},
                "height": {"type": "double"},
                "ill": {"type": "int"},
            },
            "label": {"column": "ill"},
            "row_key": "key",
            "features": {"plain": ["age", "height"], "categorical": ["city"]},
            "split": {"by": "hash", "train": 0.6, "validation": 0.2, "holdout": 0.2},
            "estimator": {"name": "LogisticRegression"},
        }
        return reading.from_mapping(mapping | sections)

    return make


@pytest.fixture
def people(spark: SparkSession) -> Callable[[int], DataFrame]:
    """Make n people, of whom the old, the tall and those in Oslo are ill more often."""

    def make(n_rows: int) -> DataFrame:
        rows = []
        for key in range(n_rows):
            noise = key * 7919 % 101 / 101
            age, height = 20 + key * 31 % 60, 150 + key * 17 % 47 + noise
            city = ("Oslo", "Bergen", "Molde")[key * 13 % 7 % 3]
            risk = age / 80 + height / 200 + (city == "Oslo") + 2 * noise
            rows.append((key, city, age, height, int(risk > 3)))
        return spark.createDataFrame(
            rows, "key bigint, city string, age int, height double, ill int"
        )

    return make
