"""Parquet files, read by the names of their columns."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from retraining.data.columns import quote
from retraining.data.files.fields import (
    Part,
    at_once,
    escape_glob,
    folder_values,
    match,
    typed_values,
)
from retraining.errors import RetrainingError
from retraining.spark import faults
from retraining.spark.java import java_class

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyspark.sql import DataFrame, SparkSession

    from retraining.data.files.fields import Matched
    from retraining.description.document import Description

WRITE_AGAIN: Final = "write it again"
# Inner fields are indented more. The flag: whether they are instants, or times without a zone.
_NANOSECONDS = re.compile(r"^  \w+ int64 (.+) \(TIMESTAMP\(NANOS,(true|false)\)\)", re.MULTILINE)


class Footer(NamedTuple):
    """What the end of a parquet file says of all of it.

    Attributes:
        schema: As Parquet writes it.
        names: Of the columns.
    """

    schema: str
    names: tuple[str, ...]


def read_parquet(
    spark: SparkSession,
    paths: Sequence[str],
    description: Description,
    optional: frozenset[str],
) -> Iterator[Part]:
    """Read parquet files, those of one schema together: Spark uses that of one file for all.

    Times in nanoseconds, as pandas writes them, can be read by Spark only as whole numbers, and
    only if a setting says so.

    Raises:
        RetrainingError: If a file is not parquet, lacks a column or has it twice.
    """
    groups: dict[tuple[str, Matched], list[str]] = defaultdict(list)
    footers = at_once(lambda path: _read_footer(spark, path), paths)
    for path, footer in zip(paths, footers, strict=True):
        matched = match(path, footer.names, description, optional)
        groups[footer.schema, matched].append(path)
    for (schema, matched), alike in groups.items():
        frame = _with_times(open_parquet(spark, alike), schema)
        file = F.col("_metadata.file_path")
        given = typed_values(alike[0], frame, matched.names, description)
        given |= folder_values(file, matched.folders)
        yield Part(frame, given, F.lit(None).cast("string"), file)


def open_table(spark: SparkSession, folder: str, file: str) -> DataFrame:
    """Read a folder of parquet files of one schema, or a single file.

    Args:
        spark: The session.
        folder: The folder or the file.
        file: One of the files in the folder, or the file.

    Raises:
        RetrainingError: If it is not parquet, or Spark cannot read it.
    """
    footer = _read_footer(spark, file)
    return _with_times(open_parquet(spark, [folder]), footer.schema)


def open_parquet(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    """Read parquet files by their exact paths; times in nanoseconds are read as whole numbers.

    Raises:
        RetrainingError: If Spark cannot read them.
    """
    spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    try:
        return spark.read.parquet(*map(escape_glob, paths))
    except (Py4JJavaError, PySparkException) as error:
        twin = re.search(r"COLUMN_ALREADY_EXISTS\] The column (\S+) already exists", str(error))
        if twin:
            what = f"{paths[0]} has the column {twin[1].strip('`')} twice"
            raise RetrainingError(what, "rename one; upper and lower case are the same") from error
        if fault := faults.of_service(error) or faults.unreadable_file(error):
            raise fault from error
        what = f"{paths[0]} cannot be read ({faults.first_line(error)})"
        raise RetrainingError(what, WRITE_AGAIN) from error


def _with_times(frame: DataFrame, schema: str) -> DataFrame:
    """The rows with times in place of whole numbers of nanoseconds."""
    for name, is_instant in _NANOSECONDS.findall(schema):
        micros = f"{quote(name)} div 1000"
        time = f"timestamp_micros({micros})"
        if is_instant == "false":
            seconds = f"CAST(({micros}) / 1000000BD AS DECIMAL(18, 6))"
            time = f"TIMESTAMP_NTZ'1970-01-01 00:00:00' + make_dt_interval(0, 0, 0, {seconds})"
        frame = frame.withColumn(name, F.expr(time))
    return frame


def _read_footer(spark: SparkSession, path: str) -> Footer:
    jvm, hadoop = spark._jvm, spark._jsc.hadoopConfiguration()
    try:
        where = java_class(jvm, "org.apache.hadoop.fs.Path")(path)
        files = java_class(jvm, "org.apache.parquet.hadoop.util.HadoopInputFile")
        readers = java_class(jvm, "org.apache.parquet.hadoop.ParquetFileReader")
        reader = readers.open(files.fromPath(where, hadoop))
        schema = reader.getFileMetaData().getSchema()
        names = tuple(str(field.getName()) for field in schema.getFields())
        footer = Footer(str(schema.toString()), names)
        reader.close()
    except (Py4JJavaError, PySparkException) as error:
        if faults.of_service(error):
            raise
        if fault := faults.closed_or_gone(path, str(error)):
            raise fault from error
        raise RetrainingError(f"{path} is not a parquet file", WRITE_AGAIN) from error
    return footer
