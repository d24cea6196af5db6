"""Make the pages of docs/reference from the code: `python docs/make.py [FOLDER]`."""

from __future__ import annotations

import ast
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


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "docs" / "reference"
    (folder / "tags.md").write_text(tags())
