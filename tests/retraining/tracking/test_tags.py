"""Tags that say yes or no."""

from __future__ import annotations

import pytest

from retraining.tracking import tags


@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_is_read_as_it_was_written(value: bool) -> None:  # noqa: FBT001
    carried = {tags.CODE_DIRTY: tags.boolean(value)}
    assert tags.is_true(carried, tags.CODE_DIRTY, absent=not value) is value


def test_a_tag_that_is_not_set_is_what_the_caller_says() -> None:
    assert not tags.is_true({}, tags.BINDING)
    assert tags.is_true({}, tags.CODE_DIRTY, absent=True)
