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
from retraining.gate.ledger import LEAST, YEAR, Entry, HoldoutTest, spend
from retraining.gate.policy import Policy
from tests.benchmarks.ledger import simulate, spent

START = datetime(2024, 1, 1, tzinfo=UTC)
SPENDING = Policy(memory="spending")
FRESH = Policy(memory="fresh_holdout_only")


def one_test(day: float, name: str = "now") -> HoldoutTest:
    """A test of the week before a day."""
    time = START + timedelta(days=day)
    return HoldoutTest(name, time, f"rows of {name}", time - timedelta(days=7), time)


def earlier(day: float, name: str = "old", alpha: float = 0.0) -> Entry:
    """The same, once it was made."""
    return one_test(day, name).charge(alpha)


def weekly(n_tests: int, policy: Policy) -> list[Entry]:
    entries: list[Entry] = []
    for week in range(n_tests):
        test = one_test(7 * week, f"week {week}")
        entries.append(test.charge(spend(entries, policy, test).alpha))
    return entries


def test_per_test_gives_alpha_to_every_test() -> None:
    entries = weekly(60, Policy(alpha=0.03))
    assert {entry.alpha for entry in entries} == {0.03}
    spending = spend(entries, Policy(alpha=0.03), one_test(7 * 60))
    assert (spending.memory, spending.alpha) == ("per_test", 0.03)
    assert (spending.budget, spending.left) == (None, None)
    assert spending.n_tests == 52  # of the 60, those of the last 365 days
    assert spending.spent == pytest.approx(52 * 0.03)
    assert spending.past[0] == ("2024-02-26T00:00:00+00:00", 0.03)


def test_spending_gives_a_share_of_what_is_left_that_falls_with_the_tests() -> None:
    """After n tests n / (9 + n) of the budget is used."""
    entries = weekly(4, SPENDING)
    shares = [1 / 10, 9 / (10 * 11), 9 / (11 * 12), 9 / (12 * 13)]
    assert [entry.alpha for entry in entries] == pytest.approx([0.2 * share for share in shares])
    spending = spend(entries, SPENDING, one_test(28))
    assert spending.budget == 0.2
    assert spending.spent == pytest.approx(0.2 * 4 / 13)
    assert spending.alpha == pytest.approx(0.2 * 9 / (13 * 14))
    assert spending.left == pytest.approx(0.2 * 9 / 14)
    assert spend(weekly(52, SPENDING), SPENDING, one_test(364)).alpha > 4e-4


def test_spending_gives_alpha_at_most() -> None:
    generous = Policy(memory="spending", alpha=0.01, yearly_alpha=0.5)
    assert {entry.alpha for entry in weekly(10, generous)} == {0.01}


def test_what_was_spent_comes_back_after_a_year() -> None:
    entries = [earlier(0, alpha=0.15)]
    assert spend(entries, SPENDING, one_test(365)).alpha == pytest.approx(0.05 / 11)
    assert spend(entries, SPENDING, one_test(365.01)).alpha == pytest.approx(0.02)


def test_an_exhausted_budget_leaves_next_to_nothing() -> None:
    """The budget was lowered after more had been spent."""
    spending = spend(
        [earlier(0, alpha=0.15)], Policy(memory="spending", yearly_alpha=0.1), one_test(1)
    )
    assert (spending.alpha, spending.left) == (LEAST, 0.0)
    assert 0 < LEAST < 1e-200


@given(
    days=st.lists(st.floats(0, 1200), min_size=1, max_size=60),
    budget=st.floats(0.01, 0.9),
    alpha=st.floats(0.001, 0.4),
)
def test_no_365_days_exceed_their_budget_whatever_the_times(
    days: list[float], budget: float, alpha: float
) -> None:
    """Times in any order: a test may be entered late, by another clock."""
    policy = Policy(memory="spending", yearly_alpha=budget, alpha=alpha)
    entries: list[Entry] = []
    for number, day in enumerate(days):
        test = one_test(day, str(number))
        entries.append(test.charge(spend(entries, policy, test).alpha))
    for first in entries:
        window = [e.alpha for e in entries if first.time <= e.time <= first.time + YEAR]
        assert sum(window) <= budget * (1 + 1e-12)
    assert all(0 < entry.alpha <= alpha for entry in entries)


def test_a_test_that_is_tried_again_is_charged_once() -> None:
    entries = weekly(3, SPENDING)
    again = spend(entries, SPENDING, one_test(15, "week 2"))
    assert again.alpha == entries[2].alpha
    assert again.n_tests == 2
    assert again.spent == pytest.approx(0.2 * 2 / 11)
    assert again.left == pytest.approx(0.2 * 9 / 12)
    fresh = weekly(3, FRESH)
    assert spend(fresh, FRESH, one_test(14, "week 2")).alpha == FRESH.alpha
    twice = [*entries, entries[2]]
    assert spend(twice, SPENDING, one_test(21)).n_tests == 3


def test_fresh_holdouts_have_alpha_each() -> None:
    assert {entry.alpha for entry in weekly(5, FRESH)} == {FRESH.alpha}


def test_a_holdout_whose_days_were_tested_is_refused() -> None:
    message = (
        r"^the holdout from 2024-01-30 00:00 to 2024-02-06 00:00 was tested before: "
        r"from 2024-01-25 00:00 to 2024-02-01 00:00, on 2024-02-01, as old: prepare a holdout of"
    )
    with pytest.raises(RetrainingError, match=message):
        spend([earlier(31)], FRESH, one_test(36))
    assert spend([earlier(31)], FRESH, one_test(38)).alpha == FRESH.alpha
    years_ago = [earlier(0)._replace(time=START - timedelta(days=1000))]
    with pytest.raises(RetrainingError, match="as old"):
        spend(years_ago, FRESH, one_test(0))


def test_a_holdout_of_the_same_rows_is_refused_whatever_its_days() -> None:
    without = earlier(0)._replace(start=None, end=None, fingerprint="abc")
    test = one_test(20)._replace(start=None, end=None, fingerprint="abc")
    with pytest.raises(RetrainingError, match=r"^the holdout of fingerprint abc was tested before"):
        spend([without], FRESH, test)
    with pytest.raises(RetrainingError, match=r"tested before: of fingerprint abc, on 2024-01-01"):
        spend([without], FRESH, one_test(20)._replace(fingerprint="abc"))
    assert spend([without], FRESH, test._replace(fingerprint="abd")).alpha == FRESH.alpha


def test_tests_of_the_same_holdout_are_counted_by_every_memory() -> None:
    entries = [earlier(0, "first"), earlier(3, "second"), earlier(20, "third")]
    spending = spend(entries, Policy(), one_test(8))
    assert (spending.n_tests, spending.n_holdout_tests) == (3, 1)


@pytest.mark.parametrize("days", [(START, START + timedelta(days=7)), (None, None)])
def test_an_entry_is_read_as_it_was_written(days: tuple[datetime | None, ...]) -> None:
    time = datetime(2024, 5, 1, 12, 30, 15, 123456, tzinfo=UTC)
    entry = Entry("a" * 64, time, 0.1 * 0.2 * 0.9**7, "f" * 64, days[0], days[1])
    text = entry.write()
    assert Entry.read(text) == entry
    assert len(text) < 500
    assert list(json.loads(text)) == ["test", "time", "alpha", "fingerprint", "start", "end"]


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
    """Twelve weekly tests on fresh windows, 60 times; each promotes with probability alpha."""
    rng = np.random.default_rng(3)
    weeks, years = 12, 60
    found = [simulate(reused=False, rng=rng, weeks=weeks, n_rows=1000) for _ in range(years)]
    for memory in ("per_test", "spending"):
        alphas = spent(memory, reused=False, weeks=weeks)
        ever = 1 - np.prod(1 - np.array(alphas))
        promoted = sum(bool(np.any(year[memory])) for year in found)
        assert stats.binomtest(promoted, years, float(ever)).pvalue > 0.001
        assert ever == pytest.approx(
            {"per_test": 1 - 0.95**12, "spending": 0.109}[memory], abs=0.01
        )
    assert spent("fresh_holdout_only", reused=True, weeks=3) == [0.05, 0.0, 0.0]
