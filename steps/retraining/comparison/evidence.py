"""From scores to evidence for the gate: rows or cells, slices, and rows with older labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from retraining.comparison.binned import counts
from retraining.comparison.binned.aggregate import aggregate
from retraining.comparison.columns import ROLES
from retraining.data.columns import quote
from retraining.errors import RetrainingError
from retraining.gate.decision import Evidence
from retraining.progress import counted
from retraining.report.metric_table import SHOWN
from retraining.statistics import slicing
from retraining.statistics.calibration import DISTANCE
from retraining.statistics.checks import check_classes, check_rows
from retraining.statistics.metrics import METRICS
from retraining.statistics.slicing import SMALL

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from retraining.comparison.columns import ScoreColumns
    from retraining.comparison.scores import Comparison
    from retraining.gate.policy import Policy
    from retraining.statistics.rows import Rows

_DATE: Final = r"^\s*(\d{4}-\d{1,2}-\d{1,2})(?:[T ].*)?$"
_GIVE_DAYS: Final = "give every row a day, as 2026-01-31, or rename the column"
_SHOWN: Final = 40  # characters of a value
MATURITIES: Final = 3  # views of the same rows: all days, the older two thirds, the oldest third


def gather(comparison: Comparison, policy: Policy, only: str | None = None) -> Evidence:
    """Gather from scored rows what the gate judges.

    Args:
        comparison: The scores.
        policy: Its metric says whether scores must be probabilities.
        only: A slice, as "column=value"; all other rows are left out.

    Raises:
        RetrainingError: The rows do not pass `check_rows`, or there is no such slice.
    """
    table, columns = comparison.scores, comparison.columns
    if not isinstance(table, pd.DataFrame):
        return _of_cells(table, columns, policy, only)
    rows = check(
        table, columns, policy.period, of_probabilities=METRICS[policy.metric].of_probabilities
    )
    if columns.weight:
        table = table[table[columns.weight] > 0]  # as check_rows left them out
    values = {name: table[column].to_numpy() for name, column in columns.slices.items()}
    slices = slicing.take(rows, values, least=min(SMALL, policy.minimum_positives))
    if only is None:
        return Evidence(rows, slices, _mature(table, columns, policy.period))
    if only not in slices:
        raise RetrainingError(
            f"slice={only!r} has no rows", f"choose one of {', '.join(slices) or 'none'}"
        )
    check_classes(slices[only])
    return Evidence(slices[only])


def metric_values(evidence: Evidence, policy: Policy) -> dict[str, float]:
    """Return the metrics of both models, by names such as `champion_auroc`.

    Those with a capacity or with costs are left out unless the policy names them, and those of
    probabilities if a score is outside [0, 1].
    """
    rows = evidence.rows
    names = dict.fromkeys((*SHOWN, policy.metric, *policy.secondary))
    return {
        f"{role}_{name}": float(metric.evaluator(rows.label, score)(rows.weight))
        for name, metric in ((name, policy.measure(name)) for name in names)
        for role, score in zip(ROLES, rows.scores, strict=True)
        if all(rows.are_probabilities) or not metric.of_probabilities
    }


def check(
    table: pd.DataFrame, columns: ScoreColumns, period: str, *, of_probabilities: bool
) -> Rows:
    """The rows of a table of scores, checked.

    Args:
        table: The scores.
        columns: Which column is which.
        period: As `Policy.period`.
        of_probabilities: Whether scores must be probabilities.

    Raises:
        RetrainingError: The rows do not pass `check_rows`.
    """
    return check_rows(
        table[columns.label].to_numpy(),
        {role: table[name].to_numpy() for role, name in zip(ROLES, columns.scores, strict=True)},
        weight=table[columns.weight].to_numpy() if columns.weight else None,
        unit=table[units].to_numpy() if (units := columns.units) else None,
        period=_periods(table, columns, period),
        of_probabilities=of_probabilities,
    )


def _periods(table: pd.DataFrame, columns: ScoreColumns, period: str) -> Any:  # noqa: ANN401
    """The period of every row; None where they are taken as independent."""
    if period == "none":
        return None
    if columns.period:
        return table[columns.period].to_numpy()
    if not columns.day:
        return None
    day = _days(table, columns.day)
    return (day.dt.to_period("W").dt.start_time if period == "week" else day).to_numpy()


def _days(table: pd.DataFrame, column: str) -> pd.Series[pd.Timestamp]:
    """The days of a table.

    Raises:
        RetrainingError: If a value is missing or is no day.
    """
    given = table[column]
    if pd.api.types.is_datetime64_any_dtype(given):
        day = pd.to_datetime(given, utc=True).dt.tz_localize(None).dt.normalize()
    else:  # dates, and text as Spark reads it: what follows the date does not matter
        try:
            date = given.astype("string").str.extract(_DATE, expand=False)
        except UnicodeDecodeError as error:
            raise RetrainingError(f"{column} holds bytes that are no text", _GIVE_DAYS) from error
        day = pd.to_datetime(date, format="%Y-%m-%d", errors="coerce")
    if unknown := int(day.isna().sum()):
        first = str(given[day.isna()].iloc[0])[:_SHOWN]
        raise RetrainingError(
            f"{column} is missing, or no day from 1678 to 2261, in {counted(unknown, 'row')}, "
            f"such as {first!r}",
            _GIVE_DAYS,
        )
    return day


def _period_column(columns: ScoreColumns, period: str) -> Column | None:
    """As `_periods`, of rows in Spark."""
    if period == "none":
        return None
    if columns.period:
        return F.col(quote(columns.period))
    if not columns.day:
        return None
    day = F.expr(f"try_cast({quote(columns.day)} AS DATE)")  # null, and so refused, if it is none
    return F.date_trunc("week", day) if period == "week" else day


def _is_in(frame: DataFrame, columns: ScoreColumns, only: str) -> Column:
    name, _, value = only.partition("=")
    if name not in columns.slices:
        allowed = ", ".join(columns.slices) or "none"
        raise RetrainingError(
            f"slice={only!r} names no slice", f"give COLUMN=VALUE, the column one of {allowed}"
        )
    return counts.spell(frame, columns.slices[name]) == value


def _mature(table: pd.DataFrame, columns: ScoreColumns, period: str) -> dict[int, Rows]:
    """Return rows by the further days that their labels had, in steps of a third of all days."""
    if not columns.day:
        return {}
    day = _days(table, columns.day)
    age = np.asarray((day.max() - day).dt.days)
    n_days = int(age.max()) + 1
    views = {}
    for extra in sorted({n_days * part // MATURITIES for part in range(MATURITIES)}):
        part = table[age >= extra]
        if part[columns.label].nunique() > 1:
            views[extra] = check(part, columns, period, of_probabilities=False)
    return views


def _of_cells(
    frame: DataFrame, columns: ScoreColumns, policy: Policy, only: str | None
) -> Evidence:
    if only is not None:
        frame = frame.where(_is_in(frame, columns, only))
        columns = columns._replace(slices={})
    names = dict.fromkeys((policy.metric, *policy.secondary, *SHOWN))
    cells = aggregate(
        frame,
        columns,
        metrics=[*map(policy.measure, names), DISTANCE],
        period=_period_column(columns, policy.period),
    )
    return Evidence(cells.rows, cells.slices)
