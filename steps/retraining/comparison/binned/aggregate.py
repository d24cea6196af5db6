"""Two models compared on any number of scored rows, which Spark counts in a bounded grid of cells.

A cell is a label, a coarse bin of the champion's score and a coarse bin of the challenger's. All
statistics of this library accept cells as weighted rows; the standard error is computed from them.
For the effect of a ranking metric they are too coarse. The same pass therefore also counts the fine
bins of each model, which bound how far the unknown order within a bin can move the effect. Counts
are whole numbers, so results do not depend on how rows are distributed over a cluster.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from retraining.comparison.binned import counts
from retraining.comparison.binned.bounds import Bins, metric_ends
from retraining.comparison.binned.grid import Grid
from retraining.comparison.columns import ROLES, ScoreColumns
from retraining.errors import RetrainingError
from retraining.statistics.inference import conclude, half_width, tail_probability, without_rounding
from retraining.statistics.influence import paired_influence, variance_of_difference
from retraining.statistics.metrics import FALSE_NEGATIVE_COST
from retraining.statistics.rows import FAULTS, Rows, check_classes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from pyspark.sql import DataFrame

    from retraining.comparison.binned.counts import Grids
    from retraining.statistics.inference import PairedResult
    from retraining.statistics.metrics import Metric


class Aggregate(NamedTuple):
    """Two models on the same rows, as cells, with the metric measured more finely.

    Attributes:
        rows: Cells: label, scores in the middle of the bins, summed weights, numbers of rows.
        slices: The cells of every slice by "column=value".
        metric: The metric by which the models are compared.
        values: The metric of champion and challenger.
        error_bound: Largest possible error of the difference of `values`.
        standard_error: Standard error of that difference.
        n_units: Number of units that the rows belong to; None if rows are independent.
    """

    rows: Rows
    slices: dict[str, Rows]
    metric: Metric
    values: tuple[float, float]
    error_bound: float
    standard_error: float
    n_units: int | None

    def compare(self, confidence_level: float = 0.95) -> PairedResult:
        """The paired result, which takes the error bound into account.

        The interval extends `error_bound` further on both sides, and the p-value (of "not better")
        is that of the smallest effect within the bound.
        """
        champion, challenger = self.values
        sign = 1 if self.metric.greater_is_better else -1
        effect = sign * (challenger - champion)
        effect, error = without_rounding(effect, self.standard_error, champion)
        degrees = math.inf if self.n_units is None else self.n_units - 1 or math.nan
        reach = half_width(error, confidence_level, degrees) + self.error_bound
        ends = (effect - reach, effect + reach)
        result = conclude(
            self.rows, self.values, effect, error, ends, alternative="greater", degrees=degrees
        )
        least = effect - self.error_bound
        pvalue = tail_probability(least, error, alternative="greater", degrees=degrees)
        return result._replace(pvalue=pvalue)


def aggregate(
    frame: DataFrame, columns: ScoreColumns | None = None, *, metric: Metric
) -> Aggregate:
    """Count scored rows in cells and compare the two models.

    This takes one pass over the rows, one more for units and one more for slices, so `frame`
    should be stored or cached. The driver receives tens of megabytes at most, bounded by the grid.

    Args:
        frame: Scored rows; those of weight zero are left out.
        columns: Which of its columns is which; by default label, champion, challenger. Slices
            have at most 50 values.
        metric: What to compare.

    Raises:
        RetrainingError: Rows do not pass the checks of `retraining.statistics.rows.check_rows`, or
            a slice column has too many values.
    """
    columns = columns or ScoreColumns()
    frame, weighted = counts.standardise(frame, columns), columns.weight is not None
    threshold = _threshold(metric)
    grids = (Grid(threshold), Grid(threshold))
    counted = counts.count_cells(frame, grids, metric, weighted=weighted)
    if (counted["key"] == counts.UNSOUND).any():
        _check_faults(counts.count_faults(frame), of_probabilities=metric.of_probabilities)
        grids = counts.measure(frame, threshold)
        counted = counts.count_cells(frame, grids, metric, weighted=weighted)
    cells = counted[counted["key"].between(0, counts.KIND - 1)].reset_index(drop=True)
    rows = _rows(cells, grids)
    check_classes(rows)
    first, second, influence = paired_influence(rows, metric)
    values, bound = _measure(counted, cells, rows, metric) or ((first, second), 0.0)
    variance, n_units = variance_of_difference(rows, metric, influence), None
    if columns.unit:
        sums = counts.sum_units(frame, grids, cells, influence / rows.weight)
        variance, n_units = _variance_of_units(sums, metric), int(sums["n_units"])
    found = counts.count_slices(frame, grids, [*columns.slices], weighted=weighted)
    return Aggregate(
        rows=rows,
        slices={name: _rows(part, grids) for name, part in found.items()},
        metric=metric,
        values=values,
        error_bound=bound,
        standard_error=math.sqrt(variance),
        n_units=n_units,
    )


def _threshold(metric: Metric) -> float:
    """The score above which a positive is predicted, where cells have an edge, as at 0.5."""
    return 1 / (1 + metric.parameters.get("false_negative_cost", FALSE_NEGATIVE_COST))


def _check_faults(faults: Mapping[str, int], *, of_probabilities: bool) -> None:
    """Scores outside [0, 1] are a fault only if they have to be probabilities."""
    for name, count in faults.items():
        if count and (name != "outside" or of_probabilities):
            fault, remedy = FAULTS["score" if name in ROLES else name]
            what = "a score" if name == "outside" else name
            raise RetrainingError(f"{what} is {fault} in {count} rows", remedy)


def _rows(cells: pd.DataFrame, grids: Grids) -> Rows:
    key = cells["key"].to_numpy(np.int64)
    champion, rest = np.divmod(key, 2 * counts.COARSE)
    challenger, label = np.divmod(rest, 2)
    return Rows(
        label == 1,
        (grids[0].scores(champion), grids[1].scores(challenger)),
        cells["mass"].to_numpy(np.float64),
        None,
        cells["square"].to_numpy(np.float64),
        cells["size"].to_numpy(np.float64),
    )


def _measure(
    counted: pd.DataFrame, cells: pd.DataFrame, rows: Rows, metric: Metric
) -> tuple[tuple[float, float], float] | None:
    """Both metrics and the bound of their difference; None if the cells give them exactly."""
    if metric.name in counts.OF_ORDER:
        ends = [metric_ends(metric, _bins(counted, i)) for i in range(2)]
        (low, high), (least, most) = ends
        identical = (cells["low"] == 0).all() and (cells["high"] == 0).all()
        bound = 0.0 if identical else (high - low + most - least) / 2
        return ((low + high) / 2, (least + most) / 2), bound
    if ROLES[0] in cells:
        total = float(np.sum(rows.weight))
        first, second = (math.fsum(cells[role]) * counts.LOSS_UNIT / total for role in ROLES)
        return (first, second), 0.0
    return None


def _bins(counted: pd.DataFrame, model: int) -> Bins:
    start = counts.KIND + model * counts.MODEL
    own = counted[counted["key"].between(start, start + counts.MODEL - 1)]
    place, label = np.divmod(own["key"].to_numpy(np.int64) - start, 2)
    occupied, at = np.unique(place, return_inverse=True)
    mass = np.zeros((2, occupied.size))
    low, high = np.full_like(mass, math.inf), np.full_like(mass, -math.inf)
    for array, name in ((mass, "mass"), (low, "low"), (high, "high")):
        array[label, at] = own[name].to_numpy()
    return Bins(mass, low, high)


def _variance_of_units(sums: Mapping[str, float], metric: Metric) -> float:
    """As `retraining.statistics.influence.variance_of_difference`, for sums computed by Spark."""
    parts = [
        (sums["ones"], sums["with_ones"]),
        (sums["zeros"], sums["with_zeros"]),
        (2 * sums["product"], sums["n_units"]),
    ]
    if not metric.by_class:
        parts = [(sum(part for part, _ in parts), sums["n_units"])]
    return sum(part * count / (count - 1) if count > 1 else math.nan for part, count in parts)
