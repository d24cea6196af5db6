"""A summary of rows: numbers by column, and two pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retraining.data.columns import is_positive, quote
from retraining.data.instants import clock_of, day_of
from retraining.data.profiling import relation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from pyspark.sql import Column, DataFrame

    from retraining.description.document import Description

_STATISTICS = ("nulls", "min", "max", "sum", "distinct")
_TICKS = 12  # days that can be read below a picture
_UPRIGHT = 4  # names that fit side by side
_BARS = 15  # columns or reasons; smaller ones are left out


def profile(
    frame: DataFrame, description: Description, n_rows: int = 0, n_positives: int = 0
) -> dict[str, Any]:
    """Count and summarise the rows in one aggregation, and relate features to labels in others.

    Args:
        frame: Rows with some or all raw columns and features of the description.
        description: Names the columns.
        n_rows: About how many rows there are, if that is known.
        n_positives: About how many of them are positive.

    Returns:
        `rows`; `columns`: by name the type, the number of nulls, min and max (times as text),
        the mean (six digits; None if there is none) and the approximate number of distinct values;
        `relations`: by feature its AUROC (three digits) and direction, as in `Relation`.
    """
    named = (*description.columns, *description.feature_columns)
    names = [name for name in dict.fromkeys(named) if name in frame.columns]
    types = {name: frame.schema[name].dataType for name in names}
    wanted = [
        value.alias(f"{index} {statistic}")
        for index, name in enumerate(names)
        for statistic, value in zip(_STATISTICS, _summarise(name, types[name]), strict=True)
    ]
    features = [name for name in description.feature_columns if name in frame.columns]
    with clock_of(frame.sparkSession, description.zone):
        (row,) = frame.agg(F.count(F.lit(1)).alias("rows"), *wanted).collect()
    columns: dict[str, dict[str, Any]] = {}
    for index, name in enumerate(names):
        nulls, least, most, total, distinct = (row[f"{index} {key}"] for key in _STATISTICS)
        n_values = row["rows"] - nulls
        columns[name] = {
            "type": types[name].simpleString(),
            "nulls": nulls,
            "min": least,
            "max": most,
            # Six digits do not depend on the order in which fractions were summed.
            "mean": float(f"{total / n_values:.6g}") if n_values and total is not None else None,
            "distinct": distinct,
        }
    numbers = relation.numbers_among(frame, features)
    categories = [name for name in features if name not in numbers]
    found = relation.relate_numbers(frame, numbers, description.label, n_rows, n_positives)
    found |= relation.relate_categories(frame, categories, description.label)
    relations = {name: found[name]._asdict() for name in features}
    return {"rows": row["rows"], "columns": columns, "relations": relations}


def count_classes(frame: DataFrame, description: Description) -> dict[str, tuple[int, int]]:
    """Count rows and positives by day of the zone; the result is empty without event times."""
    if description.event_time is None:
        return {}
    day = day_of(description.event_time).cast("string").alias("day")
    positives = F.count_if(is_positive(description.label))
    with clock_of(frame.sparkSession, description.zone):
        counts = frame.groupBy(day).agg(F.count(F.lit(1)), positives).orderBy("day").collect()
    return {day: (n_rows, n_positives) for day, n_rows, n_positives in counts}


def draw_classes(counts: Mapping[str, tuple[int, int]]) -> Figure:
    """Draw the rows and the share of positives.

    Args:
        counts: Rows and positives, by day or by split.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    names = list(counts)
    shares = [100 * positives / max(rows, 1) for rows, positives in counts.values()]
    above.bar(names, [rows for rows, _ in counts.values()], color="tab:blue")
    above.set_ylabel("rows")
    below.bar(names, shares, color="tab:orange")
    below.set_ylabel("positive, %")
    below.set_xticks(names[:: max(1, -(-len(names) // _TICKS))])
    below.tick_params(axis="x", labelrotation=45 if len(names) > _UPRIGHT else 0)
    figure.suptitle("Rows and positives")
    return figure


def draw_defects(
    profiled: Mapping[str, Any], rejected: Mapping[str, int], n_rows_read: int
) -> Figure:
    """Draw the share of nulls by column and the share of rejected rows by reason.

    Args:
        profiled: From `profile`.
        rejected: Rejected rows by reason.
        n_rows_read: The number of rows that they are shown as a share of.
    """
    nulls = {name: column["nulls"] for name, column in profiled["columns"].items()}
    shown = [_largest(nulls), _largest(rejected)]
    heights = [max(1, len(counts)) for counts in shown]
    figure = Figure(figsize=(8, 1.5 + 0.35 * sum(heights)), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=heights)
    _draw_shares(above, shown[0], profiled["rows"], "null, % of prepared rows")
    _draw_shares(below, shown[1], n_rows_read, "rejected, % of rows read")
    return figure


def _summarise(name: str, kind: T.DataType) -> tuple[Column, ...]:
    value = F.col(quote(name))
    numeric = isinstance(kind, T.NumericType)
    # The text of the ends, and sums of doubles: ends of texts, and means, take Spark twice as long.
    least, most = F.min(value), F.max(value)
    return (
        F.count_if(value.isNull()),
        least if numeric else least.cast("string"),
        most if numeric else most.cast("string"),
        F.sum(value.cast("double")) if numeric else F.lit(None).cast("double"),
        F.approx_count_distinct(value),
    )


def _largest(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the largest counts, the smallest first, as bars are drawn from below."""
    largest = sorted((count, name) for name, count in counts.items() if count)[-_BARS:]
    return {name: count for count, name in largest}


def _draw_shares(axes: Axes, counts: Mapping[str, int], total: int, title: str) -> None:
    axes.set_title(title, fontsize="medium", loc="left")
    if not counts:
        axes.text(0, 0.5, "none", va="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    bars = axes.barh(list(counts), [100 * count / max(total, 1) for count in counts.values()])
    axes.bar_label(bars, labels=[f"{count:,}" for count in counts.values()], padding=3)
    axes.margins(x=0.15)
