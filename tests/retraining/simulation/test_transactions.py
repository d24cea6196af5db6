"""The process: who buys where, when, for how much, and which of it is fraud."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from retraining.simulation.transactions import (
    CUSTOMERS,
    TERMINALS,
    Population,
    compromised_customers,
    compromised_terminals,
    conditions,
    draw_day,
    draw_population,
    generator,
    id_stride,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

UNLIKELY = 1e-3  # the seeds are fixed: a test that passes once passes always
SEED = 5
DAYS = 60
COLUMNS = ("second", "customer", "terminal", "cents", "scenario")


@cache
def population(n_customers: int = 1_500, n_terminals: int = 1_000, seed: int = SEED) -> Population:
    return draw_population(seed=seed, n_customers=n_customers, n_terminals=n_terminals)


def draw_history(
    days: int = DAYS, drift: float = 0.0, seed: int = SEED
) -> dict[str, NDArray[np.int64]]:
    """The columns of all days from day 0 on, and the number of the day."""
    drawn = [draw_day(population(seed=seed), day, seed=seed, drift=drift) for day in range(days)]
    columns = {name: np.concatenate([getattr(t, name) for t in drawn]) for name in COLUMNS}
    columns["day"] = np.repeat(np.arange(days), [len(t.cents) for t in drawn])
    return columns


history = cache(draw_history)


def reached(customer: int, people: Population) -> NDArray[np.int64]:
    return people.reached[people.first_reached[customer] : people.first_reached[customer + 1]]


def test_draw_population_reaches_what_is_nearer_than_five_else_the_nearest() -> None:
    people = population(n_customers=300, n_terminals=200)
    homes = generator(SEED, CUSTOMERS).uniform(0, 100, (300, 2))
    places = generator(SEED, TERMINALS).uniform(0, 100, (200, 2))
    alone = 0
    for customer, home in enumerate(homes):
        distances = np.array([np.hypot(*(place - home)) for place in places])
        near = np.flatnonzero(distances < 5)
        alone += len(near) == 0
        expected = near if len(near) else [distances.argmin()]
        np.testing.assert_array_equal(reached(customer, people), expected)
    assert 0 < alone < 300


def test_draw_population_is_the_same_in_one_chunk_or_many(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw_population(seed=1, n_customers=50, n_terminals=40)
    monkeypatch.setattr("retraining.simulation.transactions.DISTANCES_AT_ONCE", 100)
    parts = draw_population(seed=1, n_customers=50, n_terminals=40)
    np.testing.assert_array_equal(whole.reached, parts.reached)
    np.testing.assert_array_equal(whole.first_reached, parts.first_reached)


def test_draw_population_spreads_evenly_over_the_stated_ranges() -> None:
    people = population(n_customers=20_000)
    assert stats.kstest((people.mean_amount - 5) / 95, "uniform").pvalue > UNLIKELY
    assert stats.kstest(people.mean_daily / 4, "uniform").pvalue > UNLIKELY


def test_draw_day_gives_each_customer_a_poisson_number_a_day() -> None:
    kept = 1 - 2 * stats.norm.sf(43_200 / 20_000)  # the rest falls outside the day
    expected = population().mean_daily * kept * DAYS
    counts = np.bincount(history()["customer"], minlength=1_500)
    often = expected > 5
    surprise = ((counts - expected)[often] ** 2 / expected[often]).sum()
    assert UNLIKELY < stats.chi2.sf(surprise, often.sum()) < 1 - UNLIKELY
    assert abs(counts.sum() - expected.sum()) < 4 * np.sqrt(expected.sum())


def test_draw_day_spreads_times_normally_around_noon() -> None:
    second = history()["second"]
    within = stats.truncnorm(-2.16, 2.16, loc=43_200, scale=20_000)
    assert stats.kstest(second + 0.5, within.cdf).pvalue > UNLIKELY
    assert 0 <= second.min() < 300
    assert 86_100 < second.max() < 86_400


def test_draw_day_spreads_amounts_normally_around_the_customers_mean() -> None:
    rows = history()
    mean = population().mean_amount[rows["customer"]]
    chosen = (rows["scenario"] == 0) & (mean > 20) & (mean < 60)  # far from cents and from 220
    ratio = rows["cents"][chosen] / 100 / mean[chosen]
    negative = float(stats.norm.cdf(-2))  # drawn again, evenly from 0 to twice the mean

    def distribution(x: float) -> float:
        return float(stats.norm.cdf(x, 1, 0.5)) - negative * (1 - min(x, 2) / 2)

    sample = np.random.default_rng(0).choice(ratio, 20_000)
    assert stats.kstest(sample, np.vectorize(distribution)).pvalue > UNLIKELY
    assert rows["cents"].min() >= 1


def test_draw_day_chooses_evenly_among_the_terminals_in_reach() -> None:
    rows, people = history(), population()
    n_reached = np.diff(people.first_reached)
    places = [
        int(np.flatnonzero(reached(customer, people) == terminal)[0])
        for customer, terminal in zip(rows["customer"], rows["terminal"], strict=True)
        if n_reached[customer] == 8
    ]
    assert len(places) > 10_000
    assert stats.chisquare(np.bincount(places, minlength=8)).pvalue > UNLIKELY


def test_draw_day_marks_frauds_by_the_three_rules_and_the_later_rule_wins() -> None:
    n = np.zeros(4, dtype=int)
    stolen = at_risk_rows = 0
    for day in range(DAYS):
        t = draw_day(population(), day, seed=SEED, drift=0.0)
        broken = np.isin(t.terminal, compromised_terminals(population(), day, seed=SEED, drift=0.0))
        at_risk = np.isin(
            t.customer, compromised_customers(population(), day, seed=SEED, drift=0.0)
        )
        third = t.scenario == 3
        assert at_risk[third].all()
        assert (t.cents[third] % 5 == 0).all()
        np.testing.assert_array_equal((t.scenario == 2)[~third], broken[~third])
        plain = ~third & ~broken
        np.testing.assert_array_equal((t.scenario == 1)[plain], t.cents[plain] > 22_000)
        n += np.bincount(t.scenario, minlength=4)
        stolen += int(third.sum())
        at_risk_rows += int(at_risk.sum())
    assert (n > 0).all()
    assert stats.binomtest(stolen, at_risk_rows, 1 / 3).pvalue > UNLIKELY
    assert 0.03 < n[1:].sum() / n.sum() < 0.08


def test_draw_day_decides_at_the_borders_of_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """3000 rows each: 220.00 and 220.01 at good terminals, 1.00 and 999.99 at a broken one."""
    day = 10
    broken = compromised_terminals(population(), day, seed=SEED, drift=0.0)
    at_risk = compromised_customers(population(), day, seed=SEED, drift=0.0)
    good = next(i for i in range(1_000) if i not in broken)
    safe = next(i for i in range(1_500) if i not in at_risk)
    rows = [
        np.repeat([safe, safe, safe, at_risk[0]], 3_000),
        np.repeat([good, good, broken[0], broken[0]], 3_000),
        np.repeat([22_000, 22_001, 99_999, 100], 3_000),
    ]
    monkeypatch.setattr(
        "retraining.simulation.transactions._draw_genuine",
        lambda *_: (np.arange(12_000), *map(np.copy, rows)),
    )
    t = draw_day(population(), day, seed=SEED, drift=0.0)
    at_border, above, large_at_broken, stolen_at_broken = t.scenario.reshape(4, 3_000)
    assert set(at_border.tolist()) == {0}
    assert set(above.tolist()) == {1}
    assert set(large_at_broken.tolist()) == {2}
    assert set(stolen_at_broken.tolist()) == {2, 3}
    assert stats.binomtest(int((stolen_at_broken == 3).sum()), 3_000, 1 / 3).pvalue > UNLIKELY
    np.testing.assert_array_equal(t.cents[9_000:], np.where(stolen_at_broken == 3, 500, 100))


def test_draw_day_compromises_customers_and_terminals_independently() -> None:
    people = population(n_customers=1_000)
    terminals = compromised_terminals(people, 50, seed=SEED, drift=0.0)
    customers = compromised_customers(people, 50, seed=SEED, drift=0.0)
    assert len(np.intersect1d(terminals, customers)) < 10  # 2.4 are expected


def test_draw_day_multiplies_the_amount_of_a_stolen_card_by_five() -> None:
    rows = history()
    stolen = rows["scenario"] == 3
    ratio = rows["cents"] / 100 / population().mean_amount[rows["customer"]]
    # A negative amount counts as the mean: E[max(X, 0)] + P(X < 0) for X ~ N(1, 1/2).
    single = stats.norm.cdf(2) + 0.5 * stats.norm.pdf(2) + stats.norm.cdf(-2)
    assert ratio[stolen].mean() == pytest.approx(5 * single, rel=0.03)


def test_compromised_terminals_stay_so_for_28_days() -> None:
    days = [compromised_terminals(population(), d, seed=SEED, drift=0.0) for d in range(DAYS)]
    assert all(len(ids) == 56 for ids in days)
    for today, tomorrow in pairwise(days):
        np.testing.assert_array_equal(today[2:], tomorrow[:-2])


def test_compromised_customers_stay_so_for_14_days() -> None:
    days = [compromised_customers(population(), d, seed=SEED, drift=0.0) for d in range(DAYS)]
    assert all(len(ids) == 42 for ids in days)
    for today, tomorrow in pairwise(days):
        np.testing.assert_array_equal(today[3:], tomorrow[:-3])


def test_draw_day_has_as_many_frauds_in_the_first_weeks_as_later() -> None:
    rows = history(120)
    fraud, day = rows["scenario"] > 0, rows["day"]
    assert fraud[day < 28].mean() == pytest.approx(fraud[day >= 28].mean(), rel=0.15)


@pytest.mark.parametrize(("n_customers", "n_terminals"), [(1, 1), (2, 1), (1, 2), (3, 3)])
def test_draw_day_works_for_the_smallest_populations(n_customers: int, n_terminals: int) -> None:
    people = draw_population(seed=3, n_customers=n_customers, n_terminals=n_terminals)
    days = [draw_day(people, day, seed=3, drift=2.0) for day in (0, 1, 40, 4_000)]
    for t in days:
        assert len(t.cents) < id_stride(n_customers)
        assert set(t.customer.tolist()) <= set(range(n_customers))
        assert set(t.terminal.tolist()) <= set(range(n_terminals))


@pytest.mark.parametrize("n_customers", [1, 10, 450, 500, 1_500, 1_000_000])
def test_id_stride_is_a_power_of_ten_with_room_for_twice_the_rows(n_customers: int) -> None:
    stride = id_stride(n_customers)
    assert str(stride).strip("0") == "1"
    assert stats.poisson.sf(stride / 2, 4 * n_customers) < 1e-100


def test_conditions_without_drift_are_those_of_the_book() -> None:
    assert {conditions(day, 0.0) for day in (-28, 0, 29, 30, 4_000)} == {conditions(0, 1.0)}
    now = conditions(0, 0.0)
    assert (now.spending, now.multiplier, now.night) == (1.0, 5.0, 0.0)
    assert (now.terminals, now.terminal_days, now.customers) == (2, 28, 3)


def test_conditions_move_each_month_towards_their_limits() -> None:
    months = [conditions(30 * month, 1.0) for month in range(100)]
    assert conditions(30, 1.0) == conditions(59, 1.0) != conditions(60, 1.0)
    for name in ("spending", "night", "terminals", "customers"):
        assert (np.diff([getattr(now, name) for now in months]) >= 0).all()
    for name in ("multiplier", "terminal_days"):
        assert (np.diff([getattr(now, name) for now in months]) <= 0).all()
    last = months[-1]
    assert (last.spending, last.multiplier, last.night) == pytest.approx((1.1, 2.0, 0.6))
    assert (last.terminals, last.terminal_days, last.customers) == (4, 14, 6)


def test_draw_day_drifts_from_the_second_month_on() -> None:
    for day, same in ((0, True), (29, True), (30, False), (100, False)):
        still, drifted = (draw_day(population(), day, seed=SEED, drift=x) for x in (0.0, 1.0))
        assert np.array_equal(still.cents, drifted.cents) is same
    rows = history(200, drift=1.0)
    late = rows["day"] >= 180
    frauds, genuine = (rows["scenario"] >= 2) & late, (rows["scenario"] == 0) & late
    at_night = rows["second"] < 7 * 3_600
    assert at_night[genuine].mean() < 0.2
    assert at_night[frauds].mean() > 0.5


def tables(
    drift: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """A cell for each row of 300 days from what a model may know, the label and the day.

    The cell: by day or night; the amount in halves of the customer's mean; the terminal's share
    of frauds over 30 days and over 7 days, both ending a week before the day.
    """
    rows = draw_history(300, drift=drift, seed=seed)
    day, terminal, fraud = rows["day"], rows["terminal"], rows["scenario"] > 0
    shape = (300, 1_000)
    seen, frauds = np.zeros(shape), np.zeros(shape)
    np.add.at(seen, (day, terminal), 1)
    np.add.at(frauds, (day, terminal), fraud)
    seen, frauds = (np.vstack([np.zeros(1_000), x.cumsum(axis=0)]) for x in (seen, frauds))
    cell = (rows["second"] < 7 * 3_600).astype(np.int64)
    ratio = rows["cents"] / 100 / population(seed=seed).mean_amount[rows["customer"]]
    cell = 8 * cell + np.minimum((2 * ratio).astype(np.int64), 7)
    for length in (30, 7):
        end = np.maximum(day - 7, 0)
        begin = np.maximum(end - length, 0)
        n = seen[end, terminal] - seen[begin, terminal]
        share = (frauds[end, terminal] - frauds[begin, terminal]) / np.maximum(n, 1)
        cell = 4 * cell + np.digitize(share, [0.15, 0.5, 0.85])
    return cell, fraud, day


def auroc_of_table(
    cell: NDArray[np.int64], fraud: NDArray[np.bool_], fitted: slice, scored: slice
) -> float:
    """The area of the share of frauds in a row's cell as it was in the days it was fitted on."""
    size = int(cell.max()) + 1
    n = np.bincount(cell[fitted], minlength=size)
    positives = np.bincount(cell[fitted], weights=fraud[fitted], minlength=size)
    score = ((positives + 0.05) / (n + 1))[cell[scored]]
    label = fraud[scored]
    statistic = stats.mannwhitneyu(score[label], score[~label]).statistic
    return float(statistic / label.sum() / (~label).sum())


def test_drift_makes_an_old_model_worse_than_a_fresh_one() -> None:
    """A table of days 37 to 66, and one that is a week old, score 27 days, three times a seed."""
    worth = {}
    for drift in (0.0, 1.0):
        old, fresh = [], []
        for seed in (1, 2, 3, 4):
            cell, fraud, day = tables(drift, seed)
            first = np.searchsorted(day, range(301))
            for start in (180, 240, 273):
                scored = slice(first[start], first[start + 27])
                recent = slice(first[start - 37], first[start - 7])
                old.append(auroc_of_table(cell, fraud, slice(first[37], first[67]), scored))
                fresh.append(auroc_of_table(cell, fraud, recent, scored))
        worth[drift] = np.mean(old), np.mean(fresh) - np.mean(old)
    (old_still, lag_still), (old_drifted, lag_drifted) = worth[0.0], worth[1.0]
    assert abs(lag_still) < 0.01
    assert lag_drifted > lag_still + 0.01
    assert old_drifted < old_still - 0.03


def relative_amounts(rows: pd.DataFrame) -> pd.Series[float]:
    """Amounts over the customer's own mean: free of who happens to be in the population."""
    customers = rows.groupby("customer_id")["tx_amount"]
    mean, size = customers.transform("mean"), customers.transform("size")
    return (rows["tx_amount"] / mean)[(size > 200) & (mean < 60)]


@pytest.mark.reference
def test_draw_day_resembles_the_published_transactions(reference_data: Path) -> None:
    """5000 customers, 10000 terminals; both are one draw, so tolerances are those of two draws."""
    folder = reference_data / "handbook_fraud" / "raw"
    published = pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))])
    people = draw_population(seed=SEED, n_customers=5_000, n_terminals=10_000)
    drawn = [draw_day(people, day, seed=SEED, drift=0.0) for day in range(183)]
    ours = {name: np.concatenate([getattr(t, name) for t in drawn]) for name in COLUMNS}
    assert len(ours["cents"]) == pytest.approx(len(published), rel=0.04)
    book = published[published["tx_fraud"] == 0]
    genuine = ours["scenario"] == 0
    spent = pd.DataFrame(
        {"customer_id": ours["customer"][genuine], "tx_amount": ours["cents"][genuine] / 100}
    )
    assert spent["tx_amount"].mean() == pytest.approx(book["tx_amount"].mean(), rel=0.03)
    assert spent["tx_amount"].std() == pytest.approx(book["tx_amount"].std(), rel=0.03)
    quantiles = [0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
    assert relative_amounts(spent).quantile(quantiles).to_numpy() == pytest.approx(
        relative_amounts(book).quantile(quantiles).to_numpy(), rel=0.01
    )
    seconds = published["tx_time_seconds"].to_numpy() % 86_400
    assert stats.ks_2samp(ours["second"], seconds).statistic < 0.003
    a_day = published.groupby(["customer_id", "tx_time_days"]).size().groupby("customer_id").max()
    most = np.array([np.bincount(t.customer, minlength=5_000) for t in drawn]).max(axis=0)
    assert most[most > 0].mean() == pytest.approx(a_day.mean(), rel=0.04)
    # The published frauds ramp up over the first 28 days; which terminals are compromised, and how
    # busy, differs from draw to draw.
    later = published[published["tx_time_days"] >= 28]
    theirs = later["tx_fraud_scenario"].value_counts(normalize=True)
    share = np.bincount(ours["scenario"]) / len(ours["scenario"])
    for scenario, tolerance in ((1, 0.25), (2, 0.15), (3, 0.15)):
        assert share[scenario] == pytest.approx(theirs[scenario], rel=tolerance)
