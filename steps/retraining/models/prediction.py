"""Batch scoring: one score per row, from raw rows or from rows that have features already."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from pyspark.sql import functions as F

from retraining.data import features, increment, integrity
from retraining.data.columns import quote
from retraining.data.files import parquet, sources
from retraining.data.fingerprint import fingerprint
from retraining.data.instants import clock_of
from retraining.data.rows import expressions, keys, quality, reasons
from retraining.description.names import PREDICTION, SCORE
from retraining.errors import RetrainingError
from retraining.models import scoring
from retraining.models.claiming import claimed
from retraining.spark import storage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import DataFrame, SparkSession

    from retraining.data.files.sources import RawFile
    from retraining.data.manifest import Manifest
    from retraining.description.document import Description
    from retraining.models.store import LoadedModel

# Readers of the folder of scores skip names that begin with an underscore.
QUARANTINE = "_quarantine"
_WANTED = "_wanted"
_LOG = logging.getLogger(__name__)


class Prediction(NamedTuple):
    """The result of batch scoring.

    Attributes:
        uri: Folder with the scores; rejected rows are in its subfolder `_quarantine`.
        n_rows: Rows scored.
        n_positives: Rows predicted positive.
        rejected: Number of rejected rows by reason, the most frequent first.
        fingerprint: Of key, score and prediction.
    """

    uri: str
    n_rows: int
    n_positives: int
    rejected: Mapping[str, int]
    fingerprint: str

    @property
    def n_quarantined(self) -> int:
        """Rows rejected."""
        return sum(self.rejected.values())

    @property
    def quarantine_uri(self) -> str:
        """Folder with the rejected rows and their reasons."""
        return f"{self.uri}/{QUARANTINE}"


def predict(
    spark: SparkSession,
    registered: LoadedModel,
    *,
    files: Sequence[RawFile],
    history: Sequence[RawFile] = (),
    prepared: Manifest | None = None,
    folder: str,
    run_id: str,
) -> Prediction:
    """Score the rows of files and write them to a folder.

    Until all scores are written the folder holds a file `_UNFINISHED` with the id of the run. Such
    a folder, left by a run that failed or was killed, is replaced.

    Args:
        spark: The session.
        registered: The model, with the description by which its features are built.
        files: Raw files, or parquet files that hold every feature.
        history: Raw files of earlier rows, for rolling features only.
        prepared: A data set whose days before the rows are their history.
        folder: Folder to write; it must not exist unless it is such a leftover.
        run_id: Written on every row.

    Raises:
        RetrainingError: If the folder is in use, rows cannot be read, too many rows are rejected,
            or none is left. Nothing is left in the folder.
    """
    target = storage.make_absolute(spark, folder)
    description, version = registered.description, registered.version
    with (
        clock_of(spark, description.zone),
        claimed(spark, target, run_id),
        ExitStack() as stack,
    ):
        rows = _rows_to_score(spark, files, history, prepared, description, stack)
        _check(rows, description)
        if n_rejected := rows.counts.n_rows:
            _LOG.info(
                f"{rows.n_valid + n_rejected:,} rows read, {n_rejected:,} rejected ({rows.counts})"
            )
        if rows.rejected is not None:
            rows.rejected.write.parquet(f"{target}/{QUARANTINE}")
        scoring.score(rows.valid, registered.model, description.feature_columns).select(
            keys.as_value(description).alias("key"),
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
    return Prediction(target, content.n_rows, n_positives, rows.counts.by_reason, content.digest)


class _Incoming(NamedTuple):
    """Rows with features, and the rejected rows with their reasons; None if there are none."""

    valid: DataFrame
    n_valid: int
    rejected: DataFrame | None
    counts: reasons.Rejected


def _check(rows: _Incoming, description: Description) -> None:
    """Check that enough rows are left to score."""
    n_rejected = rows.counts.n_rows
    if not n_rejected and not rows.n_valid:
        raise RetrainingError("the files hold no rows", "give files that hold rows")
    reasons.check_share(
        rows.counts,
        rows.n_valid + n_rejected,
        description,
        "correct or leave out these rows, or train with quarantine.max_share",
    )
    if not rows.n_valid:
        raise RetrainingError(f"no row can be scored ({rows.counts})", "correct the rows")


def _rows_to_score(
    spark: SparkSession,
    files: Sequence[RawFile],
    history: Sequence[RawFile],
    prepared: Manifest | None,
    description: Description,
    cached: ExitStack,
) -> _Incoming:
    ready = _with_features(spark, files, description)
    if ready is not None:
        return _judge_ready(ready, description, cached)
    checked = _checked(spark, files, history, description).cache()
    cached.callback(checked.unpersist)
    with expressions.holding_for_every_row("an expression of columns"):
        days, refused = reasons.count_reasons(checked.where(_WANTED), description, labelled=False)
    own = (*description.kept_columns, sources.FILE)
    known = checked.where(F.col(quality.REASON).isNull())
    earlier = known.where(~F.col(_WANTED)) if history else None
    if prepared is not None:
        earlier = _days_before(spark, checked, prepared, description)
    built = features.add(known.where(_WANTED).select(*own), description, history=earlier)
    built = built.withColumn(
        quality.REASON, features.without_value(built, description.needed_features)
    )
    built = built.cache()
    cached.callback(built.unpersist)
    with expressions.holding_for_every_row("a feature"):
        n_complete, incomplete = _count(built)
    # Counted before features are built, so that a row that gets lost there is noticed.
    n_built = n_complete + sum(incomplete.values())
    if n_built != sum(days.values()):
        raise RuntimeError(f"{n_built} of {sum(days.values())} rows are left with features")
    rejected = quality.quarantined_rows(checked.where(_WANTED))
    if incomplete:
        raw = F.lit(None).cast(checked.schema[quality.RAW].dataType).alias(quality.RAW)
        malformed = F.lit(None).cast("string").alias(sources.MALFORMED)
        more = quality.quarantined_rows(built.select("*", raw, malformed))
        rejected = rejected.unionByName(more)
    valid = built.where(F.col(quality.REASON).isNull())
    counts = {**refused.by_reason, **incomplete}
    return _Incoming(valid, n_complete, rejected, reasons.Rejected.sorted(counts, refused.examples))


def _days_before(
    spark: SparkSession, checked: DataFrame, prepared: Manifest, description: Description
) -> DataFrame | None:
    """The prepared rows of earlier days than those to score, as far back as features look.

    Raises:
        RetrainingError: If a day is not as it was written.
    """
    start, _ = increment.first_day(checked, str(description.event_time))
    if start is None:
        return None
    days = increment.days_of_history(description, prepared, start)
    if change := integrity.find_change(spark, prepared.parts, days):
        remedy = "run preprocess again, or give history="
        raise RetrainingError(change, remedy)
    return increment.read_history(spark, description, prepared, start)


def _count(rows: DataFrame) -> tuple[int, dict[str, int]]:
    """Number of valid rows, and of the others by reason."""
    counts = {row[0]: row[1] for row in rows.groupBy(quality.REASON).count().collect()}
    return counts.pop(None, 0), counts


def hold_features(spark: SparkSession, files: Sequence[RawFile], description: Description) -> bool:
    """Whether files have a column for every feature, so that none has to be built."""
    return _with_features(spark, files, description) is not None


def _with_features(
    spark: SparkSession, files: Sequence[RawFile], description: Description
) -> DataFrame | None:
    """The rows of the files as they are, if they have a column for every feature."""
    built = set(description.feature_columns) - set(description.file_columns)
    paths = [file.path for file in files]
    if not built or not all(path.endswith(".parquet") for path in paths):
        return None
    frame = parquet.open_parquet(spark, paths)
    return frame if built.issubset(frame.columns) else None


def _judge_ready(ready: DataFrame, description: Description, cached: ExitStack) -> _Incoming:
    """Rows that have their features already: those that lack a value are rejected.

    Raises:
        RetrainingError: If the row key is missing.
    """
    key = description.key_columns
    if absent := [name for name in key if name not in ready.columns]:
        raise RetrainingError(
            f"the rows have no column {', '.join(absent)}",
            f"they have {', '.join(ready.columns)}; add the row key",
        )
    names = dict.fromkeys((*key, *description.feature_columns))
    own = [name for name in names if name in ready.columns]
    rows = features.fill(ready.select(*own), description)
    needed = [name for name in description.needed_features if name in own]
    keyless = [F.when(F.col(name).isNull(), F.lit(f"null {name}")) for name in key]
    reason = F.coalesce(*keyless, features.without_value(rows, needed))
    rows = rows.withColumn(quality.REASON, reason).cache()
    cached.callback(rows.unpersist)
    n_valid, counts = _count(rows)
    texts = [F.col(quote(name)).cast("string").alias(name) for name in own]
    rejected = rows.where(F.col(quality.REASON).isNotNull()).select(quality.REASON, *texts)
    valid = rows.where(F.col(quality.REASON).isNull())
    refused = reasons.Rejected.sorted(counts, {})
    return _Incoming(valid, n_valid, rejected if counts else None, refused)


def _checked(
    spark: SparkSession,
    files: Sequence[RawFile],
    history: Sequence[RawFile],
    description: Description,
) -> DataFrame:
    """The rows with their reasons; of rows with the same key a wanted one stays, if there is one.

    Rows of the history are never among the wanted ones, whichever files they come from.
    """

    def check(some: Sequence[RawFile], *, wanted: bool) -> DataFrame:
        raw = sources.read_raw(spark, some, description, labelled=False)
        rows = quality.flag_invalid(raw, description, labelled=False)
        return rows.withColumn(_WANTED, F.lit(wanted))

    rows = check(files, wanted=True)
    if history:
        rows = rows.unionByName(check(history, wanted=False))
    rows = quality.flag_duplicates(rows, description, first=F.desc(_WANTED))
    return keys.add_row_id(rows, description, _WANTED)
