"""What several modules ask of the columns of a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column

    from retraining.description.label import Label


def is_positive(label: Label) -> Column:
    """Whether a row has the positive label; null where it has none."""
    return F.col(label.column).isin(*label.positives)


def quote(name: str) -> str:
    """A column name as Spark takes it literally, whatever is in it."""
    return f"`{name.replace('`', '``')}`"
