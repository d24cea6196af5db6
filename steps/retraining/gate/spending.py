"""How much alpha each of repeated tests of one model may use."""

from __future__ import annotations

import math
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

from retraining.errors import RetrainingError
from retraining.gate.ledger import Entry, HoldoutTest, period
from retraining.gate.verdict import Spending

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from retraining.gate.policy import Policy

YEAR: Final = timedelta(days=365)
DAYS: Final = 9  # with tests show a rhythm: half of their gaps may be odd
LEAST: Final = 1e-300  # alpha of a test for which no budget is left: above zero, but negligible


def spend(entries: Iterable[Entry], policy: Policy, test: HoldoutTest) -> Spending:
    """The alpha that a test may use, given the other tests of the same model.

    "per_test" gives `policy.alpha` to every test. "spending" divides `policy.yearly_alpha` by the
    tests of a year (see `tests_per_year`), so that a test late in the year has as much as an early
    one; no test has more than `policy.alpha`, or than what is left of the budget in every 365 days
    that include it. The sum over any 365 days, and with it the probability of any false promotion
    in them, stays within the budget, in whatever order tests are entered. "fresh_holdout_only"
    gives the same, and refuses to test a holdout twice.

    Args:
        entries: Tests of the model, in any order. One with the name of this test is an earlier
            attempt at it: the test keeps its time, is not counted twice, and has its alpha at
            most. One with alpha 0 could not decide, and does not count.
        policy: Its memory, alpha, yearly_alpha and tests_per_year are used.
        test: The test that is about to start.

    Raises:
        RetrainingError: Memory is "fresh_holdout_only" and the holdout, or some of its time, was
            tested before.
    """
    by_name = {entry.test: entry for entry in entries if entry.alpha > 0}
    before = by_name.pop(test.test, None)
    test = test if before is None else test._replace(time=before.time)
    others = sorted(by_name.values(), key=lambda entry: (entry.time, entry.test))
    used = [entry for entry in others if entry.shares_holdout(test)]
    per_year = tests_per_year(others, policy, test)
    if policy.memory == "fresh_holdout_only":
        _refuse_used([e for e in used if before is None or e.time <= test.time], test, per_year)
    alpha, left = policy.alpha, None
    if policy.memory != "per_test":
        rest = policy.yearly_alpha - _most_spent(others, test.time)
        due = before.alpha if before else min(policy.alpha, policy.yearly_alpha / per_year)
        alpha = max(min(due, rest), LEAST)
        left = max(0.0, rest - alpha)
    recent = [entry for entry in others if test.time - YEAR <= entry.time <= test.time]
    return Spending(
        memory=policy.memory,
        alpha=alpha,
        n_tests=len(recent),
        n_holdout_tests=len(used),
        spent=math.fsum(entry.alpha for entry in recent),
        budget=None if left is None else policy.yearly_alpha,
        left=left,
        tests_per_year=per_year,
        per_test_false_promotions=policy.alpha * per_year,
        champion_was_chosen_here=any(test.champion == e.challenger != "" for e in used),
        fresh_holdouts_possible=_can_be_fresh(test, per_year),
        past=tuple((entry.time.isoformat(), entry.alpha) for entry in recent),
    )


def tests_per_year(others: Sequence[Entry], policy: Policy, test: HoldoutTest) -> float:
    """The tests of a year: `policy.tests_per_year` until nine days with tests show a rhythm.

    From then on the gaps between the latest nine such days count, and the tests on each of them:
    the median of either, so that a burst or a pause does not count. Looks do not make a rhythm.
    """
    times = [entry.time for entry in others if not entry.look] + [test.time]
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
