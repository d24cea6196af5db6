"""A session for which Hadoop's default is an HDFS, as where HADOOP_CONF_DIR names one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

_DEFAULT = "fs.defaultFS"


@contextmanager
def hdfs_by_default(spark: SparkSession) -> Iterator[None]:
    """Let a session take paths without a scheme for those of an HDFS that is not there."""
    configuration = spark._jsc.hadoopConfiguration()
    before = configuration.get(_DEFAULT)
    configuration.set(_DEFAULT, "hdfs://127.0.0.1:1")
    try:
        yield
    finally:
        configuration.set(_DEFAULT, before)
