"""The one exception that users are meant to see, and the reasons of others in one line."""

from __future__ import annotations

import re


class RetrainingError(Exception):
    """An expected failure, shown to the user in one line and with exit code 1.

    Args:
        what: The thing that is wrong, with its value.
        remedy: What the user can do about it.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}: {remedy}")
        self.what = what
        self.remedy = remedy


def full_text(error: object) -> str:
    """What an exception says, with Java's trace; some of PySpark have a message that is no text."""
    try:
        text = str(error)
    except TypeError:
        text = ""
    return f"{text}\n{getattr(error, '_stackTrace', '')}".strip()


def reason(error: object) -> str:
    """Return the first line of what an exception of Python or Java says; its type if nothing."""
    text = re.sub(r"^An error occurred while calling \S+\s+:( [\w.$]+:)*", "", full_text(error))
    lines = text.strip().splitlines()
    return lines[0] if lines else type(error).__name__
