"""Texts that users read, kept in `tests/prose.md`, so that a change of wording shows as a diff.

Tests assert on statuses, numbers and names; the wording is held here alone. After a change:

    PYTHONPATH=steps python -m tests.prose
"""

from __future__ import annotations

import importlib
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

FILE: Final = Path(__file__).with_suffix(".md")
HEAD: Final = f"# Texts that users read\n\n{(__doc__ or '').strip()}\n"
ROOT: Final = FILE.parents[1]
ENTRY_POINTS: Final = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]


def script_of(entry_point: str) -> str:
    """Name of the script of an entry point."""
    return "chain" if entry_point == "main" else entry_point


def command_of(entry_point: str) -> click.Command:
    """The command of an entry point."""
    command = getattr(importlib.import_module(script_of(entry_point)), entry_point)
    assert isinstance(command, click.Command)
    return command


def help_of(entry_point: str) -> str:
    """What `--help` of an entry point shows in a terminal of 100 columns."""
    command, name = command_of(entry_point), f"{script_of(entry_point)}.py"
    context = click.Context(command, info_name=name, terminal_width=100, **command.context_settings)
    return command.get_help(context)


# Each title with the function that makes its text.
SECTIONS: Final[dict[str, Callable[[], str]]] = {
    f"{script_of(name)}.py --help": partial(help_of, name) for name in ENTRY_POINTS
}


def kept() -> dict[str, str]:
    """The texts of the file by their titles."""
    parts = re.findall(
        r"^## ([^\n]+)\n\n```\n(.*?)\n```$", FILE.read_text(), re.MULTILINE | re.DOTALL
    )
    return dict(parts)


def write() -> None:
    """Write all texts into the file."""
    parts = (f"\n## {title}\n\n```\n{make()}\n```\n" for title, make in SECTIONS.items())
    FILE.write_text(HEAD + "".join(parts))


if __name__ == "__main__":
    write()
