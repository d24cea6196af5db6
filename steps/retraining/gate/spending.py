"""How much alpha each of repeated tests of one model may use."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from retraining.errors import RetrainingError
from retraining.gate.fields import Count, Record, Share
from retraining.gate.ledger import Entry, HoldoutTest, charged, period
from retraining.gate.looks import LEAST
from retraining.gate.policy import Memory  # noqa: TC001 (for the schema)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from retraining.gate.policy import Policy

YEAR: Final = timedelta(days=365)
DAYS: Final = 9  # with tests show a rhythm: half of their gaps may be odd


@dataclass(frozen=True)
class Spending(Record):
    """How much alpha repeated tests of one model have used."""

    memory: Memory
    """How earlier tests count: per_test (not at all), spending (they share the budget of a year)
    or fresh_holdout_only (the same, and no holdout may be tested twice)."""
    alpha: Share
    """The alpha that this test may use."""
    n_tests: Count
    """The number of earlier tests of the model in the last 365 days; comparisons that could not
    decide, whatever the effect, do not count, and those without register do if they used this
    holdout."""
    n_holdout_tests: Count
    """The number of earlier tests that used rows of the same holdout."""
    spent: Annotated[float, Field(ge=0)]
    """The sum of alpha over the earlier tests."""
    budget: Share | None
    """The sum of alpha that any 365 days may use; null without a budget."""
    left: Annotated[float, Field(ge=0)] | None
    """What remains of the budget after this test; null without a budget."""
    tests_per_year: Annotated[float, Field(ge=1)]
    """How often the model is tested: as the policy says, until nine days with tests show it."""
    per_test_false_promotions: Annotated[float, Field(ge=0)]
    """The false promotions to be expected in a year if every test used the alpha of the policy,
    as with the memory per_test."""
    champion_was_chosen_here: bool
    """Whether the champion was tested as a challenger on some of these rows."""
    fresh_holdouts_possible: bool
    """Whether tests are far enough apart for each to have a holdout of its own."""
    past: tuple[tuple[str, float], ...]
    """Time (ISO 8601) and alpha of the earlier tests, oldest first."""


def spend(entries: Iterable[Entry], policy: Policy, test: HoldoutTest) -> Spending:
    """The alpha that a test may use, given the other tests of the same model.

    "per_test" gives `policy.alpha` to every test. "spending" divides `policy.yearly_alpha` by the
    tests of a year (see `tests_per_year`), so that a test late in the year has as much as an early
    one; no test has more than `policy.alpha`, or than what is left of the budget in every 365 days
    that include it. The sum over any 365 days, and with it the probability of any false promotion
    in them, stays within the budget, in whatever order tests are entered. "fresh_holdout_only"
    gives the same, and refuses to test a holdout twice.

    A campaign has the alpha of as many tests as it has looks. Campaigns that end before their last
    look follow each other faster than that allows: each has what of the budget is due by its end,
    but at least the same share of what is left.

    Args:
        entries: Tests of the model, in any order. One with the name of this test is an earlier
            attempt at it: the test keeps its time, is not counted twice, and has its alpha at
            most. So has a further look of a campaign, at its own time. One with alpha 0 could not
            decide, and does not count.
        policy: Its memory, alpha, yearly_alpha and tests_per_year are used.
        test: The test that is about to start.

    Raises:
        RetrainingError: Memory is "fresh_holdout_only" and the holdout, or some of its time, was
            tested before.
    """
    by_name = {entry.test: entry for entry in entries if entry.alpha > 0}
    tried = by_name.pop(test.test, None)
    test = test if tried is None else test._replace(time=tried.time)
    own = [e for e in by_name.values() if e.look and e.look.campaign == test.campaign]
    before = next(iter(charged(own)), tried)
    tests = [entry for entry in by_name.values() if entry not in own]
    others = charged(tests)
    used = [entry for entry in tests if entry.shares_holdout(test)]
    per_year = tests_per_year(by_name.values(), policy, test)
    if policy.memory == "fresh_holdout_only":
        earlier = [e for e in used if tried is None or e.time <= test.time]
        _refuse_used(sorted(earlier, key=lambda e: (e.time, e.test)), test, per_year)
    recent = [entry for entry in others if test.time - YEAR <= entry.time <= test.time]
    spent = math.fsum(entry.alpha for entry in recent)
    alpha, left = policy.alpha, None
    if policy.memory != "per_test":
        rest = policy.yearly_alpha - _most_spent(others, test.time)
        by_now = due(policy, per_year, test.n_looks)
        if test.n_looks > 1:
            paced = _due_by_end(tests, policy, test, per_year) - spent
            by_now = min(by_now, max(paced, rest * test.n_looks / per_year))
        alpha = max(min(before.alpha if before else by_now, policy.alpha, rest), LEAST)
        left = max(0.0, rest - alpha)
    return Spending(
        memory=policy.memory,
        alpha=alpha,
        n_tests=len(recent),
        n_holdout_tests=len(charged(used)),
        spent=spent,
        budget=None if left is None else policy.yearly_alpha,
        left=left,
        tests_per_year=per_year,
        per_test_false_promotions=policy.alpha * per_year / test.n_looks,
        champion_was_chosen_here=any(test.champion == e.challenger != "" for e in used),
        fresh_holdouts_possible=_can_be_fresh(test, per_year),
        past=tuple((entry.time.isoformat(), entry.alpha) for entry in recent),
    )


def due(policy: Policy, tests_per_year: float, looks: int) -> float:
    """The alpha of a campaign, or of a test, that keeps to the yearly budget at this rhythm."""
    if policy.memory == "per_test":
        return policy.alpha
    return min(policy.alpha, policy.yearly_alpha * looks / tests_per_year, policy.yearly_alpha)


def _due_by_end(
    tests: Sequence[Entry], policy: Policy, test: HoldoutTest, per_year: float
) -> float:
    """The part of the yearly budget for the time from the first recent test to a campaign's end.

    Looks count, although their alpha is that of the latest look of their campaign.
    """
    times = (entry.time for entry in tests if test.time - YEAR <= entry.time <= test.time)
    since = test.time - min(times, default=test.time)
    return policy.yearly_alpha * (since / YEAR + test.n_looks / per_year)


def tests_per_year(others: Iterable[Entry], policy: Policy, test: HoldoutTest) -> float:
    """The tests of a year: `policy.tests_per_year` until nine days with tests show a rhythm.

    From then on the gaps between the latest nine such days count, and the tests on each of them:
    the median of either, so that a burst or a pause does not count. Peeks do not make a rhythm.
    """
    times = [entry.time for entry in others if not entry.peek] + [test.time]
    tests = Counter(time.astimezone(test.time.tzinfo).date() for time in times)
    days = sorted(tests)[-DAYS:]
    if len(days) < DAYS:
        return policy.tests_per_year
    gap = median((later - day).days for day, later in pairwise(days))
    # So many fit into a year whose first and last day both have tests.
    return (YEAR.days // gap + 1) * median(tests[day] for day in days)


def _most_spent(others: Sequence[Entry], time: datetime) -> float:
    """The most that other tests use in any 365 days that include a moment.

    Some of them may be later: a test that is tried again, or one by another clock.
    """
    lasts = [time] + [entry.time for entry in others if time <= entry.time <= time + YEAR]
    return max(
        math.fsum(entry.alpha for entry in others if last - YEAR <= entry.time <= last)
        for last in lasts
    )


def _can_be_fresh(test: HoldoutTest, per_year: float) -> bool:
    """Whether tests are far enough apart for each to have a holdout of its own."""
    if test.start is None or test.end is None:
        return False
    return test.end - test.start <= YEAR / max(per_year - 1, 1)


def _refuse_used(used: Sequence[Entry], test: HoldoutTest, per_year: float) -> None:
    if not used:
        return
    never = (
        "" if _can_be_fresh(test, per_year) else f", and {per_year:g} tests a year leave no other"
    )
    raise RetrainingError(
        f"the holdout {period(test)} was tested before: {period(used[0])}, "
        f"on {used[0].time:%Y-%m-%d}, as {used[0].test}{never}",
        "prepare a holdout of later days, or choose memory spending",
    )
