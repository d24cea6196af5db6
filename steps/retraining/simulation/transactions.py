"""Simulated card transactions, one day at a time.

The process is the one of Le Borgne, Siblini, Lebichot and Bontempi, "Reproducible Machine Learning
for Credit Card Fraud Detection", chapter 3, section 2 (Transaction data simulator). Differences:

- A day depends only on the seed, the parameters and its own number, not on the days before it, so
  that days can be appended. Therefore every transaction of a compromised customer is a fraud with
  probability 1/3 (the book draws a third of them over the whole fortnight), and a customer who is
  compromised twice at the same time pays five times, not twenty-five times, the amount.
- Cards and terminals were compromised before the first day too, so that the share of frauds does
  not rise over the first weeks.
- A customer without a terminal in reach uses the nearest one; an amount is at least one cent.
- The process can drift (`conditions`), so that retraining has something to gain.
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
TERMINAL_DAYS = 28  # scenario 2; the longest time that a terminal is compromised
CUSTOMER_DAYS = 14  # scenario 3; the time that a customer is compromised

# The second number of a generator's seed: one stream of random numbers per purpose.
CUSTOMERS, TERMINALS, GENUINE, STOLEN, BROKEN_TERMINALS, STOLEN_CARDS, DEFECTS = range(7)
DISTANCES_AT_ONCE = 500_000  # few enough for the processor's cache


@dataclass(frozen=True)
class Conditions:
    """The parameters that drift from month to month.

    Attributes:
        spending: Factor on every amount.
        multiplier: Factor on the amount of a scenario 3 fraud.
        night: Share of the frauds of scenarios 2 and 3 that are moved into the hours 0 to 6.
        terminals: Terminals that become compromised per day (scenario 2).
        terminal_days: Days that a terminal stays compromised.
        customers: Customers that become compromised per day (scenario 3).
    """

    spending: float
    multiplier: float
    night: float
    terminals: int
    terminal_days: int
    customers: int


def conditions(day: int, drift: float) -> Conditions:
    """Return the conditions of a day.

    In month m (of 30 days, from day 0) the process has moved `1 - exp(-drift * m / 3)` of the way
    from that of the book to another one, in which amounts are a tenth larger; twice as many
    terminals become compromised per day, each for half as long, so that labels which arrive a week
    late say less about them; twice as many cards are stolen, and used for less conspicuous amounts;
    and more frauds happen at night. With drift 1 that is 28 % of the way after one month and 63 %
    after three: half a year later, the AUROC of a random forest from the second month is .01 to .04
    below that of a new one; without drift they are alike. The first month is always that of the
    book.

    Args:
        day: Number of the day; days before day 0 belong to month 0.
        drift: Strength, 0 or more; 0 means no drift.
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
        mean_daily: Mean number of transactions per day, shape (customers,).
        n_terminals: Number of terminals.
        first_reached: Where the part of each customer in `reached` begins, shape (customers + 1,).
        reached: Terminals in reach, customer after customer.
    """

    mean_amount: Floats
    mean_daily: Floats
    n_terminals: int
    first_reached: Integers
    reached: Integers


@dataclass(frozen=True, eq=False)
class Transactions:
    """The transactions of one day in order of time; arrays have one element per transaction.

    Attributes:
        day: Number of the day.
        first_id: Id of the first transaction; the others follow without a gap.
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
    """Return the generator for one purpose on one day, from day -TERMINAL_DAYS on."""
    return np.random.default_rng([seed, stream, day + TERMINAL_DAYS])


def id_stride(n_customers: int) -> int:
    """Return the distance between the first ids of two consecutive days, a power of ten.

    The expected number of transactions per day is 2 on average, and at most 4, per customer. At
    least 20 ids per customer leave room for a corrupt copy of each; 1000 more leave room for chance
    in a small population.
    """
    return int(10 ** math.ceil(math.log10(20 * n_customers + 1_000)))


def draw_population(*, seed: int, n_customers: int, n_terminals: int) -> Population:
    """Draw the customers, the terminals, and the terminals in reach of each customer."""
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
    """Draw the transactions of a day, including the fraudulent ones.

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
    """Return the terminals whose transactions of a day are all frauds (scenario 2)."""
    numbers = {
        d: conditions(d, drift).terminals
        for d in range(day - TERMINAL_DAYS + 1, day + 1)
        if day - d < conditions(d, drift).terminal_days
    }
    return _draw_ids(population.n_terminals, numbers, seed, BROKEN_TERMINALS)


def compromised_customers(population: Population, day: int, *, seed: int, drift: float) -> Integers:
    """Return the customers of whose transactions of a day a third are frauds (scenario 3)."""
    days = range(day - CUSTOMER_DAYS + 1, day + 1)
    numbers = {d: conditions(d, drift).customers for d in days}
    return _draw_ids(len(population.mean_daily), numbers, seed, STOLEN_CARDS)


def _draw_ids(n: int, numbers: dict[int, int], seed: int, stream: int) -> Integers:
    """Draw a number of distinct ids below n for each day, with the generator of that day."""
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
