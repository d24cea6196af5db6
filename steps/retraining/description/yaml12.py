"""YAML as version 1.2 reads it, with the line of every key.

PyYAML reads YAML 1.1, in which `no` and `on` are booleans, `012` is 10, `1:30` is 90, `1_000` is a
number and `1e-5` is not. Version 1.2 has `true` and `false`, decimal numbers and text. Keys are
names here, so they are always text.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TAG = "tag:yaml.org,2002:"

# The core schema of YAML 1.2, section 10.3.2, and the merge key of 1.1; all else is text.
_PLAIN = {
    "null": (r"~|null|Null|NULL|", ("~", "n", "N", "")),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "merge": (r"<<", "<"),
}


class Parsed(NamedTuple):
    """What a text holds.

    Attributes:
        content: Mappings, lists and scalars; None for an empty text.
        lines: The line, from 1, of every key and list item by its dotted path: `columns.age.type`.
    """

    content: Any
    lines: dict[str, int]


def parse(text: str, where: str) -> Parsed:
    """Read one YAML document.

    Args:
        text: The document.
        where: The file, named in errors.

    Raises:
        RetrainingError: If it is not YAML, or a mapping has a key twice.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        content = None if node is None else loader.construct_document(node)
    except _DuplicateKeyError as error:
        raise RetrainingError(
            f"{where} line {error.line}: key {error.key} is already on line {error.first}",
            "give each key once",
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = where if mark is None else f"{where} line {mark.line + 1}"
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise RetrainingError(f"{place}: {problem}", "write valid YAML") from error
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise RetrainingError(f"{where}: {problem}", "write valid YAML") from error
    return Parsed(content, {} if node is None else dict(_lines(node)))


def write(content: Mapping[str, Any]) -> str:
    """Write what `parse` reads back the same, and so does a reader of YAML 1.1."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False)


def inline(value: object) -> str:
    """Write a value on one line, for a file that also has comments."""
    text = yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=True,
        allow_unicode=True,
        width=sys.maxsize,
    )
    return str(text).removesuffix("...\n").rstrip("\n")


class _DuplicateKeyError(Exception):
    def __init__(self, key: str, first: int, line: int) -> None:
        super().__init__(key)
        self.key, self.first, self.line = key, first, line


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012 (add_implicit_resolver fills it)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:  # noqa: ANN401 (PyYAML's)
        """Take keys for names, and refuse equal ones, of which PyYAML keeps the last.

        Merged keys are not there yet: a mapping's own may repeat them.
        """
        node = super().compose_mapping_node(anchor)
        first: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                earlier = first.setdefault(key.value, key)
                if earlier is not key:
                    raise _DuplicateKeyError(key.value, _line(earlier), _line(key))
                if key.tag != f"{_TAG}merge":
                    key.tag = f"{_TAG}str"
        return node

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Read a number with leading zeros as a decimal one."""
        text = self.construct_scalar(node)
        return int(text, 0 if text.startswith(("0o", "0x")) else 10)


class _Dumper(yaml.SafeDumper):
    """Quotes text that either version would take for something else."""


_Loader.add_constructor(f"{_TAG}int", _Loader.construct_yaml_int)
for _name, (_pattern, _firsts) in _PLAIN.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"(?:{_pattern})$"), [*_firsts])


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _lines(
    node: yaml.Node, path: tuple[str, ...] = (), outer: tuple[yaml.Node, ...] = ()
) -> Iterator[tuple[str, int]]:
    """Lines by dotted path. Of a merged key and one of the mapping's own, the own comes last."""
    if node in outer:  # an anchor within itself
        return
    if isinstance(node, yaml.MappingNode):
        items = [(key.value, key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        items = [(index, value, value) for index, value in enumerate(node.value)]
    else:
        items = []
    for name, marked, value in items:
        inner = (*path, str(name))
        yield ".".join(inner), _line(marked)
        yield from _lines(value, inner, (*outer, node))
