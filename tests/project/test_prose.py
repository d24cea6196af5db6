"""The texts that users read are those of `tests/prose.md`."""

from __future__ import annotations

import pytest

from tests import prose

REMEDY = "if the new text reads well, run `PYTHONPATH=steps python -m tests.prose`"


@pytest.mark.parametrize("title", prose.SECTIONS)
def test_text_is_the_one_that_was_read(title: str) -> None:
    assert prose.SECTIONS[title]() == prose.kept().get(title), REMEDY


def test_the_file_has_no_other_texts() -> None:
    assert list(prose.kept()) == list(prose.SECTIONS), REMEDY
