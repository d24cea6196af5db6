"""Text files with separators, read by their header or by position."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from pyspark.sql import functions as F

from retraining.data import values
from retraining.data.files.delimited import Grammar
from retraining.data.files.fields import (
    Part,
    at_once,
    folder_keys,
    folder_values,
    match,
)
from retraining.data.files.heads import Encoding, read_head
from retraining.data.files.records import FILE, MARKED, TEXT, TORN, is_undecodable, read_records
from retraining.errors import RetrainingError
from retraining.progress import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyspark.sql import SparkSession

    from retraining.data.files.heads import Head
    from retraining.description.document import Description


_ABOVE_HEADER = 20  # lines in which a header is looked for
_ALIKE = 100  # lines of which at least one has to have as many fields as it should


class _Layout(NamedTuple):
    """What files must share to be read together.

    Attributes:
        encoding: Of their lines.
        grammar: Of their records.
        header: The record that names the fields; None without one.
        fields: The column in each field; None for one that is not needed.
        folders: Columns that are keys of folders.
        is_by_position: Whether the first row was found not to be a header.
    """

    encoding: Encoding
    grammar: Grammar
    header: str | None
    fields: tuple[str | None, ...]
    folders: tuple[tuple[str, str], ...]
    is_by_position: bool = False


def read_text(
    spark: SparkSession,
    paths: Sequence[str],
    description: Description,
    optional: frozenset[str],
) -> Iterator[Part]:
    """Read text files, those of the same layout together.

    Raises:
        RetrainingError: If a file cannot be read, is in another encoding, lacks a column or has it
            twice, if its first row is a header and the description says that there is none, or if
            the order of its fields is not known.
    """
    groups: dict[_Layout, list[str]] = defaultdict(list)
    layouts = at_once(lambda path: _layout(spark, path, description, optional), paths)
    for path, layout in zip(paths, layouts, strict=True):
        groups[layout].append(path)
    if description.files.header is None:
        _refuse_other_orders(groups)
    for layout, alike in groups.items():
        yield _read(spark, alike, layout, description)


def _read(
    spark: SparkSession, paths: Sequence[str], layout: _Layout, description: Description
) -> Part:
    encoding, grammar, header, fields, folders, _ = layout
    rows = read_records(spark, paths, encoding, grammar, description.files.comment)
    text = F.col(TEXT)
    if header is not None:
        rows = rows.where(text != header)
    frame = rows.select("*", grammar.fields(text, F.col(MARKED)).alias("_fields"))
    is_row = (F.size("_fields") == len(fields)) & ~F.col(TORN) & ~is_undecodable(text)
    given = {
        column: grammar.unquoted(F.get("_fields", F.lit(index)))
        for index, column in enumerate(fields)
        if column
    }
    given |= folder_values(F.col(FILE), folders)
    return Part(frame, given, F.when(~is_row, text), F.col(FILE))


def _layout(
    spark: SparkSession, path: str, description: Description, optional: frozenset[str]
) -> _Layout:
    grammar = Grammar.of(description.files, path)
    head = read_head(spark, path, description, grammar)
    layout = _layout_of(path, head, grammar, description, optional)
    _refuse_other_widths(path, head, layout, description)
    return layout


def _layout_of(
    path: str, head: Head, grammar: Grammar, description: Description, optional: frozenset[str]
) -> _Layout:
    names = [name.strip() for name in grammar.split(head.record)] if head.record else []
    spells = _spells_columns(names, description)
    if not spells:
        _refuse_lines_above_header(path, head, grammar, description)
    elif description.files.header is False:
        raise RetrainingError(
            f"the first row of {path} names columns ({(head.record or '')[:80]}), "
            "and files.header is false",
            "leave files.header out, or set it to true",
        )
    if spells or description.files.header:
        matched = match(path, names, description, optional)
        at = {names.index(name): column for column, name in matched.names}
        fields = tuple(at.get(index) for index in range(len(names)))
        return _Layout(head.encoding, grammar, head.record, fields, matched.folders)
    return _by_position(path, head, names, grammar, description, optional)


def _by_position(
    path: str,
    head: Head,
    first: Sequence[str],
    grammar: Grammar,
    description: Description,
    optional: frozenset[str],
) -> _Layout:
    keys = folder_keys(path)
    folders = tuple(
        (column, found[0])
        for column, rule in description.file_columns.items()
        if (found := [name for name in (column, *rule.source) if name in keys])
    )
    columns = tuple(c for c in description.file_columns if c not in dict(folders))
    if head.record is not None:
        _refuse_unlike_rows(path, head, first, grammar, description, columns)
    absent = columns[len(first) :]
    fields = columns[: len(first)] if first and optional.issuperset(absent) else columns
    return _Layout(head.encoding, grammar, None, fields, folders, head.record is not None)


def _spells_columns(names: Sequence[str], description: Description) -> bool:
    """Whether the fields of a row are names of columns; two are no accident."""
    rules = description.file_columns
    known = {name.lower() for column, rule in rules.items() for name in (column, *rule.source)}
    return len({name.lower() for name in names} & known) >= min(2, len(rules))


def _refuse_lines_above_header(
    path: str, head: Head, grammar: Grammar, description: Description
) -> None:
    """Refuse a file with a title or the like before its header: its order would not be known."""
    for number, line in [*head.rows(description).items()][:_ABOVE_HEADER]:
        parts = line.split(grammar.separator)
        names = [part.strip(values.BLANKS + (grammar.quote or "")) for part in parts]
        if _spells_columns(names, description):
            raise RetrainingError(
                f"{path} names columns in line {number} ({line[:80]}), and no line may be above it",
                "remove those above it, or set files.comment to the character they begin with",
            )


def _refuse_other_widths(path: str, head: Head, layout: _Layout, description: Description) -> None:
    """Refuse a file that is as a whole not what it should be; single rows are for quarantine."""
    grammar, n_fields = layout.grammar, len(layout.fields)
    lines = [*head.rows(description).values()][layout.header is not None :][:_ALIKE]
    if len(lines) > 1 and not any(
        grammar.is_open(line) or len(grammar.split(line)) == n_fields for line in lines
    ):
        whose = "the description" if layout.header is None else "its header"
        raise RetrainingError(
            f"{path} begins with rows of {counted(len(grammar.split(lines[0])), 'field')} "
            f"({lines[0][:80]}), and {whose} has {n_fields}",
            "set files.separator, name each field in the header, or leave the file out",
        )


def _refuse_unlike_rows(
    path: str,
    head: Head,
    first: Sequence[str],
    grammar: Grammar,
    description: Description,
    columns: Sequence[str],
) -> None:
    """Refuse a file whose first row is divided by another separator, or is an unknown header."""
    record = head.record or ""
    for other in (",", ";", "\t", "|"):
        if len(first) == 1 < len(columns) <= 2 * len(record.split(other)):
            raise RetrainingError(
                f"{grammar.separator!r} does not divide the first row of {path} ({record[:80]})",
                f"set files.separator, for example to {json.dumps(other)}",
            )
    second = grammar.split(head.second or "")
    if description.files.header is None and _is_header(first, second, description, columns):
        raise RetrainingError(
            f"the first row of {path} looks like a header ({record[:80]}), "
            "but its names are not those of the columns",
            "set files.header to true and list the names as sources of columns, or set it to false",
        )


def _is_header(
    first: Sequence[str], second: Sequence[str], description: Description, columns: Sequence[str]
) -> bool:
    """Whether a row holds words in place of numbers, or of values of the kind that is below it."""
    rules, files = description.file_columns, description.files
    numbers = [
        value for column, value in zip(columns, first, strict=False) if rules[column].numeric
    ]
    if len(numbers) > 1 and all(text.strip()[:1].isalpha() and len(text) > 1 for text in numbers):
        return True
    fits = [
        values.looks_like(above, rules[column], files)
        for column, above, below in zip(columns, first, second, strict=False)
        if rules[column].type != "string"
        and values.looks_like(below, rules[column], files)
        and above.strip() not in ("", *map(str, description.null_values_of(column)))
    ]
    return bool(fits) and not any(fits)


def _refuse_other_orders(groups: Mapping[_Layout, Sequence[str]]) -> None:
    """Refuse files without a header where one of the same width has its fields in another order."""
    for plain, unnamed in groups.items():
        for headed, named in groups.items():
            is_unlike = headed.header is not None and headed.fields != plain.fields
            if plain.is_by_position and is_unlike and len(headed.fields) == len(plain.fields):
                raise RetrainingError(
                    f"the header of {named[0]} has another order than the columns of the "
                    f"description, and {unnamed[0]} has no header",
                    "write a header into each file and set files.header to true, or order the "
                    "columns like the header",
                )
