"""Files that turn out to be damaged, gone or closed to Spark while it reads them, in one line each.

Spark opens files when it runs, long after they were listed. What it throws then names the file, and
far below, among lines of Java, what is wrong with it.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from retraining.errors import RetrainingError

_FILE: Final = re.compile(r"while reading file (\S.*?)\.(?:\s|$)", re.MULTILINE)
_GONE: Final = re.compile(r"FileNotFoundException|FILE_NOT_EXIST|NoSuchFileException")
_CLOSED: Final = re.compile(r"AccessControlException|AccessDeniedException|Permission denied")
_CAUSE: Final = re.compile(r"^Caused by: (?:[\w.$]+: )*(.+)$", re.MULTILINE)
_TYPES: Final = re.compile(r"COLUMN_DATA_TYPE_MISMATCH|SchemaColumnConvertNotSupportedException")


def unreadable_file(error: BaseException) -> RetrainingError | None:
    """The error to report for one of Spark that a file is to blame for; None for any other.

    Args:
        error: What an action of Spark raised, or the reading of a schema.
    """
    said = f"{error}\n{getattr(error, '_stackTrace', '')}"
    found = _FILE.search(said)
    if found is None:
        return None
    path = readable(found[1])
    if _GONE.search(said):
        return RetrainingError(
            f"{path} is gone since it was listed", "put it back, or run the step again without it"
        )
    if _CLOSED.search(said):
        return RetrainingError(
            f"{path} may not be read", "give this user the permission to read it"
        )
    causes = _CAUSE.findall(said)
    why = f" ({causes[-1].strip()})" if causes else ""
    if _TYPES.search(said):
        return RetrainingError(
            f"{path} holds other types than its schema says{why}", "write the file again"
        )
    return RetrainingError(
        f"{path} is damaged{why}", "get or write the file again, or leave it out"
    )


def readable(path: str) -> str:
    """A path as people write it: Spark encodes blanks and the like, where the scheme has `//`."""
    return unquote(path) if "://" in path else path
