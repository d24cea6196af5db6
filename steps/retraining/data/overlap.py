"""Rows that a model was trained on are left out of those that it is tested on."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from retraining.data.manifest import read_manifest, read_split
from retraining.data.rows import keys
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from retraining.description.document import Description


def without_rows_of(
    spark: SparkSession,
    rows: DataFrame,
    description: Description,
    uri: str,
    *,
    start: datetime | None,
    splits: tuple[str, ...] = ("train", "validation"),
) -> DataFrame:
    """Leave out the rows that splits of another data set have, by their keys.

    Args:
        spark: The session.
        rows: Prepared rows.
        description: With which they were prepared.
        uri: The other data set.
        start: The moment from which on the rows are; None if they were not split by time.
        splits: Of the other data set.

    Raises:
        RetrainingError: If it cannot be read, or its keys are others and its rows not all older.
    """
    other = read_manifest(spark, uri)
    before = other.describe()
    if not keys.are_same(description, before):
        until = other.trained_until
        if start is not None and until is not None and datetime.fromisoformat(until) <= start:
            return rows
        raise RetrainingError(
            f"whether a model was trained on these rows cannot be known: the keys of {uri} are "
            f"{keys.say(before)}, those of the rows {keys.say(description)}",
            "keep row_key (without one, the columns) as it was, or split by time, with a holdout "
            "after all rows that the model was trained on",
        )
    for name in splits:
        seen = read_split(spark, other, name).select(*description.key_columns)
        rows = rows.join(seen, on=[*description.key_columns], how="left_anti")
    return rows
