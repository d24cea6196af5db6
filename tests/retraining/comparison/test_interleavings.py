"""Reservations of several processes whose readings and writings alternate in any order."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pytest

from retraining.comparison import charges
from retraining.gate.ledger import Entry, HoldoutTest
from retraining.gate.policy import Policy
from retraining.gate.spending import YEAR
from retraining.tracking import registry, runs

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Turns:
    """A ledger that each thread has to wait for, until the thread is drawn.

    Attributes:
        entries: What the ledger holds, by the names of the tests.
    """

    def __init__(self, names: list[str], rng: np.random.Generator) -> None:
        self.entries: dict[str, Entry] = {}
        self._rng = rng
        self._speeds = dict(zip(names, rng.choice([0.05, 1, 5], len(names)), strict=True))
        self._running = set(names)
        self._waiting: set[str] = set()
        self._changed = threading.Condition()

    def read(self, name: str) -> list[Entry]:
        """In place of `registry.tests_of`."""
        return self._take(lambda: list(self.entries.values()))

    def write(self, name: str, entry: Entry) -> None:
        """In place of `registry.record_test`."""
        self._take(lambda: self.entries.update({entry.test: entry}))

    def end(self) -> None:
        """The thread needs the ledger no more."""
        with self._changed:
            self._running.remove(threading.current_thread().name)
            self._draw()

    def _take(self, step: Callable[[], T]) -> T:
        name = threading.current_thread().name
        with self._changed:
            self._running.remove(name)
            self._waiting.add(name)
            self._draw()
            self._changed.wait_for(lambda: name in self._running)
            return step()

    def _draw(self) -> None:
        """Let one thread go on once all of them wait."""
        if self._waiting and not self._running:
            names = sorted(self._waiting)
            speeds = np.array([self._speeds[name] for name in names])
            drawn = str(self._rng.choice(names, p=speeds / speeds.sum()))
            self._waiting.remove(drawn)
            self._running.add(drawn)
            self._changed.notify_all()


@pytest.mark.parametrize("seed", range(200))
def test_no_order_of_readings_and_writings_exceeds_the_budget(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(seed)
    names = [f"test {number}" for number in range(rng.integers(2, 8))]
    policy = Policy(
        alpha=float(rng.choice([0.03, 0.1, 0.2])), tests_per_year=float(rng.choice([1, 4]))
    )
    times = [datetime.now(UTC) + timedelta(days=float(rng.choice([0, 1, 200, 400]))) for _ in names]
    turns = Turns(names, rng)
    monkeypatch.setattr(registry, "tests_of", turns.read)
    monkeypatch.setattr(registry, "record_test", turns.write)
    monkeypatch.setattr(runs, "tests_of", lambda *_: [])
    used: list[Entry] = []

    def reserve(name: str, time: datetime) -> None:
        test = HoldoutTest(name, time, name, time - timedelta(days=1), time)
        try:
            used.append(charges.reserve("fraud", policy, test).entry)
        finally:
            turns.end()

    threads = [
        threading.Thread(target=reserve, args=told, name=told[0])
        for told in zip(names, times, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {entry.test: entry for entry in used} == turns.entries
    assert set(turns.entries) == set(names)
    assert max(e.alpha for e in used) <= min(policy.alpha, 0.2 / policy.tests_per_year)
    for first in used:
        year = [e.alpha for e in used if first.time <= e.time <= first.time + YEAR]
        assert sum(year) <= policy.yearly_alpha * (1 + 1e-12)
