"""How well each feature by itself orders rows by their label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retraining.data.columns import is_positive, quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray
    from pyspark.sql import Column, DataFrame, Row

    from retraining.description.label import Label

SUSPICIOUS: Final = 0.95  # above it, a single feature may hold the label itself
_MOST_ROWS: Final = 100_000  # of a class: of more, a share is looked at, chosen by content
_MOST_VALUES: Final = 5_000_000  # of a class, on the driver: some 100 MB with those of the other
_CERTAIN: Final = 99.0  # the logarithm of odds without negatives, or without positives if negative
_COUNTS: Final = ("fitted", "fitted_positives", "judged_rows", "judged_positives")


class Relation(NamedTuple):
    """The relation of a feature to the label on the training rows.

    Attributes:
        auroc: At least 0.5, three digits; None without rows of both classes (for categories, in one
            half of the rows).
        direction: `higher` or `lower` values are positive more often, or `categories`.
    """

    auroc: float | None
    direction: str

    @property
    def is_suspicious(self) -> bool:
        """Whether the feature may hold the label itself."""
        return self.auroc is not None and self.auroc > SUSPICIOUS


def numbers_among(frame: DataFrame, features: Iterable[str]) -> list[str]:
    """The features that are ordered by their value."""
    kinds = T.NumericType | T.BooleanType
    return [name for name in features if isinstance(frame.schema[name].dataType, kinds)]


def relate_numbers(
    frame: DataFrame, names: Sequence[str], label: Label, n_rows: int = 0, n_positives: int = 0
) -> dict[str, Relation]:
    """The relation of numbers, on the driver: of many rows, a share of each class is looked at.

    Args:
        frame: The rows.
        names: Columns of numbers.
        label: Says which rows are positive.
        n_rows: About how many rows there are; 0 takes them all.
        n_positives: About how many of them are positive.
    """
    if not names:
        return {}
    positive, content = is_positive(label), F.xxhash64(*map(quote, frame.columns))
    most = min(_MOST_ROWS, _MOST_VALUES // len(names))
    share = F.when(positive, -(-n_positives // most)).otherwise(-(-(n_rows - n_positives) // most))
    chosen = frame.where(positive.isNotNull() & (F.pmod(content, F.greatest(share, F.lit(1))) == 0))
    values = [F.col(quote(name)).cast("double").alias(str(i)) for i, name in enumerate(names)]
    table = chosen.select(positive.alias("positive"), *values).toPandas()
    is_of_positive = table["positive"].to_numpy(bool)
    found = {}
    for index, name in enumerate(names):
        value = table[str(index)].to_numpy(float)
        is_value = ~np.isnan(value)
        auroc = _compare(value[is_value & is_of_positive], value[is_value & ~is_of_positive])
        direction = "lower" if auroc is not None and auroc < 0.5 else "higher"
        found[name] = Relation(
            None if auroc is None else round(max(auroc, 1 - auroc), 3), direction
        )
    return found


def _compare(positives: NDArray[np.float64], negatives: NDArray[np.float64]) -> float | None:
    """The share of pairs in which the positive is larger; equal ones count half."""
    if not len(positives) or not len(negatives):
        return None
    above = np.sort(negatives)
    left = np.searchsorted(above, positives, "left")
    right = np.searchsorted(above, positives, "right")
    return float((left + right).mean() / (2 * len(negatives)))


def relate_categories(frame: DataFrame, names: Sequence[str], label: Label) -> dict[str, Relation]:
    """The relation of categories, in one pass over the rows.

    A category is as high as its share of positives, which is fitted on one half of the rows (by
    their content) and judged on the other, both ways: a column of ids is then worth 0.5. Categories
    whose odds are the same to within 1% count as one, so however many there are, few are collected.
    """
    if not names:
        return {}
    half = F.pmod(F.xxhash64(F.lit(1), *map(quote, frame.columns)), F.lit(2))
    cells = F.explode(
        F.array(
            *(
                F.struct(
                    F.lit(index).alias("column"), F.col(quote(name)).cast("string").alias("value")
                )
                for index, name in enumerate(names)
            )
        )
    )
    counted = (
        frame.select(cells.alias("cell"), is_positive(label).alias("positive"), half.alias("half"))
        .where(F.col("positive").isNotNull())
        .groupBy("cell.column", "cell.value")
        .agg(
            *(
                F.count_if(chosen & (F.col("half") == part)).alias(f"{kind}{part}")
                for part in (0, 1)
                for kind, chosen in (("n", F.col("positive").isNotNull()), ("p", F.col("positive")))
            )
        )
    )
    ways = F.explode(F.array(_level(fitted=0, judged=1), _level(fitted=1, judged=0)))
    levels = (
        counted.select("column", ways.alias("way"))
        .groupBy("column", "way.judged", "way.level")
        .agg(*(F.sum(f"way.{count}").alias(count) for count in _COUNTS))
        .collect()
    )
    return {
        name: Relation(_judge([row for row in levels if row["column"] == index]), "categories")
        for index, name in enumerate(names)
    }


def _level(*, fitted: int, judged: int) -> Column:
    """The logarithm of a category's odds in a half, null if it is not there, and what to sum."""
    n, p = f"n{fitted}", f"p{fitted}"
    return F.struct(
        F.lit(judged).alias("judged"),
        F.expr(
            f"CASE WHEN {n} = 0 THEN NULL WHEN {p} = 0 THEN -{_CERTAIN} "
            f"WHEN {p} = {n} THEN {_CERTAIN} ELSE round(ln({p} / ({n} - {p})), 2) END"
        ).alias("level"),
        *(F.col(name).alias(count) for name, count in zip((n, p), _COUNTS[:2], strict=True)),
        *(F.col(f"{c}{judged}").alias(count) for c, count in zip("np", _COUNTS[2:], strict=True)),
    )


def _judge(levels: Sequence[Row]) -> float | None:
    """The AUROC of categories ordered by the other half, the mean of both ways or that of one."""
    ways = ([row for row in levels if row["judged"] == half] for half in (0, 1))
    found = [auroc for auroc in map(_ordered, ways) if auroc is not None]
    if not found:
        return None
    mean = float(np.mean(found))
    return round(max(mean, 1 - mean), 3)


def _ordered(levels: Sequence[Row]) -> float | None:
    """The AUROC in one half; a category that the other half lacks is as high as all its rows."""
    fitted, fitted_positives, judged, positives = (
        np.array([row[count] for row in levels], dtype=float) for count in _COUNTS
    )
    negatives = judged - positives
    pairs = positives.sum() * negatives.sum()
    if not pairs:
        return None
    odds = fitted_positives.sum() / max(fitted.sum() - fitted_positives.sum(), 1)
    average = np.log(odds) if odds else -_CERTAIN
    values = [average if row["level"] is None else row["level"] for row in levels]
    _, level = np.unique(values, return_inverse=True)
    below = np.bincount(level, negatives)
    wins = np.cumsum(below) - below / 2
    return float((positives * wins[level]).sum() / pairs)
