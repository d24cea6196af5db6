"""Simulated card transactions, one day at a time.

The process is the one of Le Borgne, Siblini, Lebichot and Bontempi, "Reproducible Machine Learning
for Credit Card Fraud Detection", chapter 3, section 2 (Transaction data simulator). What differs:

- A day depends on the seed, the parameters and its own number only, never on the days before it,
  so that days can be appended. Hence every transaction of a compromised customer is a fraud with
  probability 1/3 (the book draws a third of them over the whole fortnight), and one who is
  compromised twice at once pays five times, not twenty-five times, the amount.
- Cards and terminals were compromised before the first day too: the share of frauds does not ramp
  up over the first weeks.
- A customer without a terminal in reach uses the nearest one; an amount is at least one cent.
- The process may drift (`conditions`), so that retraining has something to win.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

DAY = 86_400  # seconds
NIGHT = 7 * 3_600  # seconds; the hours 0 to 6
MONTH = 30  # days between two steps of the drift
REACH = 5.0  # radius around a customer, on a square of side 100
LARGE = 22_000  # cents; above it every transaction is a fraud (scenario 1)
TERMINAL_DAYS = 28  # scenario 2; the longest that a terminal is compromised
CUSTOMER_DAYS = 14  # scenario 3; how many customers a day is one of the conditions

# The second number of a generator's seed: one stream of random numbers for each purpose.
CUSTOMERS, TERMINALS, GENUINE, STOLEN, BROKEN_TERMINALS, STOLEN_CARDS, DEFECTS = range(7)
DISTANCES_AT_ONCE = 500_000  # few enough for the processor's cache


@dataclass(frozen=True)
class Conditions:
    """What drifts from month to month.

    Attributes:
        spending: Factor on every amount.
        multiplier: Factor on the amount of a scenario 3 fraud.
        night: Share of the frauds of scenarios 2 and 3 that are moved into the hours 0 to 6.
        terminals: Terminals that are compromised a day (scenario 2).
        terminal_days: How long one stays so.
        customers: Customers that are compromised a day (scenario 3).
    """

    spending: float
    multiplier: float
    night: float
    terminals: int
    terminal_days: int
    customers: int


def conditions(day: int, drift: float) -> Conditions:
    """Tell the conditions of a day.

    Month m (30 days each, from day 0) has gone `1 - exp(-drift * m / 3)` of the way from the book's
    process to another one: amounts are a tenth larger; twice as many terminals a day are
    compromised, each for half as long, so that labels which come a week late tell less about them;
    twice as many cards are stolen, and used for less conspicuous amounts; frauds move into the
    night. At drift 1 that is 28 % of the way after one month, 63 % after three; half a year later a
    random forest of the second month is .01 to .04 of AUROC behind a fresh one, without drift they
    are alike. The first month is the book's, whatever the drift.

    Args:
        day: Number of the day; days before day 0 belong to month 0.
        drift: Strength, at least 0; 0 is no drift.
    """
    way = -math.expm1(-drift * (max(day, 0) // MONTH) / 3)
    terminals = 2 + round(2 * way)
    return Conditions(
        spending=1 + 0.1 * way,
        multiplier=5 - 3 * way,
        night=0.6 * way,
        terminals=terminals,
        terminal_days=round(2 * TERMINAL_DAYS / terminals),
        customers=3 + round(3 * way),
    )


@dataclass(frozen=True, eq=False)
class Population:
    """Customers, and the terminals that each of them uses.

    Attributes:
        mean_amount: Mean of a customer's amounts, shape (customers,).
        mean_daily: Mean number of transactions a day, shape (customers,).
        n_terminals: Number of terminals.
        first_reached: Where a customer's part of `reached` begins, shape (customers + 1,).
        reached: Terminals in reach, customer after customer.
    """

    mean_amount: Floats
    mean_daily: Floats
    n_terminals: int
    first_reached: Integers
    reached: Integers


@dataclass(frozen=True, eq=False)
class Transactions:
    """The transactions of one day, in the order of time; one array element a transaction.

    Attributes:
        day: Number of the day.
        first_id: Id of the first one; the others follow without a gap.
        second: Second of the day.
        customer: Customer id.
        terminal: Terminal id.
        cents: Amount in cents, at least 1.
        scenario: 0 for a genuine transaction, 1 to 3 for a fraud.
    """

    day: int
    first_id: int
    second: Integers
    customer: Integers
    terminal: Integers
    cents: Integers
    scenario: Integers


def generator(seed: int, stream: int, day: int = 0) -> np.random.Generator:
    """Make the random numbers of one purpose on one day, from -TERMINAL_DAYS on."""
    return np.random.default_rng([seed, stream, day + TERMINAL_DAYS])


def id_stride(n_customers: int) -> int:
    """Tell the distance between the first ids of two consecutive days, a power of ten.

    A customer makes 2 transactions a day on average, at most 4 in expectation. At least 20 ids a
    customer leave room for a corrupt copy of each, and 1000 more for the chances of a small
    population.
    """
    return int(10 ** math.ceil(math.log10(20 * n_customers + 1_000)))


def draw_population(*, seed: int, n_customers: int, n_terminals: int) -> Population:
    """Draw the customers and the terminals and tell which are in reach of each other."""
    rng = generator(seed, CUSTOMERS)
    homes = rng.uniform(0, 100, (n_customers, 2))
    mean_amount = rng.uniform(5, 100, n_customers)
    mean_daily = rng.uniform(0, 4, n_customers)
    places = generator(seed, TERMINALS).uniform(0, 100, (n_terminals, 2))
    counts, reached = [], []
    rows = max(1, DISTANCES_AT_ONCE // n_terminals)
    for start in range(0, n_customers, rows):
        some = homes[start : start + rows]
        squares = (some[:, :1] - places[:, 0]) ** 2 + (some[:, 1:] - places[:, 1]) ** 2
        near = squares < REACH**2
        near[np.arange(len(some)), squares.argmin(axis=1)] = True
        counts.append(near.sum(axis=1))
        reached.append(near.nonzero()[1])
    return Population(
        mean_amount=mean_amount,
        mean_daily=mean_daily,
        n_terminals=n_terminals,
        first_reached=np.concatenate([[0], np.cumsum(np.concatenate(counts))]),
        reached=np.concatenate(reached),
    )


def draw_day(population: Population, day: int, *, seed: int, drift: float) -> Transactions:
    """Draw the transactions of a day, the fraudulent ones included.

    Args:
        population: From `draw_population` with the same seed.
        day: Number of the day, at least 0.
        seed: At least 0.
        drift: See `conditions`.
    """
    now = conditions(day, drift)
    second, customer, terminal, cents = _draw_genuine(
        population, now, generator(seed, GENUINE, day)
    )
    scenario = np.where(cents > LARGE, 1, 0)
    scenario[np.isin(terminal, compromised_terminals(population, day, seed=seed, drift=drift))] = 2
    rng = generator(seed, STOLEN, day)
    chance, night, moved = rng.random((3, len(cents)))
    at_risk = np.isin(customer, compromised_customers(population, day, seed=seed, drift=drift))
    stolen = at_risk & (chance < 1 / 3)
    scenario[stolen] = 3
    cents[stolen] = np.rint(now.multiplier * cents[stolen])
    at_night = (scenario >= 2) & (night < now.night)
    second[at_night] = moved[at_night] * NIGHT
    order = np.argsort(second, kind="stable")
    return Transactions(
        day=day,
        first_id=day * id_stride(len(population.mean_daily)),
        second=second[order],
        customer=customer[order],
        terminal=terminal[order],
        cents=cents[order],
        scenario=scenario[order],
    )


def compromised_terminals(population: Population, day: int, *, seed: int, drift: float) -> Integers:
    """Tell the terminals whose transactions of a day are all frauds (scenario 2)."""
    numbers = {
        d: conditions(d, drift).terminals
        for d in range(day - TERMINAL_DAYS + 1, day + 1)
        if day - d < conditions(d, drift).terminal_days
    }
    return _draw_ids(population.n_terminals, numbers, seed, BROKEN_TERMINALS)


def compromised_customers(population: Population, day: int, *, seed: int, drift: float) -> Integers:
    """Tell the customers a third of whose transactions of a day are frauds (scenario 3)."""
    days = range(day - CUSTOMER_DAYS + 1, day + 1)
    numbers = {d: conditions(d, drift).customers for d in days}
    return _draw_ids(len(population.mean_daily), numbers, seed, STOLEN_CARDS)


def _draw_ids(n: int, numbers: dict[int, int], seed: int, stream: int) -> Integers:
    """Draw so many different ids below n for each day, with the day's own generator."""
    return np.concatenate(
        [
            generator(seed, stream, day).choice(n, min(number, n), replace=False)
            for day, number in numbers.items()
        ]
    )


def _draw_genuine(
    population: Population, now: Conditions, rng: np.random.Generator
) -> tuple[Integers, Integers, Integers, Integers]:
    """Draw second, customer, terminal and cents, before any fraud."""
    customer = np.repeat(np.arange(len(population.mean_daily)), rng.poisson(population.mean_daily))
    second = np.floor(rng.normal(DAY / 2, 20_000, len(customer))).astype(np.int64)
    # A transaction that falls outside the day is dropped, not drawn again, as in the book.
    within = (second >= 0) & (second < DAY)
    second, customer = second[within], customer[within]
    mean = population.mean_amount[customer] * now.spending
    amount = rng.normal(mean, mean / 2)
    amount = np.where(amount < 0, rng.uniform(0, 2 * mean), amount)
    cents = np.maximum(1, np.rint(100 * amount)).astype(np.int64)
    first = population.first_reached[customer]
    choices = population.first_reached[customer + 1] - first
    terminal = population.reached[first + (rng.random(len(customer)) * choices).astype(np.int64)]
    return second, customer, terminal, cents
