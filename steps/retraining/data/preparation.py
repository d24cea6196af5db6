"""From raw files to train, validation and holdout: all steps of it, in order."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from pyspark import StorageLevel
from pyspark.sql import functions as F

from retraining.data import categories, features, increment
from retraining.data.account import Account
from retraining.data.files import sources
from retraining.data.instants import clock_of, day_of
from retraining.data.manifest import (
    Manifest,
    StoredQuarantine,
    no_rows,
    publish,
    read_folders,
    stage,
)
from retraining.data.rows import expressions, keys, quality, reasons
from retraining.data.splitting import partitions
from retraining.data.splitting.cutting import Prepared, cut
from retraining.digests import digest
from retraining.errors import RetrainingError
from retraining.progress import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from pyspark.sql import DataFrame, SparkSession

    from retraining.data.files.sources import RawFile
    from retraining.data.increment import Plan
    from retraining.data.manifest import StoredSplit
    from retraining.data.splitting.cutting import Cut
    from retraining.description.document import Description

_LOG = logging.getLogger(__name__)

_REJECTED_PER_FILE = 1_000_000


class _Judged(NamedTuple):
    """Cached rows, with the reason of those that are rejected, and the valid ones by day.

    `start` is the first day to compute; None if there is none, or if all days are computed.
    """

    frame: DataFrame
    days: Mapping[date | None, int]
    n_rows_read: int
    rejected: reasons.Rejected
    start: date | None


class _Built(NamedTuple):
    """Rows with features, how many of them each new day has, and the days that are reused."""

    prepared: Prepared
    new_days: tuple[date, ...]
    reused_days: tuple[date, ...]


def prepare(
    spark: SparkSession,
    description: Description,
    *,
    files: Sequence[RawFile],
    root: str,
    version: str,
    previous: Manifest | None = None,
    as_of: datetime | None = None,
) -> Manifest:
    """Read, validate, build features, split and write one version of a data set.

    If an earlier version holds some of the files, only the others are read. Its days are reused up
    to the day before the earliest new row; later days are computed again, from its rows and the new
    ones. Every split is the same as if all files had been read.

    Args:
        spark: The session.
        description: Of the data set.
        files: All raw files, from `sources.list_files`.
        root: Folder of all data sets; relative to the working directory if it has no scheme.
        version: A new folder name: the run's id.
        previous: The manifest of an earlier version.
        as_of: The moment up to which labels were reported; None is the end of the newest day.

    Raises:
        RetrainingError: If files cannot be read, too many rows are rejected, a feature is null,
            or a split has no rows. No data set is left behind.
    """
    categories.check_spark(description)
    _check_expressions(spark, description)
    plan = increment.plan(spark, description, files, previous)
    _LOG.info(plan.why)
    with (
        clock_of(spark, description.zone),
        stage(spark, root, description.name, version) as folder,
        ExitStack() as cached,
    ):
        with expressions.holding_for_every_row("an expression of columns"):
            judged = _judge(spark, description, plan, cached)
        rejected = judged.rejected
        why = f" ({rejected})" if rejected.n_rows else ""
        _LOG.info(f"{judged.n_rows_read:,} rows read, {rejected.n_rows:,} rejected{why}")
        _quarantine(judged, f"{folder}/quarantine")
        built = _build(spark, description, plan, judged, folder, cached)
        if description.event_time:
            computed = counted(len(built.new_days), "day")
            _LOG.info(f"{computed} computed, {len(built.reused_days):,} reused")
        found = cut(
            spark,
            description,
            built.prepared,
            folder,
            as_of,
            lambda day: _name_row(judged.frame, description, day),
        )
        for name, split in found.splits.items():
            _LOG.info(f"{name}: {split.n_rows:,} rows, {split.n_positives:,} positive")
        manifest = Manifest(
            name=description.name,
            version=version,
            uri=folder,
            description=description.to_mapping(),
            description_digest=description.digest,
            preparation_digest=description.preparation_digest,
            files=tuple(sorted(files)),
            splits=found.splits,
            fingerprint=_combine(found.splits),
            as_of=found.as_of,
            why=plan.why,
            coverage=found.coverage,
            warnings=(
                *found.warnings,
                *(f"the key is {made}" for made in [keys.describe(description)] if made),
            ),
            **_account(plan, judged, built, found, folder),
        )
        folders = manifest.folders_of("train")
        categories.check(read_folders(spark, folders, manifest.columns), description)
        return publish(spark, manifest, plan.base)


def _check_expressions(spark: SparkSession, description: Description) -> None:
    """Let Spark analyse all expressions before any row is read."""
    names = (*description.file_columns, sources.MALFORMED, sources.FILE)
    rows = quality.flag_invalid(no_rows(spark, dict.fromkeys(names, "string")), description)
    features.add(quality.valid_rows(keys.add_row_id(rows, description), description), description)


def _account(plan: Plan, judged: _Judged, built: _Built, found: Cut, folder: str) -> dict[str, Any]:
    """Return what the manifest says of the rows that were read, rejected, computed and reused."""
    rejected = judged.rejected
    return {
        "columns": built.prepared.columns,
        "days": dict(built.prepared.days),
        "day_rows": dict(built.prepared.rows),
        "new_days": built.new_days,
        "reused_days": built.reused_days,
        "n_rows_read": judged.n_rows_read,
        "quarantine": StoredQuarantine(
            uri=f"{folder}/quarantine",
            n_rows=rejected.n_rows,
            by_reason=rejected.by_reason,
            examples=rejected.examples,
        ),
        "account": Account(
            read=judged.n_rows_read,
            earlier=sum(plan.base.day_rows.values()) if plan.base else 0,
            rejected=rejected.n_rows,
            **found.unused,
            **{name: split.n_rows for name, split in found.splits.items()},
        ),
    }


def _judge(spark: SparkSession, description: Description, plan: Plan, cached: ExitStack) -> _Judged:
    """Judge the new rows, and the stored rows that may turn out to be duplicates of them."""
    raw = _read(spark, plan.files, description)
    rows = quality.flag_invalid(raw, description)
    start, n_rows_read = None, None
    if plan.base is not None and description.event_time is not None:
        rows = _cache(rows, cached)
        start, n_rows_read = increment.first_day(rows, description.event_time)
        rows = increment.add_stored(spark, rows, description, plan.base, start)
    if description.unique_keys:
        rows = quality.flag_few_duplicates(_cache(rows, cached), description, cached)
    if description.row_key is None:
        rows = _cache(keys.add_row_id(rows, description), cached)
    days, rejected = reasons.count_reasons(rows, description)
    n_valid = sum(days.values())
    if n_rows_read is None:
        n_rows_read = n_valid + rejected.n_rows
    reasons.check_share(
        rejected,
        n_rows_read,
        description,
        "correct the files or the rules, or raise quarantine.max_share",
    )
    if plan.base is None and not n_valid:
        files = counted(len(plan.files), "file")
        raise RetrainingError(f"no row of {files} is valid", "give other files")
    return _Judged(rows, days, n_rows_read, rejected, start)


def _read(spark: SparkSession, files: Sequence[RawFile], description: Description) -> DataFrame:
    if files:
        return sources.read_raw(spark, files, description)
    names = (*description.file_columns, sources.MALFORMED, sources.FILE)
    return no_rows(spark, dict.fromkeys(names, "string"))


def _quarantine(judged: _Judged, folder: str) -> None:
    n_files = 1 + judged.rejected.n_rows // _REJECTED_PER_FILE
    quality.quarantined_rows(judged.frame).coalesce(n_files).write.parquet(folder)


def _build(
    spark: SparkSession,
    description: Description,
    plan: Plan,
    judged: _Judged,
    folder: str,
    cached: ExitStack,
) -> _Built:
    """Build the features of the rows from `start` on, and write them by day."""
    base, start = plan.base, judged.start
    if base is not None and start is None:
        kept = Prepared(base.columns, base.days, base.day_rows, None)
        return _Built(kept, (), tuple(base.days))
    rows = quality.valid_rows(judged.frame, description)
    days: dict[date, str] = {}
    counts: dict[date, int] = {}
    history = None
    if base is not None and start is not None:
        history = increment.read_history(spark, description, base, start)
        days = {day: uri for day, uri in sorted(base.days.items()) if day < start}
        counts = {day: base.day_rows[day] for day in days}
    rows = features.add(rows, description, history=history)
    columns = {field.name: field.dataType.simpleString() for field in rows.schema}
    observed = features.count_values(rows, description.needed_features)
    with expressions.holding_for_every_row("a feature"):
        if description.event_time is None:
            rows = _cache(rows, cached)
            features.check_complete(rows.agg(*observed).collect()[0].asDict())
            return _Built(Prepared(columns, {}, {}, rows), (), ())
        new = {day: judged.days[day] for day in sorted(filter(None, judged.days))}
        found = partitions.write_days(rows, description, f"{folder}/rows", new, *observed)
    n_rows = features.check_complete(found)
    if n_rows != sum(new.values()):
        raise RuntimeError(f"{n_rows} rows are left with features of {sum(new.values())}")
    written = {day: partitions.day_folder(f"{folder}/rows", day) for day in new}
    prepared = Prepared(columns, days | written, counts | new, None)
    return _Built(prepared, tuple(new), tuple(days))


def _name_row(judged: DataFrame, description: Description, day: date) -> str:
    """Name a valid row of a day, and its file."""
    key, time = keys.as_value(description), description.event_time
    is_of_day = F.col(quality.REASON).isNull() & (day_of(F.col(str(time))) == F.lit(day))
    rows = judged.where(is_of_day).select(key, sources.FILE).orderBy(key).limit(1).collect()
    return (
        f"{' and '.join(description.key_columns)} {rows[0][0]} of {rows[0][1]}"
        if rows
        else "read by an earlier run"
    )


def _cache(frame: DataFrame, cached: ExitStack) -> DataFrame:
    frame = frame.persist(StorageLevel.MEMORY_AND_DISK)
    cached.callback(frame.unpersist)
    return frame


def _combine(splits: Mapping[str, StoredSplit]) -> str:
    """Return one fingerprint of all rows and of the split that each is in."""
    text = " ".join(f"{name} {split.fingerprint}" for name, split in sorted(splits.items()))
    return digest(text, 32)
