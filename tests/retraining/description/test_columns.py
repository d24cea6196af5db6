"""What a description says of a column: read as meant, or refused with what does not fit."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from retraining.description.columns import Column
from retraining.description.sections import Files


def complaint(**rules: Any) -> str:  # noqa: ANN401
    with pytest.raises(ValidationError) as caught:
        Column(**rules)
    return str(caught.value.errors()[0]["ctx"]["error"])


@pytest.mark.parametrize(
    ("rules", "shown"),
    [
        ({"min": 100, "max": 18}, ("min: 100", "max: 18")),
        ({"above": 5, "below": 5}, ("above: 5", "below: 5")),
        ({"min": 5, "below": 5}, ("min: 5", "below: 5")),
        ({"above": 7, "max": 6.5}, ("above: 7", "max: 6.5")),
        ({"allowed": [0, 1, 9], "max": 5}, ("allowed: 9", "max: 5")),
        ({"allowed": [0, 1], "above": 0}, ("allowed: 0", "above: 0")),
        ({"type": "date", "min": "2020-01-02", "max": "2020-01-01"}, ("2020-01-02", "2020-01-01")),
        ({"type": "timestamp", "min": 3}, ("min: 3", "timestamp")),
        ({"type": "boolean", "allowed": ["yes"]}, ("'yes'", "write true or false")),
        ({"type": "string", "allowed": [True]}, ("True", "write it in quotes")),
        ({"format": "yyyy"}, ("format: yyyy", "int")),
    ],
)
def test_rules_that_leave_no_value_are_refused(
    rules: dict[str, Any], shown: tuple[str, ...]
) -> None:
    message = complaint(**{"type": "int", **rules})
    assert [part for part in shown if part not in message] == []


def test_bounds_may_meet_where_both_are_included() -> None:
    assert Column(type="int", min=5, max=5, allowed=(5,)).bounds == {"min": 5, "max": 5}


def test_one_name_and_one_value_need_no_brackets() -> None:
    column = Column.model_validate({"type": "int", "source": "emp.age", "null_values": 999})
    assert column.source == ("emp.age",)
    assert column.null_values == (999,)


def test_an_expression_that_java_alone_knows_is_left_to_it() -> None:
    assert Column(type="string", pattern=r"\p{L}+").pattern == r"\p{L}+"
    with pytest.raises(ValidationError, match="is not a regular expression"):
        Column(type="string", pattern="(a")


def test_one_mark_cannot_be_both_decimal_and_thousands() -> None:
    with pytest.raises(ValidationError, match=r"thousands: '\.' .*decimal: ','"):
        Files(thousands=".")
    assert Files(thousands=".", decimal=",").decimal == ","
