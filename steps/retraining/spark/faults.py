"""Errors of Spark in one line, where files, memory or a service that it uses are to blame.

Spark opens files when it runs, long after they were listed. What it throws then names the file, and
far below, among lines of Java, what is wrong with it.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from retraining.errors import RetrainingError, full_text, reason
from retraining.spark import hadoop, s3a

_FILE: Final = re.compile(r"while reading file (\S.*?)\.(?:\s|$)", re.MULTILINE)
_CODEC: Final = re.compile(
    r"((?i:unexpected end of (?:input )?stream)|gzip stream CRC failure|block overrun"
    r"|invalid (?:stored )?block (?:lengths|type)|bad block header|crc error)"
)
_GONE: Final = re.compile(r"FileNotFoundException|FILE_NOT_EXIST|NoSuchFileException")
_CLOSED: Final = re.compile(r"AccessControlException|AccessDeniedException|Permission denied")
_CAUSE: Final = re.compile(r"^Caused by: (?:[\w.$]+: )*(.+)$", re.MULTILINE)
_WRITING: Final = re.compile(
    r"(?:while writing rows to|Mkdirs failed to create|Parent path is not a directory:) "
    r"(.+?)(?=/_temporary|\.? SQLSTATE|\. | \(|\n|$)"
)
_FULL: Final = re.compile(r"No space left on device|Disk quota exceeded")
_DENIED: Final = re.compile(
    r"Permission denied|Read-only file system|Mkdirs failed to create|AccessDeniedException"
)
_NO_FOLDER: Final = re.compile(r"Parent path is not a directory")
_MEMORY: Final = re.compile(r"java\.lang\.OutOfMemoryError(?:: (.+))?|SparkOutOfMemoryError")
_DATABASE: Final = re.compile(r"(?:org\.postgresql\.util\.PSQL|java\.sql\.SQL\w*)Exception: (.+)")
_TYPES: Final = re.compile(r"COLUMN_DATA_TYPE_MISMATCH|SchemaColumnConvertNotSupportedException")


def fault(error: BaseException) -> RetrainingError | None:
    """The error to report to the user; None where Spark or the project may be at fault."""
    if not isinstance(error, (Py4JJavaError, PySparkException)):
        return None
    said = full_text(error)
    return (
        _of_memory(said)
        or _of_full_disk(said)
        or of_service(error)
        or unreadable_file(error)
        or _of_folder(said)
    )


def of_service(error: BaseException) -> RetrainingError | None:
    """The error to report if an object store, a database, HDFS or YARN is to blame."""
    return _of_object_store(error) or _of_database(full_text(error)) or _of_hadoop(error)


def of_path(
    error: BaseException,
    path: str,
    what: str = "cannot be reached",
    remedy: str = "check the path, the credentials and that Spark has the connector of its scheme",
) -> RetrainingError:
    """The error to report if the storage refuses a path: no such bucket, no connector."""
    # AWS says the same thing twice, with numbers of requests.
    said = re.sub(r" \((Service|SDK).*", "", first_line(error)).rpartition("Exception: ")[-1]
    return _of_hadoop(error) or RetrainingError(f"{path} {what} ({said})", remedy)


def unreadable_file(error: BaseException) -> RetrainingError | None:
    """The error to report for one of Spark that a file is to blame for; None for any other.

    Args:
        error: What an action of Spark raised, or the reading of a schema.
    """
    said = full_text(error)
    found = _FILE.search(said)
    if found is None and (codec := _CODEC.search(said)):  # Spark 3.5 does not say which
        return RetrainingError(
            f"a compressed file is damaged ({codec[1].strip()})",
            "find it, for example by gzip -t or bzip2 -t, and get it again",
        )
    if found is None:
        return None
    path = readable(found[1])
    if closed := closed_or_gone(path, said):
        return closed
    causes = _CAUSE.findall(said)
    why = f" ({causes[-1].strip()})" if causes else ""
    if _TYPES.search(said):
        return RetrainingError(
            f"{path} holds other types than its schema says{why}", "write the file again"
        )
    return RetrainingError(
        f"{path} is damaged{why}", "get or write the file again, or leave it out"
    )


def closed_or_gone(path: str, said: str) -> RetrainingError | None:
    """The error to report if what Java says of a file means that it cannot be opened at all."""
    if _GONE.search(said):
        return RetrainingError(
            f"{path} is gone since it was listed", "put it back, or run the step again without it"
        )
    if _CLOSED.search(said):
        return RetrainingError(
            f"{path} may not be read", "give this user the permission to read it"
        )
    return None


def first_line(error: BaseException) -> str:
    """The first line of what Java says or, where Python found the fault, PySpark."""
    return reason(str(error.java_exception) if isinstance(error, Py4JJavaError) else error)


def readable(path: str) -> str:
    """A path as people write it: Spark encodes blanks and the like, where the scheme has `//`."""
    return unquote(path) if "://" in path else path


def _of_memory(text: str) -> RetrainingError | None:
    if found := _MEMORY.search(text):
        return RetrainingError(
            f"Spark has too little memory ({found[1] or 'for this task'})",
            "raise spark.driver.memory, or spark.executor.memory on a cluster, in the file "
            "spark-defaults.conf of SPARK_CONF_DIR, or by spark-submit",
        )
    return None


def _of_full_disk(text: str) -> RetrainingError | None:
    if _FULL.search(text):
        where = _WRITING.search(text)
        folder = where[1] if where else "the disk for temporary files (SPARK_LOCAL_DIRS, TMPDIR)"
        return RetrainingError(
            f"no space is left for {folder}", "make room there, or name another folder"
        )
    return None


def _of_object_store(error: BaseException) -> RetrainingError | None:
    if complaint := s3a.complaint(error):
        return RetrainingError(
            f"the object store fails Spark ({complaint})",
            "see that it is up and that the credentials hold, then run the step again; what "
            "was half-written does not count",
        )
    return None


def _of_hadoop(error: BaseException) -> RetrainingError | None:
    return None if s3a.complaint(error) else hadoop.fault(full_text(error))


def _of_database(text: str) -> RetrainingError | None:
    if found := _DATABASE.search(text):
        return RetrainingError(
            f"the database fails Spark ({found[1].strip()})",
            "see that it is up, and that the table, the query and the permissions are as they "
            "should be, then run the step again",
        )
    return None


def _of_folder(text: str) -> RetrainingError | None:
    where = _WRITING.search(text)
    folder = where[1] if where else "a folder"
    if _NO_FOLDER.search(text):
        return RetrainingError(f"{folder} is a file", "name a folder that is not within a file")
    if _DENIED.search(text):
        return RetrainingError(
            f"{folder} cannot be written ({_innermost(text)})",
            "see that this user may write there, or name another folder",
        )
    return None


def _innermost(text: str) -> str:
    """What the first of all causes said, without our working directory."""
    causes = _CAUSE.findall(text) or [text.strip().partition("\n")[0]]
    return re.sub(r" \(exists=.*", "", causes[-1].strip())
