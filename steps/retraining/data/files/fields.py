"""Which field of a raw file, or which folder above it, holds which column of the description."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from pyspark.sql import functions as F
from pyspark.sql import types as T

from retraining.data import values
from retraining.data.columns import quote
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pyspark.sql import Column, DataFrame

    from retraining.description.document import Description

_T = TypeVar("_T")

# Files that are opened at the same time.
_MOST_THREADS: Final = 32
_FILES_A_THREAD: Final = 8  # each thread has a connection to Java of its own
_NAMES_SHOWN: Final = 40
_NULL_FOLDER: Final = "__HIVE_DEFAULT_PARTITION__"


class Part(NamedTuple):
    """Rows of files that are alike.

    Attributes:
        frame: The rows.
        given: The text of each column that they have.
        malformed: The text of a row that cannot be divided into its fields; null for others.
        file: The path of its file.
    """

    frame: DataFrame
    given: Mapping[str, Column]
    malformed: Column
    file: Column


class Matched(NamedTuple):
    """Where the columns of the description are; hashable, so that files can be grouped by it.

    Attributes:
        names: Columns with what the file calls them.
        folders: Columns with the key of a folder above the file.
    """

    names: tuple[tuple[str, str], ...]
    folders: tuple[tuple[str, str], ...]


def match(
    path: str, names: Sequence[str], description: Description, optional: frozenset[str]
) -> Matched:
    """Return what a file calls each column; the column's own name goes before its other ones.

    Raises:
        RetrainingError: If a column that is not optional is missing, or its name is there twice.
    """
    matched, folders = [], []
    keys = folder_keys(path)
    for column, rule in description.file_columns.items():
        known = (column, *rule.source)
        if found := [name for name in known if name in names]:
            _refuse_twins(path, found[0], names)
            matched.append((column, found[0]))
        elif found := [name for name in known if name in keys]:
            folders.append((column, found[0]))
        elif column not in optional:
            shown = ", ".join(map(repr, names[:_NAMES_SHOWN])) + ", ..." * (
                len(names) > _NAMES_SHOWN
            )
            separator = "; if this is one field too many, set files.separator" * (len(names) == 1)
            raise RetrainingError(
                f"{path} has no column {' or '.join(known)}",
                f"its columns are {shown}; list the one to read as a source of {column}{separator}",
            )
    return Matched(tuple(matched), tuple(folders))


def _refuse_twins(path: str, wanted: str, names: Sequence[str]) -> None:
    twins = [name for name in names if name.lower() == wanted.lower()]
    if len(twins) > 1:
        raise RetrainingError(
            f"{path} has the column {wanted} {len(twins)} times ({', '.join(twins)})",
            "rename all but one in the file",
        )


def typed_values(
    path: str, frame: DataFrame, names: Iterable[tuple[str, str]], description: Description
) -> dict[str, Column]:
    """The text of the columns of a frame that has types.

    Raises:
        RetrainingError: If one holds several values.
    """
    given = {}
    for column, name in names:
        kind = frame.schema[name].dataType
        if isinstance(kind, T.StructType | T.ArrayType | T.MapType):
            raise RetrainingError(
                f"{path} has a {kind.typeName()} as the column {name}",
                "write its parts as columns of their own",
            )
        given[column] = values.as_text(F.col(quote(name)), kind, column, description)
    return given


def folder_keys(path: str) -> list[str]:
    """The keys of folders such as `year=2024` in a path."""
    return re.findall(r"(?<=/)([^/=]+)=[^/]*(?=/)", path)


def folder_values(file: Column, folders: Iterable[tuple[str, str]]) -> dict[str, Column]:
    """The values of columns that are keys of folders; Hive writes special characters as %3A."""
    values = {}
    for column, key in folders:
        # As a URI, a path has its special characters encoded, and those of Hive once more.
        path = F.url_decode(F.replace(file, F.lit("+"), F.lit("%2B")))
        text = F.regexp_extract(path, f"/{re.escape(key)}=([^/]*)/", 1)
        is_encoded = text.rlike("%[0-9A-Fa-f]{2}") & ~text.rlike("%(?![0-9A-Fa-f]{2})")
        plain = F.url_decode(F.replace(text, F.lit("+"), F.lit("%2B")))
        value = F.when(is_encoded, plain).otherwise(text)
        values[column] = F.when(text != _NULL_FOLDER, value)
    return values


def at_once(read: Callable[[str], _T], paths: Sequence[str]) -> list[_T]:
    """Read from files, from many at once: most of the time is spent waiting for storage."""
    threads = min(_MOST_THREADS, len(paths) // _FILES_A_THREAD)
    if threads <= 1:
        return [read(path) for path in paths]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(read, paths))


def escape_glob(path: str) -> str:
    """A path as Spark takes it literally."""
    return re.sub(r"([{}\[\]*?\\])", r"\\\1", path)
