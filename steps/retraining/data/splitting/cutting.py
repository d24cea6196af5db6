"""Prepared rows cut into train, validation and holdout, at windows that hold rows."""

from __future__ import annotations

import logging
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from retraining.data import features
from retraining.data.account import Coverage
from retraining.data.instants import day_before, micros_of, midnight, to_micros
from retraining.data.manifest import StoredSplit
from retraining.data.splitting import partitions, splits
from retraining.data.splitting.ordering import find_order
from retraining.data.splitting.strays import check_holdout, check_newest, check_oldest
from retraining.data.splitting.windows import place_by_days, reported

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import date, datetime

    from pyspark.sql import DataFrame, SparkSession

    from retraining.data.splitting.splits import Place, Tally
    from retraining.data.splitting.windows import Windows
    from retraining.description.document import Description

    Places = Mapping[Place, Tally]

_LOG = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """Rows with features: in folders by day; without event times, in a frame.

    Attributes:
        columns: Spark SQL types by column.
        days: Folders by day.
        rows: Rows by day.
        frame: None if the rows are in folders.
    """

    columns: dict[str, str]
    days: Mapping[date, str]
    rows: Mapping[date, int]
    frame: DataFrame | None


class Cut(NamedTuple):
    """What the splits hold, and where all other rows are.

    Attributes:
        windows: None for rows that were not split by time.
        as_of: The moment up to which labels were reported; None if that decided nothing.
        splits: What was written.
        unused: Rows in no split, by the fields of `Account`.
        coverage: For whom the holdout speaks; None if all labels are known.
        warnings: What a reader should know of the splits.
    """

    windows: Windows | None
    as_of: datetime | None
    splits: dict[str, StoredSplit]
    unused: dict[str, int]
    coverage: Coverage | None
    warnings: tuple[str, ...]


def cut(
    spark: SparkSession,
    description: Description,
    prepared: Prepared,
    folder: str,
    as_of: datetime | None,
    example: Callable[[date], str],
) -> Cut:
    """Write the splits, and examine what was written.

    Without windows, too, rows whose labels may not be known yet are in no split; without event
    times nobody can say which these are, and a warning says so of an `as_of`.

    Args:
        spark: The session.
        description: Has the split.
        prepared: The rows.
        folder: Of the data set.
        as_of: The moment up to which labels were reported; None is the end of the newest day.
        example: Names a row of a day, and its file.

    Raises:
        RetrainingError: If a split has no rows, or next to none because of what the newest day is.
    """
    warnings = []
    windows, rows = None, prepared.frame
    if rows is None:
        check_oldest(description, prepared.rows, example)
        warnings += check_newest(description, prepared.rows, as_of, example)
        windows = place_by_days(description, prepared.days, as_of)
        if windows is None:
            rows = partitions.read_windows(spark, prepared.days, prepared.columns, None)
            rows, as_of = _known(rows, description, prepared.days, as_of)
        _warn_of_short_history(description, sorted(prepared.days), windows)
    elif as_of is not None:
        warnings.append(
            f"as_of={as_of:%Y-%m-%d} left no row out: without event_time, no row is later than it"
        )
        as_of = None
    by_day = splits.whole_days(description, windows, prepared.rows)
    if windows is not None and by_day is not None:
        places = splits.count_days(windows, prepared.rows, by_day)
        folders = {name: [prepared.days[day] for day in days] for name, days in by_day.items()}
    else:
        if rows is None:
            rows = partitions.read_windows(spark, prepared.days, prepared.columns, windows)
        at = windows or find_order(rows, description)
        places = partitions.write_splits(rows, description, at, folder)
        folders = partitions.find_splits(spark, folder)
    if windows is not None:
        n_rows, n_train = _count(places, splits.HOLDOUT), _count(places, splits.TRAIN)
        if windows.validation == windows.train:
            n_train += _count(places, splits.VALIDATION)
        warnings += check_holdout(description, windows, n_rows, n_train, as_of)
    for warning in warnings:
        _LOG.warning(warning)
    partitions.check_filled(folders, description, windows, tuple(prepared.days))
    written = partitions.read_splits(spark, folders, prepared.columns)
    if by_day is None:  # no key is there on two days: duplicates were found among all rows
        splits.check_disjoint(written, description)
    examined = partitions.examine_splits(written, description, windows)
    found = {
        name: StoredSplit.model_validate(
            examined[name]
            | ({"uri": folder, "days": by_day[name]} if by_day else {"uri": folders[name][0]})
        )
        for name in folders
    }
    unused = _count_unused(prepared.rows, windows, places, found)
    coverage = _cover(places) if description.known_when else None
    used = windows.as_of if windows else as_of
    return Cut(windows, used, found, unused, coverage, tuple(warnings))


def _known(
    rows: DataFrame, description: Description, days: Collection[date], as_of: datetime | None
) -> tuple[DataFrame, datetime | None]:
    """The rows from at least `label.delay` before `as_of`, and the moment that this is."""
    if description.event_time is None or not (as_of or description.label.delay):
        return rows, as_of
    newest = midnight(max(days), description.zone)
    as_of, mature = reported(description, newest, as_of)
    return rows.where(micros_of(description.event_time) < to_micros(mature)), as_of


def _count_unused(
    rows: Mapping[date, int],
    windows: Windows | None,
    places: Places,
    found: Mapping[str, StoredSplit],
) -> dict[str, int]:
    """Rows in no split: those that were read to be split, and those of other days."""
    older = newer = 0
    if windows is not None:
        start, end = windows.span
        older = sum(n_rows for day, n_rows in rows.items() if day < start.date())
        newer = sum(n_rows for day, n_rows in rows.items() if day > end.date())
    elif rows:
        newer = sum(rows.values()) - sum(tally.n_rows for tally in places.values())
    return {
        "older": older + _count(places, splits.OLDER, any_label=True),
        "gaps": _count(places, splits.GAP, any_label=True),
        "newer": newer + _count(places, splits.NEWER, any_label=True),
        "known_positives": _count(places, splits.HOLDOUT) - found[splits.HOLDOUT].n_rows,
        "unlabelled": sum(
            tally.n_rows for (name, known), tally in places.items() if name in found and not known
        ),
    }


def _count(places: Places, name: str, *, any_label: bool = False) -> int:
    """Rows of a place whose label is known, or all of them."""
    return sum(
        tally.n_rows
        for (other, known), tally in places.items()
        if other == name and (known or any_label)
    )


def _cover(places: Places) -> Coverage:
    """For how much of the holdout's window its labelled rows speak.

    Weights that unlabelled rows lack are taken for inverse propensities: those of the labelled rows
    then stand for all rows.
    """
    nothing = splits.Tally(0, 0.0, 0)
    labelled = places.get(splits.Place(splits.HOLDOUT, known=True), nothing)
    others = places.get(splits.Place(splits.HOLDOUT, known=False), nothing)
    n_rows = labelled.n_rows + others.n_rows
    weight = None
    if labelled.n_weighted:
        lacking = others.n_weighted < others.n_rows
        weight = labelled.weight / (n_rows if lacking else labelled.weight + others.weight)
    return Coverage(rows=labelled.n_rows / n_rows if n_rows else 0.0, weight=weight)


def _warn_of_short_history(
    description: Description, days: Sequence[date], windows: Windows | None
) -> None:
    """Say that earlier rows are lacking; not of days between which there are never any."""
    if windows is None:
        return
    start = min(windows.train.start, windows.validation.start)
    history = features.reach_of(description)
    needed, oldest = day_before(start, history), days[0]
    usual = median((later - day).days for day, later in pairwise(days)) if len(days) > 1 else 1
    if (oldest - needed).days >= usual:
        begin = f"features of rows from {start:%Y-%m-%d} on look back to {needed}"
        if not history:
            begin = f"the window of the training rows begins on {needed}"
        _LOG.info(f"{begin}, but the oldest rows are of {oldest}")
