"""What tests of campaigns share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.benchmarks.courses import remembered

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def bounds_remembered() -> Iterator[None]:
    """Bounds that are found once, not by every look."""
    with remembered():
        yield
