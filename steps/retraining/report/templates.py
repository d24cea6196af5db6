"""What the pages share: their templates, and how they show a value."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from retraining.gate.wording import number, percent

MINUS: Final = "\N{MINUS SIGN}"


def open_templates() -> Environment:
    """The templates of this folder; text in them is escaped, and an unknown name is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(show=show, percent=percent)
    return environment


def show(value: object, name: str = "") -> str:
    """A value as text, with a true minus sign."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "none" if name in ("n_units", "budget", "left") else "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    text = percent(value) if name in ("confidence_level", "power") else number(value)
    return with_minus(text)


def with_minus(text: str) -> str:
    """Text in which the hyphens of numbers are minus signs."""
    return re.sub(r"(?<![0-9a-z])-|(?<=e)-", MINUS, text)
