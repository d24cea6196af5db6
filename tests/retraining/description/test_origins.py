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


LOSS: dict[str, Any] = {
    **COLUMNS,
    "loss": {"type": "double", "expression": "km * price"},
    "lost": {"type": "int", "expression": "CAST(loss + refund > 0 AS INT)"},
}


@pytest.mark.parametrize("never", [["loss"], ["loss", "refund"]])
def test_a_never_feature_with_an_expression_unlocks_no_part_of_the_label(
    make: Callable[..., Description], never: list[str]
) -> None:
    sections: dict[str, Any] = {"columns": LOSS, "label": {"column": "lost"}}
    plain = {"features": {"plain": ["month"]}}
    description = make(**sections, **plain, never_features=never)
    assert {"loss", "km", "price", "refund"} <= description.forbidden_features.keys()
    description = make(**sections, **plain, never_features=["km"])
    assert {"loss", "km"} <= description.forbidden_features.keys()
    assert not {"price", "refund"} & description.forbidden_features.keys()


def rolling_by(key: str) -> dict[str, Any]:
    """Rows of the same key within a week."""
    entry = {"key": key, "value": "km", "aggregates": ["count"], "windows": ["7 days"]}
    return {"features": {**PLAIN, "rolling": [entry]}, "event_time": "first"}


def test_a_key_of_windows_may_be_an_id_that_every_row_has(
    make: Callable[..., Description],
) -> None:
    column = {"type": "string", "not_null": True}
    description = make(
        **rolling_by("note"), columns={**COLUMNS, "note": column}, never_features=["note"]
    )
    assert "note" not in origins.late_columns(description)


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
        (
            {**rolling_by("note"), "never_features": ["note"]},
            "features.rolling.0.key",
            ("note may be known only afterwards", "not_null"),
        ),
        (
            {**rolling_by("noted"), "never_features": ["note"]},
            "features.rolling.0.key",
            ("noted may be", "(note in never_features)"),
        ),
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
