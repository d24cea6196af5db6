"""Corrupt rows for simulated transaction files, counted by kind.

Every corrupt row is an additional one: a copy of a good row with one error. The good rows do not
change, so a file without its corrupt rows is the file that would have been written without any
defects, and no defect changes which transactions are frauds. A copy has an id of its own, unless
the repeated id is the error: such a copy has the same or a later time on the same day, so that
keeping the earliest row of an id removes exactly the copies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from retraining.errors import RetrainingError
from retraining.simulation.transactions import DAY

if TYPE_CHECKING:
    from collections.abc import Callable

    from retraining.simulation.transactions import Integers

ID, TIME, CUSTOMER, TERMINAL, AMOUNT, SECONDS, DAYS, FRAUD, SCENARIO = range(9)


@dataclass(frozen=True, kw_only=True)
class Defects:
    """How often a good row has a corrupt copy, by kind. A row has at most one.

    The defaults are about twenty times the rates in real files, with similar proportions between
    the kinds: enough for some of each kind in a month of a small simulation.

    Attributes:
        null_time: Empty time.
        unparseable_time: The time is 24:00:00 of the day or the word "error".
        null_terminal: Empty terminal id.
        zero_amount: Amount 0.00.
        negative_amount: Amount with a minus sign.
        duplicate_id: The row repeated, in half of the cases up to ten minutes later.
        unknown_customer: Customer id -999999.
        letters_in_number: A letter in the customer id or in the amount.
        torn_line: Probability that the file of a day ends in the middle of a row, without a line
            end; the row breaks off after its id and before its fraud label.
    """

    null_time: float = 1e-4
    unparseable_time: float = 1e-4
    null_terminal: float = 4e-4
    zero_amount: float = 4e-4
    negative_amount: float = 1e-4
    duplicate_id: float = 1e-4
    unknown_customer: float = 2e-4
    letters_in_number: float = 1e-4
    torn_line: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            rate = getattr(self, field.name)
            if not 0 <= rate <= 1:
                raise RetrainingError(
                    f"rate of the defect {field.name} is {rate}", "give a number from 0 to 1"
                )
        total = math.fsum(self.row_rates().values())
        if total > 1:
            raise RetrainingError(
                f"rates of the defects of a row add up to {total:g}",
                "lower them: a row has at most one corrupt copy, so at most 1 in all",
            )

    @classmethod
    def none(cls) -> Defects:
        """Return rates of 0."""
        return cls(**dict.fromkeys(KINDS, 0.0))

    def scaled(self, factor: float) -> Defects:
        """Return every rate times a factor, at most 1."""
        rates = {kind: min(1.0, getattr(self, kind) * factor) for kind in KINDS}
        return Defects(**rates)

    def row_rates(self) -> dict[str, float]:
        """Return the rate of every kind but the torn line, in the order of the fields."""
        return {kind: getattr(self, kind) for kind in KINDS if kind != "torn_line"}


KINDS = tuple(field.name for field in fields(Defects))


@dataclass(frozen=True)
class Planted:
    """The corrupt rows of one day.

    Attributes:
        before: Text of whole rows by the position of the good row that they precede.
        tail: The torn last line, or "".
        counts: Number of corrupt rows by kind, including kinds without any.
    """

    before: dict[int, str]
    tail: str
    counts: dict[str, int]


def plant(
    n_rows: int,
    lines: Callable[[Integers], list[str]],
    *,
    next_id: int,
    defects: Defects,
    rng: np.random.Generator,
) -> Planted:
    """Draw the corrupt rows of a day.

    Args:
        n_rows: Number of good rows.
        lines: Returns the text of good rows by position, each with its line end.
        next_id: The first id after those of the good rows.
        defects: The rates.
        rng: Not used for anything else.
    """
    rates = defects.row_rates()
    bounds = np.cumsum(list(rates.values()))
    drawn = np.searchsorted(bounds, rng.random(n_rows), side="right")
    sources = np.flatnonzero(drawn < len(rates))
    positions = rng.integers(max(n_rows, 1), size=len(sources))
    before: dict[int, str] = {}
    counts = dict.fromkeys(KINDS, 0)
    copies = zip(lines(sources), drawn[sources].tolist(), positions.tolist(), strict=True)
    for i, (line, number, position) in enumerate(copies):
        kind = KINDS[number]
        row = line.rstrip("\n").split(",")
        if kind != "duplicate_id":
            row[ID] = str(next_id + i)
        _CORRUPT[kind](row, rng)
        before[position] = before.get(position, "") + ",".join(row) + "\n"
        counts[kind] += 1
    tail = ""
    if n_rows and rng.random() < defects.torn_line:
        row = lines(rng.integers(n_rows, size=1))[0].split(",")
        row[ID] = str(next_id + len(sources))
        end = len(",".join(row[:FRAUD]))
        tail = ",".join(row)[: rng.integers(len(row[ID]) + 1, end, endpoint=True)]
        counts["torn_line"] = 1
    return Planted(before, tail, counts)


def _unparseable_time(row: list[str], rng: np.random.Generator) -> None:
    row[TIME] = "error" if rng.random() < 0.5 else row[TIME][:10] + " 24:00:00"


def _negative_amount(row: list[str], _: np.random.Generator) -> None:
    row[AMOUNT] = "-" + row[AMOUNT]


def _duplicate_id(row: list[str], rng: np.random.Generator) -> None:
    day, second = divmod(int(row[SECONDS]), DAY)
    later = int(rng.integers(1, 601)) if rng.random() < 0.5 else 0
    second = min(second + later, DAY - 1)
    row[TIME] = f"{row[TIME][:10]} {second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    row[SECONDS] = str(day * DAY + second)


def _letters_in_number(row: list[str], rng: np.random.Generator) -> None:
    # Not a letter that a reader may take for part of a number, as in 1e5, 5d, 5f, 5l or 0x5.
    column = CUSTOMER if rng.random() < 0.5 else AMOUNT
    row[column] = row[column][0] + "OSZ"[rng.integers(3)] + row[column][1:]


def _replace(column: int, value: str) -> Callable[[list[str], np.random.Generator], None]:
    def corrupt(row: list[str], _: np.random.Generator) -> None:
        row[column] = value

    return corrupt


_CORRUPT: dict[str, Callable[[list[str], np.random.Generator], None]] = {
    "null_time": _replace(TIME, ""),
    "unparseable_time": _unparseable_time,
    "null_terminal": _replace(TERMINAL, ""),
    "zero_amount": _replace(AMOUNT, "0.00"),
    "negative_amount": _negative_amount,
    "duplicate_id": _duplicate_id,
    "unknown_customer": _replace(CUSTOMER, "-999999"),
    "letters_in_number": _letters_in_number,
}
