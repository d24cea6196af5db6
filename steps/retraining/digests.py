"""Short names for contents."""

from __future__ import annotations

import hashlib


def digest(text: str, length: int = 16) -> str:
    """Return the first hexadecimal digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]
