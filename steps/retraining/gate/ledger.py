"""How much alpha each of repeated tests of one model may use.

A model that is retrained every week is tested 52 times a year. At alpha 0.05 each, the promotion of
some worthless challenger is almost certain; and models that survive many tests on the same holdout
are fitted to it. The ledger records every test and computes the alpha of the next one.
"""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from retraining.errors import RetrainingError
from retraining.gate.verdict import Spending

if TYPE_CHECKING:
    from collections.abc import Iterable

    from retraining.gate.policy import Policy

YEAR: Final = timedelta(days=365)
FIRST: Final = 10  # the first test may use a tenth of the budget
LEAST: Final = 1e-300  # alpha of a test for which no budget is left: above zero, but negligible


class HoldoutTest(NamedTuple):
    """A test of the model that is about to start.

    Attributes:
        test: Its name; a test that is tried again keeps its name.
        time: When it starts, with a time zone, like all times here.
        fingerprint: Of the content of its holdout.
        start: First moment of the holdout; None where rows have no time.
        end: First moment after it.
    """

    test: str
    time: datetime
    fingerprint: str
    start: datetime | None
    end: datetime | None

    def charge(self, alpha: float) -> Entry:
        """The entry of the ledger for this test, once its alpha is known."""
        return Entry(self.test, self.time, alpha, self.fingerprint, self.start, self.end)


class Entry(NamedTuple):
    """A test of the model in the ledger; see `HoldoutTest`.

    Attributes:
        alpha: The alpha that it used.
    """

    test: str
    time: datetime
    alpha: float
    fingerprint: str
    start: datetime | None
    end: datetime | None

    def write(self) -> str:
        """A line of JSON, short enough for a tag."""
        mapping = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in self._asdict().items()
        }
        return json.dumps(mapping, separators=(",", ":"))

    @classmethod
    def read(cls, text: str) -> Entry:
        """The entry that `write` wrote.

        Raises:
            RetrainingError: The text is not an entry.
        """
        try:
            mapping = json.loads(text)
            return cls(
                test=str(mapping["test"]),
                time=_instant(mapping["time"]),
                alpha=float(mapping["alpha"]),
                fingerprint=str(mapping["fingerprint"]),
                start=mapping["start"] and _instant(mapping["start"]),
                end=mapping["end"] and _instant(mapping["end"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RetrainingError(
                f"ledger entry {text!r} cannot be read",
                "restore the tag of the registered model that holds it",
            ) from error


def spend(entries: Iterable[Entry], policy: Policy, test: HoldoutTest) -> Spending:
    """The alpha that a test may use, given the earlier tests of the same model.

    "per_test" gives `policy.alpha` to every test. "spending" gives the test after n others
    1 / (10 + n) of what is left of `policy.yearly_alpha`, and at most `policy.alpha`. The sum over
    any 365 days, and with it the probability of any false promotion in them, stays within the
    budget, and weekly or even daily tests still have some alpha left. "fresh_holdout_only" gives
    `policy.alpha`, but refuses to test a holdout twice.

    Args:
        entries: Earlier tests of the model, in any order. An entry with the name of this test is
            an earlier attempt at it: the test keeps that alpha and is not counted twice.
        policy: Its memory, alpha and yearly_alpha are used.
        test: The test that is about to start.

    Raises:
        RetrainingError: Memory is "fresh_holdout_only" and the holdout, or some of its time, was
            tested before.
    """
    by_name = {entry.test: entry for entry in entries}
    before = by_name.pop(test.test, None)
    others = sorted(by_name.values(), key=lambda entry: entry.time)
    used = [entry for entry in others if _shares_holdout(entry, test)]
    if policy.memory == "fresh_holdout_only" and used:
        raise _used_up(used[0], test)
    # Entries later than this test come from another clock: some 365 days include both.
    recent = [entry for entry in others if abs(entry.time - test.time) <= YEAR]
    spent = math.fsum(entry.alpha for entry in recent)
    alpha, budget, left = policy.alpha, None, None
    if policy.memory == "spending":
        budget = policy.yearly_alpha
        alpha = (
            before.alpha
            if before
            else min(alpha, max((budget - spent) / (FIRST + len(recent)), LEAST))
        )
        left = max(0.0, budget - spent - alpha)
    return Spending(
        memory=policy.memory,
        alpha=alpha,
        n_tests=len(recent),
        n_holdout_tests=sum(_shares_holdout(entry, test) for entry in recent),
        spent=spent,
        budget=budget,
        left=left,
        past=tuple((entry.time.isoformat(), entry.alpha) for entry in recent),
    )


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment


def _shares_holdout(one: Entry, other: HoldoutTest) -> bool:
    if one.fingerprint == other.fingerprint:
        return True
    if one.start is None or one.end is None or other.start is None or other.end is None:
        return False
    return one.start < other.end and other.start < one.end


def _used_up(earlier: Entry, test: HoldoutTest) -> RetrainingError:
    return RetrainingError(
        f"the holdout {_period(test)} was tested before: {_period(earlier)}, "
        f"on {earlier.time:%Y-%m-%d}, as {earlier.test}",
        "prepare a holdout of later days, or choose memory spending",
    )


def _period(entry: Entry | HoldoutTest) -> str:
    if entry.start is None or entry.end is None:
        return f"of fingerprint {entry.fingerprint}"
    return f"from {entry.start:%Y-%m-%d %H:%M} to {entry.end:%Y-%m-%d %H:%M}"
