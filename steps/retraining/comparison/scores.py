"""Two models on the same rows that neither was trained on: one table of scores."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyspark.sql import functions as F

from retraining.comparison.columns import ROLES, ScoreColumns
from retraining.data.columns import is_positive, quote
from retraining.data.instants import clock_of, day_of
from retraining.data.manifest import read_split
from retraining.data.overlap import without_rows_of
from retraining.data.rows import keys
from retraining.description.names import PREDICTION
from retraining.digests import digest
from retraining.models import evaluation, scoring
from retraining.spark import storage

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

    from retraining.data.manifest import Manifest
    from retraining.description.document import Description
    from retraining.models.store import LoadedModel

# Up to this number, rows are compared one by one on the driver, which then holds some 2 GB.
EXACT_ROWS: Final = 10_000_000
# Enough to see which of two models is better before they are tested.
VALIDATION_ROWS: Final = 1_000_000

# Added to the columns of a holdout, whose names do not begin with an underscore.
_LABEL: Final = "_label"
_KEY: Final = "_key"


class Comparison(NamedTuple):
    """Scores of two models on the same rows, on the driver or in Spark.

    Attributes:
        scores: At most `EXACT_ROWS` rows on the driver, in an order that does not depend on the
            order of files; if there are more, a frame of Spark.
        columns: Which column of the scores is which.
        uri: Where they are stored already; "" if they are not.
        n_rows: Rows in the table or frame.
        n_holdout: Rows of the holdout.
        n_excluded: Rows left out because a model was trained or selected on them.
        unit_precision: Precision at capacity by role; empty if no capacity is described.
        ignored: Columns of a table of scores that are not used.
        digest: Of the files at `uri`; "" where they are not stored yet.
    """

    scores: pd.DataFrame | DataFrame
    columns: ScoreColumns
    uri: str
    n_rows: int
    n_holdout: int
    n_excluded: int
    unit_precision: dict[str, float]
    ignored: tuple[str, ...] = ()
    digest: str = ""


def score_holdout(
    spark: SparkSession,
    manifest: Manifest,
    description: Description,
    champion: LoadedModel,
    challenger: LoadedModel,
    *,
    folder: str,
) -> Comparison:
    """Score with both models the holdout rows that neither was trained on, in one pass.

    The result may have no rows: a champion of later data was trained on all of an older holdout.

    Args:
        spark: The session.
        manifest: Of the prepared data.
        description: With which the data was prepared.
        champion: One model.
        challenger: The other model.
        folder: Where scores are written if they are too many for the driver; it must not exist.

    Raises:
        RetrainingError: If the training data of a model cannot be read.
    """
    n_holdout = manifest.splits["holdout"].n_rows
    holdout = _labelled(spark, manifest, description, "holdout")
    for uri in sorted({str(model.training["data"]) for model in (champion, challenger)}):
        start = manifest.splits["holdout"].start
        holdout = without_rows_of(spark, holdout, description, uri, start=start)
    columns = ScoreColumns.of_holdout(description)
    kept = _score(holdout, description, columns, champion, challenger)
    with ExitStack() as cached:
        if n_holdout <= EXACT_ROWS:
            kept = kept.cache()
            cached.callback(kept.unpersist)
            shown = columns._replace(capacity_unit=None)
            table = _to_table(kept, shown)
            scored = Comparison(table, shown, "", len(table), n_holdout, 0, {})
        else:
            kept.write.parquet(folder)
            kept = spark.read.parquet(folder)
            written = digest_of_folder(spark, folder)
            scored = Comparison(kept, columns, folder, kept.count(), n_holdout, 0, {}, (), written)
        precision = _unit_precision(kept, columns, description) if scored.n_rows else {}
    return scored._replace(n_excluded=n_holdout - scored.n_rows, unit_precision=precision)


def score_validation(
    spark: SparkSession,
    manifest: Manifest,
    description: Description,
    champion: LoadedModel,
    challenger: LoadedModel,
) -> tuple[pd.DataFrame, ScoreColumns]:
    """Score with both models the validation rows that neither was trained on.

    Both may have been selected on them. Of many rows about `VALIDATION_ROWS` are scored, chosen by
    a hash of their key.

    The arguments are those of `score_holdout`.

    Returns:
        The table of scores, which may have no rows, and its columns.

    Raises:
        RetrainingError: If the training data of a model cannot be read.
    """
    n_rows = manifest.splits["validation"].n_rows
    rows = _labelled(spark, manifest, description, "validation")
    if n_rows > VALIDATION_ROWS:
        place = F.pmod(F.xxhash64(*map(quote, description.key_columns)), F.lit(n_rows))
        rows = rows.where(place < VALIDATION_ROWS)
    # The splits of one preparation have no row in common.
    others = {str(model.training["data"]) for model in (champion, challenger)} - {manifest.uri}
    for uri in sorted(others):
        start = manifest.splits["validation"].start
        rows = without_rows_of(spark, rows, description, uri, start=start, splits=("train",))
    columns = ScoreColumns.of_holdout(description)._replace(capacity_unit=None, slices={})
    return _to_table(_score(rows, description, columns, champion, challenger), columns), columns


def digest_of_folder(spark: SparkSession, uri: str) -> str:
    """Digest of the names and sizes of the files of a table, by a listing."""
    files = storage.sizes(spark, uri)
    return digest("\n".join(f"{path.rpartition('/')[2]} {files[path]}" for path in sorted(files)))


def _keep(both: DataFrame, description: Description, columns: ScoreColumns) -> DataFrame:
    """Select the columns of a table of scores from a scored holdout."""
    capacity, event_time = description.capacity, description.event_time
    origin: dict[str | None, Any] = {
        columns.key: _KEY,
        columns.label: _LABEL,
        columns.champion: f"_{columns.champion}",
        columns.challenger: f"_{columns.challenger}",
        **dict(zip((columns.unit, columns.second), description.units, strict=False)),
        columns.day: event_time,
        columns.period: description.gate.period,
        columns.weight: description.weight,
        columns.capacity_unit: capacity.unit if capacity else None,
        **{column: name for name, column in columns.slices.items()},
    }
    both = both.withColumn(_KEY, keys.as_value(description))
    chosen = both.select(*(F.col(origin[name]).alias(name) for name in columns.names))
    if columns.day is None:
        return chosen
    with clock_of(chosen.sparkSession, description.zone):
        return chosen.withColumn(columns.day, day_of(columns.day))


def _labelled(
    spark: SparkSession, manifest: Manifest, description: Description, split: str
) -> DataFrame:
    rows = read_split(spark, manifest, split)
    return rows.where(F.col(description.label.column).isNotNull())


def _score(
    rows: DataFrame,
    description: Description,
    columns: ScoreColumns,
    champion: LoadedModel,
    challenger: LoadedModel,
) -> DataFrame:
    """The columns of a table of scores, for rows of a split."""
    both = rows.withColumn(_LABEL, is_positive(description.label).cast("int"))
    for role, registered in zip(ROLES, (champion, challenger), strict=True):
        features = registered.description.feature_columns
        both = scoring.score(both, registered.model, features, name=f"_{role}").drop(PREDICTION)
    return _keep(both, description, columns)


def _to_table(kept: DataFrame, columns: ScoreColumns) -> pd.DataFrame:
    """The rows on the driver, in an order that does not depend on the order of files."""
    table = kept.select(*map(quote, columns.names)).toPandas()
    return table.sort_values(str(columns.key), ignore_index=True)


def _unit_precision(
    scores: DataFrame, columns: ScoreColumns, description: Description
) -> dict[str, float]:
    capacity, day = description.capacity, columns.day
    unit = columns.capacity_unit or columns.unit
    if capacity is None or day is None or unit is None:
        return {}
    return {
        f"{role}_precision_at_{capacity.per_day}": evaluation.unit_precision(
            scores, capacity.per_day, day=day, unit=unit, score=score, label=columns.label
        )
        for role, score in zip(ROLES, columns.scores, strict=True)
    }
