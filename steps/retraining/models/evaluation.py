"""Metrics of scored rows in Spark, at any size: those of the gate, and four of Spark's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retraining.data.instants import day_of
from retraining.description.names import LABEL, SCORE
from retraining.errors import RetrainingError
from retraining.models.pipelines import WEIGHT
from retraining.statistics.capacity import unit_precision_at
from retraining.statistics.losses import CLIP, THRESHOLD

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import Column, DataFrame, Row

# Scores are ordered within bands of one logit each, so that no task has to order all of them.
BANDS: Final = 74  # CLIP and 1 - CLIP are 36 logits away from 0.5


def evaluate(scored: DataFrame) -> dict[str, float]:
    """The metrics of a scored frame.

    auroc, auprc, f1, log_loss and brier are those of `retraining.statistics.metrics`, to rounding:
    f1 is that of the positives. weightedPrecision, weightedRecall, weightedFMeasure (averages over
    both classes by their weight) and accuracy are those of Spark's evaluators.

    Args:
        scored: Rows with `_label` (0.0 or 1.0), `_weight` and `score` (a probability).

    Returns:
        Nine metrics by name, all weighted by `_weight`; a row is predicted positive above 0.5.

    Raises:
        RetrainingError: If the rows hold one class only.
    """
    by_score = _by_score(scored).cache()
    try:
        bands = by_score.groupBy("band").agg(*_sums()).toPandas().set_index("band")
        sums = bands.sum()
        if not (sums["positives"] > 0 and sums["negatives"] > 0):
            raise RetrainingError(
                f"the scored rows hold {sums['positives']:g} positives and "
                f"{sums['negatives']:g} negatives by weight",
                "widen the window so that it holds both classes",
            )
        bands = bands[["positives", "negatives"]].reindex(range(BANDS), fill_value=0.0)
        above = bands[::-1].cumsum()[::-1].shift(-1, fill_value=0.0)
        areas = _areas(by_score, above)
    finally:
        by_score.unpersist()
    positives, negatives = sums["positives"], sums["negatives"]
    return {
        "auroc": 1 - areas["misordered"] / (positives * negatives),
        "auprc": areas["precision"] / positives,
        "f1": 2 * sums["hits"] / (positives + sums["hits"] + sums["alarms"]),
        "log_loss": sums["log_loss"] / (positives + negatives),
        "brier": sums["brier"] / (positives + negatives),
        **_class_averages(positives, negatives, sums["hits"], sums["alarms"]),
    }


def _by_score(scored: DataFrame) -> DataFrame:
    """Weight of the positives and of the negatives of each score."""
    label, weight = F.col(LABEL), F.col(WEIGHT)
    counted = scored.groupBy(SCORE).agg(
        F.sum(F.when(label == 1, weight).otherwise(0.0)).alias("positives"),
        F.sum(F.when(label == 0, weight).otherwise(0.0)).alias("negatives"),
    )
    logit = F.log(_clipped() / (1 - _clipped()))
    return counted.withColumn("band", F.floor(logit).cast("int") + BANDS // 2)


def _sums() -> list[Column]:
    """What adds up over scores: weights, also of what is predicted positive, and losses."""
    score, positives, negatives = F.col(SCORE), F.col("positives"), F.col("negatives")
    predicted = (score > THRESHOLD).cast("double")
    losses = positives * F.log(_clipped()) + negatives * F.log(1 - _clipped())
    values = {
        "positives": positives,
        "negatives": negatives,
        "hits": positives * predicted,
        "alarms": negatives * predicted,
        "log_loss": -losses,
        "brier": positives * (1 - score) * (1 - score) + negatives * score * score,
    }
    return [F.sum(value).alias(name) for name, value in values.items()]


def _areas(by_score: DataFrame, above: pd.DataFrame) -> Row:
    """The sums of the areas under both curves, over scores from the highest down.

    Args:
        by_score: As `_by_score` makes it.
        above: Weight of the positives and of the negatives in higher bands, by band.

    Returns:
        precision: of the rows from each score up, summed over positives; misordered: the weight of
        pairs with the negative above the positive, ties half.
    """
    highest_first = (
        W.partitionBy("band").orderBy(F.desc(SCORE)).rowsBetween(W.unboundedPreceding, 0)
    )

    def from_here_up(name: str) -> Column:
        higher = F.element_at(F.lit(above[name].tolist()), F.col("band") + 1)
        return F.sum(name).over(highest_first) + higher

    positives, negatives = F.col("positives"), F.col("negatives")
    ranked = by_score.select(
        *(positives, negatives),
        from_here_up("positives").alias("hits"),
        from_here_up("negatives").alias("alarms"),
    )
    hits, alarms = F.col("hits"), F.col("alarms")
    (row,) = ranked.agg(
        F.sum(positives * hits / (hits + alarms)).alias("precision"),
        F.sum(positives * (alarms - negatives / 2)).alias("misordered"),
    ).collect()
    return row


def _class_averages(
    positives: float, negatives: float, hits: float, alarms: float
) -> dict[str, float]:
    """Spark's averages over both classes, and accuracy, from the weights at the threshold."""
    total = positives + negatives
    averages = {"weightedPrecision": 0.0, "weightedRecall": 0.0, "weightedFMeasure": 0.0}
    rejected = negatives - alarms
    for actual, predicted, right in (
        (positives, hits + alarms, hits),
        (negatives, total - hits - alarms, rejected),
    ):
        share = actual / total
        averages["weightedPrecision"] += share * (right / predicted if predicted else 0.0)
        averages["weightedRecall"] += share * right / actual
        averages["weightedFMeasure"] += share * 2 * right / (actual + predicted)
    return {**averages, "accuracy": (hits + rejected) / total}


def _clipped() -> Column:
    return F.greatest(F.lit(CLIP), F.least(F.lit(1 - CLIP), F.col(SCORE)))


def unit_precision(
    scored: DataFrame,
    per_day: int,
    *,
    day: str,
    unit: str,
    score: str = SCORE,
    label: str = LABEL,
) -> float:
    """Precision among the `per_day` highest units of each day, averaged over the days.

    A unit that was caught on one day is not on the list on later days, so at most `per_day` times
    the number of days can move up: that many units of each day are collected, never more.

    Args:
        scored: Rows with the four columns.
        per_day: How many units can be investigated in a day.
        day: Column with the day, or the time, of a row.
        unit: Column with what is investigated.
        score: Column with the score.
        label: Column with the label, 0 or 1.
    """
    days = scored.select(
        day_of(day).alias("day"),
        F.col(unit).alias("unit"),
        F.col(score).alias("score"),
        F.col(label).alias("label"),
    )
    units = days.groupBy("day", "unit").agg(
        F.max("score").alias("score"), F.max("label").alias("label")
    )
    n_days = units.agg(F.countDistinct("day")).collect()[0][0]
    order = W.partitionBy("day").orderBy(F.desc("score"), F.col("unit"))
    top = (
        units.withColumn("rank", F.row_number().over(order))
        .where(F.col("rank") <= per_day * n_days)
        .toPandas()
    )
    return unit_precision_at(
        top["label"].to_numpy(),
        top["score"].to_numpy(),
        top["unit"].to_numpy(),
        top["day"].to_numpy(),
        per_day,
    )
