"""Categories that are encoded by the share of positives: for rows of train, and for all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pyspark
import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.util import JavaMLReader
from pyspark.sql import functions as F

from retraining.data.preparation import prepare
from retraining.description.names import FEATURES, LABEL
from retraining.errors import RetrainingError
from retraining.models import evaluation, pipelines, scoring, vectors
from retraining.models.encoding import EncodedRows
from retraining.models.search import Candidate
from retraining.models.training import TrainingRows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from retraining.description.document import Description

    Describe = Callable[..., Description]

pytestmark = pytest.mark.spark

N_VALUES, N_TRAIN = 1000, 8000
TYPES = {"key": "bigint", "age": "double", "shop": "string", "noise": "int", "ill": "int"}
SECTIONS: dict[str, Any] = {
    "columns": {name: {"type": kind} for name, kind in TYPES.items()},
    "split": {"by": "order", "column": "key"}
    | {"train": "60%", "validation": "20%", "holdout": "20%"},
}
TREE: tuple[str, dict[str, Any]] = ("DecisionTreeClassifier", {"maxDepth": 4})


def of(describe: Describe, *names: str, rule: object = "target", **sections: Any) -> Description:  # noqa: ANN401
    """A description of `rows` with these categories, all by one rule."""
    categories = {"categorical": [*names], "categories": dict.fromkeys(names, rule)}
    return describe(**{**SECTIONS, "features": {"plain": ["age"], **categories}, **sections})


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> Iterator[TrainingRows]:
    """8,000 rows to fit on and as many to evaluate.

    The ill are older, by a standard deviation; each of 1,000 shops has a risk of its own; `noise`
    has 1,000 values that mean nothing.
    """
    by_chance = "(xxhash64(id, '{}') / 18446744073709551616D + 0.5D)"
    shop, noise = (f"CAST({by_chance.format(name)} * {N_VALUES} AS INT)" for name in ("s", "n"))
    risk = f"pow(pmod(xxhash64({shop}, 'risk'), 1000) / 1000D, 2)"
    normal = f"sqrt(-2 * ln({by_chance.format('a')})) * cos(2 * pi() * {by_chance.format('b')})"
    made = spark.range(2 * N_TRAIN).selectExpr(
        "id AS key",
        f"'shop ' || {shop} AS shop",
        f"{noise} AS noise",
        f"{by_chance.format('i')} < {risk} AS ill",
        f"{normal} AS normal",
    )
    made = made.withColumns({"ill": F.expr("CAST(ill AS INT)"), "age": F.expr("normal + int(ill)")})
    made = made.withColumns({LABEL: F.col("ill").cast("double"), pipelines.WEIGHT: F.lit(1.0)})
    made = made.repartition(2, "key").sortWithinPartitions("key").cache()
    yield TrainingRows(*(made.where(part) for part in ("key % 2 = 0", "key % 2 = 1")))
    made.unpersist()


def encoded(frame: DataFrame) -> pd.Series[float]:
    """The feature beside age, by key."""
    found = frame.select("key", FEATURES).collect()
    return pd.Series({row["key"]: row[FEATURES][1] for row in found}).sort_index()


def test_a_value_counts_as_its_share_of_positives_in_train(
    spark: SparkSession, describe: Describe, rows: TrainingRows, tmp_path: Path
) -> None:
    fitted = vectors.fit(rows.train, of(describe, "shop", rule={"target": 20}), linear=False)
    fitted.save(str(tmp_path / "model"))
    reader: Any = JavaMLReader(PipelineModel)  # type: ignore[arg-type]
    loaded = reader.session(spark).load(str(tmp_path / "model"))
    later = rows.validation.drop(LABEL).withColumn(
        "shop", F.expr("CASE key WHEN 1 THEN 'nowhere' WHEN 3 THEN NULL ELSE shop END")
    )

    train = rows.train.select("shop", "ill").toPandas()
    overall, shops = train["ill"].mean(), train.groupby("shop")["ill"]
    shares = (shops.sum() + 20 * overall) / (shops.count() + 20)
    asked = later.select("key", "shop").toPandas().set_index("key")["shop"].sort_index()
    for model in (fitted, loaded):
        found = encoded(model.transform(later))
        expected = asked.map(shares).fillna(overall)
        assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-12)
        assert found[1] == found[3] == pytest.approx(overall)


@pytest.mark.parametrize("smoothing", [0, 20])
def test_rows_of_train_are_encoded_by_the_other_folds(
    describe: Describe, rows: TrainingRows, smoothing: int
) -> None:
    """Each row where it was, and in its order, by the share without the fifth that it is in."""
    description = of(describe, "shop", rule={"target": smoothing})
    model = vectors.fit(rows.train, description, linear=False)
    found = vectors.of_train(model, rows.train, description)
    place = F.spark_partition_id()
    assert found.select("key", place).collect() == rows.train.select("key", place).collect()

    fold = F.pmod(F.xxhash64("key"), F.lit(5)).alias("fold")
    train = rows.train.select("key", "shop", "ill", fold).toPandas().set_index("key").sort_index()
    overall = train["ill"].mean()
    of_shop, of_cell = (train.groupby(by)["ill"] for by in (["shop"], ["shop", "fold"]))
    positives = of_shop.transform("sum") - of_cell.transform("sum")
    others = of_shop.transform("count") - of_cell.transform("count")
    expected = ((positives + smoothing * overall) / (others + smoothing)).fillna(overall)
    assert encoded(found).tolist() == pytest.approx(expected.tolist(), rel=1e-12)


def test_folds_leave_units_whole_where_the_split_does(
    describe: Describe, rows: TrainingRows
) -> None:
    """A value of a single unit says nothing about another one."""
    train = rows.train.withColumn("noise", F.expr("CAST(key % 50 AS INT)"))
    train = train.withColumn("shop", F.expr("'of ' || noise"))
    by_hash = {"by": "hash", "train": 0.6, "validation": 0.2, "holdout": 0.2}
    found = {}
    for name, sections in {"whole": {"split": by_hash}, "divided": {}}.items():
        description = of(describe, "shop", unit="noise", **sections)
        model = vectors.fit(train, description, linear=False)
        found[name] = encoded(vectors.of_train(model, train, description)).round(12)

    overall = train.agg(F.avg("ill")).collect()[0][0]
    assert set(found["whole"]) == {round(overall, 12)}
    assert found["divided"].nunique() > 50


def quality(rows: TrainingRows, description: Description) -> float:
    """The AUROC of a tree on validation."""
    model = pipelines.fit(rows.train, description, pipelines.estimator(*TREE, 7))
    scored = scoring.score(rows.validation, model, description.feature_columns)
    return evaluation.evaluate(scored)["auroc"]


def test_noise_costs_little_and_what_means_something_helps(
    describe: Describe, rows: TrainingRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight rows for each of 1,000 values."""
    without = quality(rows, describe(**SECTIONS, features={"plain": ["age"]}))
    pooled = quality(rows, of(describe, "shop", rule={"pool": 31}))
    assert quality(rows, of(describe, "noise")) > without - 0.01
    assert quality(rows, of(describe, "shop")) > max(pooled, without) + 0.04

    # What would become of the noise if a row's own label were in its number.
    monkeypatch.setattr(vectors, "of_train", lambda encoding, train, _: encoding.transform(train))
    assert quality(rows, of(describe, "noise")) < without - 0.03


def test_rows_of_validation_have_no_influence(describe: Describe, rows: TrainingRows) -> None:
    """And 1,000 values fit into 32 bins, for which one feature is named."""
    description = of(describe, "shop")
    other = rows.validation.withColumns({LABEL: 1 - F.col(LABEL), "shop": F.lit("shop 1")})
    found = []
    for validation in (rows.validation, other):
        both = EncodedRows(TrainingRows(rows.train, validation), description, [TREE[0]])
        found.append(both.fit(Candidate(0, *TREE), 7))
        both.close()
    alone = pipelines.fit(rows.train, description, pipelines.estimator(*TREE, 7))

    trees: list[Any] = [model.stages[-1] for model in (*found, alone)]
    assert len({tree.toDebugString.split("\n", 1)[1] for tree in trees}) == 1
    assert {*pipelines.importances(alone)} == {"age", "shop"}
    assert pipelines.importances(alone)["shop"] > 0.1


def test_a_spark_without_the_encoder_is_named_before_files_are_read(
    spark: SparkSession,
    describe: Describe,
    rows: TrainingRows,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pyspark, "__version__", "3.5.7")
    refused = pytest.raises(RetrainingError, match=r"target for shop.*\{shop: \{pool: N\}\}.*hash")
    with refused:
        prepare(spark, of(describe, "shop"), files=[], root=str(tmp_path), version="v1")
    with refused:
        vectors.fit(rows.train, of(describe, "shop"), linear=False)
    assert not [*tmp_path.iterdir()]
