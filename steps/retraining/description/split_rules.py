"""Rules for the section `split`, above all against rows whose labels were not known at training."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from retraining.description.columns import NUMERIC_TYPES, TIME_TYPES
from retraining.description.durations import format_duration
from retraining.description.splitting import HashSplit, Months, Period, Share, TimeSplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retraining.description.document import Description
    from retraining.description.splitting import OrderSplit


def find_problems(description: Description) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the split: the key, and value, complaint and allowed values."""
    split = description.split
    by_unit = isinstance(split, HashSplit) or split.inner is not None
    if by_unit and len(description.units) > 1:
        text = "names two columns, and a split by hash keeps the rows of one unit together"
        yield "unit", f"{text}, allowed: one column"
    if isinstance(split, HashSplit):
        total = split.train + split.validation + split.holdout
        if abs(total - 1) > 1e-9:
            yield "split", f"train, validation and holdout sum to {total:g}, allowed: 1"
        return
    for name in ("train", "holdout"):
        value = getattr(split, name)
        if isinstance(value, Share) and value.of_train:
            yield f"split.{name}", f"{value}, allowed: for validation only"
    if isinstance(split, TimeSplit):
        yield from _time(description, split)
    else:
        yield from _order(description, split)


def _order(description: Description, split: OrderSplit) -> Iterator[tuple[str, str]]:
    yield from _total(split.windows)
    if description.label.delay > timedelta(0):
        yield "split.by", "order knows no time, and label.delay needs one, allowed: time"
    for name in split.columns:
        if name == description.label.column:
            yield "split.column", f"{name} is the label, allowed: any other column"
        elif (kind := description.columns[name].type) not in (*NUMERIC_TYPES, *TIME_TYPES):
            known = ", ".join((*NUMERIC_TYPES, *TIME_TYPES))
            yield "split.column", f"{name} has type {kind}, which has no order, allowed: {known}"


def _time(description: Description, split: TimeSplit) -> Iterator[tuple[str, str]]:
    delay = description.label.delay
    allowed = f"allowed: {format_duration(delay)} (label.delay) or more"
    known = split.known_positives
    if known is not None and known.delay < delay:
        yield (
            "split.known_positives.delay",
            f"{format_duration(known.delay)} would use labels before they are known, {allowed}",
        )
    windows = split.windows
    periods = {name: value for name, value in windows.items() if isinstance(value, Period)}
    if len(periods) == len(windows):
        yield from _periods(periods, max(split.gap, delay))
        return
    if periods:
        yield "split", f"{', '.join(periods)} given as periods, allowed: all or none"
    shares = {name: value for name, value in windows.items() if isinstance(value, Share)}
    if len(shares) == len(windows):
        yield from _total(shares)
    elif shares:
        yield "split", f"{', '.join(shares)} given as a share of the time, allowed: all or none"
    for name, value in windows.items():
        if value in (timedelta(0), Months(0)):
            length = format_duration(value) if isinstance(value, timedelta) else value
            yield f"split.{name}", f"{length}, allowed: above 0 seconds"
    if split.gap < delay:
        yield (
            "split.gap",
            f"{format_duration(split.gap)} would test on rows whose labels were not known "
            f"at training, {allowed}",
        )


def _total(shares: Mapping[str, Share]) -> Iterator[tuple[str, str]]:
    total = sum(share.part for share in shares.values())
    if abs(total - 1) > 1e-9:
        names = " and ".join(", ".join(shares).rsplit(", ", 1))
        yield "split", f"{names} sum to {100 * total:g}%, allowed: 100%"


def _periods(periods: Mapping[str, Period], gap: timedelta) -> Iterator[tuple[str, str]]:
    train, holdout = periods["train"], periods["holdout"]
    validation = periods.get("validation")
    if validation and train.start < validation.end and validation.start < train.end:
        yield (
            "split.validation",
            f"{validation.start} to {validation.end} overlaps train, "
            f"allowed: up to {train.start} or from {train.end}",
        )
    earliest = max(period.end for name, period in periods.items() if name != "holdout") + gap
    if holdout.start < earliest:
        yield (
            "split.holdout",
            f"start {holdout.start} is too early, allowed: {earliest} or later "
            f"({format_duration(gap)} after train and validation)",
        )
