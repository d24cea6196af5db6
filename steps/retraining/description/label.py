"""The label of a row."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from retraining.description.durations import Duration  # noqa: TC001 (pydantic needs it)
from retraining.description.section import Section, Value


class Label(Section):
    """The label, its positive value or values, and how long after the event it is known."""

    column: str
    positive: Value | Annotated[tuple[Value, ...], Field(min_length=1)] = 1
    delay: Duration = timedelta(0)

    @property
    def positives(self) -> tuple[Value, ...]:
        """The values of a positive row."""
        return self.positive if isinstance(self.positive, tuple) else (self.positive,)
