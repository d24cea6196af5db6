"""What tests read in sentences, so that their wording may change."""

from __future__ import annotations

import re


def numbers(sentence: str) -> list[str]:
    """Its numbers as they are written, in their order."""
    return re.findall(r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?%?", sentence)
