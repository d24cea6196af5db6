"""Two models on the same rows that neither was trained on: one table of scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pyspark.sql import functions as F

from retraining import dataset, evaluation, metrics, pipelines, scoring, sources, storage
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

    from retraining.dataset import Manifest
    from retraining.description import Description
    from retraining.models import Registered

ROLES = ("champion", "challenger")
# What the driver holds: about 60 bytes a row here, a few times that while a table is made.
MAX_ROWS = 20_000_000


class Comparison(NamedTuple):
    """Scores of two models on the same rows.

    Attributes:
        table: Columns label (0 or 1), champion, challenger (scores), and where known key, unit,
            day and weight; sorted by key, so that the order of rows is always the same.
        n_holdout: Rows of the holdout.
        n_excluded: Rows left out because a model was trained or selected on them.
        unit_precision: Precision at capacity by role; empty where no capacity is described.
    """

    table: pd.DataFrame
    n_holdout: int
    n_excluded: int
    unit_precision: dict[str, float]


def score_holdout(
    spark: SparkSession,
    manifest: Manifest,
    description: Description,
    champion: Registered,
    challenger: Registered,
) -> Comparison:
    """Let both models score the rows of the holdout that neither has seen.

    Raises:
        RetrainingError: If no row is left, there are more than the driver takes, or the data that
            a model was trained on cannot be read.
    """
    n_holdout = manifest.splits["holdout"].n_rows
    if n_holdout > MAX_ROWS:
        raise RetrainingError(
            f"the holdout has {n_holdout:,} rows, more than the {MAX_ROWS:,} that are compared",
            "shorten split.holdout",
        )
    holdout = dataset.read_split(spark, manifest, "holdout")
    holdout = holdout.where(F.col(description.label.column).isNotNull())
    for uri in sorted({str(model.training["data"]) for model in (champion, challenger)}):
        holdout = _without_rows_of(spark, holdout, uri, description.row_key)
    label = (F.col(description.label.column) == F.lit(description.label.positive)).cast("int")
    both = holdout.withColumn("label", label)
    for role, registered in zip(ROLES, (champion, challenger), strict=True):
        features = registered.description.feature_columns
        scored = scoring.score(both, registered.model, features, name=role)
        both = scored.drop(scoring.PREDICTION)
    columns = [F.col(description.row_key).alias("key"), *map(F.col, ("label", *ROLES))]
    if description.unit:
        columns.append(F.col(description.unit).alias("unit"))
    if description.event_time:
        columns.append(F.to_date(description.event_time).alias("day"))
    kept = both.cache()
    table = kept.select(*columns).toPandas().sort_values("key", ignore_index=True)
    precision = _unit_precision(kept, description) if len(table) else {}
    kept.unpersist()
    if table.empty:
        raise RetrainingError(
            f"all {n_holdout:,} rows of the holdout were used to train a model",
            "run preprocess on newer data",
        )
    return Comparison(table, n_holdout, n_holdout - len(table), precision)


def read_scores(spark: SparkSession, uri: str) -> Comparison:
    """Read a table of scores: label, champion, challenger and, if there, key, unit, weight.

    Raises:
        RetrainingError: If it cannot be read, lacks a column, or is larger than the driver takes.
    """
    if not storage.exists(spark, uri):
        raise RetrainingError(f"scores={uri!r} does not exist", "give a parquet file or folder")
    frame = sources.open_parquet(spark, [uri])
    missing = [column for column in ("label", *ROLES) if column not in frame.columns]
    if missing:
        raise RetrainingError(
            f"scores={uri!r} has no column {', '.join(missing)}",
            f"it has {', '.join(frame.columns)}; rename them",
        )
    n_rows = frame.count()
    if not 0 < n_rows <= MAX_ROWS:
        raise RetrainingError(f"scores={uri!r} has {n_rows:,} rows", f"give 1 to {MAX_ROWS:,} rows")
    optional = [c for c in ("key", "unit", "day", "weight") if c in frame.columns]
    columns = ["label", *ROLES, *optional]
    # Files come in any order, and a bootstrap draws rows by their position.
    table = frame.select(columns).sort(columns).toPandas()
    return Comparison(table, n_rows, 0, {})


def metric_values(table: pd.DataFrame) -> dict[str, float]:
    """Every metric of both models, by names such as `champion_auroc`.

    Of scores outside [0, 1], which are no probabilities, only those that need none.
    """
    weight = table["weight"].to_numpy(np.float64) if "weight" in table else None
    label = table["label"].to_numpy()
    scores = {role: table[role].to_numpy(np.float64) for role in ROLES}
    fit = all(score.min() >= 0 and score.max() <= 1 for score in scores.values())
    return {
        f"{role}_{name}": metric.function(label, score, weight)
        for name, metric in metrics.METRICS.items()
        for role, score in scores.items()
        if fit or not metric.of_probabilities
    }


def _without_rows_of(spark: SparkSession, holdout: DataFrame, uri: str, key: str) -> DataFrame:
    manifest = dataset.read_manifest(spark, uri)
    for name in ("train", "validation"):
        seen = dataset.read_split(spark, manifest, name).select(key)
        holdout = holdout.join(seen, on=key, how="left_anti")
    return holdout


def _unit_precision(both: DataFrame, description: Description) -> dict[str, float]:
    capacity, event_time = description.capacity, description.event_time
    if capacity is None or event_time is None:
        return {}
    labelled = both.withColumn(pipelines.LABEL, F.col("label").cast("double"))
    return {
        f"{role}_precision_at_{capacity.per_day}": evaluation.unit_precision(
            labelled.withColumn(scoring.SCORE, F.col(role)), event_time, capacity
        )
        for role in ROLES
    }
