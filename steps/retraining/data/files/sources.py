"""Raw files: a listing of them, and their rows as text under the description's column names."""

from __future__ import annotations

import json
import logging
import re
import time
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retraining.data.files.jsonlines import read_json_lines
from retraining.data.files.parquet import read_parquet
from retraining.data.files.tables import read_tables
from retraining.data.files.text import read_text
from retraining.description.origins import late_columns
from retraining.errors import RetrainingError
from retraining.progress import all_files_are
from retraining.spark import delta, jdbc, storage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import SparkSession

    from retraining.data.files.fields import Part
    from retraining.description.document import Description

_LOG = logging.getLogger(__name__)

FILE = "_file"  # the file that a row comes from
MALFORMED = "_malformed"  # the text of a row that cannot be divided into fields; null for others

_READERS = {
    r"\.(txt|csv|tsv)(\.(gz|bz2))?$": read_text,
    r"\.(jsonl|ndjson)(\.(gz|bz2))?$": read_json_lines,
    r"\.parquet$": read_parquet,
    r"^(jdbc|delta):": read_tables,
}
_SHOWN = 5  # folders
_GIVE = "give .txt, .csv, .tsv, .jsonl, .ndjson (also .gz, .bz2) or .parquet files"


@dataclass(frozen=True, order=True)
class RawFile:
    """A raw file or table, as it was when it was listed.

    Attributes:
        path: Absolute, with its scheme; of a table its address.
        size: Bytes.
        modified: Milliseconds since 1970.
    """

    path: str
    size: int
    modified: int


def list_files(spark: SparkSession, source: str) -> tuple[RawFile, ...]:
    """List the raw files of a source, by path.

    Args:
        spark: Its Hadoop configuration knows the storage.
        source: A file, a folder, a glob, a comma-separated list of these, or a `.json` file that
            holds an array of them; or a table, `jdbc:postgresql://...` or `delta:...`. Folders
            within a folder are read only if they are named like files (`2018-06.parquet`), as
            Spark writes them, or like values (`year=2024`); hidden files (`.` or `_` first) are
            skipped. A folder that is a table of Delta Lake is read as one.

    Raises:
        RetrainingError: If there are no files, a part of the source cannot be read, or a file is
            of no known kind by its suffix.
    """
    listed: dict[str, RawFile] = {}
    for part in _parts_of(spark, source):
        if jdbc.is_address(part):  # what a table holds may change at any time
            listed[part] = RawFile(part, 1, time.time_ns() // 1_000_000)
            continue
        skipped: list[str] = []
        files = _list_part(spark, part, skipped)
        folders = ", ".join(skipped[:_SHOWN]) + ", ..." * (len(skipped) > _SHOWN)
        if not files:
            inside = f", but the folders {folders}, which are not entered" if skipped else ""
            deeper = f"{part.rstrip('/')}/*" if skipped else "a folder or a glob"
            raise RetrainingError(f"{part} holds no files{inside}", f"give files, {deeper}")
        if skipped:
            _LOG.warning(f"{part}: the folders {folders} are not entered")
        listed.update((file.path, file) for file in files)
    return tuple(sorted(listed.values()))


def read_raw(
    spark: SparkSession,
    files: Sequence[RawFile],
    description: Description,
    *,
    labelled: bool = True,
) -> DataFrame:
    """Read raw files as text, so that a later check can distinguish nulls from unreadable values.

    Text files with a header, JSON lines and parquet files are read by name, text files without
    one by position. Keys of folders (`year=2024`) are columns, too. Columns that the description
    does not name are left out.

    Args:
        spark: The session.
        files: From `list_files`. Text files of 0 bytes hold no rows.
        description: Names the columns, and the other names that files may use for them.
        labelled: Whether labels are required. If not, the label and those never_features that may
            be null can be missing from the files (in text by position, only at the end of a line);
            they are null then.

    Returns:
        The columns that files hold, each a string, `_malformed` and `_file`.

    Raises:
        RetrainingError: If a column is missing or there twice, a file cannot be read, or all files
            are empty.
    """
    filled = [file for file in files if file.size > 0 or file.path.lower().endswith(".parquet")]
    if not filled:
        raise RetrainingError(f"{all_files_are(len(files))} empty", "give files that hold rows")
    optional = frozenset() if labelled else late_columns(description)
    frames = [
        _select(part, description)
        for pattern, read in _READERS.items()
        if (paths := [file.path for file in filled if _matches(pattern, file.path)])
        for part in read(spark, paths, description, optional)
    ]
    return reduce(DataFrame.unionByName, frames)


def split_source(source: str) -> list[str]:
    """The files, folders and globs of a comma-separated list; the address of a table is one."""
    if jdbc.is_address(source):
        return [source]
    parts = re.split(r",(?![^{]*\})", source)  # a comma in {a,b} belongs to the glob
    return [part.strip() for part in parts if part.strip()]


def _parts_of(spark: SparkSession, source: str) -> list[str]:
    if source.strip().endswith(".json"):
        try:
            parts = json.loads(storage.read_text(spark, source.strip()))
        except json.JSONDecodeError as error:
            raise RetrainingError(
                f"{source} is not JSON ({error})", "write an array of paths"
            ) from error
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise RetrainingError(f"{source} is not an array of strings", "write an array of paths")
    else:
        parts = split_source(source)
    parts = [part.strip() for part in parts if part.strip()]
    if not parts:
        raise RetrainingError(f"{source!r} names no files", "give files, a folder or a glob")
    return parts


def _list_part(spark: SparkSession, part: str, skipped: list[str]) -> list[RawFile]:
    if delta.is_address(part):
        return [RawFile(*delta.find(spark, part))]
    entries = storage.find(spark, part)
    return [file for entry in entries for file in _look_into(spark, entry, skipped)]


def _look_into(spark: SparkSession, entry: storage.Entry, skipped: list[str]) -> list[RawFile]:
    """The table that a folder is, or else the files of an entry."""
    if entry.is_folder and delta.is_table(spark, entry.path):
        return [RawFile(*delta.find(spark, delta.address_of(entry.path)))]
    return _files_of(spark, entry, skipped)


def _files_of(spark: SparkSession, entry: storage.Entry, skipped: list[str]) -> list[RawFile]:
    """The file, or those of a folder; names of folders that are not entered go to `skipped`."""
    if entry.is_folder:
        _refuse_broken_links(entry.path)
        files = []
        for inner in storage.list_folder(spark, entry.path):
            if inner.is_folder and _is_raw(inner.path):
                files += _look_into(spark, inner, skipped)
            elif inner.is_folder and "=" not in inner.name:
                skipped.append(inner.name)
            else:
                files += _files_of(spark, inner, skipped)
        return files
    if entry.name.startswith((".", "_")):
        return []
    if not _is_raw(entry.path):
        raise RetrainingError(
            f"{entry.path} is of no kind that can be read", f"{_GIVE}, for example by a glob"
        )
    if entry.path.startswith("file:") and ":" in entry.name:
        raise RetrainingError(
            f"{entry.path} has a colon in its name, which Hadoop does not take on a disk",
            "rename it",
        )
    return [RawFile(entry.path, entry.size, entry.modified)]


def _refuse_broken_links(folder: str) -> None:
    """Refuse a folder of this machine with links to nothing, which Hadoop does not list."""
    if not folder.startswith("file:"):
        return
    links = sorted(
        link for link in Path(folder.removeprefix("file:")).iterdir() if link.is_symlink()
    )
    for link in links:
        if not link.name.startswith((".", "_")) and not link.exists():
            raise RetrainingError(
                f"{link} is a link to {link.readlink()}, which is not there", "remove the link"
            )


def _is_raw(path: str) -> bool:
    return any(_matches(pattern, path) for pattern in _READERS)


def _matches(pattern: str, path: str) -> bool:
    return re.search(pattern, path, re.IGNORECASE) is not None


def _select(part: Part, description: Description) -> DataFrame:
    absent = F.lit(None).cast("string")
    return part.frame.select(
        *(part.given.get(column, absent).alias(column) for column in description.file_columns),
        part.malformed.alias(MALFORMED),
        part.file.alias(FILE),
    )
