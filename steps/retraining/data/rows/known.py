"""Rows whose label is not known: blocked payments, claims that are still open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from retraining.data.rows import expressions
from retraining.description.origins import revealing_columns
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import Column, DataFrame

    from retraining.description.document import Description

KNOWN = "_label_known"


def mark(typed: DataFrame, description: Description) -> DataFrame:
    """Add `_label_known`; the label, and what is made from it, is null where that is false.

    Without `known_when` all labels are known, and no column is added.

    Args:
        typed: Has the columns of the description.
        description: Says when a label is known.

    Raises:
        RetrainingError: If `known_when` is not a valid condition.
    """
    condition = description.known_when
    if condition is None:
        return typed
    what = f"known_when ({condition})"
    remedy = f"write a condition in Spark SQL over {', '.join(description.columns)}"
    kind = expressions.analyse(typed, what, condition, remedy)
    if not isinstance(kind, T.BooleanType):
        raise RetrainingError(f"{what}: has type {kind.simpleString()}", remedy)
    known = F.coalesce(F.expr(f"({condition}\n)"), F.lit(False))  # noqa: FBT003 (a value)
    rows = typed.withColumn(KNOWN, known)
    revealing = revealing_columns(description)
    columns = (
        F.when(F.col(KNOWN), F.col(c)).alias(c) if c in revealing else c for c in rows.columns
    )
    return rows.select(*columns)


def applies(description: Description) -> Callable[[str, Column], Column]:
    """Return what restricts a broken rule of a column to the rows to which it applies.

    Where the label is not known it need not be valid, nor does the row need a weight.
    """
    if description.known_when is None:
        return lambda _, broken: broken
    learning = {*revealing_columns(description), description.weight}
    return lambda name, broken: broken & F.col(KNOWN) if name in learning else broken
