"""Numbers as text: how verdicts, reports and notes write them."""

from __future__ import annotations

import math
from typing import Final

MOST_DECIMALS: Final = 6


def number(value: float) -> str:
    """Four significant digits, or "unknown" for NaN."""
    return "unknown" if math.isnan(value) else f"{value:.4g}"


def percent(share: float) -> str:
    """A share as a percentage of at most four significant digits."""
    return f"{100 * share:.4g}%"


def signed(value: float) -> str:
    """Four significant digits with a sign, or "unknown" for NaN."""
    return "unknown" if math.isnan(value) else f"{value:+.4g}"


def align(effect: float, lower: float, upper: float) -> tuple[str, str, str]:
    """An effect and its interval, signed, with as many decimals as the interval is precise to."""
    if not upper - lower > 0:
        return signed(effect), signed(lower), signed(upper)
    decimals = max(0, 2 - math.floor(math.log10(upper - lower)))
    if decimals > MOST_DECIMALS:
        return signed(effect), signed(lower), signed(upper)
    return f"{effect:+.{decimals}f}", f"{lower:+.{decimals}f}", f"{upper:+.{decimals}f}"
