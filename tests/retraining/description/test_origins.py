"""Columns made by an expression: what they are made of, and what must not be a feature."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from retraining.description import origins
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from retraining.description.document import Description

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "data.md"
COLUMNS: dict[str, Any] = {
    "id": {"type": "bigint"},
    "year": {"type": "int"},
    "month": {"type": "int"},
    "km": {"type": "double"},
    "refund": {"type": "double"},
    "price": {"type": "double"},
    "note": {"type": "string"},
    "first": {"type": "date", "expression": "make_date(year, month, 1)"},
    "late": {"type": "int", "expression": "CAST(Refund > price / 2 AS INT)"},
    "again": {"type": "double", "expression": "late * 2"},
    "noted": {"type": "int", "expression": "length(note)"},
    "twice": {"type": "double", "expression": "refund * 2"},
}
YEAR_OF_FIRST = {"type": "int", "expression": "year(first)"}
PLAIN = {"plain": ["km"]}


@pytest.fixture
def make(describe: Callable[..., Description]) -> Callable[..., Description]:
    def make(**sections: Any) -> Description:  # noqa: ANN401 (whatever YAML may hold)
        given = {"columns": COLUMNS, "row_key": "id", "features": PLAIN}
        return describe(**{**given, "label": {"column": "late"}, **sections})

    return make


def test_columns_are_known_by_what_they_are_made_of(make: Callable[..., Description]) -> None:
    description = make(unit="first", never_features=["note"])
    assert origins.find_origins(description) == {
        "first": {"year", "month"},
        "late": {"refund", "price"},
        "again": {"late", "refund", "price"},
        "noted": {"note"},
        "twice": {"refund"},
    }
    assert list(description.file_columns) == [*list(COLUMNS)[:7]]
    forbidden = {"id", "late", "refund", "price", "again", "note", "noted", "twice", "class_weight"}
    assert description.forbidden_features.keys() == forbidden
    assert "first" in description.not_null_columns
    unknown = {"late", "refund", "price", "again", "note", "noted", "twice"}
    assert origins.late_columns(description) == unknown
    assert origins.unjudged_columns(description) == unknown - {"note"}


def test_never_features_say_which_part_of_a_label_is_known_afterwards(
    make: Callable[..., Description],
) -> None:
    description = make(never_features=["refund"], features={"plain": ["price"]})
    assert "price" not in description.forbidden_features
    assert {"refund", "twice", "late", "again"} <= description.forbidden_features.keys()
    assert origins.late_columns(description) == {"late", "refund", "again", "twice"}


@pytest.mark.parametrize(
    ("sections", "key", "shown"),
    [
        ({"features": {"plain": ["price"]}}, "features.plain", ("price", "is made of", "never_f")),
        ({"features": {"plain": ["again"]}}, "features.plain", ("again", "reveals the label")),
        ({"features": {"derived": {"x": "twice + 1"}}}, "features.derived.x", ("twice",)),
        (
            {"features": {**PLAIN, "categorical": ["noted"]}, "never_features": ["note"]},
            "features.categorical",
            ("noted", "never_features"),
        ),
        ({"unit": "again"}, "label.column", ("again", "made from late", "unit")),
        ({"columns": {**COLUMNS, "x": {"type": "int", "expression": "x + kn"}}}, "", ("x, kn",)),
        ({"columns": {"x": YEAR_OF_FIRST, **COLUMNS}}, "", ("first",)),
        ({"columns": {**COLUMNS, "x": {"type": "int", "expression": "first"}}}, None, ()),
        ({"columns": {**COLUMNS, "x": {"type": "int", "expression": "rand()"}}}, "", ("rand()",)),
        (
            {"columns": {**COLUMNS, "x": {"type": "int", "expression": "id", "source": ["y"]}}},
            "columns.x.source",
            ("in no file",),
        ),
        (
            {"columns": {**COLUMNS, "x": {"type": "int", "expression": "id", "allowed": [0, 1, 2]}},
             "label": {"column": "x", "positive": 1}},
            "label.positive",
            ("1 is one of 3 values of x (0, 1, 2)", "a list"),
        ),
        ({"label": {"column": "year", "positive": [1, "a"]}}, "label.positive", ("'a'", "int")),
        ({"label": {"column": "year", "positive": []}}, "label.positive", ("at least 1",)),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(
    make: Callable[..., Description],
    sections: dict[str, Any],
    key: str | None,
    shown: tuple[str, ...],
) -> None:
    if key is None:
        make(**sections)
        return
    with pytest.raises(RetrainingError) as caught:
        make(**sections)
    place = key or "columns.x.expression"
    complaint = str(caught.value).removeprefix("description: ")
    assert complaint.startswith(f"{place}: ")
    assert [part for part in shown if part not in complaint] == []


def test_examples_of_the_documentation_are_read(describe: Callable[..., Description]) -> None:
    text = DOCUMENTATION.read_text()
    start, end = text.index("## Columns made by an expression"), text.index("## Splits")
    computed, label, keys = map(
        yaml.safe_load, re.findall(r"```yaml\n(.*?)```", text[start:end], re.S)
    )

    made = describe(**computed, row_key=None, features={"plain": ["power"]})
    assert made.key_columns == ("row_id",)
    assert {"claims", "claimed"} <= made.forbidden_features.keys()
    assert made.not_null_columns[-3:] == ("claimed", "at", "season")

    columns = {name: {"type": "string"} for name in ("grade", "shop", "customer", "terminal")}
    columns |= {"week": {"type": "int"}, "at": {"type": "timestamp"}}
    split = {"by": "time", "train": "9 days", "gap": "30 days", "validation": "9 days"}
    described = describe(
        columns=columns,
        event_time="at",
        split={**split, "holdout": "9 days"},
        features={"plain": ["week"]},
        **label,
        **keys,
    )
    assert described.label.positives == ("C", "D")
    assert described.unique_keys == (("shop", "week"),)
