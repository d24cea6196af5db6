"""What ends a campaign besides its own result, and what the page of its challenger shows."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from retraining.errors import RetrainingError
from retraining.gate.ledger import MOVED, REPLACED, STOPPED, Entry, charged
from retraining.gate.looks import LEAST
from retraining.tracking import registry, tags, values

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

_SHOWN = "Campaign: look"  # begins the description of a version
_LONGEST = 5000  # characters of one, in an SQL store

_LOG = logging.getLogger(__name__)


def end_campaigns(name: str, why: str, *, but: str = "") -> None:
    """End the campaigns of a model that go on, for a reason that is not their last result.

    They get back what they could still have promoted by chance.

    Args:
        name: The registered model.
        why: `REPLACED` or `MOVED`.
        but: URI of a challenger whose campaign goes on.
    """
    going = [e for e in charged(registry.tests_of(name)) if e.is_open and e.challenger != but]
    for entry in going:
        _end(name, entry, why)


def end_campaign_of(name: str, champion: str, challenger: str) -> None:
    """End the campaign of a pair that goes on, so that another one can begin."""
    for entry in charged(registry.tests_of(name)):
        pair = (entry.champion, entry.challenger)
        if pair == (champion, challenger) and entry.look and entry.look.state == "open":
            _end(name, entry, REPLACED)


def _end(name: str, entry: Entry, why: str) -> None:
    # What another process has written since is not overwritten.
    if entry.look is None or entry not in registry.tests_of(name):
        return
    ended = entry.ended(why, max(entry.alpha - entry.look.returnable, LEAST))
    registry.record_test(name, ended)
    version = show(ended)
    if version and why == MOVED:  # nothing speaks against it: it waits for the next campaign
        registry.tag(version, {tags.WAITS: tags.TRUE})


def refuse_ended(name: str, test: Run) -> None:
    """Refuse a promotion by a look whose campaign was ended before it could be followed.

    Raises:
        RetrainingError: The ledger has another state of it.
    """
    written = values.read_tag(test, tags.CHARGE)
    mine = Entry.read(written) if written else None
    for entry in registry.tests_of(name):
        stopped = entry.look is not None and entry.look.state in STOPPED
        if mine and entry.test == mine.test and stopped and entry.look:
            raise RetrainingError(
                f"the campaign of {entry.challenger} has ended meanwhile: {entry.look.state}",
                "run ab_test again",
            )


def show(entry: Entry, reasons: str = "") -> ModelVersion | None:
    """Show on the page of the challenger where its campaign stands; nothing for a single test.

    A description that somebody has written there is kept.

    Returns:
        The challenger; None if there is no campaign, or no such version any more.
    """
    if entry.look is None:
        return None
    try:
        version = registry.version_at(entry.challenger)
    except RetrainingError as error:
        _LOG.info(f"{error.what}, so it does not show where its campaign stands")
        return None
    of = entry.champion.rpartition("/")[-1]
    look = f"{entry.look.number} of {entry.look.n_looks} against version {of}: {entry.look.state}"
    registry.tag(version, {tags.CAMPAIGN: look})
    if (version.description or _SHOWN).startswith(_SHOWN):
        text = f"{_SHOWN} {look}. {reasons}".rstrip()
        cut = "" if len(text) <= _LONGEST else " [... whole in the run of its test]"
        registry.describe(version, text[: _LONGEST - len(cut)] + cut)
    return version
