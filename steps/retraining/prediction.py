"""Batch scoring: raw rows, or rows with features, to one score a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyspark.sql import functions as F

from retraining import features, quality, scoring, sources, storage
from retraining.errors import RetrainingError
from retraining.fingerprint import fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame, SparkSession

    from retraining.description import Description
    from retraining.models import Registered
    from retraining.sources import RawFile

# A name that begins with an underscore is skipped by who reads the folder of scores.
QUARANTINE = "_quarantine"
_WANTED = "_wanted"


class Prediction(NamedTuple):
    """What batch scoring made.

    Attributes:
        uri: Folder of the scores; bad rows are in its subfolder `_quarantine`.
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
    registered: Registered,
    *,
    files: Sequence[RawFile],
    history: Sequence[RawFile],
    folder: str,
    run_id: str,
) -> Prediction:
    """Score the rows of files and write them to a folder, all of it or nothing.

    Args:
        spark: The session.
        registered: The model, with the description that builds its features.
        files: Raw files, or parquet files that hold every feature.
        history: Raw files of earlier rows, for rolling features only.
        folder: Folder to make; it must not exist.
        run_id: Written on every row.
    """
    description, version = registered.description, registered.version
    target = storage.make_absolute(spark, folder)
    if storage.exists(spark, target):
        raise RetrainingError(f"output={target} exists", "name a folder that does not")
    draft = f"{target.rpartition('/')[0]}/_staging/{run_id}"
    storage.remove(spark, draft)
    ready = _with_features(spark, files, description)
    flagged = None if ready is not None else _checked(spark, files, history, description).cache()
    built = _featured(flagged, description) if flagged is not None else None
    rows = ready if built is None else built.where(_WANTED)
    scored = scoring.score(rows, registered.model, description.feature_columns).select(
        F.col(description.row_key).alias("key"),
        scoring.SCORE,
        scoring.PREDICTION,
        F.lit(version.name).alias("model_name"),
        F.lit(int(version.version)).alias("model_version"),
        F.lit(run_id).alias("run_id"),
    )
    scored.write.parquet(draft)
    n_wanted, n_quarantined = rows.count(), 0
    if flagged is not None:
        rejected = quality.quarantined_rows(flagged.where(_WANTED))
        rejected.write.parquet(f"{draft}/{QUARANTINE}")
        n_quarantined = rejected.count()
        n_wanted = flagged.where(_WANTED).count() - n_quarantined
        flagged.unpersist()
    if built is not None:
        built.unpersist()
    written = spark.read.parquet(draft)
    content = fingerprint(written.select("key", scoring.SCORE, scoring.PREDICTION))
    if content.n_rows != n_wanted:
        raise RuntimeError(f"{content.n_rows} rows were scored of {n_wanted} valid ones")
    n_positives = written.where(F.col(scoring.PREDICTION) == 1).count()
    storage.move(spark, draft, target)
    return Prediction(target, content.n_rows, n_positives, n_quarantined, content.digest)


def _with_features(
    spark: SparkSession, files: Sequence[RawFile], description: Description
) -> DataFrame | None:
    """The rows of the files as they are, if every feature is a column of theirs already."""
    built = set(description.feature_columns) - set(description.columns)
    paths = [file.path for file in files]
    if not built or not all(path.endswith(".parquet") for path in paths):
        return None
    frame = spark.read.parquet(*paths)
    return frame if built.issubset(frame.columns) else None


def _checked(
    spark: SparkSession,
    files: Sequence[RawFile],
    history: Sequence[RawFile],
    description: Description,
) -> DataFrame:
    def check(some: Sequence[RawFile], *, wanted: bool) -> DataFrame:
        raw = sources.read_raw(spark, some, description, labelled=False)
        rows = quality.check_rows(raw, description, labelled=False)
        return rows.withColumn(_WANTED, F.lit(wanted))

    rows = check(files, wanted=True)
    if history:
        rows = rows.unionByName(check(history, wanted=False))
    return quality.flag_duplicates(rows, description)


def _featured(flagged: DataFrame, description: Description) -> DataFrame:
    valid = flagged.where(F.col(quality.REASON).isNull())
    return features.build(valid.select(*description.columns, _WANTED), description)
