"""Sums by unit and by period of what rows add to a difference: what Spark does for the dispersion.

The influence of a row is that of its cell, for a unit of weight. A unit may have rows in many
cells, so cells alone do not show which rows depend on each other.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from retraining.statistics.dispersion import Dispersion, Sums, Way, combine, dispersion, ways
from retraining.statistics.influence import paired_influence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import Column, DataFrame

    from retraining.statistics.metrics import Metric
    from retraining.statistics.rows import Floats, Rows


class Part(NamedTuple):
    """Cells that are judged together: all rows, or a slice.

    Attributes:
        keys: Of the cells, int32, shape (n,).
        rows: The same cells.
        metrics: By which the two models are compared on them; none where a class is missing.
        influences: By metric: its value for champion and challenger, and the influence of each cell
            on their difference.
    """

    keys: Floats
    rows: Rows
    metrics: Sequence[Metric]
    influences: Mapping[str, tuple[float, float, Floats]]

    @classmethod
    def of(cls, keys: Floats, rows: Rows, metrics: Sequence[Metric]) -> Part:
        """The part with the influences of its cells."""
        if rows.label.all() or not rows.label.any():
            return cls(keys, rows, (), {})
        return cls(keys, rows, metrics, {m.name: paired_influence(rows, m) for m in metrics})


class Dependence(NamedTuple):
    """How rows of a part depend on each other.

    Attributes:
        dispersions: Of the difference, by metric.
        n_units: None where there are no units.
        units_of_class: Units with negatives, and with positives.
        n_periods: None where there are no periods.
    """

    dispersions: Mapping[str, Dispersion]
    n_units: int | None
    units_of_class: tuple[int, int] | None
    n_periods: int | None


def measure_dependence(
    frame: DataFrame, parts: Mapping[str, Part], kinds: Sequence[str]
) -> dict[str, Dependence]:
    """The dispersion of every metric in every part.

    Args:
        frame: One line per row and part: part, key (of its cell), label, weight, and the kinds.
        parts: By name. Their cells are sent to the executors.
        kinds: Those of `retraining.statistics.dispersion.KINDS` by which rows depend on each other.
    """
    parts = {name: part for name, part in parts.items() if part.metrics}
    keyed = frame.join(F.broadcast(_lookup(frame, parts)), ["part", "key"])
    by_class = {m.name: m.by_class for part in parts.values() for m in part.metrics}
    sums = {way: _sum(keyed, way, parts, by_class) for way in ways(kinds)}
    found = {}
    for name, part in parts.items():
        of_part = {
            m.name: {way: summed[name, m.name] for way, summed in sums.items()}
            for m in part.metrics
        }
        dispersions = {}
        for m in part.metrics:
            alone = dispersion(part.rows, m, part.influences[m.name][2]).variance
            dispersions[m.name] = combine(of_part[m.name], alone, by_class=m.by_class)
        first = of_part[part.metrics[0].name]
        units = [first[kind,] for kind in ("unit", "second") if kind in kinds]
        found[name] = Dependence(
            dispersions,
            int(units[0].n_units) if units else None,
            (int(min(u.n_zeros for u in units)), int(min(u.n_ones for u in units)))
            if units
            else None,
            int(first["period",].n_units) if "period" in kinds else None,
        )
    return found


def _lookup(frame: DataFrame, parts: Mapping[str, Part]) -> DataFrame:
    """The influence of a unit of weight in every cell of every part, by metric."""
    names = dict.fromkeys(chain.from_iterable(part.influences for part in parts.values()))
    tables = []
    for name, part in parts.items():
        moved = {
            f"moved_{metric}": part.influences[metric][2] / part.rows.weight
            if metric in part.influences
            else np.zeros(part.rows.label.size)
            for metric in names
        }
        tables.append(pd.DataFrame({"part": name, "key": part.keys.astype(np.int32), **moved}))
    return frame.sparkSession.createDataFrame(pd.concat(tables, ignore_index=True))


def _sum(
    keyed: DataFrame, way: Way, parts: Mapping[str, Part], by_class: Mapping[str, bool]
) -> dict[tuple[str, str], Sums]:
    """Sums over groups of rows, by part and metric."""
    label, weight = F.col("label"), F.col("weight")

    def of_class(value: Column, positive: int) -> Column:
        return F.sum(F.when(label == positive, value).otherwise(0.0))

    groups = keyed.groupBy("part", *way).agg(
        *(
            of_class(weight * F.col(f"moved_{name}"), side).alias(f"{name}_{side}")
            for name in by_class
            for side in (0, 1)
        ),
        *(of_class(weight, side).alias(f"mass_{side}") for side in (0, 1)),
    )
    masses = {
        name: [float(np.sum(part.rows.weight[part.rows.label == side])) for side in (0, 1)]
        for name, part in parts.items()
    }
    whole = [_choose(masses, side) for side in (0, 1)]
    shares = [F.col(f"mass_{side}") / whole[side] for side in (0, 1)]
    of_all = (F.col("mass_0") + F.col("mass_1")) / (whole[0] + whole[1])
    sums = [F.sum(share * share).alias(f"square_{i}") for i, share in enumerate(shares)]
    sums += [F.sum((share > 0).cast("int")).alias(f"n_{i}") for i, share in enumerate(shares)]
    sums.append(F.count(F.lit(1)).alias("n"))
    for name, apart in by_class.items():
        zeros, ones = (
            _without(F.col(f"{name}_{side}"), shares[side] if apart else of_all) for side in (0, 1)
        )
        sums.append(F.sum(ones * ones).alias(f"{name}_ones"))
        sums.append(F.sum(zeros * zeros).alias(f"{name}_zeros"))
        sums.append(F.sum(ones * zeros).alias(f"{name}_product"))
    return {
        (row["part"], name): Sums(
            ones=row[f"{name}_ones"],
            zeros=row[f"{name}_zeros"],
            product=row[f"{name}_product"],
            n_ones=row["n_1"],
            n_zeros=row["n_0"],
            n_units=row["n"],
            worth=1 / max(row["square_0"], row["square_1"]),
        )
        for row in groups.groupBy("part").agg(*sums).collect()
        for name in by_class
    }


def _choose(masses: Mapping[str, Sequence[float]], side: int) -> Column:
    """The weight of a class in the part that a line belongs to."""
    literal = F.create_map(*(F.lit(x) for name, mass in masses.items() for x in (name, mass[side])))
    return literal[F.col("part")]


def _without(total: Column, share: Column) -> Column:
    """What leaving the group out would change; NaN if it is everything."""
    return F.when(share < 1, total / (1 - share)).otherwise(float("nan"))
