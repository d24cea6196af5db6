"""Files and folders through Hadoop's FileSystem API: local, s3a:// and hdfs:// behave the same.

A path without a scheme is one of this machine, for Spark as for Python. Hadoop itself would look on
its default file system, which is HDFS wherever HADOOP_CONF_DIR names one.
"""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException

from retraining.errors import RetrainingError
from retraining.spark import faults
from retraining.spark.java import java_class

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

_SCHEME: Final = re.compile(r"\w[\w+.-]*:")
# Bytes: an answer of Java with more than 8,192 characters comes in parts, each 40 ms after the last
# one, since the system waits for a confirmation.
_PIECE: Final = 6_000


class Entry(NamedTuple):
    """A file or folder.

    Attributes:
        path: Absolute, with its scheme.
        size: Bytes.
        modified: Milliseconds since 1970.
        is_folder: A folder, not a file.
    """

    path: str
    size: int
    modified: int
    is_folder: bool

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


def find(spark: SparkSession, pattern: str) -> list[Entry]:
    """The file or folder of that path or, if there is none, all that match it as a glob."""
    with _explained(pattern):
        fs, path = _open(spark, pattern)
        if fs.exists(path):
            return [_entry(fs.getFileStatus(path))]
        return [_entry(status) for status in fs.globStatus(path) or ()]


def list_folder(spark: SparkSession, folder: str) -> list[Entry]:
    """What is directly in a folder, by name; hidden names (`.` or `_` first) are left out."""
    with _explained(folder):
        fs, path = _open(spark, folder)
        entries = [_entry(status) for status in fs.listStatus(path)]
    return sorted(entry for entry in entries if not entry.name.startswith((".", "_")))


def sizes(spark: SparkSession, folder: str) -> dict[str, int]:
    """Bytes of each file in a folder and its sub-folders, by path; hidden ones are left out.

    Empty if there is no such folder. An object store lists all of them at once.
    """
    with _explained(folder):
        fs, path = _open(spark, folder)
        if not fs.exists(path):
            return {}
        listed, found = fs.listFiles(path, True), []  # noqa: FBT003 (a Java method)
        while listed.hasNext():
            found.append(_entry(listed.next()))
        start = len(str(fs.makeQualified(path).toString()))
    return {e.path: e.size for e in found if not re.search(r"/[._]", e.path[start:])}


def file_system(spark: SparkSession, path: str) -> Any:  # noqa: ANN401 (a Java object)
    """Hadoop's FileSystem that a path is on."""
    with _explained(path):
        return _open(spark, path)[0]


def exists(spark: SparkSession, path: str) -> bool:
    """Whether there is a file or folder of that path."""
    with _explained(path):
        fs, where = _open(spark, path)
        return bool(fs.exists(where))


def make_absolute(spark: SparkSession, path: str) -> str:
    """The path with its scheme, from the working directory if it is relative."""
    with _explained(path):
        fs, where = _open(spark, path)
        return str(fs.makeQualified(where).toString())


def read_text(spark: SparkSession, path: str) -> str:
    """The text of a UTF-8 file; it is held in the driver's memory."""
    with _explained(path):
        fs, where = _open(spark, path)
        stream = fs.open(where)
        try:
            utils = java_class(_jvm(spark), "org.apache.commons.io.IOUtils")
            return str(utils.toString(stream, "UTF-8"))
        finally:
            stream.close()


def read_start(spark: SparkSession, path: str, size: int) -> bytes:
    """The first bytes of a file, decompressed by its suffix; fewer than `size` if it ends before.

    Raises:
        RetrainingError: If it cannot be reached, or is not what its suffix says.
    """
    with _explained(path):
        fs, where = _open(spark, path)
        codecs = java_class(_jvm(spark), "org.apache.hadoop.io.compress.CompressionCodecFactory")
        codec = codecs(_configuration(spark)).getCodec(where)
        stream = fs.open(where)
    try:
        if codec is None:
            with _explained(path):
                return _read(stream, size)
        with _explained(path, "is damaged", "get or write it again, or leave it out"):
            start = _read(codec.createInputStream(stream), size)
            if start or path.lower().endswith(".gz"):
                return start
            stream.seek(0)  # what does not begin as bzip2 does is read as an empty file
            magic = bytes(stream.readNBytes(3))
    finally:
        stream.close()
    if magic != b"BZh":
        raise RetrainingError(f"{path} is not compressed by bzip2", "give it the right suffix")
    return start


def _read(stream: Any, size: int) -> bytes:  # noqa: ANN401 (a Java object)
    start = bytearray()
    while len(start) < size:
        piece = stream.readNBytes(min(_PIECE, size - len(start)))
        if not piece:
            break
        start += piece
    return bytes(start)


def write_text(spark: SparkSession, path: str, text: str) -> None:
    """Write a UTF-8 file in one step: a reader sees all of it or none."""
    with _explained(path):
        fs, where = _open(spark, path)
        # An object comes to be when its stream is closed; a file is there from the beginning.
        draft = where if fs.getScheme() == "s3a" else where.suffix(".tmp")
        stream = fs.create(draft)
        try:
            stream.write(bytearray(text.encode()))
        finally:
            stream.close()
        if draft is not where and not fs.rename(draft, where):
            raise RetrainingError(f"{path} cannot be written", "check permissions")


def create_text(spark: SparkSession, path: str, text: str) -> bool:
    """Write a UTF-8 file unless there is one of that path; whether it was written."""
    with _explained(path):
        fs, where = _open(spark, path)
        try:
            stream = fs.create(where, False)  # noqa: FBT003 (a Java method)
        except Py4JJavaError as error:
            if "FileAlreadyExistsException" in str(error.java_exception.getClass().getName()):
                return False
            raise
        try:
            stream.write(bytearray(text.encode()))
        finally:
            stream.close()
        return True


def upload(spark: SparkSession, local: Path, path: str) -> None:
    """Copy a file or folder of the driver's disk, with all in it, to a path."""
    with _explained(path):
        fs, where = _open(spark, path)
        fs.copyFromLocalFile(_path(spark, local.as_uri()), where)


def remove(spark: SparkSession, path: str) -> None:
    """Remove a file, or a folder and all in it; nothing happens if there is none."""
    with _explained(path):
        fs, where = _open(spark, path)
        fs.delete(where, True)  # noqa: FBT003 (a Java method)


@contextmanager
def removed_on_failure(spark: SparkSession, folder: str) -> Iterator[None]:
    """Remove a folder and all in it if what is done with it fails or is interrupted."""
    try:
        yield
    except BaseException:
        with suppress(Py4JError, OSError, RetrainingError):  # why it failed matters more
            remove(spark, folder)
        raise


def _open(spark: SparkSession, path: str) -> tuple[Any, Any]:
    where = _path(spark, path)
    return where.getFileSystem(_configuration(spark)), where


def _path(spark: SparkSession, path: str) -> Any:  # noqa: ANN401 (a Java object)
    where = path if _SCHEME.match(path) else f"file://{Path(path).absolute()}"
    return java_class(_jvm(spark), "org.apache.hadoop.fs.Path")(where)


def _jvm(spark: SparkSession) -> Any:  # noqa: ANN401 (a Java object)
    return spark._jvm  # PySpark has no public way to Hadoop


def _configuration(spark: SparkSession) -> Any:  # noqa: ANN401 (a Java object)
    return spark._jsc.hadoopConfiguration()


def _entry(status: Any) -> Entry:  # noqa: ANN401 (a Java object)
    path = str(status.getPath().toString())
    return Entry(path, status.getLen(), status.getModificationTime(), status.isDirectory())


@contextmanager
def _explained(path: str, *what_and_remedy: str) -> Iterator[None]:
    """Turn what the storage throws (no such bucket, no permission, no connector) into one line."""
    try:
        yield
    except (Py4JJavaError, PySparkException) as error:
        raise faults.of_path(error, path, *what_and_remedy) from error
