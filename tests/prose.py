"""Texts that users read, kept in `tests/prose.md`, so that a change of wording shows as a diff.

Tests assert on statuses, numbers and names; the wording is held here alone. After a change:

    PYTHONPATH=steps python -m tests.prose
"""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

import click
import yaml

from retraining.gate.fields import Outcome
from retraining.gate.reasons import explain_verdict
from retraining.report import summary
from tests.samples import FACTS, NAMES, make_sample

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


def verdict_of(outcome: Outcome) -> str:
    """The Markdown of a verdict, as the note of a run holds it."""
    return summary.markdown(make_sample(outcome).verdict, FACTS, NAMES).rstrip("\n")


def undecided() -> str:
    """The reasons of a verdict where rows are too few to decide."""
    verdict = replace(
        make_sample("inconclusive").verdict,
        pvalue=0.3,
        guardrails=(),
        rows_still_needed=12_345,
        positives_still_needed=478,
    )
    return "\n".join(explain_verdict(verdict))


# Each title with the function that makes its text.
SECTIONS: Final[dict[str, Callable[[], str]]] = {
    **{f"{script_of(name)}.py --help": partial(help_of, name) for name in ENTRY_POINTS},
    **{f"verdict {outcome}": partial(verdict_of, outcome) for outcome in get_args(Outcome)},
    "reasons of an undecided verdict": undecided,
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
