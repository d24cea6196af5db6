"""Tables of scores that are read: a user's own, and those that an earlier test kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retraining.comparison import scores
from retraining.comparison.columns import ROLES, ScoreColumns
from retraining.comparison.scores import Comparison, digest_of_folder
from retraining.data.columns import quote
from retraining.data.files import parquet
from retraining.digests import digest_of_files
from retraining.errors import RetrainingError, reason
from retraining.spark import storage
from retraining.statistics.slicing import MAXIMUM_VALUES

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

_AS_PARQUET: Final = (
    "write the table as parquet with columns of numbers, text and dates, for example with "
    "to_parquet of pandas"
)
_NUMBERS: Final = (T.NumericType, T.BooleanType)
_DAYS: Final = (T.DateType, T.TimestampType, T.TimestampNTZType, T.StringType)


def read_scores(spark: SparkSession, uri: str) -> Comparison:
    """Read a table of scores: label, champion and challenger, and what else it has.

    It may have key, unit, unit_2, day, period and weight. Every other column of single values, of
    which there are at most `MAXIMUM_VALUES`, is a slice.

    Raises:
        RetrainingError: If it cannot be read, has no row, lacks a column, or a column has a type
            that does not serve.
    """
    frame = _open(spark, uri)
    missing = [column for column in ("label", *ROLES) if column not in frame.columns]
    if missing:
        raise RetrainingError(
            f"scores={uri!r} has no column {', '.join(missing)}",
            f"it has {', '.join(frame.columns)}; rename them",
        )
    columns = ScoreColumns.of_table(frame.columns)
    _check_types(frame, columns)
    frame = _without_times(frame, columns)
    single = [name for name in columns.slices if _is_single(frame, columns.slices[name])]
    n_rows, *values = frame.agg(
        F.count(F.lit(1)),
        *(F.approx_count_distinct(quote(columns.slices[name])) for name in single),
    ).collect()[0]
    if not n_rows:
        raise RetrainingError(f"scores={uri!r} has no rows", "give a table with rows")
    few = [name for name, n in zip(single, values, strict=True) if n <= MAXIMUM_VALUES]
    ignored = tuple(name for name in columns.slices if name not in few)
    columns = columns._replace(slices={name: columns.slices[name] for name in few})
    chosen = frame.select(*map(quote, columns.names))
    if n_rows > scores.EXACT_ROWS:
        found = digest_of_folder(spark, uri)
        return Comparison(chosen, columns, uri, n_rows, n_rows, 0, {}, ignored, found)
    # Files come in any order, and a bootstrap draws rows by their position.
    table = chosen.sort(*map(quote, columns.names)).toPandas()
    return Comparison(table, columns, "", n_rows, n_rows, 0, {}, ignored)


def read_kept(path: Path, uri: str, kept_digest: str = "") -> Comparison:
    """Read the scores that an earlier comparison stored on its run, without Spark.

    Args:
        path: The downloaded file.
        uri: Where it is stored.
        kept_digest: Digest of the file when it was stored; "" where none is known.

    Raises:
        RetrainingError: If the file is not as it was stored.
    """
    check_kept(uri, digest_of_files(path), kept_digest)
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are of these kinds
        raise RetrainingError(
            f"the scores {uri} cannot be read ({reason(error)})", "compare the models again"
        ) from error
    columns = ScoreColumns.of_table(map(str, table.columns))
    return Comparison(table, columns, uri, len(table), len(table), 0, {}, (), kept_digest)


def check_kept(uri: str, found: str, kept: str) -> None:
    """Refuse stored scores that are not as they were stored.

    Args:
        uri: Where they are.
        found: Their digest.
        kept: Their digest when they were stored; "" where none is known.
    """
    if kept and found != kept:
        raise RetrainingError(
            f"the scores {uri} have changed since they were stored",
            "restore them from a copy, or compare the models again",
        )


def _open(spark: SparkSession, uri: str) -> DataFrame:
    if not storage.exists(spark, uri):
        raise RetrainingError(f"scores={uri!r} does not exist", "give a parquet file or folder")
    files = sorted(storage.sizes(spark, uri))
    if not files:
        raise RetrainingError(f"scores={uri!r} holds no files", _AS_PARQUET)
    try:
        return parquet.open_table(spark, uri, files[0])
    except RetrainingError as error:
        remedy = _AS_PARQUET if error.remedy == parquet.WRITE_AGAIN else error.remedy
        raise RetrainingError(f"scores={uri!r}: {error.what}", remedy) from error


def _check_types(frame: DataFrame, columns: ScoreColumns) -> None:
    """Refuse a column whose values cannot be what its name says."""
    numbers = (columns.label, *columns.scores, columns.weight)
    for name in filter(None, (*numbers, *columns.units, columns.period, columns.day)):
        kind = frame.schema[name].dataType
        if name in numbers:
            serves, remedy = isinstance(kind, _NUMBERS), "give numbers"
        elif name == columns.day:
            # 20260131 could be a date, a number of days, or of nanoseconds.
            serves = isinstance(kind, _DAYS)
            remedy = "give dates, times or text as 2026-01-31; or rename the column"
        else:
            serves, remedy = _is_single(frame, name), "give text, numbers or dates"
        if not serves:
            raise RetrainingError(f"{name} has the type {kind.simpleString()}", remedy)


def _without_times(frame: DataFrame, columns: ScoreColumns) -> DataFrame:
    """Times as text, since those of pandas end in the year 2262, and the day as a date."""
    for field in frame.schema:
        if isinstance(field.dataType, T.TimestampType | T.TimestampNTZType):
            kind = "date" if field.name == columns.day else "string"
            frame = frame.withColumn(field.name, F.col(quote(field.name)).cast(kind))
    return frame


def _is_single(frame: DataFrame, name: str) -> bool:
    """Whether the values of a column are single ones, which can be sorted and shown."""
    kind = frame.schema[name].dataType
    return isinstance(kind, T.AtomicType) and not isinstance(kind, T.BinaryType | T.VariantType)
