"""From scores to what the gate judges: rows or cells, slices, rows whose labels are older."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from retraining.comparison.binned import counts
from retraining.comparison.binned.aggregate import aggregate
from retraining.comparison.scores import ROLES
from retraining.errors import RetrainingError
from retraining.gate.decision import Evidence
from retraining.statistics import slicing
from retraining.statistics.metrics import METRICS
from retraining.statistics.rows import Rows, check_rows

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from retraining.comparison.scores import Comparison
    from retraining.gate.policy import Policy

MATURITIES: Final = 3  # views of the same rows: all days, the older two thirds, the oldest third


def gather(comparison: Comparison, policy: Policy, only: str | None = None) -> Evidence:
    """What the gate judges of scored rows.

    Args:
        comparison: The scores.
        policy: Its metric says what scores must be.
        only: A slice, as "column=value": nothing else is looked at.

    Raises:
        RetrainingError: The rows do not pass `check_rows`, or there is no such slice.
    """
    table = comparison.scores
    if not isinstance(table, pd.DataFrame):
        return _of_cells(table, comparison.slices, policy, only)
    rows = _check(table, of_probabilities=METRICS[policy.metric].of_probabilities)
    if "weight" in table:
        table = table[table["weight"] > 0]  # as check_rows left them out
    found = slicing.take(rows, {name: table[name].to_numpy() for name in comparison.slices})
    if only is None:
        return Evidence(rows, found, _mature(table))
    if only not in found:
        raise RetrainingError(
            f"slice={only!r} is none of these rows", f"choose one of {', '.join(found) or 'none'}"
        )
    return Evidence(found[only])


def metric_values(evidence: Evidence) -> dict[str, float]:
    """Every metric of both models, by names such as `champion_auroc`.

    Of scores outside [0, 1], which are no probabilities, only those that need none.
    """
    rows = evidence.rows
    return {
        f"{role}_{name}": float(metric.evaluator(rows.label, score)(rows.weight))
        for name, metric in METRICS.items()
        for role, score in zip(ROLES, rows.scores, strict=True)
        if all(rows.are_probabilities) or not metric.of_probabilities
    }


def _check(table: pd.DataFrame, *, of_probabilities: bool) -> Rows:
    return check_rows(
        table["label"].to_numpy(),
        {role: table[role].to_numpy() for role in ROLES},
        weight=table["weight"].to_numpy() if "weight" in table else None,
        unit=table["unit"].to_numpy() if "unit" in table else None,
        of_probabilities=of_probabilities,
    )


def _is_in(frame: DataFrame, columns: tuple[str, ...], only: str) -> Column:
    column, _, value = only.partition("=")
    if column not in columns:
        told = ", ".join(columns) or "none"
        raise RetrainingError(
            f"slice={only!r} names no slice", f"give COLUMN=VALUE, the column one of {told}"
        )
    return counts.spell(frame, column) == value


def _mature(table: pd.DataFrame) -> dict[int, Rows]:
    """Rows whose labels had further days, in steps of a third of the days that there are."""
    if "day" not in table:
        return {}
    age = np.asarray((pd.Timestamp(table["day"].max()) - pd.to_datetime(table["day"])).dt.days)
    n_days = int(age.max()) + 1
    found = {}
    for extra in sorted({n_days * part // MATURITIES for part in range(MATURITIES)}):
        part = table[age >= extra]
        if part["label"].nunique() > 1:
            found[extra] = _check(part, of_probabilities=False)
    return found


def _of_cells(
    frame: DataFrame, columns: tuple[str, ...], policy: Policy, only: str | None
) -> Evidence:
    if only is not None:
        frame = frame.where(_is_in(frame, columns, only))
    cells = aggregate(
        frame,
        metric=policy.chosen_metric,
        weight="weight" in frame.columns,
        unit="unit" in frame.columns,
        slices=columns if only is None else (),
    )
    return Evidence(
        rows=cells.rows,
        slices=cells.slices,
        measured=cells.compare(policy.confidence_level),
        n_units=cells.n_units,
        error_bound=cells.error_bound,
    )
