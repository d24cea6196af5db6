"""A test in the ledger of its model: reserved before it is judged, charged for what it used.

The ledger has no lock. A test writes its entry first, reads the ledger again, and gives back what
the others leave no room for; an entry's alpha never grows. So of two tests at once at least the
one that writes last sees the other, and together they stay within the budget. A process that dies
after its reservation leaves it charged; its retry has the same name and takes it over.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from retraining.comparison.campaigns import status_of
from retraining.errors import RetrainingError
from retraining.gate.ledger import (
    STARTED,
    STOPPED,
    Entry,
    HoldoutTest,
)
from retraining.gate.looks import LEAST
from retraining.gate.spending import YEAR, spend
from retraining.tracking import outage, registry, runs, tags, values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlflow.entities import Run

    from retraining.gate.campaign import Campaign
    from retraining.gate.ledger import LookEntry
    from retraining.gate.policy import Policy
    from retraining.gate.spending import Spending

_LOG = logging.getLogger(__name__)


class Charge(NamedTuple):
    """A test that the ledger of the model remembers.

    Attributes:
        name: The registered model.
        entry: What its ledger holds.
        spending: What earlier tests leave of alpha for it.
        tried: What its ledger held of an earlier attempt at the same test; None for the first.
        known: Names of the tests of this pair that had a result when the look began.
    """

    name: str
    entry: Entry
    spending: Spending
    tried: Entry | None = None
    known: frozenset[str] = frozenset()

    def drop(self) -> Charge:
        """The charge of a test that could not decide, whatever the effect: none."""
        return self._replace(entry=self.entry._replace(alpha=0.0, look=None))

    def judge(self, campaign: Campaign, effect: float, error: float, *, costs: bool) -> Charge:
        """The charge of a look that was judged.

        A campaign that goes on keeps its alpha. One that has promoted, or made its last look, has
        used it. One that ends before, for whatever reason, gets back what it could still have
        promoted by chance if rows come as they did, and no more: to choose by the result which
        campaigns go on, and to pay for those alone, would be optional stopping.

        Args:
            campaign: Where it stands.
            effect: On all rows so far.
            error: Its standard error.
            costs: False where no look of the campaign could decide, whatever the effect.
        """
        alpha = max(campaign.alpha - campaign.returned, LEAST)
        if not costs and campaign.state == "last_look":
            alpha = LEAST
        look = self.entry.look and self.entry.look._replace(
            state=campaign.state,
            returnable=campaign.returnable,
            effect=effect,
            variance=error**2 if math.isfinite(error) else None,
        )
        return self._replace(entry=self.entry._replace(alpha=alpha, look=look))

    def settle(self) -> None:
        """Write what the test used.

        Raises:
            RetrainingError: Another run has looked at the same pair meanwhile, or the campaign has
                ended. It may have looked at the same rows, so this look does not count; of two that
                write at the same moment perhaps neither does.
        """
        try:
            self._refuse_other_look()
            registry.record_test(self.name, self.entry)
            self._refuse_other_look()
        except RetrainingError:
            registry.record_test(self.name, self.drop().entry)
            raise

    def _refuse_other_look(self) -> None:
        """Refuse the look if the ledger holds something of its campaign that it did not know."""
        look = self.entry.look
        if look is None:
            return
        pair = (self.entry.champion, self.entry.challenger)
        for other in registry.tests_of(self.name):
            if other.test == self.entry.test and (other.look is None or other.alpha == 0):
                raise RetrainingError(
                    f"another run has begun the campaign of {other.challenger} meanwhile",
                    "run ab_test again",
                )
            if other.look is None or (other.champion, other.challenger) != pair:
                continue
            if other.look.campaign == look.campaign and other.look.state in STOPPED:
                raise RetrainingError(
                    f"the campaign of {other.challenger} has ended meanwhile: {other.look.state}",
                    "run ab_test again for the next one",
                )
            new = other.test not in {*self.known, self.entry.test}
            if new and other.alpha > 0 and other.look.state != STARTED:
                raise RetrainingError(
                    f"run {other.look.run_id} has looked at {other.challenger} meanwhile",
                    "run ab_test again: it continues from that look",
                )


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


def reserve(name: str, policy: Policy, test: HoldoutTest, look: LookEntry | None = None) -> Charge:
    """Enter a test in the ledger of a model, with the alpha that it may use.

    Tests that write at the same time take what is left in the order of their times and names.
    Tests that only their runs remember, and peeks at the same holdout, are entered first. The first
    look of a campaign reserves the alpha of all; further ones write nothing before they have a
    result.

    Args:
        name: The registered model.
        policy: Its memory, alpha, yearly_alpha and tests_per_year are used.
        test: The test.
        look: Of a campaign; None for a test that is made once.

    Raises:
        RetrainingError: If the policy's memory refuses a holdout that was tested before.
    """
    found = runs.tests_of(name, test.time - YEAR)
    _restore(name, found, test)
    _enter_peeks(name, policy, found, test)
    return _enter(name, policy, test, look=look)


def _enter(
    name: str,
    policy: Policy,
    test: HoldoutTest,
    *,
    peek: bool = False,
    look: LookEntry | None = None,
) -> Charge:
    entries = registry.tests_of(name)
    spending = spend(entries, policy, test)
    tried = next((e for e in entries if e.test == test.test and e.alpha > 0), None)
    entry = test.charge(spending.alpha, peek=peek, look=look)
    entry = entry._replace(time=(tried or test).time)
    if look and look.number > 1:
        return Charge(name, entry, spending, tried)
    registry.record_test(name, entry)
    try:
        _take_over(name, entry, test.campaign)
        return _fit(Charge(name, entry, spending, tried), policy, test)
    except RetrainingError:
        registry.record_test(name, tried or entry._replace(alpha=0.0, look=None))
        raise


def _take_over(name: str, entry: Entry, campaign: str) -> None:
    """Let a first look that was killed leave its alpha to this one; refuse a new one beside it.

    Raises:
        RetrainingError: Another run has begun a campaign of the same pair at this moment.
    """
    if entry.look is None:
        return
    for other in registry.tests_of(name):
        same = (other.champion, other.challenger) == (entry.champion, entry.challenger)
        if other.look is None or not same or other.test == entry.test or other.alpha == 0:
            continue
        if other.look.state == STARTED and other.look.campaign == campaign:
            registry.record_test(name, other._replace(alpha=0.0, look=None))
        elif other.look.state == STARTED and status_of(other.look.run_id) == "RUNNING":
            raise RetrainingError(
                f"run {other.look.run_id} looks at {other.challenger} at this moment",
                "run ab_test again when it has ended",
            )


def _fit(reserved: Charge, policy: Policy, test: HoldoutTest) -> Charge:
    """Give back any excess, now that others can see the reservation."""
    name, entry, _, tried, _ = reserved
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
        charged = values.read_tag(run, tags.CHARGE)
        if charged and (entry := Entry.read(charged)).test not in known:
            _LOG.warning(
                f"the ledger of {name} has lost the test of run {run.info.run_id}: "
                "it is entered again, delete the run if the model is another one"
            )
            registry.record_test(name, entry)


def _enter_peeks(name: str, policy: Policy, found: Iterable[Run], test: HoldoutTest) -> None:
    """Enter comparisons of the same holdout that were not charged, but showed their p-value.

    Each counts with the alpha that a test would have had: whoever looks at several challengers and
    has the best one tested has made as many tests, at whatever alpha they were looked at.
    """
    known = {entry.test for entry in registry.tests_of(name)}
    if policy.memory == "fresh_holdout_only":
        policy = dataclasses.replace(policy, memory="spending")
    for run in found:
        peek = _peek(run, test)
        if peek and peek.test not in known:
            _enter(name, policy, peek, peek=True)


def _peek(run: Run, test: HoldoutTest) -> HoldoutTest | None:
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
    peek = HoldoutTest(f"peek-{run.info.run_id}", time, fingerprint, start, end)
    return peek if peek.charge(0.0).shares_holdout(test) else None
