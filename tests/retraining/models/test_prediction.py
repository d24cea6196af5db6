"""Batch scoring: which rows are scored, and which are rejected for what reason."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from pyspark.sql import functions as F

from retraining.data.files.sources import list_files
from retraining.description.names import RESERVED
from retraining.errors import RetrainingError
from retraining.models import pipelines
from retraining.models.prediction import Prediction, predict
from retraining.models.store import LoadedModel

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from retraining.description.document import Description

pytestmark = pytest.mark.spark


LINES = [f"{key},{'Oslo' if key % 3 else 'Molde'},{20 + key},{150 + key}" for key in range(40)]
Score = Callable[..., Prediction]


@pytest.fixture
def score(
    spark: SparkSession,
    tmp_path: Path,
    describe: Callable[..., Description],
    people: Callable[[int], DataFrame],
) -> Score:
    """Score lines of text: key, city, age, height."""
    weights = pipelines.ClassWeights(1.0, 1.0)
    train = pipelines.prepare(people(60), describe(), weights, 60)
    classifier = pipelines.estimator("LogisticRegression", {"maxIter": 1}, seed=1)
    model = pipelines.fit(train, describe(), classifier)
    version = cast("Any", SimpleNamespace(name="people", version="1"))

    def make(lines: list[str], history: str = "", **sections: Any) -> Prediction:  # noqa: ANN401
        loaded = LoadedModel(version, model, describe(**sections), {})
        (tmp_path / "middle.csv").write_text("\n".join(lines) + "\n")
        files = list_files(spark, str(tmp_path / "middle.csv"))
        earlier = list_files(spark, history) if history else ()
        output = str(tmp_path / "scores")
        return predict(spark, loaded, files=files, history=earlier, folder=output, run_id="run")

    return make


def test_rows_without_a_value_are_rejected_and_the_others_scored(
    score: Score, spark: SparkSession
) -> None:
    lines = [*LINES, "40,Oslo,30,", "41,,30,160", "42,Oslo,old,160"]
    made = score(lines, quarantine={"max_share": 0.1})

    assert (made.n_rows, made.n_quarantined) == (40, 3)
    assert made.rejected == {"no value city": 1, "no value height": 1, "unparseable age": 1}
    rejected = spark.read.parquet(f"{made.uri}/_quarantine")
    assert {row["key"]: row["_reason"] for row in rejected.collect()} == {
        "40": "no value height",
        "41": "no value city",
        "42": "unparseable age",
    }
    assert all(row["_file"].endswith("/middle.csv") for row in rejected.collect())
    assert [row["key"] for row in spark.read.parquet(made.uri).orderBy("key").collect()] == [
        *range(40)
    ]


@pytest.mark.parametrize(
    ("n_bad", "max_share", "phrase"),
    [
        (3, 0.05, r"7.50% of 40 rows were rejected \(no value height: 3\)"),
        (40, 0.05, r"100.00% of 40 rows were rejected"),
        (40, 1.0, r"no row can be scored \(no value height: 40\)"),
    ],
)
def test_too_many_rejected_rows_are_a_failure_without_output(
    score: Score, tmp_path: Path, n_bad: int, max_share: float, phrase: str
) -> None:
    lines = [line.rpartition(",")[0] + "," for line in LINES[:n_bad]] + LINES[n_bad:]
    with pytest.raises(RetrainingError, match=phrase):
        score(lines, quarantine={"max_share": max_share})

    assert not (tmp_path / "scores").exists()


def test_a_file_without_rows_is_a_failure(score: Score, tmp_path: Path) -> None:
    with pytest.raises(RetrainingError, match="no rows"):
        score(["# nothing today"], files={"comment": "#"})

    assert not (tmp_path / "scores").exists()


@pytest.mark.parametrize("name", ["a.csv", "z.csv"])
def test_a_row_is_scored_though_the_history_has_its_key(
    score: Score, tmp_path: Path, name: str
) -> None:
    """Whichever of the two files comes first, and whatever the history says of the row."""
    other = [line.replace("Oslo", "Bergen") for line in LINES]
    (tmp_path / name).write_text("\n".join([*LINES[:20], *other[20:]]) + "\n")
    made = score(LINES, history=str(tmp_path / name))

    assert (made.n_rows, made.rejected) == (40, {})


def test_a_key_of_several_columns_is_one_text(score: Score, spark: SparkSession) -> None:
    made = score(LINES, row_key=["key", "city"])
    keys = [row["key"] for row in spark.read.parquet(made.uri).collect()]
    assert len(keys) == 40
    assert {'["0","Molde"]', '["1","Oslo"]'} < set(keys)


def test_rows_without_a_key_have_one_of_their_content(
    score: Score, spark: SparkSession, tmp_path: Path
) -> None:
    """Equal rows are two rows; those of the history count for themselves."""
    (tmp_path / "history.csv").write_text("\n".join(LINES) + "\n")
    made = score([*LINES, LINES[5]], history=str(tmp_path / "history.csv"), row_key=None)
    keys = {row["key"] for row in spark.read.parquet(made.uri).collect()}
    assert (made.n_rows, len(keys)) == (41, 41)
    (second,) = (key for key in keys if len(key) > 32)
    assert second.endswith("-2")
    assert second[:32] in keys


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


def test_features_of_scored_rows_go_by_the_local_clock(
    spark: SparkSession, tmp_path: Path, describe: Callable[..., Description]
) -> None:
    """Five in Berlin, without and with a zone, and three; a machine in UTC sees other hours."""
    description = describe(
        columns={"key": {"type": "bigint"}, "at": {"type": "timestamp"}, "ill": {"type": "int"}},
        timezone="Europe/Berlin",
        features={"derived": {"hour": "hour(at)"}},
    )
    train = spark.range(48).selectExpr(
        "id AS key", "int(id % 24) AS hour", "int(id % 24 > 4) AS ill"
    )
    rows = pipelines.prepare(train, description, pipelines.ClassWeights(1.0, 1.0), 48)
    classifier = pipelines.estimator("DecisionTreeClassifier", {}, seed=1)
    model = pipelines.fit(rows, description, classifier)
    version = cast("Any", SimpleNamespace(name="people", version="1"))
    lines = ["1,2024-06-01 05:00:00", "2,2024-06-01T03:00:00Z", "3,2024-06-01 03:00:00"]
    (tmp_path / "new.csv").write_text("\n".join(lines) + "\n")
    made = predict(
        spark,
        LoadedModel(version, model, description, {}),
        files=list_files(spark, str(tmp_path / "new.csv")),
        history=(),
        folder=str(tmp_path / "scores"),
        run_id="run",
    )
    found = {row["key"]: row["score"] for row in spark.read.parquet(made.uri).collect()}
    assert found[1] == found[2] != found[3]
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
