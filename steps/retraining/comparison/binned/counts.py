"""Scored rows counted in bins and cells: what Spark does for `aggregate`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from pyspark.sql import functions as F

from retraining.comparison.binned.grid import Grid
from retraining.comparison.columns import ROLES
from retraining.data.columns import quote
from retraining.errors import RetrainingError
from retraining.statistics.checks import LEAST_WEIGHT
from retraining.statistics.dispersion import KINDS
from retraining.statistics.losses import CLIP
from retraining.statistics.slicing import MAXIMUM_VALUES, MISSING, too_many_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from pyspark.sql import Column, DataFrame, GroupedData

    from retraining.comparison.columns import ScoreColumns
    from retraining.statistics.metrics import Metric

OF_ORDER: Final = frozenset({"auroc", "auprc", "recall_at_capacity"})
OF_LOSS: Final = frozenset({"log_loss", "brier"})
LOSS_UNIT: Final = 2.0**-30  # losses are summed as whole numbers of it
# Keys of cells lie below KIND, those of a model's fine bins from KIND on.
KIND: Final = 2**29
MODEL: Final = 2**22
COARSE: Final = 2**14

Grids = tuple[Grid, Grid]  # of champion and challenger

UNSOUND: Final = -1  # the key of rows that are not counted


def standardise(frame: DataFrame, columns: ScoreColumns, period: Column | None) -> DataFrame:
    """The columns label, champion, challenger, weight, unit, second, period and perhaps `slices`.

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
        (F.col(columns.second) if columns.second else F.lit(0)).alias("second"),
        (F.lit(0) if period is None else period).alias("period"),
    ]
    if columns.slices:
        entries = (
            F.struct(F.lit(name).alias("column"), spell(frame, column))
            for name, column in columns.slices.items()
        )
        chosen.append(F.array(*entries).alias("slices"))
    kept = frame.where(mass.isNull() | (mass != 0)) if columns.weight else frame
    return kept.select(*chosen)


def count_cells(
    frame: DataFrame, grids: Grids, metrics: Sequence[Metric], *, weighted: bool
) -> pd.DataFrame:
    """Cells and faults by key and, for metrics of order, the fine bins of either model.

    Args:
        frame: As `standardise` makes it.
        grids: Of champion and challenger.
        metrics: Decide what is summed beside the counts.
        weighted: Whether weights are anything but 1.

    Returns:
        Columns key, size, mass and square (sums of weights and squared weights); for a metric of
        order, low and high (of the scores of a bin; of the champion's score less the challenger's
        in a cell); for log_loss and brier the summed loss, as `log_loss champion`.
    """
    sound = _sound(outside_too=grids[0].center is not None)
    label = F.col("label").cast("int").alias("label")
    losses = _losses(metrics, weighted=weighted)
    binned = frame.select(label, "weight", *ROLES, *_fine(grids), sound.alias("sound"))
    binned = binned.withColumn("key", F.when(F.col("sound"), _cell(grids)).otherwise(UNSOUND))
    binned = binned.select("*", *(loss.alias(name) for name, loss in losses.items()))
    sums = _sums(weighted=weighted) + [F.sum(F.col(name)).alias(name) for name in losses]
    if any(metric.name in OF_ORDER for metric in metrics):
        nothing = [F.lit(None).cast(binned.schema[name].dataType) for name in losses]
        entries = [F.col("key"), F.col("champion") - F.col("challenger"), *map(F.col, losses)]
        for i, role in enumerate(ROLES):
            key = F.col(f"{role}_bin") * 2 + F.col("label") + (KIND + i * MODEL)
            entries += [key, F.col(role), *nothing]
        stacked = F.stack(F.lit(1 + len(ROLES)), *entries).alias("key", "value", *losses)
        binned = binned.select(*(["weight"] if weighted else []), stacked)
        sums += [F.min("value").alias("low"), F.max("value").alias("high")]
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


def key_parts(frame: DataFrame, grids: Grids, *, slices: bool) -> DataFrame:
    """One line per row and part that it belongs to: "" for all rows, else "column=value".

    Returns:
        Columns part, key, label, weight, unit, second, period.
    """
    keyed = frame.select("*", *_fine(grids)).withColumn("key", _cell(grids).cast("int"))
    kept = ("key", "label", "weight", *KINDS)
    whole = keyed.select(F.lit("").alias("part"), *kept)
    if not slices:
        return whole
    name = F.concat_ws("=", F.col("of.column"), F.col("of.value").cast("string"))
    apart = keyed.select(F.explode("slices").alias("of"), *kept).select(name.alias("part"), *kept)
    return whole.unionByName(apart)


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
        "weight": F.col("weight").between(LEAST_WEIGHT, 1 / LEAST_WEIGHT),
        "unit": F.col("unit").isNotNull() & F.col("second").isNotNull(),
        "period": F.col("period").isNotNull(),
        "outside": F.col("champion").between(0, 1) & F.col("challenger").between(0, 1),
    }


def _sound(*, outside_too: bool) -> Column:
    checks = _checks()
    scores = checks["champion"] & checks["challenger"] if outside_too else checks["outside"]
    return checks["label"] & scores & checks["weight"] & checks["unit"] & checks["period"]


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


def _losses(metrics: Sequence[Metric], *, weighted: bool) -> dict[str, Column]:
    """The loss of a row by metric and role, for the two metrics that are means of a smooth loss."""
    label = F.col("label")
    found = {}
    for name in (metric.name for metric in metrics if metric.name in OF_LOSS):
        for role in ROLES:
            score = F.col(role)
            clipped = F.greatest(F.lit(CLIP), F.least(F.lit(1 - CLIP), score))
            log_loss = -F.log(F.when(label == 1, clipped).otherwise(1 - clipped))
            loss = log_loss if name == "log_loss" else (score - label) * (score - label)
            # Whole numbers have the same sum in any order.
            whole = F.rint(loss / LOSS_UNIT).cast("bigint")
            found[f"{name} {role}"] = F.col("weight") * loss / LOSS_UNIT if weighted else whole
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
