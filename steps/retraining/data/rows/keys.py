"""What makes a row unique: a column, several, or an id made of its content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import window as W

from retraining.data.fingerprint import hashable
from retraining.data.rows.quality import RAW, REASON
from retraining.description.names import ROW_ID
from retraining.description.origins import late_columns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import Column, DataFrame

    from retraining.description.document import Description

# Two salts give two 64-bit hashes: one alone could collide by chance in large data sets.
_SALTS = (1, 2)
_DIGITS = 32


def add_row_id(frame: DataFrame, description: Description, *apart: str) -> DataFrame:
    """Give the valid rows an id made of their content, if the description has no row key.

    It is 32 hexadecimal digits over the columns of files that are known when a row is scored, and
    for the second and later rows of the same content `-2` and so on: rows that are equal stay
    different rows. Files, their order and partitions do not matter. A rejected row has no id.

    Args:
        frame: From `quality.flag_duplicates`.
        description: Of the data set.
        apart: Columns whose values divide the rows into sets that are numbered separately.
    """
    if description.row_key is not None:
        return frame
    parts = _content(frame, _known_columns(description))
    pieces = (F.lpad(F.hex(F.xxhash64(F.lit(s), *parts)), _DIGITS // 2, "0") for s in _SALTS)
    is_valid = F.col(REASON).isNull()
    content = F.when(is_valid, F.lower(F.concat(*pieces)))
    # Rejected rows are spread by their text: a single task would have to sort all of them.
    window = W.Window.partitionBy(ROW_ID, *apart, F.xxhash64(RAW)).orderBy(
        F.xxhash64(*_content(frame, description.file_columns))
    )
    number = F.row_number().over(window)
    numbered = F.concat(ROW_ID, F.when(number > 1, F.concat(F.lit("-"), number)).otherwise(""))
    return frame.withColumn(ROW_ID, content).withColumn(ROW_ID, numbered)


def as_value(description: Description) -> Column:
    """Return the key as one value: a column as it is, several as a JSON array of texts."""
    first, *others = description.key_columns
    if not others:
        return F.col(first)
    return F.to_json(F.array(*(F.col(name).cast("string") for name in description.key_columns)))


def for_split(description: Description) -> Column:
    """Return the text by which a row is put into a split: of the same content, into the same."""
    value = as_value(description).cast("string")
    return value if description.row_key is not None else F.substring(value, 1, _DIGITS)


def describe(description: Description) -> str:
    """Say how a key was made, for those who read results; empty if nobody made one."""
    if description.row_key is not None:
        return ""
    return f"{ROW_ID}, made of the content of each row, since the description has no row_key"


def say(description: Description) -> str:
    """Name the columns of a key, or those that it is made of."""
    if description.row_key is not None:
        return " and ".join(description.key_columns)
    return f"{ROW_ID} of {', '.join(_known_columns(description))}"


def are_same(one: Description, other: Description) -> bool:
    """Whether a row has the same key by two descriptions."""
    return _definition(one) == _definition(other)


def _definition(description: Description) -> object:
    """Return what a key depends on: its columns, or how the content of a row is read."""
    if description.row_key is not None:
        return description.key_columns
    files = description.files
    columns = {
        name: (column.type, column.format, description.null_values_of(name))
        for name, column in description.file_columns.items()
        if name in _known_columns(description)
    }
    return columns, files.decimal, files.thousands, files.trim, description.timezone


def _known_columns(description: Description) -> tuple[str, ...]:
    """Return the columns of files that are known when a row is scored."""
    late = late_columns(description)
    return tuple(name for name in description.file_columns if name not in late)


def _content(frame: DataFrame, names: Iterable[str]) -> list[Column]:
    return [part for name in names for part in hashable(frame.schema[name])]
