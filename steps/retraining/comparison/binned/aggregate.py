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
from retraining.comparison.binned.dependence import Dependence, Part, measure_dependence
from retraining.comparison.binned.grid import Grid
from retraining.comparison.columns import ROLES, ScoreColumns
from retraining.errors import RetrainingError
from retraining.progress import counted
from retraining.statistics.checks import FAULTS, check_classes
from retraining.statistics.dispersion import dispersion
from retraining.statistics.metrics import FALSE_NEGATIVE_COST
from retraining.statistics.rows import Measured, Rows, Totals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from pyspark.sql import Column, DataFrame

    from retraining.comparison.binned.counts import Grids
    from retraining.statistics.metrics import Metric


class Aggregate(NamedTuple):
    """Two models on the same rows, as cells that know what was found of all rows.

    Attributes:
        rows: Cells: label, scores in the middle of the bins, summed weights, numbers of rows.
        slices: The cells of every slice by "column=value".
    """

    rows: Rows
    slices: dict[str, Rows]


def aggregate(
    frame: DataFrame,
    columns: ScoreColumns | None = None,
    *,
    metrics: Sequence[Metric],
    period: Column | None = None,
) -> Aggregate:
    """Count scored rows in cells and compare the two models.

    This takes one pass over the rows, one more for units and periods and one more for slices, so
    `frame` should be stored or cached. The driver receives tens of megabytes at most, bounded by
    the grid.

    Args:
        frame: Scored rows; those of weight zero are left out.
        columns: Which of its columns is which; by default label, champion, challenger. Slices
            have at most 50 values.
        metrics: What to compare: the primary metric, by which slices are compared, and others.
            Those of probabilities are left out if scores are none, unless it is the primary one.
        period: The period of a row; None where rows of different units are independent.

    Raises:
        RetrainingError: Rows do not pass `retraining.statistics.checks.check_rows`, or a slice
            column has too many values.
    """
    columns = columns or ScoreColumns()
    frame, weighted = counts.standardise(frame, columns, period), columns.weight is not None
    primary = metrics[0]
    threshold = _threshold(primary)
    grids = (Grid(threshold), Grid(threshold))
    counted = counts.count_cells(frame, grids, metrics, weighted=weighted)
    if (counted["key"] == counts.UNSOUND).any():
        _check_faults(counts.count_faults(frame), of_probabilities=primary.of_probabilities)
        grids = counts.measure(frame, threshold)
        metrics = [metric for metric in metrics if not metric.of_probabilities]
        counted = counts.count_cells(frame, grids, metrics, weighted=weighted)
    cells = counted[counted["key"].between(0, counts.KIND - 1)].reset_index(drop=True)
    rows = _rows(cells, grids)
    check_classes(rows)
    slices = counts.count_slices(frame, grids, [*columns.slices], weighted=weighted)
    parts = {"": Part.of(cells["key"].to_numpy(), rows, metrics)}
    parts |= {
        name: Part.of(part["key"].to_numpy(), _rows(part, grids), [primary])
        for name, part in slices.items()
    }
    dependence = {}
    given = {"unit": columns.unit, "second": columns.second, "period": period is not None}
    if kinds := [kind for kind, is_given in given.items() if is_given]:
        dependence = measure_dependence(
            counts.key_parts(frame, grids, slices=bool(slices)),
            parts,
            kinds,
        )
    exact = {metric.name: _measure(counted, cells, rows, metric) for metric in metrics}
    whole = _known(parts.pop(""), dependence.get(""), exact)
    return Aggregate(
        whole, {name: _known(part, dependence.get(name), {}) for name, part in parts.items()}
    )


def _known(
    part: Part,
    dependence: Dependence | None,
    exact: Mapping[str, tuple[float, float, float] | None],
) -> Rows:
    """Cells with what was found of their rows, by units and more finely than the cells show."""
    measured = {}
    for metric in part.metrics:
        champion, challenger, influence = part.influences[metric.name]
        values = exact.get(metric.name) or (champion, challenger, 0.0)
        if dependence:
            spread = dependence.dispersions[metric.name]
        else:
            spread = dispersion(part.rows, metric, influence)
        measured[metric.name] = Measured(*values, spread)
    return part.rows._replace(totals=Totals(measured, *(dependence[1:] if dependence else ())))


def _threshold(metric: Metric) -> float:
    """The score above which a positive is predicted, where cells have an edge, as at 0.5."""
    return 1 / (1 + metric.parameters.get("false_negative_cost", FALSE_NEGATIVE_COST))


def _check_faults(faults: Mapping[str, int], *, of_probabilities: bool) -> None:
    """Scores outside [0, 1] are a fault only if they have to be probabilities."""
    for name, count in faults.items():
        if count and (name != "outside" or of_probabilities):
            fault, remedy = FAULTS["score" if name in ROLES else name]
            what = "a score" if name == "outside" else name
            raise RetrainingError(f"{what} is {fault} in {counted(count, 'row')}", remedy)


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
) -> tuple[float, float, float] | None:
    """Both metrics and the bound of their difference; None if the cells give them exactly."""
    if metric.name in counts.OF_ORDER:
        ends = [metric_ends(metric, _bins(counted, i)) for i in range(2)]
        (low, high), (least, most) = ends
        identical = (cells["low"] == 0).all() and (cells["high"] == 0).all()
        bound = 0.0 if identical else (high - low + most - least) / 2
        return (low + high) / 2, (least + most) / 2, bound
    if metric.name in counts.OF_LOSS:
        unit = counts.LOSS_UNIT / float(np.sum(rows.weight))
        first, second = (math.fsum(cells[f"{metric.name} {role}"]) * unit for role in ROLES)
        return first, second, 0.0
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
