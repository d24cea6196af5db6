"""The schema for editors, which tests/project holds up to date, agrees with the reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from retraining.description import yaml12

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "reference" / "description.schema.json"


def read(name: str) -> dict[str, Any]:
    text = (ROOT / "steps" / "datasets" / f"{name}.yaml").read_text()
    content: dict[str, Any] = yaml12.parse(text, name).content
    return content


@pytest.mark.parametrize("name", ["fraud", "drivers"])
def test_shipped_descriptions_are_valid(name: str) -> None:
    jsonschema.validate(read(name), json.loads(PAGE.read_text()))


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("typo", 1),
        ("label", {"column": "tx_fraud", "delay": "a week"}),
        ("columns", {"a": {"type": "float"}}),
        ("gate", {"strategy": "guess"}),
        ("split", {"by": "time", "train": "7 days", "validation": "7 days"}),
    ],
)
def test_what_the_reader_refuses_an_editor_marks(section: str, value: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(read("fraud") | {section: value}, json.loads(PAGE.read_text()))
