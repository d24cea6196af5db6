"""The one place that decides whether an error is an expected one, and how it is reported."""

from __future__ import annotations

import errno
import re
from typing import Final

import mlflow

from retraining.errors import RetrainingError, full_text, reason
from retraining.spark import faults as spark_faults
from retraining.tracking import outage

# What the disk refuses, by the number of the error, and what helps.
_DISK: Final = {
    errno.ENOSPC: "make room there, or name another folder",
    errno.EDQUOT: "make room there, or name another folder",
    errno.EROFS: "see that this user may write there, or name another folder",
    errno.EACCES: "see that this user has access, or name another folder",
    errno.EPERM: "see that this user has access, or name another folder",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}
# What SQLite says of its file, and what helps.
_DATABASE: Final = {
    "database or disk is full": "make room there",
    "attempt to write a readonly database": "see that this user may write the file and its folder",
    "unable to open database file": "see that its folder is there and that this user may write it",
    "database is locked": "let the other processes finish, then run the step again; for many at a "
    "time start a tracking server",
    "disk I/O error": "check the disk",
    "database disk image is malformed": "restore it from a copy",
    "file is not a database": "name another file in MLFLOW_TRACKING_URI",
}
_DELETED: Final = "must be in the 'active' state"
_NO_TEMPORARY_FOLDER: Final = "No usable temporary directory"


def fault(error: BaseException) -> RetrainingError | None:
    """The error to report to the user; None if it is a defect of the project.

    A `RetrainingError` is reported as it is. Others are expected where the data, the disk, the
    memory, the network or a service is at fault.
    """
    if isinstance(error, RetrainingError):
        return error
    if isinstance(error, MemoryError):
        return RetrainingError(
            "the memory of this machine is used up", "end other programs, or take a larger machine"
        )
    causes = outage.chain(error) if isinstance(error, mlflow.MlflowException) else [error]
    return (
        outage.fault(error)
        or spark_faults.fault(error)
        or next((found for cause in causes if (found := _of_disk(cause))), None)
        or _of_database(error)
        or _of_tracking(error)
    )


def _of_disk(error: BaseException) -> RetrainingError | None:
    if not isinstance(error, OSError):
        return None
    if _NO_TEMPORARY_FOLDER in str(error):
        return RetrainingError(str(error.strerror), "make room there, or set TMPDIR to another one")
    if error.errno == errno.ENOENT and error.filename is None:  # as os.getcwd() raises it
        return RetrainingError(
            "the working directory is not there any more", "change to one that is there"
        )
    if error.errno not in _DISK:
        return None
    where = error.filename2 or error.filename or "the disk"
    return RetrainingError(f"{where}: {error.strerror}", _DISK[error.errno])


def _of_database(error: BaseException) -> RetrainingError | None:
    for refusal, remedy in _DATABASE.items():
        if re.search(rf"sqlite3\.\w+Error\W+{re.escape(refusal)}", full_text(error)):
            return RetrainingError(f"the store of runs {outage.address()}: {refusal}", remedy)
    return None


def _of_tracking(error: BaseException) -> RetrainingError | None:
    """What the store does not have: it was removed, or its id was mistyped."""
    if not isinstance(error, mlflow.MlflowException):
        return None
    if _DELETED in str(error):
        return RetrainingError(
            reason(error).rstrip("."),
            "restore it (mlflow experiments restore, mlflow runs restore), or name another one",
        )
    if error.error_code != "RESOURCE_DOES_NOT_EXIST":
        return None
    asked = reason(error).removeprefix("RESOURCE_DOES_NOT_EXIST: ").rstrip(".")
    return RetrainingError(
        f"{outage.address()} does not have what was asked for ({asked})",
        "it was removed, or is in another store: check MLFLOW_TRACKING_URI",
    )
