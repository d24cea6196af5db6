"""Metrics of scored rows, against Spark's evaluators, scikit-learn and counting by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
from pyspark.ml.evaluation import BinaryClassificationEvaluator, MulticlassClassificationEvaluator
from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F
from sklearn import metrics as sklearn_metrics

from retraining.description.sections import Capacity
from retraining.errors import RetrainingError
from retraining.models import evaluation

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

SCHEMA = "_label double, _weight double, score double, prediction int"
# Ties between the classes (0.3, 0.5, 0.7), certain answers (0.0, 1.0), weights that differ.
SCORES = (0.0, 0.1, 0.3, 0.3, 0.3, 0.45, 0.5, 0.5, 0.55, 0.7, 0.7, 0.7, 0.9, 0.95, 1.0, 0.2)
LABELS = (0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 1)
WEIGHTS = (1.0, 0.5, 2.0, 1.5, 1.0, 0.25, 3.0, 1.0, 0.75, 1.0, 2.5, 1.0, 0.5, 1.25, 1.0, 2.0)
Area = Literal["areaUnderROC", "areaUnderPR"]


def scored(
    spark: SparkSession,
    labels: tuple[int, ...] = LABELS,
    scores: tuple[float, ...] = SCORES,
    weights: tuple[float, ...] = WEIGHTS,
) -> DataFrame:
    rows = [
        (float(label), weight, score, int(score > 0.5))
        for label, score, weight in zip(labels, scores, weights, strict=True)
    ]
    return spark.createDataFrame(rows, SCHEMA).coalesce(2)


def area_under_pr() -> float:
    """Trapezoids between distinct scores, beginning at (0, precision of the highest score)."""
    label, score, weight = (np.array(values) for values in (LABELS, SCORES, WEIGHTS))
    points = []
    for threshold in sorted(set(SCORES), reverse=True):
        above = weight * (score >= threshold)
        hits = float((above * label).sum())
        points.append((hits / float((weight * label).sum()), hits / float(above.sum())))
    recall, precision = zip(*[(0.0, points[0][1]), *points], strict=True)
    return float(np.trapezoid(precision, recall))


def test_metrics_agree_with_scikit_learn(spark: SparkSession) -> None:
    label, predicted = list(LABELS), [int(score > 0.5) for score in SCORES]
    weights = list(WEIGHTS)
    precision, recall, f1, _ = sklearn_metrics.precision_recall_fscore_support(
        label, predicted, sample_weight=weights, average="weighted"
    )
    clipped = np.clip(SCORES, 1e-15, 1 - 1e-15)

    assert evaluation.evaluate(scored(spark)) == pytest.approx(
        {
            "f1": f1,
            "weightedPrecision": precision,
            "weightedRecall": recall,
            "accuracy": sklearn_metrics.accuracy_score(label, predicted, sample_weight=weights),
            "areaUnderROC": sklearn_metrics.roc_auc_score(label, SCORES, sample_weight=weights),
            "areaUnderPR": area_under_pr(),
            "log_loss": sklearn_metrics.log_loss(label, clipped, sample_weight=weights),
            "brier": sklearn_metrics.brier_score_loss(label, SCORES, sample_weight=weights),
        },
        rel=1e-12,
    )


def test_metrics_agree_with_the_evaluators_of_spark(spark: SparkSession) -> None:
    rows = scored(spark)
    both = F.array(1 - F.col("score"), F.col("score"))
    shown = rows.withColumn("prediction", F.col("prediction").cast("double")).withColumn(
        "probability", array_to_vector(both)
    )
    multiclass = MulticlassClassificationEvaluator(labelCol="_label", weightCol="_weight")
    expected = {
        name: multiclass.evaluate(shown, {multiclass.metricName: told})
        for name, told in {
            "f1": "f1",
            "weightedPrecision": "weightedPrecision",
            "weightedRecall": "weightedRecall",
            "accuracy": "accuracy",
            "log_loss": "logLoss",
        }.items()
    }
    areas: tuple[Area, Area] = ("areaUnderROC", "areaUnderPR")
    for name in areas:
        binary = BinaryClassificationEvaluator(
            labelCol="_label", rawPredictionCol="score", weightCol="_weight", metricName=name
        )
        expected[name] = binary.evaluate(shown)

    found = evaluation.evaluate(rows)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-12)


def test_metrics_where_one_class_is_never_predicted(spark: SparkSession) -> None:
    """1 of 4 rows is positive, all are predicted 0; class averages weigh .75 and .25."""
    found = evaluation.evaluate(scored(spark, (0, 0, 0, 1), (0.1, 0.2, 0.3, 0.4), (1.0,) * 4))

    assert found["accuracy"] == found["weightedRecall"] == 0.75
    assert found["weightedPrecision"] == 0.75 * 0.75
    assert found["f1"] == pytest.approx(0.75 * 2 * 0.75 / 1.75)
    assert (found["areaUnderROC"], found["areaUnderPR"]) == (1.0, 1.0)


def test_metrics_where_every_prediction_is_wrong(spark: SparkSession) -> None:
    found = evaluation.evaluate(scored(spark, (0, 1), (1.0, 0.0), (1.0, 1.0)))

    assert [found[name] for name in ("f1", "weightedPrecision", "accuracy")] == [0.0] * 3
    assert found["areaUnderROC"] == 0.0
    assert found["log_loss"] == pytest.approx(-np.log(1e-15), rel=1e-3)
    assert found["brier"] == 1.0


@pytest.mark.parametrize("label", [0, 1])
def test_rows_of_one_class_are_refused(spark: SparkSession, label: int) -> None:
    """Spark's evaluator answers 0 or 1 without a word."""
    rows = scored(spark, (label,) * 3, (0.1, 0.7, 0.9), (1.0,) * 3)
    binary = BinaryClassificationEvaluator(labelCol="_label", rawPredictionCol="score")
    assert binary.evaluate(rows) == label

    with pytest.raises(RetrainingError, match=rf"hold only the labels \[{label}.0\]: widen"):
        evaluation.evaluate(rows)


def test_no_rows_are_refused(spark: SparkSession) -> None:
    with pytest.raises(RetrainingError, match=r"hold only the labels \[\]"):
        evaluation.evaluate(spark.createDataFrame([], SCHEMA))


Event = tuple[datetime, str, float, float]


def make_events(n_days: int, n_units: int, seed: int) -> list[Event]:
    """A few rows a unit and day with coarse scores, so that units tie."""
    rng = np.random.default_rng(seed)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    return [
        (
            start + timedelta(days=day, hours=float(rng.uniform(0, 24))),
            f"u{unit:02d}",
            float(rng.integers(0, 6) / 5),
            float(rng.random() < 0.3),
        )
        for day in range(n_days)
        for unit in range(n_units)
        for _ in range(rng.integers(0, 4))
    ]


def precision_by_hand(events: list[Event], k: int) -> float:
    caught: set[str] = set()
    shares = []
    for day in sorted({event[0].date() for event in events}):
        today: dict[str, tuple[float, float]] = {}
        for moment, unit, score, label in events:
            if moment.date() == day and unit not in caught:
                best, positive = today.get(unit, (0.0, 0.0))
                today[unit] = (max(best, score), max(positive, label))
        top = sorted(today, key=lambda unit: (-today[unit][0], unit))[:k]
        hits = {unit for unit in top if today[unit][1]}
        caught |= hits
        shares.append(len(hits) / k)
    return sum(shares) / len(shares)


@pytest.mark.parametrize(("seed", "k"), [(1, 1), (2, 3), (3, 12)])
def test_unit_precision_agrees_with_counting_by_hand(
    spark: SparkSession, seed: int, k: int
) -> None:
    events = make_events(n_days=6, n_units=10, seed=seed)
    rows = spark.createDataFrame(
        events, "tx_time timestamp, card string, score double, _label double"
    )
    found = evaluation.unit_precision(rows, "tx_time", Capacity(per_day=k, unit="card"))

    assert found == pytest.approx(precision_by_hand(events, k), rel=1e-12)
    assert 0 < found < 1


def test_unit_precision_moves_up_as_often_as_there_are_days(spark: SparkSession) -> None:
    """The same three cards are on top every day; each is caught once, one a day, but for c."""
    start = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
    events = [
        (start + timedelta(days=day), card, score, label)
        for day in range(3)
        for card, score, label in (("a", 0.9, 1.0), ("b", 0.8, 1.0), ("c", 0.7, 0.0))
    ]
    rows = spark.createDataFrame(
        events, "tx_time timestamp, card string, score double, _label double"
    )
    found = evaluation.unit_precision(rows, "tx_time", Capacity(per_day=1, unit="card"))

    assert found == pytest.approx(2 / 3)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_unit_precision_of_a_top_of_one_class(spark: SparkSession, label: float) -> None:
    """One place a day: all that is looked at may well be positive, or nothing of it."""
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    events = [(moment, "a", 0.9, label), (moment, "b", 0.1, 1 - label)]
    rows = spark.createDataFrame(
        events, "tx_time timestamp, card string, score double, _label double"
    )

    found = evaluation.unit_precision(rows, "tx_time", Capacity(per_day=1, unit="card"))
    assert found == label
