"""How well each feature by itself orders rows by their label.

Numbers need no pass of their own: quantiles of the positives and of the negatives are taken by the
aggregation that counts anyway, and the AUROC follows from the two. Categories take one more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retraining.data.columns import is_positive, quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyspark.sql import Column, DataFrame, Row

    from retraining.description.sections import Label

SUSPICIOUS: Final = 0.95  # above it, a single feature may hold the label itself
TOLERANCE: Final = 0.005  # of an AUROC from quantiles
_QUANTILES: Final = 200
_ACCURACY: Final = 2000
_MOST_ROWS: Final = 2_000_000  # of more rows, a share is looked at
_MOST_CATEGORIES: Final = 1000  # of one column; the others count as one


class Relation(NamedTuple):
    """The relation of a feature to the label on the training rows.

    Attributes:
        auroc: At least 0.5, three digits; None without rows of both classes.
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


def quantiles(
    frame: DataFrame, names: Sequence[str], label: Label, n_rows: int
) -> dict[str, Column]:
    """Aggregates that `from_quantiles` reads: quantiles of numbers among positives and negatives.

    Args:
        frame: The rows.
        names: Columns of numbers.
        label: Says which rows are positive.
        n_rows: About how many rows there are: of very many, every n-th by its content is taken.
    """
    points = F.array(*(F.lit((i + 0.5) / _QUANTILES) for i in range(_QUANTILES)))
    positive, every = is_positive(label), -(-n_rows // _MOST_ROWS)
    if every > 1:
        taken = F.pmod(F.xxhash64(*map(quote, frame.columns)), F.lit(every)) == 0
        positive = F.when(taken, positive)
    return {
        f"{index} {kind}": F.percentile_approx(
            F.when(rows, F.col(quote(name)).cast("double")), points, _ACCURACY
        )
        for index, name in enumerate(names)
        for kind, rows in (("positive", positive), ("negative", ~positive))
    }


def from_quantiles(row: Row, names: Sequence[str]) -> dict[str, Relation]:
    """The relation of each number, from the aggregates of `quantiles`."""
    found = {}
    for index, name in enumerate(names):
        auroc = _compare(row[f"{index} positive"], row[f"{index} negative"])
        direction = "lower" if auroc is not None and auroc < 0.5 else "higher"
        found[name] = Relation(
            None if auroc is None else round(max(auroc, 1 - auroc), 3), direction
        )
    return found


def _compare(positives: list[float] | None, negatives: list[float] | None) -> float | None:
    """The share of pairs in which the positive is larger; equal ones count half."""
    if not positives or not negatives:
        return None
    above = np.sort(negatives)
    left = np.searchsorted(above, positives, "left")
    right = np.searchsorted(above, positives, "right")
    return float((left + right).mean() / (2 * len(negatives)))


def relate_categories(frame: DataFrame, names: Sequence[str], label: Label) -> dict[str, Relation]:
    """The relation of categories, in one aggregation.

    A category is as high as its share of positives, which is fitted on one half of the rows (by
    their content) and judged on the other, both ways: a column of ids is then worth 0.5.
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
    frequent = counted.orderBy(F.desc(F.expr("n0 + n1")), "column", "value")
    rows = frequent.limit(_MOST_CATEGORIES * len(names)).collect()
    return {
        name: Relation(_judge([row for row in rows if row["column"] == index]), "categories")
        for index, name in enumerate(names)
    }


def _judge(categories: Sequence[Row]) -> float | None:
    """The AUROC of categories ordered by the other half, the mean of both ways."""
    table = np.array([[c["n0"], c["p0"], c["n1"], c["p1"]] for c in categories], dtype=float)
    if not len(table):
        return None
    found = [_ordered(table[:, fitted], table[:, judged]) for fitted, judged in _WAYS]
    mean = float(np.mean(found))
    return None if mean != mean else round(max(mean, 1 - mean), 3)


_WAYS: Final = ((slice(0, 2), slice(2, 4)), (slice(2, 4), slice(0, 2)))


def _ordered(fitted: np.ndarray[Any, Any], judged: np.ndarray[Any, Any]) -> float:
    mean = fitted[:, 1].sum() / max(fitted[:, 0].sum(), 1)
    shares = np.where(fitted[:, 0] > 0, fitted[:, 1] / np.maximum(fitted[:, 0], 1), mean)
    positives, negatives = judged[:, 1], judged[:, 0] - judged[:, 1]
    pairs = positives.sum() * negatives.sum()
    if not pairs:
        return float("nan")
    _, level = np.unique(shares, return_inverse=True)
    below = np.bincount(level, negatives)
    wins = np.cumsum(below) - below / 2
    return float((positives * wins[level]).sum() / pairs)
