"""Which field of a raw file holds which column of the description."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from retraining.errors import RetrainingError
from retraining.spark import s3a, storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pyspark.sql import SparkSession

    from retraining.description.document import Description

_T = TypeVar("_T")

# Files that are opened at the same time.
_THREADS = 32
_NANOSECONDS = re.compile(r"int64 (\S+) \(TIMESTAMP\(NANOS")


def match(
    path: str, names: Sequence[str], description: Description, optional: frozenset[str]
) -> dict[str, str]:
    """Return what a file calls each column; the column's own name goes before its other ones."""
    matched = {}
    for column, rule in description.file_columns.items():
        candidates = [name for name in (column, *rule.source) if name in names]
        if candidates:
            matched[column] = candidates[0]
        elif column not in optional:
            raise RetrainingError(
                f"{path} has no column {' or '.join((column, *rule.source))}",
                f"its columns are {', '.join(names)}; list the one to read as a source of {column}",
            )
    return matched


def group_text(
    spark: SparkSession, paths: Sequence[str], description: Description, optional: frozenset[str]
) -> Iterable[tuple[tuple[str | None, ...], list[str]]]:
    """Group text files by the columns in their fields; None stands for a field to leave out."""
    columns = tuple(description.file_columns)
    if not description.files.header and not optional:
        return [(columns, list(paths))] if paths else []
    groups: dict[tuple[str | None, ...], list[str]] = defaultdict(list)
    firsts = _at_once(lambda path: _first_fields(spark, path, description), paths)
    for path, first in zip(paths, firsts, strict=True):
        if description.files.header:
            names = [name.strip() for name in first]
            matched = match(path, names, description, optional)
            by_index = {names.index(name): column for column, name in matched.items()}
            groups[tuple(by_index.get(index) for index in range(len(names)))].append(path)
        else:
            absent = columns[len(first) :]
            fields = columns[: len(first)] if optional.issuperset(absent) else columns
            groups[fields].append(path)
    return groups.items()


def group_parquet(
    spark: SparkSession, paths: Sequence[str]
) -> Iterable[tuple[frozenset[str], list[str]]]:
    """Group parquet files by the schema in their footers: Spark uses that of one file for all.

    Each group comes with its columns of times in nanoseconds, as pandas writes them: Spark can read
    these only as whole numbers, and only if a setting says so.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for path, schema in zip(paths, _at_once(lambda path: _schema(spark, path), paths), strict=True):
        groups[schema].append(path)
    return [(frozenset(_NANOSECONDS.findall(schema)), paths) for schema, paths in groups.items()]


def _at_once(read: Callable[[str], _T], paths: Sequence[str]) -> list[_T]:
    """Read from many files at once: most of the time is spent waiting for storage."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(read, paths))


def _schema(spark: SparkSession, path: str) -> str:
    jvm, hadoop = spark._jvm, spark._jsc.hadoopConfiguration()
    try:
        where = jvm.org.apache.hadoop.fs.Path(path)  # type: ignore[union-attr]
        source = jvm.org.apache.parquet.hadoop.util.HadoopInputFile.fromPath(where, hadoop)  # type: ignore[union-attr]
        footer = jvm.org.apache.parquet.hadoop.ParquetFileReader.open(source)  # type: ignore[union-attr]
        schema = str(footer.getFileMetaData().getSchema().toString())
        footer.close()
    except (Py4JJavaError, PySparkException) as error:
        if s3a.complaint(error):
            raise
        raise RetrainingError(f"{path} is not a parquet file", "write it again") from error
    return schema


def _first_fields(spark: SparkSession, path: str, description: Description) -> list[str]:
    comment = description.files.comment
    for line in storage.read_lines(spark, path):
        if line.strip() and not (comment and line.startswith(comment)):
            return next(csv.reader([line.lstrip("\ufeff")], delimiter=description.files.separator))
    return [] if description.files.header else list(description.file_columns)
