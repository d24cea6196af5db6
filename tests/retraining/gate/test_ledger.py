"""The ledger: what each memory leaves of alpha, and that no 365 days exceed their budget."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from retraining.errors import RetrainingError
from retraining.gate.ledger import Entry, HoldoutTest, LookEntry
from retraining.gate.looks import LEAST
from retraining.gate.policy import Memory, Policy
from retraining.gate.spending import YEAR, due, spend
from tests.benchmarks.ledger import PLAIN, fixed, rules, simulate

START = datetime(2024, 1, 1, tzinfo=UTC)
SPENDING = Policy()
FRESH = Policy(memory="fresh_holdout_only")


def one_test(day: float, name: str = "now") -> HoldoutTest:
    """A test of the week before a day."""
    time = START + timedelta(days=day)
    return HoldoutTest(name, time, f"rows of {name}", time - timedelta(days=7), time)


def earlier(day: float, name: str = "old", alpha: float = 0.0) -> Entry:
    """The same, once it was made."""
    return one_test(day, name).charge(alpha)


def weekly(n_tests: int, policy: Policy = SPENDING, gap: float = 7) -> list[Entry]:
    """The entries of tests at equal distances, each with the alpha that the ledger leaves it."""
    entries: list[Entry] = []
    for week in range(n_tests):
        test = one_test(gap * week, f"week {week}")
        entries.append(test.charge(spend(entries, policy, test).alpha))
    return entries


def test_per_test_gives_alpha_to_every_test() -> None:
    policy = Policy(memory="per_test", alpha=0.03)
    entries = weekly(60, policy)
    assert {entry.alpha for entry in entries} == {0.03}
    spending = spend(entries, policy, one_test(7 * 60))
    assert (spending.memory, spending.alpha) == ("per_test", 0.03)
    assert (spending.budget, spending.left) == (None, None)
    assert spending.n_tests == 52  # of the 60, those of the last 365 days
    assert spending.spent == pytest.approx(52 * 0.03)
    assert spending.past[0] == ("2024-02-26T00:00:00+00:00", 0.03)
    assert spending.per_test_false_promotions == pytest.approx(53 * 0.03)


@pytest.mark.parametrize("memory", ["spending", "fresh_holdout_only"])
def test_a_budget_is_divided_by_the_tests_of_a_year(memory: Memory) -> None:
    policy = Policy(memory=memory)
    entries = weekly(8, policy)
    assert [entry.alpha for entry in entries] == pytest.approx([0.2 / 52] * 8)
    spending = spend(entries, policy, one_test(7 * 8))
    assert (spending.budget, spending.tests_per_year) == (0.2, 53)
    assert spending.alpha == pytest.approx(0.2 / 53)
    assert spending.spent == pytest.approx(8 * 0.2 / 52)
    assert spending.left == pytest.approx(0.2 - 8 * 0.2 / 52 - 0.2 / 53)
    assert spending.per_test_false_promotions == pytest.approx(53 * 0.05)


def test_power_is_the_same_in_every_week_of_three_years() -> None:
    """At the effect that a test at alpha 0.05 finds in 80 %."""
    alphas = [entry.alpha for entry in weekly(3 * 52)]
    powers = np.array(stats.norm.sf(stats.norm.isf(alphas) - PLAIN))
    assert powers[1] == pytest.approx(0.43, abs=0.002)
    assert powers == pytest.approx(np.full(3 * 52, 0.427), abs=0.035)  # week 53 has the remainder
    assert np.mean(powers[1:]) == pytest.approx(0.427, abs=0.001)


def test_spending_gives_alpha_at_most() -> None:
    generous = Policy(alpha=0.01, yearly_alpha=0.9)
    assert {entry.alpha for entry in weekly(10, generous)} == {0.01}


@pytest.mark.parametrize(("gap", "per_year"), [(1, 366), (7, 53), (14, 27), (30.4, 13)])
def test_the_rhythm_of_nine_days_replaces_that_of_the_policy(gap: float, per_year: int) -> None:
    assert spend(weekly(7, gap=gap), SPENDING, one_test(gap * 7)).tests_per_year == 52
    entries = weekly(8, gap=gap)
    assert spend(entries, SPENDING, one_test(gap * 8)).tests_per_year == per_year


def test_a_rhythm_has_the_tests_of_a_day_but_no_bursts_pauses_or_looks() -> None:
    three = [
        earlier(7 * week + n / 24, f"{week} {n}", 0.001) for week in range(9) for n in (1, 2, 3)
    ]
    assert spend(three, SPENDING, one_test(7 * 8 + 0.2)).tests_per_year == 3 * 53
    burst = [earlier(60 + n / 100, f"burst {n}", 1e-3) for n in range(40)]
    assert spend(weekly(9) + burst, SPENDING, one_test(63)).tests_per_year == 53
    assert spend(weekly(9), SPENDING, one_test(200)).tests_per_year == 53
    looks = [one_test(60 + n, f"look {n}").charge(1e-3, peek=True) for n in range(20)]
    assert spend(weekly(9) + looks, SPENDING, one_test(80)).tests_per_year == 53


def test_what_was_spent_comes_back_after_a_year() -> None:
    entries = [earlier(0, alpha=0.199)]
    assert spend(entries, SPENDING, one_test(365)).alpha == pytest.approx(0.001)
    assert spend(entries, SPENDING, one_test(365.01)).alpha == pytest.approx(0.2 / 52)


def test_an_exhausted_budget_leaves_next_to_nothing() -> None:
    """The budget was lowered after more had been spent."""
    spending = spend([earlier(0, alpha=0.15)], Policy(yearly_alpha=0.1), one_test(1))
    assert (spending.alpha, spending.left) == (LEAST, 0.0)
    assert 0 < LEAST < 1e-200


def test_a_test_that_could_not_decide_does_not_count() -> None:
    without = [earlier(3 * n, f"too few {n}") for n in range(20)]
    assert spend(without, FRESH, one_test(58)) == spend([], FRESH, one_test(58))
    again = spend(without, SPENDING, one_test(58, "too few 19"))
    assert again.alpha == pytest.approx(0.2 / 52)


@given(
    days=st.lists(st.floats(0, 1200) | st.floats(300, 302), min_size=1, max_size=60),
    budget=st.floats(0.01, 0.9),
    alpha=st.floats(0.001, 0.4),
    per_year=st.floats(1, 400),
)
def test_no_365_days_exceed_their_budget_whatever_the_times(
    days: list[float], budget: float, alpha: float, per_year: float
) -> None:
    """Times in any order and in bursts: a test may be entered late, by another clock."""
    policy = Policy(yearly_alpha=budget, alpha=alpha, tests_per_year=per_year)
    entries: list[Entry] = []
    for number, day in enumerate(days):
        test = one_test(day, str(number))
        entries.append(test.charge(spend(entries, policy, test).alpha))
    for first in entries:
        window = [e.alpha for e in entries if first.time <= e.time <= first.time + YEAR]
        assert sum(window) <= budget * (1 + 1e-12)
    assert all(0 < entry.alpha <= alpha for entry in entries)


def test_a_test_that_is_tried_again_is_charged_once_with_its_first_time() -> None:
    entries = weekly(3)
    again = spend(entries, SPENDING, one_test(300, "week 2"))
    assert again.alpha == entries[2].alpha
    assert again.n_tests == 2
    assert again.left == pytest.approx(0.2 * 49 / 52)
    fresh = weekly(3, FRESH)
    assert spend(fresh, FRESH, one_test(14, "week 2")).alpha == fresh[2].alpha
    twice = [*entries, entries[2]]
    assert spend(twice, SPENDING, one_test(21)).n_tests == 3


def test_a_holdout_whose_days_were_tested_is_refused() -> None:
    message = (
        r"^the holdout from 2024-01-30 00:00 to 2024-02-06 00:00 was tested before: "
        r"from 2024-01-25 00:00 to 2024-02-01 00:00, on 2024-02-01, as old: prepare a holdout of"
    )
    with pytest.raises(RetrainingError, match=message):
        spend([earlier(31, alpha=0.01)], FRESH, one_test(36))
    assert spend([earlier(31, alpha=0.01)], FRESH, one_test(38)).n_holdout_tests == 0
    years_ago = [earlier(0, alpha=0.01)._replace(time=START - timedelta(days=1000))]
    with pytest.raises(RetrainingError, match="as old"):
        spend(years_ago, FRESH, one_test(0))


def test_a_holdout_without_times_is_that_of_every_earlier_test() -> None:
    """A split by hash: one row more makes another fingerprint of the same units."""
    entries = [earlier(7 * n, str(n), 0.01)._replace(start=None, end=None) for n in range(3)]
    test = one_test(21)._replace(start=None, end=None)
    spending = spend(entries, SPENDING, test)
    assert (spending.n_holdout_tests, spending.fresh_holdouts_possible) == (3, False)
    with pytest.raises(RetrainingError, match=r"52 tests a year leave no other: prepare a holdout"):
        spend(entries, FRESH, test)
    # What a test without times used is unknown, but for rows that are later than the test.
    assert spend(entries, FRESH, one_test(21)).n_holdout_tests == 0
    with pytest.raises(RetrainingError, match="was tested before: of fingerprint rows of 2, on"):
        spend(entries, FRESH, one_test(20))


def test_tests_of_the_same_holdout_are_counted_by_every_memory() -> None:
    entries = [earlier(day, f"day {day}", 0.01) for day in (0, 3, 20)]
    for memory in ("per_test", "spending"):
        spending = spend(entries, Policy(memory=memory), one_test(8))
        assert (spending.n_tests, spending.n_holdout_tests) == (2, 1)


@pytest.mark.parametrize(("days", "possible"), [(7, True), (14, False)])
def test_holdouts_longer_than_the_time_between_tests_cannot_be_fresh(
    days: int,
    possible: bool,  # noqa: FBT001
) -> None:
    test = one_test(63)
    test = test._replace(start=test.time - timedelta(days=days))
    assert spend(weekly(9), SPENDING, test).fresh_holdouts_possible == possible


def test_a_champion_that_won_on_some_of_the_rows_is_named() -> None:
    won = one_test(7)._replace(challenger="models:/fraud/2").charge(0.01)
    for day, champion, chosen in ((10, "2", True), (10, "1", False), (14, "2", False)):
        test = one_test(day, "next")._replace(champion=f"models:/fraud/{champion}")
        assert spend([won], SPENDING, test).champion_was_chosen_here == chosen


@pytest.mark.parametrize("days", [(START, START + timedelta(days=7)), (None, None)])
def test_an_entry_is_read_as_it_was_written(days: tuple[datetime | None, ...]) -> None:
    time = datetime(2024, 5, 1, 12, 30, 15, 123456, tzinfo=UTC)
    entry = Entry("a" * 64, time, 0.1 * 0.2 * 0.9**7, "f" * 64, days[0], days[1])
    pair = ("models:/fraud/9", "models:/fraud/12")
    look = LookEntry("b" * 64, 3, 8, "c" * 32, "open", 1e-9, 0.1 * 0.2, 0.3**20)
    entry = entry._replace(champion=pair[0], challenger=pair[1], peek=True, look=look)
    text = entry.write()
    assert Entry.read(text) == entry
    assert len(text) < 700
    first = {"test", "time", "alpha", "fingerprint", "start", "end"}
    assert set(json.loads(text)) == first | {"champion", "challenger", "peek", "look"}
    old = {name: value for name, value in json.loads(text).items() if name in first}
    bare = entry._replace(champion="", challenger="", peek=False, look=None)
    assert Entry.read(json.dumps(old)) == bare
    assert Entry.read(json.dumps({**old, "look": True})) == bare._replace(peek=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        earlier(0).write().replace("2024", "next"),
        earlier(0).write().replace("+00:00", ""),
    ],
)
def test_a_text_that_is_not_an_entry_is_refused(text: str) -> None:
    with pytest.raises(RetrainingError, match=r"cannot be read: restore the tag of the registered"):
        Entry.read(text)


def test_a_year_without_a_better_challenger_promotes_as_often_as_its_memory_says() -> None:
    noise = np.random.default_rng(3).normal(size=(4000, 52))
    for name, rule in rules().items():
        if name in ("per_test", "spending"):
            years = int(np.sum(np.any(simulate(rule, noise).false, axis=1)))
            nominal = 1 - np.prod(1 - fixed(52)[name])
            assert stats.binomtest(years, 4000, float(nominal)).pvalue > 0.001
            assert nominal == pytest.approx({"per_test": 0.931, "spending": 0.180}[name], abs=0.002)


def test_a_gain_is_found_sooner_than_by_the_rules_for_the_false_discovery_rate() -> None:
    noise = np.random.default_rng(4).normal(size=(1000, 52))
    delays = {name: np.mean(simulate(rule, noise, 2.49).delay) for name, rule in rules().items()}
    assert delays["per_test"] < delays["spending"] < delays["SAFFRON"] < delays["LORD++"]
    assert delays["spending"] == pytest.approx(1.3, abs=0.3)


def test_the_alpha_of_a_campaign_is_that_of_as_many_tests() -> None:
    assert due(Policy(), 52, 8) == pytest.approx(0.2 * 8 / 52)
    assert due(Policy(), 52, 26) == 0.05
    assert due(Policy(alpha=0.4, yearly_alpha=0.1), 2, 8) == 0.1
    assert due(Policy(memory="per_test", alpha=0.03), 52, 8) == 0.03
