"""Write a first description of raw files, from a sample of their rows.

Reads local csv, txt, tsv, jsonl or parquet files, each maybe compressed, with any separator and
encoding. The description names a label, a key, a time and a unit as they look, says what was seen
of each column, and leaves out of the features what would give the label away. Whatever it is not
sure of is marked CHECK. The file is also an artifact of the run; one that exists is never changed.

    mlflow run . -e describe -P input=/data/raw -P output=mine.yaml
    python steps/describe.py --input bank.csv --label y
    python steps/describe.py --input 'raw/*.csv.gz' --label fraud --row-key id --event-time sent_at
"""

from __future__ import annotations

import logging
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retraining.cli import options
from retraining.cli.command import StepCommand, examples, open_run
from retraining.errors import RetrainingError
from retraining.progress import counted
from retraining.tracking import tags
from retraining.tracking.checkout import ROOT
from retraining.tracking.result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from retraining.drafting.draft import Draft
    from retraining.tracking.lineage import StepRun

_LOG = logging.getLogger("retraining.describe")

_NO_FILE = "-"


@dataclass(frozen=True)
class Described(Result):
    """A description that was written.

    Attributes:
        path: Its file; None if it is an artifact of the run only.
        draft: What it says.
        checks: What a reader should confirm, each with its line.
    """

    path: Path | None
    draft: Draft
    checks: tuple[str, ...]

    @property
    def summary(self) -> str:
        """Where it is, the columns with a role, and how much is to be confirmed."""
        draft = self.draft
        found = draft.roles
        key = found.key or " and ".join(found.together)
        named = {"key": key, "time": found.time, "unit": found.unit}
        roles = "".join(f", {role} {column}" for role, column in named.items() if column)
        return (
            f"{self.path or 'description.yaml of the run'}: "
            f"{counted(len(draft.facts), 'column')}, label {draft.label.column} "
            f"({draft.positive_share:.2%} positive){roles}; "
            f"{counted(len(draft.features), 'feature')}, "
            f"{counted(len(self.checks), 'line')} to check"
        )

    @property
    def details(self) -> str:
        """What a reader should confirm."""
        return "\n".join(f"- {check}" for check in self.checks)

    @property
    def metrics(self) -> Mapping[str, float]:
        """Rows that were looked at, rows in all, columns, features, lines to check."""
        return {
            "rows_sampled": len(self.draft.sample.table),
            "rows": self.draft.sample.n_rows,
            "columns": len(self.draft.facts),
            "features": len(self.draft.features),
            "checks": len(self.checks),
        }

    @property
    def tags(self) -> Mapping[str, str]:
        """The name of the data set, and the file."""
        written = {tags.OUTPUT: str(self.path.absolute())} if self.path else {}
        return {tags.DATASET: self.draft.name, **written}


@click.command(cls=StepCommand, epilog=examples(__doc__))
@options.option(
    "--input", "Raw files on this machine: a file, folder, glob or comma-separated list. Required."
)
@options.option(
    "--output",
    "File to write, which must not exist; -: only an artifact of the run. Default: NAME.yaml.",
)
@options.option("--label", "Column to predict, as in the files. Default: what looks like one.")
@options.option("--row-key", "Column that identifies a row. Default: what looks like one.")
@options.option("--event-time", "Column with the time of a row. Default: what looks like one.")
@options.option("--name", "Name of the data set. Default: from the name of the input.")
@options.pipeline_id
def describe(
    *,
    input: str | None,  # noqa: A002 (the parameter's name)
    output: str | None,
    label: str | None,
    row_key: str | None,
    event_time: str | None,
    name: str | None,
    pipeline_id: str | None,
) -> None:
    """Look at raw files and write a first description of them."""
    if not input:
        raise click.BadParameter("is empty: give files, a folder or a glob", param_hint="input")
    name = _name_of(name or input)
    path = None if output == _NO_FILE else Path(output or f"{name}.yaml")
    _refuse_existing(path)
    with open_run(pipeline_id) as run:
        described = sketch(
            run,
            source=input,
            path=path,
            name=name,
            label=label,
            row_key=row_key,
            event_time=event_time,
        )
        run.write(described)


def sketch(
    run: StepRun,
    *,
    source: str,
    path: Path | None,
    name: str,
    label: str | None,
    row_key: str | None,
    event_time: str | None,
) -> Described:
    """Draw a sample, make a description of it, and write that if it can be loaded."""
    import mlflow

    from retraining.description import reading, yaml12
    from retraining.drafting import draft, sample, writing

    run.pin(output=_NO_FILE)  # a repetition finds the file that this run writes
    drawn = sample.draw(source)
    run.use("input", f"{source} ({counted(drawn.n_files, 'file')})")
    _LOG.info(f"{len(drawn.table):,} of about {counted(drawn.n_rows, 'row')} looked at")
    made = draft.make(drawn, name=name, label=label, row_key=row_key, event_time=event_time)
    text = writing.write(made)
    reading.from_mapping(*yaml12.parse(text, "the description")[:1], where="the description")
    mlflow.log_text(text, "description.yaml")
    checks = tuple(writing.checks(text))
    for check in checks:
        _LOG.info(check)
    if path:
        _write(path, text)
        _LOG.info(f"next: {_chain(path, sample.split(source))}")
    return Described(path, made, checks)


def _chain(path: Path, parts: Sequence[str]) -> str:
    """The command that runs the chain on what was described, from the present folder."""
    from retraining.tracking import commands

    folder = "." if Path.cwd() == ROOT else shlex.quote(str(ROOT))
    files = ",".join(str(Path(part).absolute()) for part in parts)
    given = {"dataset": str(path.absolute()), "input": files}
    return commands.show(parameters=given, project=folder)


def _name_of(source: str) -> str:
    """A name that a description allows: of the first file or folder, without its suffixes."""
    last = source.split(",")[0].rstrip("/*").rpartition("/")[2].partition(".")[0]
    name = re.sub(r"\W+", "_", last.lower(), flags=re.ASCII).strip("_0123456789")
    return name or "mine"


def _refuse_existing(path: Path | None) -> None:
    if path and path.exists():
        raise RetrainingError(f"{path} exists", "name another output=, or remove it")
    if path and not path.absolute().parent.is_dir():
        raise RetrainingError(f"{path.parent} is not a folder", "make it, or name another output=")


def _write(path: Path, text: str) -> None:
    """Write a new file; one that appeared in the meantime stays as it is."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        _refuse_existing(path)
    except OSError as error:
        raise RetrainingError(
            f"{path} cannot be written ({error.strerror})", "name another output="
        ) from error


if __name__ == "__main__":
    describe()
