"""Tables of databases and of Delta Lake, read by the names of their columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from retraining.data.files.fields import Part, match, typed_values
from retraining.spark import delta, jdbc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyspark.sql import SparkSession

    from retraining.description.document import Description


def read_tables(
    spark: SparkSession,
    addresses: Sequence[str],
    description: Description,
    optional: frozenset[str],
) -> Iterator[Part]:
    """Read the rows at addresses of tables.

    Raises:
        RetrainingError: If one cannot be read, or lacks a column.
    """
    for address in addresses:
        read = delta.read if delta.is_address(address) else jdbc.read
        frame = read(spark, address)
        matched = match(address, frame.columns, description, optional)
        given = typed_values(address, frame, matched.names, description)
        yield Part(frame, given, F.lit(None).cast("string"), F.lit(address))
