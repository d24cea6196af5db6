"""How well a single feature orders rows, against the exact value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from retraining.data.profiling import relation
from retraining.data.profiling.profile import profile
from retraining.description.label import Label

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame, SparkSession

    from retraining.description.document import Description

pytestmark = pytest.mark.spark

N = 6000


@pytest.fixture(scope="module")
def people(spark: SparkSession) -> pd.DataFrame:
    """A label, numbers that are related to it in all degrees, and categories."""
    rng = np.random.default_rng(5)
    ill = (rng.random(N) < 0.2).astype(int)
    return pd.DataFrame(
        {
            "key": np.arange(N),
            "ill": ill,
            "far": ill * 2.5 + rng.normal(size=N),
            "against": np.round(rng.normal(size=N) - ill, 1),
            "noise": rng.normal(size=N),
            "flag": (rng.random(N) < 0.3 + 0.3 * ill).astype(bool),
            "leak": ill * 5 + rng.random(N),
            "city": np.where(ill == 1, "Oslo", rng.choice(["Oslo", "Bergen", "Molde"], N)),
            "name": [f"n{i}" for i in range(N)],
        }
    )


@pytest.fixture
def description(describe: Callable[..., Description]) -> Description:
    kinds = {"key": "bigint", "ill": "int", "flag": "boolean", "city": "string", "name": "string"}
    numbers = ["far", "against", "noise", "leak"]
    return describe(
        columns={n: {"type": t} for n, t in (kinds | dict.fromkeys(numbers, "double")).items()},
        features={"plain": [*numbers, "flag"], "categorical": ["city", "name"]},
    )


def exact(people: pd.DataFrame, name: str) -> float:
    """The AUROC by the library that the gate uses."""
    values = people[name].astype(float).to_numpy()
    pairs = values[people.ill == 1][:, None] - values[people.ill == 0][None, :]
    found = float((pairs > 0).mean() + (pairs == 0).mean() / 2)
    return max(found, 1 - found)


def relations(frame: DataFrame, description: Description, *n_rows: int) -> dict[str, Any]:
    found: dict[str, Any] = profile(frame, description, *n_rows)["relations"]
    return found


def test_numbers_have_the_exact_auroc(
    spark: SparkSession, people: pd.DataFrame, description: Description
) -> None:
    found = relations(spark.createDataFrame(people).repartition(3), description)

    for name in ("far", "against", "noise", "flag", "leak"):
        assert found[name]["auroc"] == round(exact(people, name), 3), name
    assert [found[name]["direction"] for name in ("far", "against", "leak")] == [
        "higher",
        "lower",
        "higher",
    ]


def test_categories_are_judged_by_rows_that_did_not_order_them(
    spark: SparkSession, people: pd.DataFrame, description: Description
) -> None:
    found = relations(spark.createDataFrame(people), description)

    order = people.city.map(people.groupby("city").ill.mean())
    assert found["city"]["auroc"] == pytest.approx(
        exact(people.assign(order=order), "order"), abs=0.02
    )
    assert found["name"] == {"auroc": 0.5, "direction": "categories"}


def test_of_very_many_rows_a_share_of_each_class_is_looked_at(
    spark: SparkSession,
    people: pd.DataFrame,
    description: Description,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frame, shape = spark.createDataFrame(people), (N, int(people.ill.sum()))
    every = relations(frame, description, *shape)["far"]["auroc"]
    monkeypatch.setattr(relation, "_MOST_ROWS", 500)
    some = relations(frame, description, *shape)["far"]["auroc"]

    assert some != every
    assert some == pytest.approx(exact(people, "far"), abs=0.04)


def test_of_very_many_features_fewer_rows_are_looked_at(
    spark: SparkSession, people: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relation, "_MOST_VALUES", 1000)
    frame, shape = spark.createDataFrame(people), (N, int(people.ill.sum()))
    found = [
        relation.relate_numbers(frame, names, Label(column="ill"), *shape)["far"].auroc
        for names in (["far"], ["far", "noise", "leak", "against"])
    ]

    assert found[0] != found[1]
    assert found == [pytest.approx(exact(people, "far"), abs=0.06)] * 2


def test_without_both_classes_nothing_is_known(
    spark: SparkSession, people: pd.DataFrame, description: Description
) -> None:
    found = relations(spark.createDataFrame(people).where("ill = 0"), description)

    assert {one["auroc"] for one in found.values()} == {None}


def test_a_column_of_many_categories_hides_no_other(spark: SparkSession) -> None:
    """4,000 groups of 20 rows tell the label; groups of another column are larger, and chance."""
    rows = spark.range(80_000).selectExpr(
        "pmod(xxhash64(id), 2000) AS terminal",
        "id AS name",
        "id DIV 20 AS group",
        "CAST(id DIV 20 % 2 AS INT) AS ill",
    )
    names = ["terminal", "name", "group"]
    found = relation.relate_categories(rows, names, Label(column="ill"))

    assert [found[name].auroc for name in names] == [pytest.approx(0.5, abs=0.02), 0.5, 1.0]


def test_one_half_with_both_classes_is_enough(spark: SparkSession) -> None:
    """One positive in 40 rows: only the half that has it can judge."""
    rows = spark.range(40).selectExpr("id % 4 AS team", "id", "CAST(id = 7 AS INT) AS ill")
    assert relation.relate_categories(rows, ["team"], Label(column="ill"))["team"].auroc is not None
