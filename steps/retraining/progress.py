"""How far long work has come: a bar where a terminal shows it, a few log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LOG = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES: Final = 30.0


@contextmanager
def track(work: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Show how much of some work is done, and how long the rest will take at this pace.

    Where standard error is a terminal, that is a bar which disappears at the end. Elsewhere it is
    a log line every `SECONDS_BETWEEN_LINES` at most, and none for work that takes less.

    Args:
        work: What is being done.
        total: Number of units, at least 1.
        unit: What they are, in the plural.

    Yields:
        `advance(n)`, to be called when n more units are done.
    """
    if sys.stderr.isatty():
        with tqdm(total=total, desc=work, unit=f" {unit}", leave=False, dynamic_ncols=True) as bar:

            def advance(n: int) -> None:
                bar.update(n)

            yield advance
        return
    started = shown = time.monotonic()
    done = 0

    def report(n: int) -> None:
        nonlocal shown, done
        done += n
        now = time.monotonic()
        if now - shown >= SECONDS_BETWEEN_LINES and 0 < done < total:
            shown = now
            left = duration((now - started) / done * (total - done))
            _LOG.info(f"{work}: {done:,} of {total:,} {unit}, about {left} left")

    yield report


def counted(n: int, noun: str) -> str:
    """A number with its noun: `1 file`, `2,000 files`."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


def all_files_are(n: int) -> str:
    """What holds for each of them: `the only file is`, `all 20 files are`."""
    return "the only file is" if n == 1 else f"all {n:,} files are"


def duration(seconds: float) -> str:
    """Seconds as a person reads them: `8.3 s`, `48 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
