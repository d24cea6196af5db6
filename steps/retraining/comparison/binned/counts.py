"""Scored rows counted in bins and cells: what Spark does for `aggregate`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import pandas as pd
from pyspark.sql import functions as F

from retraining.comparison.binned.grid import Grid
from retraining.comparison.columns import ROLES
from retraining.data.columns import quote
from retraining.errors import RetrainingError
from retraining.statistics.losses import CLIP
from retraining.statistics.slicing import MAXIMUM_VALUES, MISSING, too_many_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column, DataFrame, GroupedData

    from retraining.comparison.columns import ScoreColumns
    from retraining.statistics.metrics import Metric
    from retraining.statistics.rows import Floats

OF_ORDER: Final = frozenset({"auroc", "auprc", "recall_at_capacity"})
LOSS_UNIT: Final = 2.0**-30  # losses are summed as whole numbers of it
# Keys of cells lie below KIND, those of a model's fine bins from KIND on.
KIND: Final = 2**29
MODEL: Final = 2**22
COARSE: Final = 2**14

Grids = tuple[Grid, Grid]  # of champion and challenger

UNSOUND: Final = -1  # the key of rows that are not counted


def standardise(frame: DataFrame, columns: ScoreColumns) -> DataFrame:
    """The columns label, champion, challenger, weight, unit and, with slices, `slices`.

    Rows of weight zero are left out; what was not given is constant. `slices` holds the name and
    the value of each slice of a row: its columns may have any names.

    Raises:
        RetrainingError: A column is missing.
    """
    missing = [name for name in columns.names if name not in frame.columns]
    if missing:
        raise RetrainingError(
            f"the scores have no column {', '.join(missing)}",
            f"they have {', '.join(frame.columns)}; rename them",
        )
    mass = F.col(columns.weight).cast("double") if columns.weight else F.lit(1.0)
    chosen = [F.col(columns.label).cast("double").alias("label")]
    chosen += [
        F.col(name).cast("double").alias(role)
        for name, role in zip(columns.scores, ROLES, strict=True)
    ]
    chosen += [
        mass.alias("weight"),
        (F.col(columns.unit) if columns.unit else F.lit(0)).alias("unit"),
    ]
    if columns.slices:
        entries = (
            F.struct(F.lit(name).alias("column"), spell(frame, column))
            for name, column in columns.slices.items()
        )
        chosen.append(F.array(*entries).alias("slices"))
    kept = frame.where(mass.isNull() | (mass != 0)) if columns.weight else frame
    return kept.select(*chosen)


def count_cells(frame: DataFrame, grids: Grids, metric: Metric, *, weighted: bool) -> pd.DataFrame:
    """Cells and faults by key and, for a metric of order, the fine bins of either model.

    Args:
        frame: As `standardise` makes it.
        grids: Of champion and challenger.
        metric: Decides what is summed beside the counts.
        weighted: Whether weights are anything but 1.

    Returns:
        Columns key, size, mass and square (sums of weights and squared weights) and, for a metric
        of order, low and high (of the scores of a bin; of the champion's score less the
        challenger's in a cell), for log_loss and brier the summed loss by role.
    """
    sound = _sound(outside_too=grids[0].center is not None)
    label = F.col("label").cast("int").alias("label")
    binned = frame.select(label, "weight", *ROLES, *_fine(grids), sound.alias("sound"))
    keys = [F.when(F.col("sound"), _cell(grids)).otherwise(UNSOUND)]
    sums = _sums(weighted=weighted)
    if metric.name in OF_ORDER:
        values = [F.col("champion") - F.col("challenger"), *map(F.col, ROLES)]
        for i, role in enumerate(ROLES):
            key = F.col(f"{role}_bin") * 2 + F.col("label") + (KIND + i * MODEL)
            keys.append(key)
        pairs = [item for pair in zip(keys, values, strict=True) for item in pair]
        entries = F.stack(F.lit(len(keys)), *pairs).alias("key", "value")
        binned = binned.select(*(["weight"] if weighted else []), entries)
        sums += [F.min("value").alias("low"), F.max("value").alias("high")]
    else:
        binned = binned.withColumn("key", keys[0])
        sums += [F.sum(loss).alias(role) for role, loss in _losses(metric, weighted=weighted)]
    return _collect(binned.groupBy("key"), sums)


def count_faults(frame: DataFrame) -> dict[str, int]:
    """Rows that must not be compared, by what is wrong with them, and those outside [0, 1]."""
    bad = {name: ~F.coalesce(check, F.lit(0) == 1) for name, check in _checks().items()}
    sums = [F.sum(fault.cast("bigint")).alias(name) for name, fault in bad.items()]
    return {name: int(count or 0) for name, count in frame.agg(*sums).collect()[0].asDict().items()}


def count_slices(
    frame: DataFrame, grids: Grids, slices: Sequence[str], *, weighted: bool
) -> dict[str, pd.DataFrame]:
    """Cells of every slice, by "column=value" in sorted order.

    Raises:
        RetrainingError: A column has too many values.
    """
    if not slices:
        return {}
    binned = frame.select("*", *_fine(grids), F.explode("slices").alias("of"))
    values = binned.select("of.*").distinct().groupBy("column").count().collect()
    many = [row["column"] for row in values if row["count"] > MAXIMUM_VALUES]
    if many:
        raise too_many_values(many[0])
    keyed = binned.select("of.*", _cell(grids).alias("key"), "weight")
    counted = _collect(keyed.groupBy("column", "value", "key"), _sums(weighted=weighted))
    parts = {tuple(map(str, key)): part for key, part in counted.groupby(["column", "value"])}
    order = sorted(parts, key=lambda key: (slices.index(key[0]), _number(key[1]), key[1]))
    return {f"{column}={value}": parts[column, value] for column, value in order}


def sum_units(
    frame: DataFrame, grids: Grids, cells: pd.DataFrame, influence: Floats
) -> dict[str, float]:
    """Sums over units of the squares and products of their influence on a difference.

    Args:
        frame: As `standardise` makes it.
        grids: Of champion and challenger.
        cells: With the column key.
        influence: Of a unit of weight in each cell.

    Returns:
        ones, zeros (sums of squared sums over the rows of class 1 and of class 0 of a unit),
        product (of the two), with_ones, with_zeros and n_units.
    """
    moved = pd.DataFrame({"key": cells["key"].astype("int32"), "moved": influence})
    lookup = F.broadcast(frame.sparkSession.createDataFrame(moved))
    keyed = (
        frame.select("*", *_fine(grids))
        .withColumn("key", _cell(grids))
        .join(lookup, "key", "inner")
    )
    own = F.col("weight") * F.col("moved")
    ones, zeros, label = F.col("ones"), F.col("zeros"), F.col("label")
    units = keyed.groupBy("unit").agg(
        F.sum(F.when(label == 1, own).otherwise(0.0)).alias("ones"),
        F.sum(F.when(label == 0, own).otherwise(0.0)).alias("zeros"),
        F.max(label).alias("with_ones"),
        F.max(1 - label).alias("with_zeros"),
    )
    totals = units.agg(
        F.sum(ones * ones).alias("ones"),
        F.sum(zeros * zeros).alias("zeros"),
        F.sum(ones * zeros).alias("product"),
        F.sum("with_ones").alias("with_ones"),
        F.sum("with_zeros").alias("with_zeros"),
        F.count(F.lit(1)).alias("n_units"),
    )
    return {name: float(value) for name, value in totals.collect()[0].asDict().items()}


def measure(frame: DataFrame, threshold: float) -> Grids:
    """Grids for scores that are no probabilities.

    Center and spread are so rounded that the order of summing does not show.
    """
    sums = [f(F.col(role)) for role in ROLES for f in (F.avg, F.stddev_pop)]
    moments = list(frame.agg(*sums).collect()[0])
    grids = []
    for mean, deviation in zip(moments[::2], moments[1::2], strict=True):
        spread = 2.0 ** round(math.log2(max(deviation, 2.0**-1000)))
        grids.append(Grid(threshold, round(mean / spread) * spread, spread))
    return grids[0], grids[1]


def _fine(grids: Grids) -> list[Column]:
    pairs = zip(grids, ROLES, strict=True)
    return [grid.fine(F.col(role)).alias(f"{role}_bin") for grid, role in pairs]


def _checks() -> dict[str, Column]:
    """What must be true, not null, of every row."""
    return {
        "label": F.col("label").isin(0.0, 1.0),
        "champion": _is_finite(F.col("champion")),
        "challenger": _is_finite(F.col("challenger")),
        "weight": (F.col("weight") > 0) & _is_finite(F.col("weight")),
        "unit": F.col("unit").isNotNull(),
        "outside": F.col("champion").between(0, 1) & F.col("challenger").between(0, 1),
    }


def _sound(*, outside_too: bool) -> Column:
    checks = _checks()
    scores = checks["champion"] & checks["challenger"] if outside_too else checks["outside"]
    return checks["label"] & scores & checks["weight"] & checks["unit"]


def _is_finite(value: Column) -> Column:
    return F.abs(value) < float("inf")  # NaN is above every number


def _cell(grids: Grids) -> Column:
    champion, challenger = (
        grid.coarse(F.col(role), F.col(f"{role}_bin"))
        for grid, role in zip(grids, ROLES, strict=True)
    )
    return champion * (2 * COARSE) + challenger * 2 + F.col("label")


def _collect(groups: GroupedData, sums: list[Column]) -> pd.DataFrame:
    """Counts in the order of their keys; bounded by the grid."""
    counted = groups.agg(*sums).toPandas().sort_values("key", ignore_index=True)
    if "mass" not in counted:
        counted["mass"] = counted["square"] = counted["size"].astype("float64")
    return counted


def _sums(*, weighted: bool) -> list[Column]:
    size = F.count(F.lit(1)).alias("size")
    weight = F.col("weight")
    more = [F.sum(weight).alias("mass"), F.sum(weight * weight).alias("square")]
    return [size, *(more if weighted else [])]


def _losses(metric: Metric, *, weighted: bool) -> list[tuple[str, Column]]:
    """The loss of a row by role, for the two metrics that are means of a smooth loss."""
    label = F.col("label")
    found = []
    for role in ROLES if metric.name in ("log_loss", "brier") else ():
        score = F.col(role)
        clipped = F.greatest(F.lit(CLIP), F.least(F.lit(1 - CLIP), score))
        log_loss = -F.log(F.when(label == 1, clipped).otherwise(1 - clipped))
        loss = log_loss if metric.name == "log_loss" else (score - label) * (score - label)
        # Whole numbers have the same sum in any order.
        whole = F.rint(loss / LOSS_UNIT).cast("bigint")
        found.append((role, F.col("weight") * loss / LOSS_UNIT if weighted else whole))
    return found


def spell(frame: DataFrame, name: str) -> Column:
    """A column's values as `retraining.statistics.slicing.take` writes them."""
    value, text = F.col(quote(name)), F.col(quote(name)).cast("string")
    if dict(frame.dtypes)[name] in ("float", "double"):
        whole = (value == F.floor(value)) & (F.abs(value) < 2.0**62)
        text = F.when(
            ~F.isnan(value), F.when(whole, value.cast("bigint").cast("string")).otherwise(text)
        )
    return F.coalesce(text, F.lit(MISSING)).alias("value")


def _number(text: str) -> float:
    """What numbers are sorted by; other values come after them."""
    try:
        return float(text)
    except ValueError:
        return math.inf
