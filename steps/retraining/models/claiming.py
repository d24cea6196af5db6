"""An output folder that belongs to one run until it is complete."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from py4j.protocol import Py4JError

from retraining.errors import RetrainingError
from retraining.spark import storage
from retraining.tracking import runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

# Readers of the folder skip names that begin with an underscore.
UNFINISHED = "_UNFINISHED"


@contextmanager
def claimed(spark: SparkSession, folder: str, run_id: str) -> Iterator[None]:
    """Mark a folder as that of a run until it is complete; it is removed if that fails.

    Only what bears the mark of the run itself is removed, or that of a run that is known to have
    failed or to have been killed: two attempts with the same folder never delete what the other
    one has written.

    Args:
        spark: The session.
        folder: Absolute; it must not exist, unless it is the leftover of such a run.
        run_id: Of the run that writes.

    Raises:
        RetrainingError: If the folder is complete, or another run writes to it.
    """
    mark = f"{folder}/{UNFINISHED}"
    if storage.exists(spark, folder):
        if not storage.exists(spark, mark):
            raise RetrainingError(f"output={folder} exists", "name a folder that does not exist")
        owner = storage.read_text(spark, mark)
        if not _is_dead(owner):
            raise _in_use(folder, owner)
        storage.remove(spark, folder)
    storage.create_text(spark, mark, run_id)
    _check_owner(spark, folder, run_id)
    try:
        yield
        _check_owner(spark, folder, run_id)
    except BaseException:
        with suppress(Py4JError, OSError, RetrainingError):  # why it failed matters more
            if storage.read_text(spark, mark) == run_id:
                storage.remove(spark, folder)
        raise
    storage.remove(spark, mark)


def _check_owner(spark: SparkSession, folder: str, run_id: str) -> None:
    owner = storage.read_text(spark, f"{folder}/{UNFINISHED}")
    if owner != run_id:
        raise _in_use(folder, owner)


def _is_dead(run_id: str) -> bool:
    """Whether a run has failed or was killed; one that nobody knows here may be alive elsewhere."""
    try:
        return runs.get_run(run_id, "output").info.status in ("FAILED", "KILLED")
    except RetrainingError:
        return False


def _in_use(folder: str, run_id: str) -> RetrainingError:
    return RetrainingError(
        f"output={folder} is being written by run {run_id}, which has not ended",
        "wait for it, name another folder or, if it was killed, remove the folder",
    )
