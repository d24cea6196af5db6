"""The one exception a user is meant to see."""

from __future__ import annotations


class RetrainingError(Exception):
    """An expected failure, told to the user in one line and with exit code 1.

    Args:
        what: The thing that is wrong, with its value.
        remedy: What the user can do about it.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}: {remedy}")
        self.what = what
        self.remedy = remedy
