"""Make the pages of docs/reference from the code: `python docs/make.py [FOLDER]`."""

from __future__ import annotations

import ast
import json
import sys
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TAGS = ROOT / "steps" / "retraining" / "tracking" / "tags.py"


def tags() -> str:
    """The tags of runs, of model versions and of registered models, with what they mean."""
    body = ast.parse(TAGS.read_text()).body
    documented = [
        (ast.literal_eval(name.value), ast.literal_eval(text.value))
        for name, text in pairwise(body)
        if isinstance(name, ast.AnnAssign) and name.value and isinstance(text, ast.Expr)
    ]
    page = ["# Tags", "", "Names that end in a dot begin the names of a group of tags."]
    for kind, title in (
        ("run", "Runs"),
        ("version", "Model versions"),
        ("model", "Registered models"),
    ):
        page += ["", f"## {title}", "", "| tag | value |", "|---|---|"]
        for name, text in documented:
            kinds, _, meaning = text.partition(": ")
            if kind in kinds.lower().split(", "):
                page.append(f"| `{name}` | {meaning[0].upper()}{meaning[1:]} |")
    return "\n".join([*page, ""])


def description_schema() -> str:
    """What a description file may hold, for completion and checks in an editor."""
    sys.path.insert(0, str(ROOT / "steps"))
    from retraining.description.document import Description

    # Of pydantic's two modes, this one has the defaults as a file has them: "0 days".
    schema = Description.model_json_schema(mode="serialization")
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def verdict_schema() -> str:
    """What verdict.json holds."""
    sys.path.insert(0, str(ROOT / "steps"))
    from retraining.gate.schema import verdict_schema

    return json.dumps(verdict_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "docs" / "reference"
    (folder / "tags.md").write_text(tags())
    (folder / "description.schema.json").write_text(description_schema())
    (folder / "verdict.schema.json").write_text(verdict_schema())
