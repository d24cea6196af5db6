"""Read a description from YAML or JSON, or say in one line what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from retraining.description import yaml12
from retraining.description.consistency import Problem, find_problems
from retraining.description.document import Description
from retraining.errors import RetrainingError
from retraining.gate.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic_core import ErrorDetails

# Longer values are cut off: the key says where to look.
_SHOWN_CHARACTERS = 80
_VALID = " input should be a valid "


def load(path: str | Path) -> Description:
    """Read a description from a YAML file.

    Raises:
        RetrainingError: If there is no such file, or no valid description in it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise RetrainingError(f"{path}: {reason}", "give the path of a description") from error
    content, lines = yaml12.parse(text, str(path))
    return from_mapping(content, str(path), lines)


def from_mapping(
    mapping: object,
    where: str = "description",
    lines: Mapping[str, int] = MappingProxyType({}),
) -> Description:
    """Read a description from nested mappings, for example parsed YAML or JSON.

    Args:
        mapping: What `Description.to_mapping` wrote, or what a YAML file holds.
        where: The file or place, named in errors.
        lines: The line of each key in the file, as `yaml12.parse` returns them.

    Raises:
        RetrainingError: With every problem in one line: key, value, allowed values.
    """
    if not isinstance(mapping, dict):
        raise RetrainingError(f"{where} is not a mapping", "write a description in it")
    try:
        description = Description.model_validate(mapping)
    except ValidationError as error:
        problems = _explain(error, mapping)
        raise RetrainingError(*_join(where, problems, lines)) from error
    problems = find_problems(description)
    if problems:
        raise RetrainingError(*_join(where, problems, lines))
    return description


def read_policy(values: Mapping[str, Any]) -> Policy:
    """A policy of these values.

    Raises:
        RetrainingError: With every problem in one line: field, value, allowed values.
    """
    try:
        return Policy(**values)
    except ValidationError as error:
        raise RetrainingError(*_join("policy", _explain(error, values), {})) from error


def _join(where: str, problems: Sequence[Problem], lines: Mapping[str, int]) -> tuple[str, str]:
    """Return the place of the first problem, and all problems."""
    placed = [(_line(key, lines), f"{key}: {what}" if key else what) for key, what in problems]
    (line, first), *others = placed
    rest = (f"line {number}: {text}" if number else text for number, text in others)
    return f"{where} line {line}" if line else where, "; ".join([first, *rest])


def _line(key: str, lines: Mapping[str, int]) -> int | None:
    """Return the line of a key, or of the closest key around it."""
    while key and key not in lines:
        key = key.rpartition(".")[0]
    return lines.get(key)


def _explain(error: ValidationError, mapping: Mapping[str, Any]) -> list[Problem]:
    """Return the problems of a mapping by key.

    Pydantic's paths include names of union members, which are not in the file: only keys of the
    mapping are shown. Each member of a union may complain about the same value.
    """
    complaints: dict[str, dict[str, None]] = {}
    for item in error.errors(include_url=False):
        keys = [*_keys(item, mapping)]
        for last in item.get("ctx", {}).get("keys", [None]):
            key = ".".join(keys if last is None else [*keys, last])
            complaints.setdefault(key, {})[_complain(item)] = None
    return [Problem(key, _join_types([*texts])) for key, texts in complaints.items()]


def _join_types(complaints: Sequence[str]) -> str:
    """Say once which types a value could have, of which each member of a union asks for one."""
    parts = [text.partition(_VALID) for text in complaints]
    if len({start for start, _, _ in parts}) > 1 or not all(found for _, found, _ in parts):
        return " or ".join(complaints)
    return parts[0][0] + _VALID + " or ".join(kind.partition(",")[0] for _, _, kind in parts)


def _keys(item: ErrorDetails, mapping: Mapping[str, Any]) -> Iterator[str]:
    value: Any = mapping
    for part in item["loc"]:
        inside = dict(enumerate(value)) if isinstance(value, list | tuple) else value
        if isinstance(inside, dict) and part in inside:
            value = inside[part]
            yield str(part)
    if item["type"] == "missing":
        yield str(item["loc"][-1])
    if item["type"].startswith("union_tag"):
        yield item["ctx"]["discriminator"].strip("'")


def _complain(item: ErrorDetails) -> str:
    context = item.get("ctx", {})
    match item["type"]:
        case "missing" | "union_tag_not_found":
            return "is missing"
        case "union_tag_invalid":
            return f"{context['tag']!r} is unknown, allowed: {context['expected_tags']}"
        case "literal_error":
            return _show(item["input"], f"is unknown, allowed: {context['expected']}")
        case "unknown_keys":
            return item["msg"]
        case "value_error":
            dates = ", or dates: {start: 2024-01-31, end: 2024-12-31}" if _is_window(item) else ""
            return _show(item["input"], f"{context['error']}{dates}")
        case _ if item["input"] is None:
            return "is null, write a value ('null' in quotes, if it is a text)"
        case "tuple_type" if not isinstance(item["input"], dict):
            return _show(item["input"], f"is not a list, write [{item['input']}]")
        case "model_type" | "dict_type" | "model_attributes_type":
            return _show(item["input"], "has no keys, write {key: value}")
        case _:
            return _show(item["input"], item["msg"][0].lower() + item["msg"][1:])


def _is_window(item: ErrorDetails) -> bool:
    """Whether a duration was refused where days could stand, too."""
    section, *keys = item["loc"]
    return section == "split" and keys[-1:] == ["length"]


def _show(value: object, complaint: str) -> str:
    if isinstance(value, dict | list | tuple | BaseModel):
        return complaint
    return f"{value!r:.{_SHOWN_CHARACTERS}} {complaint}"
