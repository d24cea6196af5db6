"""Whether a label has two values, unless the description says which of its values are positive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from retraining.data.columns import is_positive
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from retraining.description.document import Description

_SHOWN = 10


def outermost_negatives(description: Description) -> tuple[Column, Column]:
    """Aggregate the smallest and the largest value that is not positive; equal if there is one."""
    label = description.label
    negative = F.when(~is_positive(label), F.col(label.column))
    return F.min(negative), F.max(negative)


def check_values(
    rows: DataFrame, description: Description, smallest: object, largest: object
) -> None:
    """Check that there is one negative value, where it is not clear that there may be more.

    Args:
        rows: With the label; read again only to list its values for the error.
        description: Has the label.
        smallest: What `outermost_negatives` found.
        largest: What `outermost_negatives` found.

    Raises:
        RetrainingError: With the values and both remedies; if none of them is positive, it says so.
    """
    label = description.label
    if isinstance(label.positive, tuple) or smallest == largest:
        return
    column = F.col(label.column)
    found = rows.where(column.isNotNull()).select(column).distinct().orderBy(column)
    values = [row[0] for row in found.limit(_SHOWN + 1).collect()]
    listed = ", ".join(repr(value) for value in values[:_SHOWN])
    listed += ", ..." if len(values) > _SHOWN else ""
    is_count = description.columns[label.column].numeric
    if rows.where(is_positive(label)).isEmpty():
        raise RetrainingError(
            f"no row has the positive value {label.positive!r} of the label {label.column}: it "
            f"holds {listed}",
            "name the positive one, or list them (label.positive: [...])",
        )
    condition = "> 0" if is_count else f"IN ({label.positive!r}, ...)"
    raise RetrainingError(
        f"the label {label.column} has more than two values: {listed}",
        f"list the positive ones (label.positive: [{label.positive!r}, ...]), or make the label "
        f"a column with an expression (CAST({label.column} {condition} AS INT))",
    )
