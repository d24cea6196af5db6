"""The tests of a model, each with the alpha that it used: what a model remembers of them.

A model that is retrained every week is tested 52 times a year. At alpha 0.05 each, the promotion of
some worthless challenger is almost certain; and models that survive many tests on the same holdout
are fitted to it. `retraining.gate.spending` says what follows for the next test.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

REPLACED: Final = "replaced"  # by another challenger
MOVED: Final = "champion_moved"
STARTED: Final = "started"  # state of a look that has no result yet
STOPPED: Final = (REPLACED, MOVED)  # states of one that something else has ended
UNDECIDED: Final = (STARTED, "open")  # states of a campaign that goes on


class HoldoutTest(NamedTuple):
    """A test of the model that is about to start.

    Attributes:
        test: Its name; a test that is tried again keeps its name.
        time: When it starts, with a time zone, like all times here.
        fingerprint: Of the content of its holdout.
        start: First moment of the holdout; None where rows have no time.
        end: First moment after it.
        champion: URI of the version that serves; "" if unknown.
        challenger: URI of the version that may replace it; "" if unknown.
        n_looks: The looks of its campaign; 1 for a test that is made once.
        campaign: Name of the first test of its campaign; "" where it begins one, or is made once.
    """

    test: str
    time: datetime
    fingerprint: str
    start: datetime | None
    end: datetime | None
    champion: str = ""
    challenger: str = ""
    n_looks: int = 1
    campaign: str = ""

    def charge(self, alpha: float, *, peek: bool = False, look: LookEntry | None = None) -> Entry:
        """The entry of the ledger for this test, once its alpha is known."""
        return Entry(
            self.test,
            self.time,
            alpha,
            self.fingerprint,
            self.start,
            self.end,
            self.champion,
            self.challenger,
            peek,
            look,
        )


class LookEntry(NamedTuple):
    """What the ledger remembers of a look of a campaign.

    Attributes:
        campaign: Name of the first test of the campaign.
        number: Of the look.
        n_looks: The looks of the campaign.
        run_id: Of the run that looked.
        state: Where the campaign stands after it; `STARTED` where the look has no result yet.
        returnable: The alpha that goes back if something else ends the campaign now.
        effect: On all rows so far; None where there is none yet.
        variance: Of the effect; None where it is unknown.
    """

    campaign: str
    number: int
    n_looks: int
    run_id: str
    state: str = STARTED
    returnable: float = 1.0
    effect: float | None = None
    variance: float | None = None

    @classmethod
    def read(cls, mapping: Mapping[str, Any]) -> LookEntry:
        """The part of an entry; fields of other versions of this project are left out."""
        return cls(**{name: value for name, value in mapping.items() if name in cls._fields})


class Entry(NamedTuple):
    """A test of the model in the ledger; see `HoldoutTest`.

    Attributes:
        alpha: The alpha that it used; 0 if it could not decide, whatever the effect. The latest
            look of a campaign has the alpha of the whole campaign, until that ends.
        peek: Whether it was a comparison that nothing could follow from, and that showed its
            p-value all the same.
        look: Of a campaign; None for a test that is made once.
    """

    test: str
    time: datetime
    alpha: float
    fingerprint: str
    start: datetime | None
    end: datetime | None
    champion: str = ""
    challenger: str = ""
    peek: bool = False
    look: LookEntry | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is a look of a campaign that goes on."""
        return self.alpha > 0 and self.look is not None and self.look.state in UNDECIDED

    def ended(self, state: str, alpha: float) -> Entry:
        """The same look, after which the campaign has ended with another charge."""
        look = self.look and self.look._replace(state=state)
        return self._replace(alpha=alpha, look=look)

    def write(self) -> str:
        """A line of JSON, short enough for a tag."""
        mapping = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in self._asdict().items()
        }
        mapping["look"] = self.look and self.look._asdict()
        return json.dumps(mapping, separators=(",", ":"))

    @classmethod
    def read(cls, text: str) -> Entry:
        """The entry that `write` wrote.

        Raises:
            RetrainingError: The text is not an entry.
        """
        try:
            mapping = json.loads(text)
            look = mapping.get("look")
            return cls(
                test=str(mapping["test"]),
                time=_instant(mapping["time"]),
                alpha=float(mapping["alpha"]),
                fingerprint=str(mapping["fingerprint"]),
                start=mapping["start"] and _instant(mapping["start"]),
                end=mapping["end"] and _instant(mapping["end"]),
                champion=str(mapping.get("champion", "")),
                challenger=str(mapping.get("challenger", "")),
                peek=bool(mapping.get("peek", look is True)),
                look=LookEntry.read(look) if isinstance(look, dict) else None,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RetrainingError(
                f"ledger entry {text!r} cannot be read",
                "restore the tag of the registered model that holds it",
            ) from error

    def shares_holdout(self, test: HoldoutTest) -> bool:
        """Whether a test uses rows that this one used.

        Without times a holdout is taken for one that never changes: a split by hash puts the same
        units into it for ever, and one row more gives it another fingerprint. No test has used rows
        that are later than itself.
        """
        if test.start is None or test.end is None:
            return True
        if self.start is None or self.end is None:
            return test.start < self.time
        overlap = self.start < test.end and test.start < self.end
        return overlap or self.fingerprint == test.fingerprint


def charged(entries: Iterable[Entry]) -> list[Entry]:
    """The entries whose alpha counts, oldest first: of a campaign, that of its latest look.

    Of several with the same number it is one with a result, the one with the largest alpha.
    """
    latest: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda entry: (*_order(entry), entry.alpha)):
        if entry.alpha > 0:
            latest[entry.look.campaign if entry.look else entry.test] = entry
    return sorted(latest.values(), key=lambda entry: (entry.time, entry.test))


def looks_of(entries: Iterable[Entry], champion: str, challenger: str) -> list[Entry]:
    """The looks of the campaign of a pair that goes on, in their order; empty if none does."""
    pair = [e for e in entries if e.look and (e.champion, e.challenger) == (champion, challenger)]
    going = {e.look.campaign for e in charged(pair) if e.look and e.is_open}
    looks = [e for e in pair if e.look and e.alpha > 0 and e.look.campaign in going]
    return sorted(looks, key=_order)


def _order(entry: Entry) -> tuple[int, bool]:
    if entry.look is None:
        return (1, True)
    return (entry.look.number, entry.look.state != STARTED)


def period(entry: Entry | HoldoutTest) -> str:
    """Which holdout, in words."""
    if entry.start is None or entry.end is None:
        return f"of fingerprint {entry.fingerprint}"
    return f"from {entry.start:%Y-%m-%d %H:%M} to {entry.end:%Y-%m-%d %H:%M}"


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment
