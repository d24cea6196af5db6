"""The beginning of a text file: its encoding, how its lines end, and its first record."""

from __future__ import annotations

import codecs
import logging
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from retraining.errors import RetrainingError
from retraining.spark import storage
from retraining.spark.java import java_class

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from retraining.data.files.delimited import Grammar
    from retraining.description.document import Description

_LOG = logging.getLogger(__name__)

_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16le",
    codecs.BOM_UTF16_BE: "utf-16be",
}
_JAVA: Final = {"utf-8-sig": "utf-8", "utf-16-le": "utf-16le", "utf-16-be": "utf-16be"}
# How files begin that are no text, whatever they are called.
_OTHER_KINDS: Final = {
    b"\x1f\x8b\x08": "compressed by gzip",
    b"BZh91AY&SY": "compressed by bzip2",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"\xfd7zXZ\0": "compressed by xz",
    b"PK\x03\x04": "a zip archive or a file of Excel",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old file of Excel",
    b"PAR1\x15": "a parquet file",
}
_SIZES: Final = (2**14, 2**20, 2**24)  # bytes that are read until they hold the first record
_NO_ACCIDENT: Final = 3  # characters
UNDECODABLE: Final = "\ufffd"


class Encoding(NamedTuple):
    """How bytes become lines.

    Attributes:
        name: As Python and Java call it.
        ending: Of a line: a line feed, which a carriage return may precede, or that alone. One
            for a file, so that no text can end a line by the other one.
    """

    name: str
    ending: str


class Head(NamedTuple):
    """The beginning of a file.

    Attributes:
        encoding: Of its lines.
        record: The first line that is neither blank nor a comment, with those that an open quote
            adds to it; None if there is none.
        second: The next line that is neither blank nor a comment; None if there is none.
        lines: Lines of the beginning, whole ones.
    """

    encoding: Encoding
    record: str | None
    second: str | None
    lines: list[str]

    def rows(self, description: Description) -> dict[int, str]:
        """The lines that are neither blank nor comments, by their number."""
        comment = description.files.comment
        numbered = enumerate(self.lines, 1)
        return {number: line for number, line in numbered if not _is_idle(line, comment)}


def read_head(
    spark: SparkSession, path: str, description: Description, grammar: Grammar | None
) -> Head:
    """Read as much of a file as its first record needs.

    Args:
        spark: The session.
        path: Of a text file.
        description: States encoding and comments.
        grammar: Of its records; None if each line is one.

    Raises:
        RetrainingError: If the file cannot be read, or is not in the encoding that it should be in.
    """
    comment = description.files.comment
    for size in _SIZES:
        start = storage.read_start(spark, path, size)
        is_all = len(start) < size
        name = _name(spark, start, path, description.files.encoding)
        text = start.decode(name, errors="replace").removeprefix("\ufeff")
        alone = text.count("\r") - text.count("\r\n")
        ending = "\r" if alone > text.count("\n") else "\n"
        lines = [line.rstrip("\r") for line in text.split(ending)]
        if not is_all:
            lines.pop()  # cut somewhere, perhaps within a character
        record, others = _first_record(lines, comment, grammar)
        if is_all or record is not None:
            break
    _check(path, name, lines, record, description)
    if _is_rather_utf8(start, name):
        _LOG.warning(f"{path} is read as {name}, but its text looks like UTF-8")
    second = next((line for line in others if not _is_idle(line, comment)), None)
    return Head(Encoding(name, ending), record, second, lines)


def _name(spark: SparkSession, start: bytes, path: str, stated: str) -> str:
    """The encoding that the first bytes state, or else the description."""
    for magic, kind in _OTHER_KINDS.items():
        if start.startswith(magic):
            raise RetrainingError(
                f"{path} is {kind}",
                "give it the suffix of its kind (.gz, .bz2, .parquet), or write it as text",
            )
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise RetrainingError(f"{path} is in UTF-32", "write it in UTF-8")
    marked = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
    if marked:
        return marked
    name = _JAVA.get(name := codecs.lookup(stated).name, name)
    if name == "utf-16":
        raise RetrainingError(
            f"{path} does not begin with the mark of UTF-16",
            "set files.encoding to utf-16-le or utf-16-be",
        )
    if not java_class(spark._jvm, "java.nio.charset.Charset").isSupported(name):
        raise RetrainingError(
            f"{path} cannot be read: Java has no encoding {name}",
            "write it in UTF-8, or set files.encoding to the name of another encoding",
        )
    return name


def _is_rather_utf8(start: bytes, name: str) -> bool:
    """Whether a text of one byte a character makes sense as UTF-8, which is no accident."""
    if name == "utf-8" or len(start.decode(name, errors="replace")) < len(start):
        return False
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return sum(character > "\x7f" for character in text) >= _NO_ACCIDENT


def _is_idle(line: str, comment: str | None) -> bool:
    return not line.strip() or (comment is not None and line.startswith(comment))


def _first_record(
    lines: list[str], comment: str | None, grammar: Grammar | None
) -> tuple[str | None, list[str]]:
    """The first record, if it ends within these lines, and the lines after it."""
    start = next((n for n, line in enumerate(lines) if not _is_idle(line, comment)), None)
    if start is None:
        return None, []
    record = lines[start]
    for end, more in enumerate(lines[start + 1 :], start + 1):
        if grammar is None or not grammar.is_open(record):
            return record, lines[end:]
        record += f"\n{more}"
    return None if grammar is not None and grammar.is_open(record) else record, []


def _check(
    path: str, name: str, lines: list[str], record: str | None, description: Description
) -> None:
    """Refuse a file whose text is in another encoding; rows of it alone go to the quarantine."""
    bad = [line for line in lines if UNDECODABLE in line]
    if not bad:
        if name == "utf-8" and record is not None and "\0" in record[:4]:
            raise RetrainingError(f"{path} is not UTF-8 but perhaps UTF-16", "set files.encoding")
        return
    if UNDECODABLE in (record or "") or len(bad) > description.quarantine.max_share * len(lines):
        sample = re.sub(r"\s+", " ", bad[0])[:60]
        raise RetrainingError(
            f"{path} is not in the encoding {name} ({sample!r})",
            "set files.encoding, for example to cp1251, latin-1 or utf-16",
        )
