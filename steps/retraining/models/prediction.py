"""Batch scoring: one score per row, from raw rows or from rows that have features already."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from pyspark.sql import functions as F

from retraining.data import features, quality, sources
from retraining.data.fingerprint import fingerprint
from retraining.description.names import PREDICTION, SCORE
from retraining.errors import RetrainingError
from retraining.models import scoring
from retraining.spark import storage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame, SparkSession

    from retraining.data.sources import RawFile
    from retraining.description.document import Description
    from retraining.models.store import LoadedModel

# Readers of the folder of scores skip names that begin with an underscore.
QUARANTINE = "_quarantine"
UNFINISHED = "_UNFINISHED"
_WANTED = "_wanted"


class Prediction(NamedTuple):
    """The result of batch scoring.

    Attributes:
        uri: Folder with the scores; rejected rows are in its subfolder `_quarantine`.
        n_rows: Rows scored.
        n_positives: Rows predicted positive.
        n_quarantined: Rows rejected.
        fingerprint: Of key, score and prediction.
    """

    uri: str
    n_rows: int
    n_positives: int
    n_quarantined: int
    fingerprint: str


def predict(
    spark: SparkSession,
    registered: LoadedModel,
    *,
    files: Sequence[RawFile],
    history: Sequence[RawFile],
    folder: str,
    run_id: str,
) -> Prediction:
    """Score the rows of files and write them to a folder.

    Until all scores are written the folder holds a file `_UNFINISHED`; such a folder, left by a
    killed run, is replaced.

    Args:
        spark: The session.
        registered: The model, with the description by which its features are built.
        files: Raw files, or parquet files that hold every feature.
        history: Raw files of earlier rows, for rolling features only.
        folder: Folder to write; it must not exist unless it is unfinished.
        run_id: Written on every row.
    """
    target = storage.make_absolute(spark, folder)
    mark = f"{target}/{UNFINISHED}"
    if storage.exists(spark, target) and not storage.exists(spark, mark):
        raise RetrainingError(f"output={target} exists", "name a folder that does not exist")
    storage.remove(spark, target)
    storage.write_text(spark, mark, run_id)
    description, version = registered.description, registered.version
    with ExitStack() as stack:
        stack.enter_context(storage.removed_on_failure(spark, target))
        rows = _rows_to_score(spark, files, history, description, stack)
        if rows.rejected is not None:
            rows.rejected.write.parquet(f"{target}/{QUARANTINE}")
        scoring.score(rows.valid, registered.model, description.feature_columns).select(
            F.col(description.row_key).alias("key"),
            SCORE,
            PREDICTION,
            F.lit(version.name).alias("model_name"),
            F.lit(int(version.version)).alias("model_version"),
            F.lit(run_id).alias("run_id"),
        ).write.mode("append").parquet(target)
        written = spark.read.parquet(target)
        content = fingerprint(written.select("key", SCORE, PREDICTION))
        if content.n_rows != rows.n_valid:
            raise RuntimeError(f"{content.n_rows} rows were scored of {rows.n_valid} valid ones")
        n_positives = written.where(F.col(PREDICTION) == 1).count()
        storage.remove(spark, mark)
    return Prediction(target, content.n_rows, n_positives, rows.n_rejected, content.digest)


class _Incoming(NamedTuple):
    """Rows with features, and the rejected rows; None if rows were not checked."""

    valid: DataFrame
    n_valid: int
    rejected: DataFrame | None
    n_rejected: int


def _rows_to_score(
    spark: SparkSession,
    files: Sequence[RawFile],
    history: Sequence[RawFile],
    description: Description,
    cached: ExitStack,
) -> _Incoming:
    ready = _with_features(spark, files, description)
    if ready is not None:
        n_rows = _count_complete(ready, description)
        own = (description.row_key, *description.feature_columns)
        return _Incoming(ready.select(*(c for c in own if c in ready.columns)), n_rows, None, 0)
    checked = _checked(spark, files, history, description).cache()
    cached.callback(checked.unpersist)
    valid = checked.where(F.col(quality.REASON).isNull())
    built = features.build(valid.select(*description.columns, _WANTED), description)
    cached.callback(built.unpersist)
    rejected = quality.quarantined_rows(checked.where(_WANTED))
    # Counted before features are built, so that a row that gets lost there is noticed.
    n_valid, n_rejected = valid.where(_WANTED).count(), rejected.count()
    return _Incoming(built.where(_WANTED), n_valid, rejected, n_rejected)


def _with_features(
    spark: SparkSession, files: Sequence[RawFile], description: Description
) -> DataFrame | None:
    """The rows of the files as they are, if they have a column for every feature."""
    built = set(description.feature_columns) - set(description.columns)
    paths = [file.path for file in files]
    if not built or not all(path.endswith(".parquet") for path in paths):
        return None
    frame = sources.open_parquet(spark, paths)
    return frame if built.issubset(frame.columns) else None


def _count_complete(ready: DataFrame, description: Description) -> int:
    """Count rows that have their features already, after a check that no feature is null.

    Raises:
        RetrainingError: If the row key is missing or a feature has no value.
    """
    if description.row_key not in ready.columns:
        raise RetrainingError(
            f"the rows have no column {description.row_key}",
            f"they have {', '.join(ready.columns)}; add the row key",
        )
    names = [name for name in description.feature_columns if name in ready.columns]
    return features.check_complete(ready, names, "fill them in or leave the rows out")


def _checked(
    spark: SparkSession,
    files: Sequence[RawFile],
    history: Sequence[RawFile],
    description: Description,
) -> DataFrame:
    def check(some: Sequence[RawFile], *, wanted: bool) -> DataFrame:
        raw = sources.read_raw(spark, some, description, labelled=False)
        rows = quality.flag_invalid(raw, description, labelled=False)
        return rows.withColumn(_WANTED, F.lit(wanted))

    rows = check(files, wanted=True)
    if history:
        rows = rows.unionByName(check(history, wanted=False))
    return quality.flag_duplicates(rows, description)
