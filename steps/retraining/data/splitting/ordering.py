"""Rows in the order of columns, cut into shares without a time."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from pyspark import StorageLevel
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retraining.data.instants import micros_of
from retraining.description.columns import TIME_TYPES
from retraining.description.splitting import OrderSplit
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from retraining.description.document import Description

_ROWS, _PART, _UPTO = "_rows", "_part", "_upto"


class Order(NamedTuple):
    """The last values of train and of validation in the order; the rest is the holdout.

    `validation` is that of train where validation is a share of train.
    """

    train: tuple[object, ...]
    validation: tuple[object, ...]


def find_order(frame: DataFrame, description: Description) -> Order | None:
    """Find where the order is cut; None for a split that is not by order.

    Rows without a known label are not counted. No task sees all rows, and the result does not
    depend on how they are divided among tasks.

    Raises:
        RetrainingError: If no label is known.
    """
    split = description.split
    if not isinstance(split, OrderSplit):
        return None
    keys = _keys(description, split)
    names = [f"_key_{i}" for i in range(len(keys))]
    known = frame.where(F.col(description.label.column).isNotNull())
    values = known.select(*(key.alias(name) for key, name in zip(keys, names, strict=True)))
    ordered = values.groupBy(*names).agg(F.count(F.lit(1)).alias(_ROWS)).sort(*names)
    ordered = ordered.withColumn(_PART, F.spark_partition_id())
    ordered = ordered.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        sums = sorted(map(tuple, ordered.groupBy(_PART).agg(F.sum(_ROWS)).collect()))
        if not sums:
            raise RetrainingError("no row has a known label", "give more files")
        ends = [*accumulate(n_rows for _, n_rows in sums)]
        before = {p: end - n for (p, n), end in zip(sums, ends, strict=True)}
        offsets = F.create_map(*(F.lit(value) for item in before.items() for value in item))
        within = W.partitionBy(_PART).orderBy(*names).rowsBetween(W.unboundedPreceding, 0)
        upto = F.sum(_ROWS).over(within) + F.element_at(offsets, F.col(_PART))
        reached = ordered.select(*names, upto.alias(_UPTO))
        parts = list(accumulate(share.part for share in split.windows.values()))
        train, *others = (_last(reached, round(part * ends[-1])) for part in parts[:-1])
    finally:
        ordered.unpersist()
    return Order(train, others[0] if others else train)


def is_up_to(description: Description, last: tuple[object, ...]) -> Column:
    """Whether a row is not after these values in the order."""
    split = description.split
    keys = _keys(description, split) if isinstance(split, OrderSplit) else []
    is_before, is_equal = F.lit(False), F.lit(True)  # noqa: FBT003 (values)
    for key, value in zip(keys, last, strict=True):
        is_before |= is_equal & (key < F.lit(value))
        is_equal &= key == F.lit(value)
    return is_before | is_equal


def _keys(description: Description, split: OrderSplit) -> list[Column]:
    kinds = [(name, description.columns[name].type) for name in split.columns]
    # Whole numbers: Python would take times as of a zone that may be another one.
    return [micros_of(name) if kind in TIME_TYPES else F.col(name) for name, kind in kinds]


def _last(reached: DataFrame, n_rows: int) -> tuple[object, ...]:
    """The values up to which there are at least so many rows."""
    first = reached.where(F.col(_UPTO) >= n_rows).orderBy(_UPTO).limit(1).drop(_UPTO)
    return tuple(first.collect()[0])
