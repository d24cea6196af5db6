"""Two models on the same rows that neither was trained on: one table of scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import pandas as pd
from pyspark.sql import functions as F

from retraining.data import sources
from retraining.data.manifest import read_manifest, read_split
from retraining.errors import RetrainingError
from retraining.models import evaluation, scoring
from retraining.spark import storage
from retraining.statistics.slicing import MAXIMUM_VALUES

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from retraining.data.manifest import Manifest
    from retraining.description.document import Description
    from retraining.models.store import LoadedModel

ROLES: Final = ("champion", "challenger")
# Up to so many rows are compared one by one on the driver, which then holds some 2 GB.
EXACT_ROWS: Final = 10_000_000
_INVESTIGATED = "_investigated"


class Comparison(NamedTuple):
    """Scores of two models on the same rows: on the driver, or still in Spark.

    Columns are label (0 or 1), champion, challenger (scores), where known key, unit, day and
    weight, and the slice columns.

    Attributes:
        scores: At most `EXACT_ROWS` rows on the driver, in an order that does not depend on the
            files' order; more rows as a frame of Spark.
        uri: Where they are kept already; "" for nowhere.
        slices: Names of the slice columns.
        n_rows: Rows in the table or frame.
        n_holdout: Rows of the holdout.
        n_excluded: Rows left out because a model was trained or selected on them.
        unit_precision: Precision at capacity by role; empty where no capacity is described.
        ignored: Columns of a table of scores that are of no use.
    """

    scores: pd.DataFrame | DataFrame
    uri: str
    slices: tuple[str, ...]
    n_rows: int
    n_holdout: int
    n_excluded: int
    unit_precision: dict[str, float]
    ignored: tuple[str, ...] = ()


def score_holdout(
    spark: SparkSession,
    manifest: Manifest,
    description: Description,
    champion: LoadedModel,
    challenger: LoadedModel,
    *,
    folder: str,
) -> Comparison:
    """Let both models score the rows of the holdout that neither has seen, in one pass.

    None may be left: a champion of later data has seen all of an older holdout.

    Args:
        spark: The session.
        manifest: Of the prepared data.
        description: What it was prepared with.
        champion: One model.
        challenger: The other one.
        folder: Where scores are written if they are too many for the driver; it must not exist.

    Raises:
        RetrainingError: If the data that a model was trained on cannot be read.
    """
    n_holdout = manifest.splits["holdout"].n_rows
    holdout = read_split(spark, manifest, "holdout")
    holdout = holdout.where(F.col(description.label.column).isNotNull())
    for uri in sorted({str(model.training["data"]) for model in (champion, challenger)}):
        holdout = _without_rows_of(spark, holdout, uri, description.row_key)
    label = (F.col(description.label.column) == F.lit(description.label.positive)).cast("int")
    both = holdout.withColumn("label", label)
    for role, registered in zip(ROLES, (champion, challenger), strict=True):
        features = registered.description.feature_columns
        scored = scoring.score(both, registered.model, features, name=role)
        both = scored.drop(scoring.PREDICTION)
    kept = both.select(*_kept_columns(description))
    if n_holdout <= EXACT_ROWS:
        kept = kept.cache()
        table = kept.toPandas().sort_values("key", ignore_index=True)
        found = Comparison(table, "", description.slices, len(table), n_holdout, 0, {})
    else:
        kept.write.parquet(folder)
        kept = spark.read.parquet(folder)
        found = Comparison(kept, folder, description.slices, kept.count(), n_holdout, 0, {})
    precision = _unit_precision(kept, description) if found.n_rows else {}
    kept.unpersist()
    if isinstance(found.scores, pd.DataFrame):
        found = found._replace(scores=found.scores.drop(columns=_INVESTIGATED, errors="ignore"))
    return found._replace(n_excluded=n_holdout - found.n_rows, unit_precision=precision)


def read_scores(spark: SparkSession, uri: str) -> Comparison:
    """Read a table of scores: label, champion, challenger and, if there, key, unit, day, weight.

    Every other column of at most `MAXIMUM_VALUES` values is a slice column.

    Raises:
        RetrainingError: If it cannot be read, has no row, or lacks a column.
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
    known = [c for c in ("key", "unit", "day", "weight") if c in frame.columns]
    others = [c for c in frame.columns if c not in ("label", *ROLES, *known)]
    found = frame.agg(
        F.count(F.lit(1)), *(F.approx_count_distinct(F.col(f"`{name}`")) for name in others)
    ).collect()[0]
    n_rows = found[0]
    if not n_rows:
        raise RetrainingError(f"scores={uri!r} has no rows", "give a table with rows")
    few = [values <= MAXIMUM_VALUES for values in found[1:]]
    slices = tuple(name for name, is_few in zip(others, few, strict=True) if is_few)
    ignored = tuple(name for name in others if name not in slices)
    columns = [f"`{name}`" for name in ("label", *ROLES, *known, *slices)]
    chosen = frame.select(columns)
    if n_rows > EXACT_ROWS:
        return Comparison(chosen, uri, slices, n_rows, n_rows, 0, {}, ignored)
    # Files come in any order, and a bootstrap draws rows by their position.
    table = chosen.sort(columns).toPandas()
    return Comparison(table, "", slices, n_rows, n_rows, 0, {}, ignored)


def read_kept(path: str) -> Comparison:
    """Read the scores that an earlier comparison kept on its run, without Spark."""
    table = pd.read_parquet(path)
    reserved = ("label", *ROLES, "key", "unit", "day", "weight")
    slices = tuple(str(name) for name in table.columns if name not in reserved)
    return Comparison(table, path, slices, len(table), len(table), 0, {})


def _kept_columns(description: Description) -> list[Column]:
    columns = [F.col(description.row_key).alias("key"), *map(F.col, ("label", *ROLES))]
    if description.unit:
        columns.append(F.col(description.unit).alias("unit"))
    if description.event_time:
        columns.append(F.to_date(description.event_time).alias("day"))
    columns += [F.col(name) for name in description.slices]
    if description.capacity:
        columns.append(F.col(description.capacity.unit).alias(_INVESTIGATED))
    return columns


def _without_rows_of(spark: SparkSession, holdout: DataFrame, uri: str, key: str) -> DataFrame:
    manifest = read_manifest(spark, uri)
    for name in ("train", "validation"):
        seen = read_split(spark, manifest, name).select(key)
        holdout = holdout.join(seen, on=key, how="left_anti")
    return holdout


def _unit_precision(scores: DataFrame, description: Description) -> dict[str, float]:
    capacity = description.capacity
    if capacity is None or description.event_time is None:
        return {}
    return {
        f"{role}_precision_at_{capacity.per_day}": evaluation.unit_precision(
            scores, capacity.per_day, day="day", unit=_INVESTIGATED, score=role, label="label"
        )
        for role in ROLES
    }
