"""Tables of databases: their addresses, and the driver that Spark needs for them.

Name and password come from the environment alone, JDBC_USER and JDBC_PASSWORD: what is in an
address becomes a parameter of a run.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from retraining.errors import RetrainingError
from retraining.spark import ivy
from retraining.spark.faults import first_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pyspark.sql import DataFrame, DataFrameReader, SparkSession

_SCHEME: Final = "jdbc:postgresql:"
_DRIVER: Final = "org.postgresql.Driver"
_PACKAGES: Final = ivy.Packages(("org.postgresql:postgresql:42.7.14",), ("org.checkerframework:*",))
_FORM: Final = "jdbc:postgresql://host:5432/database?table=schema.table"
_READS_PER_CORE: Final = 4


class Address(NamedTuple):
    """Where rows are.

    Attributes:
        url: Of the database, as its driver takes it.
        rows: A table, or a query in brackets.
        partition: The column by whose ranges many tasks read at once; None for one task.
    """

    url: str
    rows: str
    partition: str | None


def is_address(source: str) -> bool:
    """Whether a source is a database and not a file."""
    return source.startswith("jdbc:")


def jars(paths: Iterable[str]) -> list[Path]:
    """The driver, if one of the paths needs it; downloaded once."""
    if any(map(is_address, paths)):
        return ivy.jars("the driver of PostgreSQL", "postgresql", _PACKAGES)
    return []


def read(spark: SparkSession, source: str) -> DataFrame:
    """Read a table, or what a query selects.

    Raises:
        RetrainingError: If the address is not complete, holds a password, or does not answer.
    """
    address = _parse(source)
    reader = spark.read.format("jdbc").options(
        url=address.url, driver=_DRIVER, fetchsize=10_000, preferTimestampNTZ=True
    )
    for option, name in {"user": "JDBC_USER", "password": "JDBC_PASSWORD"}.items():
        if os.environ.get(name):
            reader = reader.option(option, os.environ[name])
    try:
        if address.partition:
            reader = _in_ranges(spark, reader, address)
        return reader.option("dbtable", address.rows).load()
    except (Py4JJavaError, PySparkException) as error:
        raise RetrainingError(
            f"{source} cannot be read ({first_line(error)})",
            "check the address, JDBC_USER and JDBC_PASSWORD; a Spark that spark-submit starts "
            f"needs --packages {_PACKAGES.names[0]}",
        ) from error


def _parse(source: str) -> Address:
    url, _, options = source.partition("?")
    stated: dict[str, str] = {}
    others = []
    for part in filter(None, options.split("&")):
        key, _, value = part.partition("=")
        if key in ("table", "query", "partition"):
            stated[key] = unquote(value)
        else:
            others.append(part)
    if not source.startswith(_SCHEME) or ("table" in stated) == ("query" in stated):
        raise RetrainingError(
            f"{source} is not an address of rows", f"write {_FORM}, or ?query=SELECT ..."
        )
    if "@" in url or re.search(r"(^|&)(user|password)=", options):
        raise RetrainingError(
            f"{url.rpartition('@')[2]} has a user or a password in its address",
            "set JDBC_USER and JDBC_PASSWORD in the environment instead",
        )
    url = f"{url}?{'&'.join(others)}" if others else url
    rows = stated.get("table") or f"({stated['query']}) AS selected"
    return Address(url, rows, stated.get("partition"))


def _in_ranges(spark: SparkSession, reader: DataFrameReader, address: Address) -> DataFrameReader:
    column = address.partition
    ends = f"SELECT min({column}) AS low, max({column}) AS high FROM {address.rows}"  # noqa: S608 (theirs)
    low, high = reader.option("dbtable", f"({ends}) AS ends").load().collect()[0]
    if low is None:
        return reader
    n_reads = _READS_PER_CORE * spark.sparkContext.defaultParallelism
    return reader.options(
        partitionColumn=column, lowerBound=str(low), upperBound=str(high), numPartitions=n_reads
    )
