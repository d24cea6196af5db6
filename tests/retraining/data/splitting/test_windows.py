"""The windows of splits by time, counted back from labels that are known, or stated."""

from __future__ import annotations

import datetime as dt
from datetime import UTC, timedelta

import pytest

from retraining.data.splitting.windows import place_windows
from retraining.description.splitting import TimeSplit
from retraining.errors import RetrainingError
from tests.retraining.data.splitting.frauds import (
    DAY,
    LENGTHS,
    NEWEST,
    PERIODS,
    SHARES,
    START,
    describe,
    past_the_rules,
)


def test_windows_count_backwards_from_mature_labels() -> None:
    found = place_windows(describe(LENGTHS), NEWEST)
    assert found is not None
    as_of = dt.datetime(2024, 5, 2, tzinfo=UTC)
    assert found.as_of == as_of
    assert found.holdout == (as_of - 10 * DAY, as_of - 7 * DAY)
    assert found.validation == (as_of - 22 * DAY, as_of - 17 * DAY)
    assert found.train == (as_of - 43 * DAY, as_of - 29 * DAY)


@pytest.mark.parametrize(
    "as_of",
    [
        dt.datetime(2024, 4, 1, 6, 30, tzinfo=UTC),
        dt.datetime(2024, 4, 1, 6, 30),
        dt.datetime(2024, 4, 1, 9, 30, tzinfo=dt.timezone(3 * timedelta(hours=1))),
    ],
)
def test_windows_are_placed_for_the_moment_asked_for(as_of: dt.datetime) -> None:
    found = place_windows(describe(LENGTHS), NEWEST, as_of)
    assert found is not None
    assert found.as_of == dt.datetime(2024, 4, 1, 6, 30, tzinfo=UTC)
    assert found.holdout.end == dt.datetime(2024, 3, 25, 6, 30, tzinfo=UTC)


def test_windows_after_a_newest_row_at_midnight_include_its_day() -> None:
    found = place_windows(describe(LENGTHS), dt.datetime(2024, 5, 1, tzinfo=UTC))
    assert found is not None
    assert found.as_of == dt.datetime(2024, 5, 2, tzinfo=UTC)


def test_windows_take_periods_as_they_are() -> None:
    found = place_windows(describe(PERIODS), NEWEST)
    assert found is not None
    assert found.train == (START, START + 4 * DAY)
    assert found.validation == (START + 4 * DAY, START + 7 * DAY)
    assert found.holdout == (START + 14 * DAY, START + 17 * DAY)


def test_windows_of_a_split_by_hash_are_none() -> None:
    assert place_windows(describe(SHARES), NEWEST) is None


def test_windows_refuse_an_overlap() -> None:
    description = describe(PERIODS)
    assert isinstance(description.split, TimeSplit)
    overlapping = past_the_rules(description, validation=description.split.train)
    with pytest.raises(RetrainingError, match=r"validation 2024-03-01 00:00 to .* train"):
        place_windows(overlapping, NEWEST)


def test_windows_refuse_a_holdout_before_labels_are_known() -> None:
    hasty = past_the_rules(describe(LENGTHS), gap=6 * DAY)
    with pytest.raises(RetrainingError, match="2024-04-23 00:00 or later"):
        place_windows(hasty, NEWEST)
    before = past_the_rules(describe(PERIODS), holdout=describe(PERIODS).split.train)
    with pytest.raises(RetrainingError, match=r"^holdout .*labels"):
        place_windows(before, NEWEST)
