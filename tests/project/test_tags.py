"""Tags have their names in one module: code, DAGs and documents use no others."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from retraining.tracking import tags

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
MODULE = Path(tags.__file__)
NAMES = {
    value
    for name, value in vars(tags).items()
    if name.isupper() and isinstance(value, str) and name not in ("TRUE", "TYPE_CHECKING")
}
CODE = [path for path in (ROOT / "steps").rglob("*.py") if path != MODULE]
DAGS = sorted((ROOT / "dags").glob("*.py"))


def is_known(name: str) -> bool:
    """Whether a name is that of a tag, or begins with that of a group."""
    groups = tuple(known for known in NAMES if known.endswith("."))
    return name in NAMES or name.startswith(groups)


def literal(node: ast.AST) -> str | None:
    """The text that an expression begins with, if it is stated there."""
    if isinstance(node, ast.JoinedStr):
        node = node.values[0]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def stated_tags(tree: ast.AST) -> Iterator[str]:
    """Names of tags that code states: in `.tags[...]`, `tags_of(...)[...]`, `set_tag(...)`."""
    for node in ast.walk(tree):
        keys: list[ast.AST] = []
        if isinstance(node, ast.Subscript) and _is_tags(node.value):
            keys.append(node.slice)
        elif isinstance(node, ast.Compare) and _is_tags(node.comparators[0]):
            keys.append(node.left)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "get" and _is_tags(node.func.value):
                keys += node.args[:1]
            elif node.func.attr in ("set_tag", "set_tags"):
                keys += node.args
                keys += [k for arg in node.args if isinstance(arg, ast.Dict) for k in arg.keys if k]
        yield from (name for name in map(literal, keys) if name is not None)


def _is_tags(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        node = node.func
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name in ("tags", "tags_of")


def test_every_name_has_a_sentence_and_no_two_are_the_same() -> None:
    body = ast.parse(MODULE.read_text()).body
    constants = [node for node in body if isinstance(node, ast.AnnAssign)]
    after = {id(node): following for node, following in pairwise(body)}
    undocumented = [
        node.target.id
        for node in constants
        if isinstance(node.target, ast.Name) and not isinstance(after[id(node)], ast.Expr)
    ]
    assert undocumented == ["TRUE"]
    assert len(NAMES) == len(constants) - 1


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.stem)
def test_code_states_no_name_of_a_tag(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not list(stated_tags(tree))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert not {name for name in NAMES if "." in name} & texts


def test_dags_use_tags_that_the_steps_write() -> None:
    used = {name for path in DAGS for name in stated_tags(ast.parse(path.read_text()))}
    assert {tags.VERDICT, tags.REASONS, tags.SUMMARY, tags.OUTCOME, tags.MODEL_NAME} <= used
    assert used <= NAMES


def test_documents_speak_of_tags_that_the_steps_write() -> None:
    texts = [
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "terraform").glob("*.md"),
        *DAGS,
    ]
    named = {
        name
        for path in texts
        for name in re.findall(r"\btags?\s+`?([a-z_.]+)[`=]", path.read_text())
    }
    assert {tags.CYCLE_ID, tags.VERDICT} <= named
    assert not {name for name in named if not is_known(name)}
