"""The columns of a description that no file holds: each is an expression of the row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from retraining.data import values
from retraining.data.rows import expressions
from retraining.description.text_files import Files

if TYPE_CHECKING:
    from collections.abc import Collection

    from pyspark.sql import Column, DataFrame

    from retraining.description.document import Description

UNCAST = "_uncast"  # "unparseable x" for the first computed column whose value has another type
_VALUE = "_value"
_PLAIN = Files()  # text that an expression makes is not written as that of files


def add(typed: DataFrame, description: Description, judged: Collection[str]) -> DataFrame:
    """Add the computed columns in the order of the description, and `_uncast`.

    Args:
        typed: Has the columns that files hold, with their types.
        description: Has the expressions.
        judged: The columns whose values have to fit their type.

    Raises:
        RetrainingError: If an expression is not valid, or its type cannot become the column's.
    """
    rows = typed.withColumn(UNCAST, F.lit(None).cast("string"))
    for name, column in description.columns.items():
        if column.expression is None:
            continue
        what = f"columns.{name}.expression ({column.expression})"
        before = [other for other in description.columns if other in rows.columns]
        remedy = (
            f"write Spark SQL over {', '.join(before)}, of a type that can become {column.type}"
        )
        kind = expressions.analyse(rows, what, column.expression, remedy)
        valued = rows.withColumn(_VALUE, F.expr(f"({column.expression}\n)"))
        if isinstance(kind, T.StringType):
            is_given = F.btrim(F.col(_VALUE), F.lit(values.BLANKS)) != ""
            valued = valued.withColumn(_VALUE, F.when(is_given, F.col(_VALUE)))
            value = values.parse(_VALUE, column, _PLAIN)
        else:
            cast = f"try_cast(({column.expression}\n) AS {column.type})"
            expressions.analyse(rows, what, cast, remedy)
            value = _converted(kind, column.type)
        valued = valued.withColumn(name, value)
        if name in judged:
            is_lost = F.col(_VALUE).isNotNull() & F.col(name).isNull()
            lost = F.when(is_lost, f"unparseable {name}")
            valued = valued.withColumn(UNCAST, F.coalesce(UNCAST, lost))
        rows = valued.drop(_VALUE)
    return rows


def _converted(kind: T.DataType, wanted: str) -> Column:
    """Return a value as another type: null for a fraction as a whole number, and for infinity."""
    value = F.expr(f"try_cast({_VALUE} AS {wanted})")
    if isinstance(kind, T.FractionalType):
        if wanted in ("int", "bigint"):
            return F.when(value == F.col(_VALUE), value)
        if wanted == "double":
            return F.when(F.abs(value) < float("inf"), value)
    return value
