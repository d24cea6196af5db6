"""Metrics of scored rows in Spark, at any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retraining.errors import RetrainingError
from retraining.models.pipelines import LABEL, WEIGHT
from retraining.models.scoring import PREDICTION, SCORE
from retraining.statistics.capacity import unit_precision_at

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

    from retraining.description.sections import Capacity

# The bound inside the logarithm that scikit-learn and Spark use: a score of exactly 0 or 1 that is
# wrong costs about 34.5 instead of infinitely much.
LOG_LOSS_BOUND = 1e-15


def evaluate(scored: DataFrame) -> dict[str, float]:
    """The eight metrics of a scored frame, by the names that Spark's evaluators use.

    Args:
        scored: Rows with `_label` (0.0 or 1.0), `_weight`, `score` and `prediction`.

    Returns:
        f1, weightedPrecision, weightedRecall (class averages by weight) and accuracy at threshold
        0.5; areaUnderROC; areaUnderPR (trapezoids, as Spark); log_loss and brier (means). All
        weighted by `_weight`.

    Raises:
        RetrainingError: If the rows hold one class only: Spark would answer 0 or 1 without a word.
    """
    p = F.greatest(F.lit(LOG_LOSS_BOUND), F.least(F.lit(1 - LOG_LOSS_BOUND), F.col(SCORE)))
    loss = -F.log(F.when(F.col(LABEL) == 1, p).otherwise(1 - p))
    square = F.pow(F.col(SCORE) - F.col(LABEL), 2)
    weight = F.col(WEIGHT)
    # At most four rows come back: two labels by two predictions.
    cells = (
        scored.groupBy(LABEL, PREDICTION)
        .agg(
            F.sum(weight).alias("weight"),
            F.sum(weight * loss).alias("log_loss"),
            F.sum(weight * square).alias("brier"),
        )
        .collect()
    )
    labels = sorted({cell[LABEL] for cell in cells})
    if labels != [0.0, 1.0]:
        raise RetrainingError(
            f"the scored rows hold only the labels {labels}",
            "widen the window so that it holds both classes",
        )
    total = sum(cell["weight"] for cell in cells)
    return {
        **_threshold_metrics(cells, total),
        "areaUnderROC": _area(scored, "areaUnderROC"),
        "areaUnderPR": _area(scored, "areaUnderPR"),
        "log_loss": sum(cell["log_loss"] for cell in cells) / total,
        "brier": sum(cell["brier"] for cell in cells) / total,
    }


def _threshold_metrics(cells: list[Row], total: float) -> dict[str, float]:
    count = {(int(cell[LABEL]), cell[PREDICTION]): cell["weight"] for cell in cells}
    averages = {"f1": 0.0, "weightedPrecision": 0.0, "weightedRecall": 0.0}
    for label in (0, 1):
        hit = count.get((label, label), 0.0)
        actual = hit + count.get((label, 1 - label), 0.0)
        predicted = hit + count.get((1 - label, label), 0.0)
        precision = hit / predicted if predicted else 0.0
        recall = hit / actual
        share = actual / total
        averages["weightedPrecision"] += share * precision
        averages["weightedRecall"] += share * recall
        if hit:
            averages["f1"] += share * 2 * precision * recall / (precision + recall)
    return {**averages, "accuracy": sum(count.get((i, i), 0.0) for i in (0, 1)) / total}


def _area(scored: DataFrame, metric: Literal["areaUnderROC", "areaUnderPR"]) -> float:
    # numBins=0: every distinct score counts; the default thins the curve to 1,000 points.
    evaluator = BinaryClassificationEvaluator(
        labelCol=LABEL,
        rawPredictionCol=SCORE,
        weightCol=WEIGHT,
        metricName=metric,
        numBins=0,
    )
    return float(evaluator.evaluate(scored))


def unit_precision(scored: DataFrame, event_time: str, capacity: Capacity) -> float:
    """Precision among the `capacity.per_day` highest units of each day, averaged over the days.

    A unit that was caught on one day is out of the list on the days after, so that at most
    `per_day` times the number of days can move up: that many units a day are collected, never more.
    """
    days = scored.select(F.to_date(event_time).alias("day"), capacity.unit, SCORE, LABEL)
    units = days.groupBy("day", capacity.unit).agg(
        F.max(SCORE).alias(SCORE), F.max(LABEL).alias(LABEL)
    )
    n_days = units.agg(F.countDistinct("day")).collect()[0][0]
    order = W.partitionBy("day").orderBy(F.desc(SCORE), F.col(capacity.unit))
    top = (
        units.withColumn("rank", F.row_number().over(order))
        .where(F.col("rank") <= capacity.per_day * n_days)
        .drop("rank")
        .toPandas()
    )
    return unit_precision_at(
        top[LABEL].to_numpy(),
        top[SCORE].to_numpy(),
        top[capacity.unit].to_numpy(),
        top["day"].to_numpy(),
        capacity.per_day,
    )
