"""Which of the newest days hold next to nothing."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from retraining.data.splitting.density import newest_strays

FIRST = date(2024, 1, 1)
SPAN = timedelta(days=30)


def days_of(counts: dict[int, int], *, ordinary: int = 40, every: int = 1) -> dict[date, int]:
    """Thirty days of as many rows, and days of other numbers, counted from the thirtieth."""
    usual = {FIRST + timedelta(days=every * day): ordinary for day in range(30)}
    last = max(usual)
    return usual | {last + timedelta(days=day): n for day, n in counts.items()}


@pytest.mark.parametrize(
    ("counts", "strays"),
    [
        ({}, 0),
        ({1: 2}, 0),  # a twentieth of a day is not next to nothing
        ({1: 1}, 1),
        ({4: 1}, 1),
        ({4: 7}, 1),  # a twentieth of four days are eight rows
        ({4: 8}, 0),
        ({20: 19}, 1),
        ({20: 20}, 0),  # a day that ends a pause is never expected to hold more than half
        ({27_000: 1, 27_005: 1}, 2),
        ({1: 1, 2: 1, 3: 1}, 3),
        ({1: 1, 2: 40}, 0),
    ],
)
def test_newest_days_are_compared_with_those_before(counts: dict[int, int], strays: int) -> None:
    found = newest_strays(days_of(counts), SPAN)

    if not strays:
        assert found is None
        return
    assert found is not None
    assert found.days == tuple(sorted(days_of(counts))[: -strays - 1 : -1])
    assert found.last == FIRST + timedelta(days=29)
    assert (found.ordinary, found.spacing) == (40, 1)
    assert found.apart is (max(counts) > 1)


def test_months_are_expected_a_month_apart() -> None:
    assert newest_strays(days_of({30: 300}, ordinary=400, every=30), SPAN * 12) is None
    found = newest_strays(days_of({30: 3}, ordinary=400, every=30), SPAN * 12)
    assert found is not None
    assert (found.spacing, found.apart) == (30, False)


def test_days_before_the_span_are_not_compared() -> None:
    """A service that shrank to a hundredth a year ago."""
    rows = {FIRST - timedelta(days=400 + day): 4000 for day in range(300)} | days_of({})
    assert newest_strays(rows, SPAN) is None
    found = newest_strays(rows, SPAN * 30)
    assert found is not None
    assert found.last == FIRST - timedelta(days=400)


def test_of_three_days_nothing_is_said() -> None:
    assert newest_strays({FIRST: 40, date(2024, 1, 2): 40, date(2099, 1, 1): 1}, SPAN) is None
