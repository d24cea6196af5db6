"""A test in the ledger of its model: reserved before it is judged, charged for what it used.

The ledger has no lock. A test writes its entry first, reads the ledger again, and gives back what
the others leave no room for; an entry's alpha never grows. So of two tests at once at least the
one that writes last sees the other, and together they stay within the budget. A process that dies
after its reservation leaves it charged; its retry has the same name and takes it over.
"""

from __future__ import annotations

import dataclasses
import logging
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from retraining.errors import RetrainingError
from retraining.gate.ledger import Entry, HoldoutTest
from retraining.gate.spending import YEAR, spend
from retraining.tracking import outage, registry, runs, tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlflow.entities import Run

    from retraining.gate.policy import Policy
    from retraining.gate.verdict import Spending

_LOG = logging.getLogger(__name__)


class Charge(NamedTuple):
    """A test that the ledger of the model remembers.

    Attributes:
        name: The registered model.
        entry: What its ledger holds.
        spending: What earlier tests leave of alpha for it.
        tried: What its ledger held of an earlier attempt at the same test; None for the first.
    """

    name: str
    entry: Entry
    spending: Spending
    tried: Entry | None = None

    def drop(self) -> Charge:
        """The charge of a test that could not decide, whatever the effect: none."""
        return self._replace(entry=self.entry._replace(alpha=0.0))

    def settle(self) -> None:
        """Write what the test used."""
        registry.record_test(self.name, self.entry)


@contextmanager
def returned_on_error(charge: Charge | None) -> Iterator[None]:
    """Give a reservation back where an error ends the test before it has shown anything.

    An earlier attempt may have shown its p-value: then the test stays charged.
    """
    try:
        yield
    except Exception as error:
        if charge and charge.tried is None and not outage.is_lost(error):
            charge.drop().settle()
        raise


def reserve(name: str, policy: Policy, test: HoldoutTest) -> Charge:
    """Enter a test in the ledger of a model, with the alpha that it may use.

    Tests that write at the same time take what is left in the order of their times and names.
    Tests that only their runs remember, and looks at the same holdout, are entered first.

    Raises:
        RetrainingError: If the policy's memory refuses a holdout that was tested before.
    """
    found = runs.tests_of(name, test.time - YEAR)
    _restore(name, found, test)
    _enter_looks(name, policy, found, test)
    return _enter(name, policy, test)


def _enter(name: str, policy: Policy, test: HoldoutTest, *, look: bool = False) -> Charge:
    entries = registry.tests_of(name)
    spending = spend(entries, policy, test)
    tried = next((e for e in entries if e.test == test.test and e.alpha > 0), None)
    entry = test.charge(spending.alpha, look=look)._replace(time=(tried or test).time)
    registry.record_test(name, entry)
    try:
        return _fit(Charge(name, entry, spending, tried), policy, test)
    except RetrainingError:
        registry.record_test(name, tried or entry._replace(alpha=0.0))
        raise


def _fit(reserved: Charge, policy: Policy, test: HoldoutTest) -> Charge:
    """Give back any excess, now that others can see the reservation."""
    name, entry, _, tried = reserved
    entries = registry.tests_of(name)
    if tried is None:  # a holdout that is refused is refused to the later and the earlier of two
        spend([e for e in entries if e.test != entry.test], policy, test)
    spending = spend(entries, policy, test)
    if spending.alpha < entry.alpha:
        earlier = [e for e in entries if (e.time, e.test) <= (entry.time, entry.test)]
        entry = entry._replace(alpha=spend(earlier, policy, test).alpha)
        registry.record_test(name, entry)
        # Others may have read the larger alpha and left room for it: what remains is enough.
        spending = spend(registry.tests_of(name), policy, test)
        entry = entry._replace(alpha=spending.alpha)
        registry.record_test(name, entry)
    return Charge(name, entry, spending, tried)


def _restore(name: str, found: Iterable[Run], test: HoldoutTest) -> None:
    """Enter tests again that the ledger has lost: its tags or the model were removed meanwhile.

    Tests cannot be forgotten by that, and nobody has to repair anything.
    """
    known = {entry.test for entry in registry.tests_of(name)} | {test.test}
    for run in found:
        charged = run.data.tags.get(tags.CHARGE)
        if charged and (entry := Entry.read(charged)).test not in known:
            _LOG.warning(
                f"the ledger of {name} has lost the test of run {run.info.run_id}: "
                "it is entered again, delete the run if the model is another one"
            )
            registry.record_test(name, entry)


def _enter_looks(name: str, policy: Policy, found: Iterable[Run], test: HoldoutTest) -> None:
    """Enter comparisons of the same holdout that were not charged, but showed their p-value.

    Each counts with the alpha that a test would have had: whoever looks at several challengers and
    has the best one tested has made as many tests, at whatever alpha they were looked at.
    """
    known = {entry.test for entry in registry.tests_of(name)}
    if policy.memory == "fresh_holdout_only":
        policy = dataclasses.replace(policy, memory="spending")
    for run in found:
        look = _look(run, test)
        if look and look.test not in known:
            _enter(name, policy, look, look=True)


def _look(run: Run, test: HoldoutTest) -> HoldoutTest | None:
    """The comparison of a run, if it showed a p-value of rows of this holdout at no charge."""
    carried = run.data.tags
    fingerprint = carried.get(f"{tags.FINGERPRINT}holdout")
    if not fingerprint or tags.SCORES_URI not in carried or tags.is_true(carried, tags.BINDING):
        return None
    time = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
    start, end = (
        datetime.fromisoformat(text) if (text := carried.get(tags.HOLDOUT + side)) else None
        for side in ("start", "end")
    )
    look = HoldoutTest(f"look-{run.info.run_id}", time, fingerprint, start, end)
    return look if look.charge(0.0).shares_holdout(test) else None
