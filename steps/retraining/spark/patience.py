"""A wait for something that may never come: it is logged, and has an end."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, NamedTuple

from py4j.protocol import Py4JError, Py4JJavaError

from retraining.errors import RetrainingError
from retraining.progress import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LOG = logging.getLogger(__name__)
_SECONDS_BETWEEN_LOOKS = 5
_SECONDS_TO_FIRST_LINE, _SECONDS_BETWEEN_LINES = 30, 900
_SECONDS_FOR_A_LOOK = 30


class Lack(NamedTuple):
    """What work waits for: in words, with what helps, and for how many seconds at most."""

    what: str
    remedy: str
    seconds: float


@contextmanager
def patience(
    lack: Callable[[], Lack], waits: Callable[[], bool], give_up: Callable[[], object]
) -> Iterator[None]:
    """Log why the block waits, and call `give_up` when that takes too long.

    Args:
        lack: What is missing at this moment.
        waits: Whether the block waits at this moment.
        give_up: Makes the block raise whatever it raises.

    Raises:
        RetrainingError: In place of what the block raises then.
    """
    left = Event()
    missed: list[Lack] = []

    def look() -> None:
        wait = _Wait()
        while not left.wait(_SECONDS_BETWEEN_LOOKS):
            try:
                if not waits():
                    wait = _Wait()
                elif wait.is_too_long(now := lack()):
                    missed.append(now)
                    give_up()
                    return
            except Py4JJavaError:
                continue  # what was asked went away at this moment
            except (Py4JError, OSError):
                return  # the JVM has ended; whoever uses it gets the error

    watcher = Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    except Exception as error:
        if missed:
            raise RetrainingError(missed[0].what, missed[0].remedy) from error
        raise
    finally:
        left.set()
        watcher.join(_SECONDS_FOR_A_LOOK)


class _Wait:
    """How long work has waited for the same thing."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._due = float(_SECONDS_TO_FIRST_LINE)
        self._limit = 0.0

    def is_too_long(self, lack: Lack) -> bool:
        """Whether this has lasted too long; now and then, it is logged."""
        if lack.seconds != self._limit:  # something else is missing
            self._since, self._due = time.monotonic(), float(_SECONDS_TO_FIRST_LINE)
            self._limit = lack.seconds
        waited = time.monotonic() - self._since
        if waited >= self._due:
            _LOG.warning(
                f"{lack.what}: waits for {duration(waited)} now, {duration(lack.seconds)} at most"
            )
            self._due = waited + min(waited, _SECONDS_BETWEEN_LINES)
        return waited >= lack.seconds
