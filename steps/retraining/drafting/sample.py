"""A bounded sample of rows, all values as text, from local files of any of the known kinds."""

from __future__ import annotations

import bz2
import codecs
import glob
import gzip
import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from retraining.drafting.sniffing import (
    Form,
    find_encoding,
    find_form,
    read_records,
    without_comments,
)
from retraining.errors import RetrainingError
from retraining.progress import all_files_are

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_FILES: Final = 12
MOST_ROWS: Final = 60_000
MOST_BYTES: Final = 24 << 20  # of text, of all files together
_TEXT: Final = re.compile(r"\.(txt|csv|tsv)(\.(gz|bz2))?$", re.IGNORECASE)
_LINES: Final = re.compile(r"\.(jsonl|ndjson)(\.(gz|bz2))?$", re.IGNORECASE)
_PARTITION: Final = re.compile(r"([^/=]+)=([^/]*)")
_KINDS: Final = "give .csv, .tsv, .txt, .jsonl, .ndjson (also .gz, .bz2) or .parquet files"


@dataclass(frozen=True)
class Sample:
    """Rows of some files.

    Attributes:
        table: Every value as text, or None; the columns as in the files.
        form: How text files are read; None for parquet and JSON lines.
        n_files: All files of the input.
        n_rows: About how many rows they hold.
        complete: Whether the table holds all of them.
        notes: What was left out, and why.
    """

    table: pd.DataFrame
    form: Form | None
    n_files: int
    n_rows: int
    complete: bool
    notes: tuple[str, ...]

    @property
    def columns(self) -> dict[str, pd.Series]:
        """The columns by their names in the files."""
        return {str(name): column for name, column in self.table.items()}


class _Part(NamedTuple):
    table: pd.DataFrame
    form: Form | None
    share: float  # of the file that the table holds
    notes: tuple[str, ...] = ()


def draw(source: str) -> Sample:
    """Read rows of a file, a folder, a glob or a comma-separated list of them.

    Of many files some are read, the first and the last among them; of a large file its beginning
    and its end.

    Raises:
        RetrainingError: If there are no files, or they hold no rows that can be read.
    """
    files = find_files(source)
    filled = [path for path in files if path.stat().st_size]
    if not filled:
        raise RetrainingError(f"{all_files_are(len(files))} empty, input={source}", "give others")
    step = max(1.0, (len(filled) - 1) / (MOST_FILES - 1))
    chosen = [filled[round(index * step)] for index in range(min(len(filled), MOST_FILES))]
    parts = [_read(path, len(chosen)) for path in chosen]
    form = next((part.form for part in parts if part.form), None)
    table = pd.concat([part.table for part in parts], ignore_index=True)
    if table.empty:
        raise RetrainingError(f"{source} holds no row", "give files that hold rows")
    read = sum(path.stat().st_size * part.share for path, part in zip(chosen, parts, strict=True))
    share = read / sum(path.stat().st_size for path in filled)
    missing = [
        f"column {name or 'without a name'} is not in every file"
        for name in table.columns
        if any(name not in part.table.columns for part in parts)
    ]
    notes = dict.fromkeys([*(note for part in parts for note in part.notes), *missing])
    complete = len(chosen) == len(filled) and all(part.share == 1 for part in parts)
    n_rows = len(table) if complete else round(len(table) / share)
    return Sample(table, form, len(files), n_rows, complete, tuple(notes))


def split(source: str) -> list[str]:
    """The files, folders and globs that a source lists."""
    return re.split(r",(?![^{]*\})", source.removeprefix("file://"))


def find_files(source: str) -> list[Path]:
    """The local files that a source names; folders within one are read if they are `key=value`.

    Raises:
        RetrainingError: If there are none, or one is of no known kind.
    """
    found: dict[Path, None] = {}
    for part in split(source):
        if "://" in part:
            raise RetrainingError(
                f"{part} is not a local path", "copy some of its files to a folder and name that"
            )
        paths = [Path(part)] if Path(part).exists() else map(Path, sorted(glob.glob(part)))  # noqa: PTH207
        files = [file for path in paths for file in _files_of(path)]
        if not files:
            raise RetrainingError(f"{part} holds no files", "give files, a folder or a glob")
        found.update(dict.fromkeys(files))
    for path in found:
        if not (_TEXT.search(path.name) or _LINES.search(path.name) or _is_parquet(path)):
            raise RetrainingError(f"{path} is neither text nor parquet by its name", _KINDS)
    return sorted(found)


def _files_of(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for inner in sorted(path.iterdir()):
        if inner.name.startswith((".", "_")):
            continue
        if inner.is_file() or "=" in inner.name or _TEXT.search(inner.name) or _is_parquet(inner):
            yield from _files_of(inner)


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _read(path: Path, n_files: int) -> _Part:
    try:
        if _is_parquet(path):
            part = _read_parquet(path, MOST_ROWS // n_files)
        elif _LINES.search(path.name):
            part = _read_lines(path, MOST_BYTES // n_files, MOST_ROWS // n_files)
        else:
            part = _read_text(path, MOST_BYTES // n_files, MOST_ROWS // n_files)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise RetrainingError(f"{path} cannot be read ({reason})", "write it again") from error
    keys = dict(_PARTITION.findall(str(path.parent)))
    return part._replace(table=part.table.assign(**keys))


def _read_parquet(path: Path, most: int) -> _Part:
    file = pq.ParquetFile(path)
    n_rows = file.metadata.num_rows
    nested = [f.name for f in file.schema_arrow if pa.types.is_nested(f.type)]
    names = [f.name for f in file.schema_arrow if f.name not in nested]
    notes = tuple(f"column {name} is nested" for name in nested)
    if n_rows <= most:
        table = file.read(columns=names)
    else:
        first = next(file.iter_batches(most // 2, columns=names))
        last = file.read_row_group(file.num_row_groups - 1, columns=names)
        last = last.slice(max(0, last.num_rows - most // 2))
        table = pa.concat_tables([pa.Table.from_batches([first]), last])
    columns = {name: _as_text(table[name]) for name in names}
    return _Part(pd.DataFrame(columns), None, table.num_rows / max(n_rows, 1), notes)


def _as_text(values: pa.ChunkedArray) -> list[str | None]:
    """Values as the library's reader writes them; whole numbers without a fraction."""
    kind = values.type
    if pa.types.is_floating(kind):
        floats = values.to_pandas()
        whole = floats.dropna().apply(float.is_integer).all() and floats.abs().max() < 1e15
        return [None if pd.isna(x) else str(int(x)) if whole else repr(float(x)) for x in floats]
    if pa.types.is_timestamp(kind):
        moments = pd.Series(values.to_pandas())
        return [None if pd.isna(x) else x.isoformat(sep=" ") for x in moments]
    if pa.types.is_boolean(kind):
        return [None if x is None else str(x).lower() for x in values.to_pylist()]
    return [None if x is None else str(x).strip() or None for x in values.to_pylist()]


def _open(path: Path) -> IO[bytes]:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path))
    return bz2.open(path) if suffix == ".bz2" else path.open("rb")


def _read_ends(path: Path, most: int) -> tuple[bytes, bytes, float]:
    """The beginning and the end of a file, and their share of it."""
    with _open(path) as file:
        head = file.read(most)
        if len(head) < most:
            return head, b"", 1.0
        head = head[: most // 2]
        if path.suffix.lower() in (".gz", ".bz2"):
            return head, b"", min(0.99, len(head) / 4 / path.stat().st_size)
        file.seek(-len(head), 2)
        return head, file.read(), 2 * len(head) / path.stat().st_size


def _decode(content: bytes, encoding: str) -> str:
    """The text of a beginning, of which the last character may be cut."""
    return codecs.getincrementaldecoder(encoding)().decode(content).removeprefix("\ufeff")


def _read_text(path: Path, most_bytes: int, most_rows: int) -> _Part:
    head, tail, share = _read_ends(path, most_bytes)
    encoding = find_encoding(head[:1_000_000], str(path))
    text = _decode(head, encoding)
    if not text.strip():
        return _Part(pd.DataFrame(), None, share)
    form = find_form(text, encoding)
    if path.name.lower().split(".")[-1] == "tsv" or ".tsv." in path.name.lower():
        form = form._replace(separator="\t")
    records = read_records(without_comments(text, form.comment), form.separator)
    if share < 1:
        records.pop()
    names = records.pop(0) if form.header else [f"c{n}" for n in range(1, len(records[0]) + 1)]
    lower = [name.lower() for name in names]
    if twice := next((name for name in names if name and lower.count(name.lower()) > 1), None):
        raise RetrainingError(f"{path} has two columns {twice}", "rename one of them")
    if tail and not encoding.startswith("UTF-16"):
        text = tail[tail.find(b"\n") + 1 :].decode(encoding, "replace")
        records += read_records(without_comments(text, form.comment), form.separator)
    rows = [record for record in records if len(record) == len(names)]
    share, rows = _bound(rows, share, most_rows)
    table = _frame(rows, names)
    if (n_unnamed := names.count("")) > 1:
        note = f"{n_unnamed} columns have no name and are left out: name them in the files"
        return _Part(table.drop(columns=""), form, share, (note,))
    return _Part(table, form, share)


def _bound(rows: list[Any], share: float, most: int) -> tuple[float, list[Any]]:
    """Every n-th row, if there are too many, with the share of the file that they are."""
    step = -(-len(rows) // most) if rows else 1
    return share / step, rows[::step]


def _frame(rows: Sequence[Sequence[str]], names: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=pd.Index(names), dtype=object)
    return table.mask(table == "")


def _read_lines(path: Path, most_bytes: int, most_rows: int) -> _Part:
    head, tail, share = _read_ends(path, most_bytes)
    lines = head.split(b"\n")[: None if share == 1 else -1] + tail.split(b"\n")[1:]
    rows, nested = [], set()
    for line in filter(bytes.strip, lines):
        try:
            row = json.loads(line.removeprefix(codecs.BOM_UTF8))
        except json.JSONDecodeError as error:
            raise RetrainingError(
                f"{path} holds a line that is not JSON ({error})", "write it again"
            ) from error
        if not isinstance(row, dict):
            raise RetrainingError(f"{path} holds a line that is not an object", "write it again")
        nested |= {name for name, value in row.items() if isinstance(value, dict | list)}
        rows.append({name: _scalar(value) for name, value in row.items()})
    share, rows = _bound(rows, share, most_rows)
    table = pd.DataFrame(rows, dtype=object)
    notes = tuple(f"column {name} is nested" for name in sorted(nested))
    return _Part(table.drop(columns=sorted(nested)), None, share, notes)


def _scalar(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value).strip() or None
