"""What is wrong with a mapping, in one line a reader of the file understands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

# Longer values are cut: the key says where to look.
_SHOWN_CHARACTERS = 80


def explain(error: ValidationError, mapping: dict[str, Any]) -> str:
    """Join the problems of a mapping: "key: value is wrong, allowed: ...; ...".

    Args:
        error: What pydantic found.
        mapping: What it was given. Pydantic's own paths hold names of union members, which stand
            in no file; only keys of the mapping are named.
    """
    problems: dict[str, list[str]] = {}
    for item in error.errors(include_url=False):
        key = _locate(item, mapping)
        complaints = problems.setdefault(key, [])
        complaint = _complain(item)
        if complaint not in complaints:  # each member of a union has its say about one value
            complaints.append(complaint)
    lines = ((key, " or ".join(complaints)) for key, complaints in problems.items())
    return "; ".join(f"{key}: {complaint}" if key else complaint for key, complaint in lines)


def _locate(item: ErrorDetails, mapping: dict[str, Any]) -> str:
    keys: list[str] = []
    value: Any = mapping
    for part in item["loc"]:
        inside = dict(enumerate(value)) if isinstance(value, list | tuple) else value
        if isinstance(inside, dict) and part in inside:
            value = inside[part]
            keys.append(str(part))
    if item["type"] == "missing":
        keys.append(str(item["loc"][-1]))
    if item["type"].startswith("union_tag"):
        keys.append(item["ctx"]["discriminator"].strip("'"))
    return ".".join(keys)


def _complain(item: ErrorDetails) -> str:
    context = item.get("ctx", {})
    match item["type"]:
        case "missing":
            return "is missing"
        case "union_tag_not_found":
            return "is missing"
        case "union_tag_invalid":
            return f"{context['tag']!r} is unknown, allowed: {context['expected_tags']}"
        case "literal_error":
            return _show(item["input"], f"is unknown, allowed: {context['expected']}")
        case "value_error":
            return _show(item["input"], str(context["error"]))
        case _:
            return _show(item["input"], item["msg"][0].lower() + item["msg"][1:])


def _show(value: object, complaint: str) -> str:
    if isinstance(value, dict | list | tuple | BaseModel):
        return complaint
    return f"{value!r:.{_SHOWN_CHARACTERS}} {complaint}"
