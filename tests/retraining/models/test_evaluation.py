"""Metrics of scored rows, against scikit-learn, the gate, Spark and counting by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pyspark.ml.evaluation import BinaryClassificationEvaluator, MulticlassClassificationEvaluator
from pyspark.sql import functions as F
from scipy.special import expit
from sklearn import metrics as sklearn_metrics

from retraining.errors import RetrainingError
from retraining.models import evaluation
from retraining.statistics.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

SCHEMA = "_label double, _weight double, score double"
# Ties between the classes (0.3, 0.5, 0.7), certain answers (0.0, 1.0), weights that differ.
SCORES = (0.0, 0.1, 0.3, 0.3, 0.3, 0.45, 0.5, 0.5, 0.55, 0.7, 0.7, 0.7, 0.9, 0.95, 1.0, 0.2)
LABELS = (0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 1)
WEIGHTS = (1.0, 0.5, 2.0, 1.5, 1.0, 0.25, 3.0, 1.0, 0.75, 1.0, 2.5, 1.0, 0.5, 1.25, 1.0, 2.0)


def scored(
    spark: SparkSession,
    labels: Sequence[int] = LABELS,
    scores: Sequence[float] = SCORES,
    weights: Sequence[float] = WEIGHTS,
) -> DataFrame:
    rows = [
        (float(label), weight, score)
        for label, score, weight in zip(labels, scores, weights, strict=True)
    ]
    return spark.createDataFrame(rows, SCHEMA).coalesce(2)


def test_metrics_agree_with_scikit_learn(spark: SparkSession) -> None:
    label, predicted = list(LABELS), [int(score > 0.5) for score in SCORES]
    told = {"sample_weight": list(WEIGHTS)}
    precision, recall, weighted_f, _ = sklearn_metrics.precision_recall_fscore_support(
        label, predicted, average="weighted", **told
    )

    assert evaluation.evaluate(scored(spark)) == pytest.approx(
        {
            "auroc": sklearn_metrics.roc_auc_score(label, SCORES, **told),
            "auprc": sklearn_metrics.average_precision_score(label, SCORES, **told),
            "f1": sklearn_metrics.f1_score(label, predicted, **told),
            "log_loss": sklearn_metrics.log_loss(label, SCORES, **told),
            "brier": sklearn_metrics.brier_score_loss(label, SCORES, **told),
            "weightedPrecision": precision,
            "weightedRecall": recall,
            "weightedFMeasure": weighted_f,
            "accuracy": sklearn_metrics.accuracy_score(label, predicted, **told),
        },
        rel=1e-12,
    )


@pytest.mark.parametrize("spread", [0.1, 3.0, 30.0])
def test_metrics_of_one_name_are_those_of_the_gate(spark: SparkSession, spread: float) -> None:
    """Scores in few bands and in all, most of them beyond the bounds of log_loss, some tied."""
    rng = np.random.default_rng(7)
    label = rng.random(2000) < 0.1
    score = expit(np.round(rng.normal(label - 0.5, 1) * spread, 2))
    score[:20] = np.repeat([0.0, 1.0], 10)
    weight = np.where(label, 4.5, 0.55)

    found = evaluation.evaluate(scored(spark, label.tolist(), score.tolist(), weight.tolist()))
    common = [name for name in METRICS if name in found]
    assert common == ["auroc", "auprc", "log_loss", "brier", "f1"]
    for name in common:
        expected = METRICS[name].function(label, score, weight)
        assert found[name] == pytest.approx(expected, rel=1e-12), name


def test_weighted_averages_are_those_of_spark(spark: SparkSession) -> None:
    rows = scored(spark)
    shown = rows.withColumn("prediction", (F.col("score") > 0.5).cast("double"))
    evaluator = MulticlassClassificationEvaluator(labelCol="_label", weightCol="_weight")
    names = ("weightedPrecision", "weightedRecall", "weightedFMeasure", "accuracy")

    found = evaluation.evaluate(rows)
    assert [found[name] for name in names] == pytest.approx(
        [evaluator.evaluate(shown, {evaluator.metricName: name}) for name in names], rel=1e-12
    )


def test_area_under_the_roc_curve_is_that_of_spark(spark: SparkSession) -> None:
    rows = scored(spark)
    evaluator = BinaryClassificationEvaluator(
        labelCol="_label", rawPredictionCol="score", weightCol="_weight", numBins=0
    )
    assert evaluation.evaluate(rows)["auroc"] == pytest.approx(evaluator.evaluate(rows), rel=1e-12)


def test_metrics_where_one_class_is_never_predicted(spark: SparkSession) -> None:
    """1 of 4 rows is positive, all are predicted 0; class averages weigh .75 and .25."""
    found = evaluation.evaluate(scored(spark, (0, 0, 0, 1), (0.1, 0.2, 0.3, 0.4), (1.0,) * 4))

    assert found["accuracy"] == found["weightedRecall"] == 0.75
    assert found["weightedPrecision"] == 0.75 * 0.75
    assert found["weightedFMeasure"] == pytest.approx(0.75 * 2 * 0.75 / 1.75)
    assert (found["f1"], found["auroc"], found["auprc"]) == (0.0, 1.0, 1.0)


def test_metrics_where_every_prediction_is_wrong(spark: SparkSession) -> None:
    found = evaluation.evaluate(scored(spark, (0, 1), (1.0, 0.0), (1.0, 1.0)))

    wrong = ("f1", "weightedFMeasure", "weightedPrecision", "accuracy", "auroc")
    assert [found[name] for name in wrong] == [0.0] * 5
    assert found["auprc"] == 0.5
    assert found["log_loss"] == pytest.approx(-np.log(np.finfo(float).eps))
    assert found["brier"] == 1.0


@pytest.mark.parametrize("labels", [(0, 0, 0), (1, 1, 1), ()])
def test_rows_of_one_class_are_refused(spark: SparkSession, labels: tuple[int, ...]) -> None:
    """Spark's evaluators answer 0 or 1 without a word."""
    n_rows = len(labels)
    rows = spark.createDataFrame(
        [(float(label), 1.0, 0.1 + i / 10) for i, label in enumerate(labels)], SCHEMA
    )
    with pytest.raises(
        RetrainingError, match=rf"{sum(labels)} positives and {n_rows - sum(labels)}"
    ):
        evaluation.evaluate(rows)


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
    found = evaluation.unit_precision(rows, k, day="tx_time", unit="card")

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
    found = evaluation.unit_precision(rows, 1, day="tx_time", unit="card")

    assert found == pytest.approx(2 / 3)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_unit_precision_of_a_top_of_one_class(spark: SparkSession, label: float) -> None:
    """One place a day: all that is looked at may well be positive, or nothing of it."""
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    events = [(moment, "a", 0.9, label), (moment, "b", 0.1, 1 - label)]
    rows = spark.createDataFrame(
        events, "tx_time timestamp, card string, score double, _label double"
    )

    found = evaluation.unit_precision(rows, 1, day="tx_time", unit="card")
    assert found == label
