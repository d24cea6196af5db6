"""Raw files: a listing of them, and their rows as text under the description's column names."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retraining.data import values
from retraining.data.columns import quote
from retraining.data.fields import group_parquet, group_text, match
from retraining.description.origins import late_columns
from retraining.errors import RetrainingError, reason
from retraining.spark import storage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import Column, SparkSession

    from retraining.description.document import Description

FILE = "_file"  # the file that a row comes from
MALFORMED = "_malformed"  # a line of text with the wrong number of fields; null for other rows


@dataclass(frozen=True, order=True)
class RawFile:
    """A raw file, as it was when it was listed.

    Attributes:
        path: Absolute, with its scheme.
        size: Bytes.
        modified: Milliseconds since 1970.
    """

    path: str
    size: int
    modified: int


def list_files(spark: SparkSession, source: str) -> tuple[RawFile, ...]:
    """List the raw files of a source, by path.

    Args:
        spark: Its Hadoop configuration knows the storage.
        source: A file, a folder, a glob, a comma-separated list of these, or a `.json` file that
            holds an array of them. Folders within a folder are read only if their names look like
            files (`2018-06.parquet`), as Spark writes them; hidden files (`.` or `_` first) are
            skipped.

    Raises:
        RetrainingError: If there are no files, a part of the source cannot be read, or a file is
            neither text nor parquet by its suffix.
    """
    listed: dict[str, RawFile] = {}
    for part in _split_source(spark, source):
        files = [file for entry in storage.find(spark, part) for file in _files_of(spark, entry)]
        if not files:
            raise RetrainingError(f"{part} holds no files", "give files, a folder or a glob")
        listed.update((file.path, file) for file in files)
    return tuple(sorted(listed.values()))


def read_raw(
    spark: SparkSession,
    files: Sequence[RawFile],
    description: Description,
    *,
    labelled: bool = True,
) -> DataFrame:
    """Read raw files as text, so that a later check can distinguish nulls from unreadable values.

    Text files are read by position, or by their header line if the description says so; parquet
    files are read by column name. Columns that the description does not name are left out.

    Args:
        spark: The session.
        files: From `list_files`. Text files of 0 bytes hold no rows.
        description: Names the columns, and the other names that files may use for them.
        labelled: Whether labels are required. If not, the label and those never_features that may
            be null can be missing from the files (in text by position, only at the end of a line);
            they are null then.

    Returns:
        The columns that files hold, each a string, `_malformed` and `_file`.

    Raises:
        RetrainingError: If a column is missing, or all files are empty.
    """
    filled = [file for file in files if file.size > 0 or _is_parquet(file.path)]
    if not filled:
        raise RetrainingError(f"all {len(files)} files are empty", "give files that hold rows")
    text = [file.path for file in filled if _is_text(file.path)]
    parquet = [file.path for file in filled if _is_parquet(file.path)]
    optional = frozenset() if labelled else late_columns(description)
    frames = [
        _read_text(spark, paths, description, fields)
        for fields, paths in group_text(spark, text, description, optional)
    ]
    frames += [
        _read_parquet(spark, paths, description, optional, nanoseconds)
        for nanoseconds, paths in group_parquet(spark, parquet)
    ]
    return reduce(DataFrame.unionByName, frames)


def _split_source(spark: SparkSession, source: str) -> list[str]:
    if source.strip().endswith(".json"):
        try:
            parts = json.loads(storage.read_text(spark, source.strip()))
        except json.JSONDecodeError as error:
            raise RetrainingError(
                f"{source} is not JSON ({error})", "write an array of paths"
            ) from error
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise RetrainingError(f"{source} is not an array of strings", "write an array of paths")
    else:
        parts = re.split(r",(?![^{]*\})", source)  # a comma in {a,b} belongs to the glob
    parts = [part.strip() for part in parts if part.strip()]
    if not parts:
        raise RetrainingError(f"{source!r} names no files", "give files, a folder or a glob")
    return parts


def _files_of(spark: SparkSession, entry: storage.Entry) -> list[RawFile]:
    if entry.is_folder:
        return [
            file
            for inner in storage.list_folder(spark, entry.path)
            if not inner.is_folder or _is_text(inner.path) or _is_parquet(inner.path)
            for file in _files_of(spark, inner)
        ]
    if entry.name.startswith((".", "_")):
        return []
    if not _is_text(entry.path) and not _is_parquet(entry.path):
        raise RetrainingError(
            f"{entry.path} is neither text nor parquet",
            "give .txt, .csv (also .gz, .bz2) or .parquet files, for example by a glob",
        )
    return [RawFile(entry.path, entry.size, entry.modified)]


def _is_text(path: str) -> bool:
    return re.search(r"\.(txt|csv)(\.(gz|bz2))?$", path, re.IGNORECASE) is not None


def _is_parquet(path: str) -> bool:
    return path.lower().endswith(".parquet")


def _read_text(
    spark: SparkSession,
    paths: list[str],
    description: Description,
    fields: Sequence[str | None],
) -> DataFrame:
    names = [f"_{index}" for index in range(len(fields))]
    schema = T.StructType([T.StructField(name, T.StringType()) for name in [*names, MALFORMED]])
    reader = spark.read.schema(schema).options(
        header=description.files.header,
        sep=description.files.separator,
        escape='"',
        mode="PERMISSIVE",
        columnNameOfCorruptRecord=MALFORMED,
        # With pruning, the parser skips fields that are not selected and does not count them.
        columnPruning=False,
    )
    if description.files.comment:
        reader = reader.option("comment", description.files.comment)
    frame = reader.csv([_escape_glob(path) for path in paths])
    given = {column: F.col(name) for column, name in zip(fields, names, strict=True) if column}
    return _select(frame, description, given, F.col(MALFORMED))


def _read_parquet(
    spark: SparkSession,
    paths: list[str],
    description: Description,
    optional: frozenset[str],
    nanoseconds: frozenset[str],
) -> DataFrame:
    frame = open_parquet(spark, paths)
    for name in nanoseconds:
        frame = frame.withColumn(name, F.expr(f"timestamp_micros({quote(name)} div 1000)"))
    names = match(paths[0], frame.columns, description, optional)
    given = {
        column: values.as_text(F.col(quote(name)), frame.schema[name].dataType, column, description)
        for column, name in names.items()
    }
    return _select(frame, description, given, F.lit(None).cast("string"))


def open_parquet(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    """Read parquet files by their exact paths; times in nanoseconds are read as whole numbers.

    Raises:
        RetrainingError: If Spark cannot read them.
    """
    spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    try:
        return spark.read.parquet(*map(_escape_glob, paths))
    except (Py4JJavaError, PySparkException) as error:
        what = f"{paths[0]} cannot be read ({reason(error)})"
        raise RetrainingError(what, "write it again") from error


def _escape_glob(path: str) -> str:
    return re.sub(r"([{}\[\]*?\\])", r"\\\1", path)


def _select(
    frame: DataFrame, description: Description, given: Mapping[str, Column], malformed: Column
) -> DataFrame:
    absent = F.lit(None).cast("string")
    return frame.select(
        *(given.get(column, absent).alias(column) for column in description.file_columns),
        malformed.alias(MALFORMED),
        F.col("_metadata.file_path").alias(FILE),
    )
