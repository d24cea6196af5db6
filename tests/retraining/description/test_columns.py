"""What a description says of a column: read as meant, or refused with what does not fit."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from retraining.description.columns import Column
from retraining.description.reading import from_mapping
from retraining.description.text_files import Files
from retraining.errors import RetrainingError


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


@pytest.fixture
def mapping() -> dict[str, Any]:
    return {
        "name": "people",
        "columns": {
            "key": {"type": "int"},
            "age": {"type": "int"},
            "sex": {"type": "string"},
            "ill": {"type": "boolean"},
        },
        "label": {"column": "ill", "positive": True},
        "row_key": "key",
        "features": {"plain": ["age"], "fill": {"age": 1}},
        "split": {"by": "hash", "train": 0.6, "validation": 0.2, "holdout": 0.2},
        "estimator": {"name": "LogisticRegression"},
    }


TIMES = {"by": "time", "train": "9 days", "validation": "1 day", "holdout": "1 day"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"features": {"plain": ["agee"], "fill": {"age": 1}}},
            "features.plain: agee is not a column (did you mean age?), allowed: key, age, ill",
        ),
        (
            {"features": {"plain": ["age"], "fill": {"sexx": "f", "b": 1}}},
            "features.fill: sexx, b are not features, allowed: age",
        ),
        ({"slices": "sex"}, "slices: 'sex' is not a list, write [sex]"),
        ({"timezone": "Berlin"}, "timezone: 'Berlin' is not a time zone"),
        ({"label": {"column": "ill", "positive": "yes"}}, "write true or false"),
        ({"files": {"null_values": [None]}}, "is null, write a value ('null' in quotes"),
        ({"split": {**TIMES, "train": "2009-01-01"}}, "'2009-01-01' is not a duration"),
        ({"split": {**TIMES, "train": "2009-01-01"}}, "or dates: {start: 2024-01-31, end: "),
    ],
)
def test_mistakes_are_answered_with_what_to_write(
    mapping: dict[str, Any], changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(RetrainingError) as caught:
        from_mapping({**mapping, **changes})
    message = str(caught.value)
    assert told in message
    assert "; " not in message  # once, and nothing that follows from it


@pytest.mark.parametrize(
    ("name", "rule", "told"),
    [
        ("emp.var.rate", {}, "source: ['emp.var.rate'] to read it, for example as emp_var_rate"),
        ("9-a b", {}, "for example as x_9_a_b"),
        (
            "z",
            {"min": "2x"},
            "columns.z.min: '2x' input should be a valid integer or number or date",
        ),
        (
            "z",
            {"allowed": [0, 1], "null_values": [0]},
            "0 means that there is no value, by columns.z",
        ),
    ],
)
def test_columns_are_answered_with_what_to_write(
    mapping: dict[str, Any], name: str, rule: dict[str, Any], told: str
) -> None:
    mapping["columns"][name] = {"type": "int", **rule}
    with pytest.raises(RetrainingError) as caught:
        from_mapping(mapping)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
