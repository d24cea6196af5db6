"""How many rows were rejected, for which reasons, and values that led to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyspark.sql import functions as F

from retraining.data.files.sources import MALFORMED
from retraining.data.instants import day_of
from retraining.data.rows import labels
from retraining.data.rows.quality import RAW, REASON
from retraining.errors import RetrainingError
from retraining.progress import counted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from pyspark.sql import Column, DataFrame

    from retraining.description.document import Description

_EXAMPLE_CHARACTERS = 60
_REASONS_SHOWN = 3


class Rejected(NamedTuple):
    """Rejected rows.

    Attributes:
        by_reason: How many, the most frequent reason first.
        examples: The smallest and the largest of the values that led to a reason.
    """

    by_reason: dict[str, int]
    examples: dict[str, tuple[str, ...]]

    @classmethod
    def sorted(cls, counts: Mapping[str, int], examples: Mapping[str, tuple[str, ...]]) -> Rejected:
        """Put the most frequent reason first, and leave out reasons without an example."""
        order = sorted(counts, key=lambda reason: (-counts[reason], reason))
        return cls(
            {reason: counts[reason] for reason in order},
            {reason: examples[reason] for reason in order if examples.get(reason)},
        )

    @property
    def n_rows(self) -> int:
        """How many there are."""
        return sum(self.by_reason.values())

    def __str__(self) -> str:
        """The most frequent reasons, `unparseable age: 12, for example 'abc'`; others counted."""
        parts = []
        for reason, n_rows in list(self.by_reason.items())[:_REASONS_SHOWN]:
            shown = " or ".join(map(repr, self.examples.get(reason, ())))
            parts.append(f"{reason}: {n_rows:,}" + (f", for example {shown}" if shown else ""))
        if others := list(self.by_reason.values())[_REASONS_SHOWN:]:
            reasons, rows = counted(len(others), "other reason"), counted(sum(others), "row")
            parts.append(f"and {reasons}: {rows}")
        return "; ".join(parts)


def count_reasons(
    frame: DataFrame, description: Description, *, labelled: bool = True
) -> tuple[dict[date | None, int], Rejected]:
    """Count valid rows by day and rejected ones by reason, with two values that led to each reason.

    Args:
        frame: From `flag_duplicates`; read twice if there are rejected rows.
        description: Of the data set.
        labelled: Whether the labels of the valid rows have to be of two values.

    Returns:
        Valid rows by day of the session's clock (all by None without event times), and the others.

    Raises:
        RetrainingError: If the labels have more.
    """
    is_valid = F.col(REASON).isNull()
    time = description.event_time
    day = F.when(is_valid, day_of(time)) if time else F.lit(None).cast("date")
    # Without an example: Spark would sort all rows to find the smallest text.
    found = frame.groupBy(REASON, day).agg(
        F.count(F.lit(1)), *labels.outermost_negatives(description)
    )
    days: dict[date | None, int] = {}
    counts: dict[str, int] = {}
    outermost = []
    for reason, of_day, n_rows, *negatives in found.collect():
        if reason is None:
            days[of_day] = n_rows
            outermost += [negative for negative in negatives if negative is not None]
        else:
            counts[reason] = n_rows
    if labelled and outermost:
        labels.check_values(frame.where(is_valid), description, min(outermost), max(outermost))
    return days, Rejected.sorted(counts, _examples(frame, description) if counts else {})


def _examples(frame: DataFrame, description: Description) -> dict[str, tuple[str, ...]]:
    """Return the smallest and the largest of the values that led to each reason."""
    example = _example(description)
    rejected = frame.where(F.col(REASON).isNotNull())
    found = rejected.groupBy(REASON).agg(F.min(example), F.max(example)).collect()
    return {
        reason: tuple(dict.fromkeys(text for text in shown if text is not None))
        for reason, *shown in found
    }


def check_share(rejected: Rejected, n_rows: int, description: Description, remedy: str) -> None:
    """Check that the share of rejected rows is at most `quarantine.max_share`.

    Args:
        rejected: The rejected rows.
        n_rows: Number of all rows.
        description: States the largest share.
        remedy: What the user can do; ends with the key that could be raised.

    Raises:
        RetrainingError: If it is larger, with the most frequent reasons.
    """
    largest = description.quarantine.max_share
    if rejected.n_rows > largest * n_rows:
        raise RetrainingError(
            f"{rejected.n_rows / n_rows:.2%} of {n_rows:,} rows were rejected ({rejected})",
            f"{remedy} above {largest:.2%}",
        )


def _example(description: Description) -> Column:
    """Return the text of the column that a reason ends with, or the line that is malformed."""
    texts: list[Column] = []
    for name in description.columns:
        text = F.col(f"{RAW}.{name}" if name in description.file_columns else name)
        text = text.cast("string")
        if any(name in key for key in description.unique_keys):  # of a row that is a duplicate
            text = F.coalesce(text, F.col(name).cast("string"))
        texts += [F.lit(name), text]
    column = F.element_at(F.split(REASON, " "), -1)
    text = F.coalesce(F.create_map(*texts)[column], F.col(MALFORMED))
    return F.when(F.trim(text) != "", F.substring(text, 1, _EXAMPLE_CHARACTERS))
