"""Files of simulated card transactions in the raw format of the fraud data, one a day.

`transactions` draws the rows of a day, `defects` the errors in them. The bytes of a day depend only
on the seed, the sizes, the drift, the defects and the date: days that are added later are the same
as if all had been written at once (with the same version of numpy, whose random streams may change
between versions).
"""

from __future__ import annotations

import filecmp
import hashlib
import math
import re
import secrets
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from retraining.errors import RetrainingError
from retraining.progress import track
from retraining.simulation.defects import KINDS, Defects, Planted, plant
from retraining.simulation.transactions import DAY, DEFECTS, draw_day, draw_population, generator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from retraining.simulation.transactions import Integers, Transactions

ORIGIN = date(2019, 8, 22)  # day 0
# The first column is misspelled in the data that this imitates.
HEADER = (
    "# tranaction_id,tx_datetime,customer_id,terminal_id,tx_amount,"
    "tx_time_seconds,tx_time_days,tx_fraud,tx_fraud_scenario\n"
)
ROWS_AT_ONCE = 100_000


@dataclass(frozen=True)
class Simulation:
    """What one call of `simulate` wrote, or had written before.

    Attributes:
        n_rows: Lines without the headers, corrupt ones included.
        n_frauds: Frauds among the good rows.
        defects: Number of corrupt rows by kind, including kinds without any.
        files: One a day, oldest first.
        digest: SHA-256 in hex over the name and the bytes of each file, in this order.
    """

    n_rows: int
    n_frauds: int
    defects: Mapping[str, int]
    files: tuple[Path, ...]
    digest: str


def simulate(
    folder: Path,
    *,
    start: date,
    days: int,
    seed: int,
    n_customers: int = 1_500,
    n_terminals: int = 1_000,
    drift: float = 1.0,
    defects: Defects | None = None,
) -> Simulation:
    """Write `<folder>/<YYYY-MM-DD>.txt` for each of several consecutive days.

    With the default sizes a day has about 2900 rows, 6 to 8 % of them frauds. The file of a day is
    either complete or absent; writing it again changes nothing. Memory is needed for one day only.

    Args:
        folder: Created if it is missing.
        start: The first day, not before ORIGIN.
        days: Number of days, at least 1.
        seed: Not negative.
        n_customers: At least 1; ids from 0. A customer makes 2 transactions a day on average.
        n_terminals: At least 1; ids from 0. The fewer, the more frauds: 56 are compromised at once.
        drift: How fast the process moves away from that of the first month; 0 means not at all.
            See `retraining.simulation.transactions.conditions`.
        defects: Rates of the corrupt rows; the defaults of `Defects` if None.

    Raises:
        RetrainingError: If an argument is out of range, the folder cannot be created, or the file
            of one of these days exists with other content.
    """
    _check(start=start, days=days, seed=seed, sizes=(n_customers, n_terminals), drift=drift)
    defects = Defects() if defects is None else defects
    _make(folder)
    population = draw_population(seed=seed, n_customers=n_customers, n_terminals=n_terminals)
    n_rows = n_frauds = 0
    counts = Counter(dict.fromkeys(KINDS, 0))
    files = tuple(folder / f"{start + timedelta(days=i)}.txt" for i in range(days))
    digest = hashlib.sha256()
    with track("transactions", days, "days") as advance:
        for number, path in enumerate(files, start=(start - ORIGIN).days):
            transactions = draw_day(population, number, seed=seed, drift=drift)
            planted = _plant(transactions, defects, generator(seed, DEFECTS, number))
            digest.update(path.name.encode())
            _write(path, _chunks(transactions, planted), digest.update)
            n_rows += len(transactions.cents) + sum(planted.counts.values())
            n_frauds += int(np.count_nonzero(transactions.scenario))
            counts.update(planted.counts)
            advance(1)
    return Simulation(n_rows, n_frauds, dict(counts), files, digest.hexdigest())


def last_day(folder: Path) -> date | None:
    """Return the newest day that has a file in the folder; None without folder or files."""
    days = []
    for path in folder.glob("*.txt"):
        with suppress(ValueError):
            days.append(date.fromisoformat(path.stem))
    # fromisoformat accepts other spellings of a date too, such as 20190822.
    return max((day for day in days if (folder / f"{day}.txt").exists()), default=None)


def _check(*, start: date, days: int, seed: int, sizes: tuple[int, int], drift: float) -> None:
    if start < ORIGIN:
        raise RetrainingError(f"start is {start}", f"give a day from {ORIGIN} on")
    at_least = {"days": (days, 1), "seed": (seed, 0)}
    at_least |= {"n_customers": (sizes[0], 1), "n_terminals": (sizes[1], 1)}
    for name, (value, least) in at_least.items():
        if value < least:
            raise RetrainingError(f"{name} is {value}", f"give a whole number, {least} or more")
    if days - 1 > (date.max - start).days:
        raise RetrainingError(f"days is {days}", f"give fewer: days end on {date.max}")
    if not (math.isfinite(drift) and drift >= 0):
        raise RetrainingError(f"drift is {drift}", "give a number of 0 or more; 0 means no drift")


def _make(folder: Path) -> None:
    if re.match(r"[a-z][a-z0-9]+:/", str(folder)):  # an address: as a path it loses one slash
        raise RetrainingError(
            f"folder {folder} is not local", "write into a local folder and copy the files"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RetrainingError(
            f"folder {folder} cannot be created ({error.strerror})", "give another folder"
        ) from error


def _plant(transactions: Transactions, defects: Defects, rng: np.random.Generator) -> Planted:
    n_rows = len(transactions.cents)
    lines = partial(_format, transactions)
    return plant(n_rows, lines, next_id=transactions.first_id + n_rows, defects=defects, rng=rng)


def _chunks(transactions: Transactions, planted: Planted) -> Iterator[bytes]:
    yield HEADER.encode()
    n_rows = len(transactions.cents)
    for first in range(0, n_rows, ROWS_AT_ONCE):
        lines = _format(transactions, np.arange(first, min(first + ROWS_AT_ONCE, n_rows)))
        for position, text in planted.before.items():
            if first <= position < first + len(lines):
                lines[position - first] = text + lines[position - first]
        yield "".join(lines).encode()
    yield planted.tail.encode()


def _format(transactions: Transactions, rows: Integers) -> list[str]:
    """Return rows as text, each with its line end."""
    t = transactions
    today = f"{ORIGIN + timedelta(days=t.day)} "
    midnight = t.day * DAY
    clock = _clock()
    ends = [f",{t.day},{int(scenario > 0)},{scenario}\n" for scenario in range(4)]
    columns = (t.second, t.customer, t.terminal, t.cents / 100, t.scenario)
    return [
        f"{i},{today}{clock[s]},{customer},{terminal},{amount:.2f},{midnight + s}{ends[kind]}"
        for i, s, customer, terminal, amount, kind in zip(
            (t.first_id + rows).tolist(), *(c[rows].tolist() for c in columns), strict=True
        )
    ]


@cache
def _clock() -> list[str]:
    """Return the 86,400 times of a day: looking one up is faster than formatting it."""
    sixty = [f"{i:02d}" for i in range(60)]
    return [f"{h}:{m}:{s}" for h in sixty[:24] for m in sixty for s in sixty]


def _write(path: Path, chunks: Iterator[bytes], also: Callable[[bytes], None]) -> None:
    """Write a file under a hidden name, then rename it; a file with equal content is kept."""
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with hidden.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
                also(chunk)
        if not path.exists():
            hidden.rename(path)
        elif not filecmp.cmp(hidden, path, shallow=False):
            raise RetrainingError(
                f"file {path} exists with other content",
                "repeat its seed, sizes, drift and defects, or write into another folder",
            )
    except OSError as error:
        raise RetrainingError(
            f"file {path} cannot be written ({error.strerror})",
            "give a folder that is writable and has enough space",
        ) from error
    finally:
        hidden.unlink(missing_ok=True)
