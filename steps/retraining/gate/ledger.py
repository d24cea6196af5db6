"""The tests of a model, each with the alpha that it used: what a model remembers of them.

A model that is retrained every week is tested 52 times a year. At alpha 0.05 each, the promotion of
some worthless challenger is almost certain; and models that survive many tests on the same holdout
are fitted to it. `retraining.gate.spending` says what follows for the next test.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import NamedTuple

from retraining.errors import RetrainingError


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
    """

    test: str
    time: datetime
    fingerprint: str
    start: datetime | None
    end: datetime | None
    champion: str = ""
    challenger: str = ""

    def charge(self, alpha: float, *, look: bool = False) -> Entry:
        """The entry of the ledger for this test, once its alpha is known."""
        return Entry(
            self.test,
            self.time,
            alpha,
            self.fingerprint,
            self.start,
            self.end,
            self.challenger,
            look,
        )


class Entry(NamedTuple):
    """A test of the model in the ledger; see `HoldoutTest`.

    Attributes:
        alpha: The alpha that it used; 0 if it could not decide, whatever the effect.
        look: Whether it was a comparison that nothing could follow from, and that showed its
            p-value all the same.
    """

    test: str
    time: datetime
    alpha: float
    fingerprint: str
    start: datetime | None
    end: datetime | None
    challenger: str = ""
    look: bool = False

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
                challenger=str(mapping.get("challenger", "")),
                look=bool(mapping.get("look", False)),
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
