"""A fingerprint of what a frame holds, independent of order and partitioning."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from pyspark.sql import functions as F
from pyspark.sql import types as T

from retraining.data.columns import quote
from retraining.digests import digest
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column, DataFrame

# Two salts give two 64-bit hashes per row: one alone could collide by chance in large data sets.
_SALTS = (1, 2)

_HASH = "_fingerprint_"

# (shift, bits): a hash is summed in three pieces, so that a sum stays exact below 2**41 rows.
_PIECES = ((0, 22), (22, 22), (44, 20))

_PLAIN_TYPES = (
    T.StringType,
    T.BinaryType,
    T.BooleanType,
    T.IntegralType,
    T.FractionalType,
    T.DateType,
    T.TimestampType,
    T.TimestampNTZType,
)


class Fingerprint(NamedTuple):
    """What a frame holds.

    Attributes:
        digest: 32 hexadecimal digits over the schema, the number of rows and the rows.
        n_rows: The number of rows.
    """

    digest: str
    n_rows: int


def fingerprint(frame: DataFrame) -> Fingerprint:
    """Fingerprint the rows and the schema of a frame in one aggregation.

    Frames with the same content have the same fingerprint: the order of rows and of columns, the
    partitioning, the session's time zone and the version of Spark do not matter. Values, nulls,
    duplicates, column names and column types do. All NaN are one value, and so are 0.0 and -0.0.

    Args:
        frame: Any number of rows; columns of plain types (no arrays, maps or structs).

    Returns:
        The digest and the number of rows.

    Raises:
        RetrainingError: If a column has a nested type.
    """
    fields = _fields(frame)
    return _from_sums(fields, _hashed(frame, fields).agg(*_sums()).collect()[0])


def fingerprints(
    frame: DataFrame, by: str, *more: Column
) -> dict[str, tuple[Fingerprint, tuple[Any, ...]]]:
    """Fingerprint the rows of each group as if they were a frame, in one aggregation.

    Args:
        frame: As for `fingerprint`.
        by: A column of strings that are not null, which is no part of the content.
        more: Other aggregates of the groups.

    Returns:
        By group, which has rows, the fingerprint and what `more` found.

    Raises:
        RetrainingError: If a column has a nested type.
    """
    fields = _fields(frame.drop(by))
    found = _hashed(frame, fields).groupBy(by).agg(*_sums(), *more).collect()
    end = 1 + len(_sums())
    return {row[0]: (_from_sums(fields, row[1:end]), row[end:]) for row in found}


def _fields(frame: DataFrame) -> list[T.StructField]:
    fields = sorted(frame.schema.fields, key=lambda field: field.name)
    for field in fields:
        if not isinstance(field.dataType, _PLAIN_TYPES):
            raise RetrainingError(
                f"column {field.name} has type {field.dataType.simpleString()}, "
                "which has no fingerprint",
                "keep columns of plain types only",
            )
    return fields


def _hashed(frame: DataFrame, fields: Sequence[T.StructField]) -> DataFrame:
    parts = [part for field in fields for part in hashable(field)]
    return frame.withColumns({_HASH + str(s): F.xxhash64(F.lit(s), *parts) for s in _SALTS})


def _sums() -> list[Column]:
    sums = [
        F.sum(F.shiftrightunsigned(f"{_HASH}{salt}", shift).bitwiseAND((1 << bits) - 1))
        for salt in _SALTS
        for shift, bits in _PIECES
    ]
    return [F.count(F.lit(1)), *sums]


def _from_sums(fields: Sequence[T.StructField], sums: Sequence[int | None]) -> Fingerprint:
    n_rows, *totals = sums
    content = {
        "columns": [[field.name, field.dataType.simpleString()] for field in fields],
        "n_rows": n_rows,
        "sums": [total or 0 for total in totals],
    }
    return Fingerprint(digest(json.dumps(content), 32), n_rows or 0)


def hashable(field: T.StructField) -> tuple[Column, Column]:
    """Return a column as two: xxhash64 skips nulls, so (null, 1) would equal (1, null)."""
    column = F.col(quote(field.name))
    value = column
    if isinstance(field.dataType, T.FloatType | T.DoubleType):
        value = (
            F.when(F.isnan(column), F.lit(float("nan")))
            .when(column == 0.0, F.lit(0.0))
            .otherwise(column)
        )
    return column.isNull(), value
