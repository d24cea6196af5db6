"""What a step reads, from the parameters that name it: prepared data, raw files, folders."""

from __future__ import annotations

import atexit
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlparse

import mlflow
from mlflow.artifacts import download_artifacts

from retraining.data.files.sources import split_source
from retraining.data.manifest import is_data_set, read_manifest
from retraining.digests import digest
from retraining.errors import RetrainingError
from retraining.progress import counted
from retraining.tracking import faults, runs, tags
from retraining.tracking.checkout import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlflow.entities import Run
    from pyspark.sql import SparkSession

    from retraining.data.files.sources import RawFile
    from retraining.data.manifest import Manifest
    from retraining.description.document import Description
    from retraining.tracking.lineage import StepRun

# A path without a scheme, or that of a table of Delta Lake.
_WITHOUT_SCHEME = re.compile(r"(delta:)?((?!\w[\w+.-]*:).+)", re.DOTALL)


class PreparedData(NamedTuple):
    """A prepared data set.

    Attributes:
        uri: Its folder.
        run_id: The preprocess run that wrote it; None if the caller named a folder.
    """

    uri: str
    run_id: str | None

    def read(self, spark: SparkSession) -> Manifest:
        """The manifest of the data set; RetrainingError if the folder has none."""
        return read_manifest(spark, self.uri)

    @property
    def name(self) -> str:
        """How a later run names the same data: the run id, or the folder."""
        return self.run_id or self.uri


def find_data(run: StepRun, named: str | None) -> PreparedData:
    """The prepared data that a run id or a folder names; by default that of the run's cycle.

    The choice is recorded as an input of the run and pinned for its repetition.
    """
    if named and not is_run_id(named):
        data = PreparedData(absolute(named), None)
    else:
        source = (
            runs.get_run(named, "data")
            if named
            else runs.upstream("preprocess", run.cycle_id, "data")
        )
        data = PreparedData(folder_of(source, "data"), source.info.run_id)
    run.use("data", data.uri, data.run_id)
    run.pin(data=data.name)
    return data


def find_previous(
    run: StepRun, spark: SparkSession, description: Description, root: str, named: str | None
) -> Manifest | None:
    """The data set whose days can be reused, recorded and pinned; None to process all days.

    Args:
        run: The preprocess run.
        spark: The session.
        description: What the days must have been prepared with.
        root: Where data sets live.
        named: The run that wrote it, or "none"; None takes the newest run that fits.
    """
    if named == "none":
        previous = None
    elif named:
        previous = runs.get_run(named, "previous")
    else:
        previous = _newest_like(description, root)
    uri = folder_of(previous, "previous") if previous else ""
    if previous is None or not (named or is_data_set(spark, uri)):
        run.pin(previous="none")
        return None
    run.pin(previous=previous.info.run_id)
    run.use("previous", uri, previous.info.run_id)
    return read_manifest(spark, uri)


def find_history(
    run: StepRun, spark: SparkSession, description: Description, root: str, named: str | None
) -> Manifest | None:
    """The data set whose days are earlier rows, recorded and pinned; None without one.

    Args:
        run: The predict run.
        spark: The session.
        description: That of the model.
        root: Where data sets live.
        named: The run that wrote it, or "none"; None takes the newest run that fits.

    Raises:
        RetrainingError: If the run is not there or wrote none, or the data set is gone.
    """
    source = None
    if named and named != "none":
        source = runs.get_run(named, "history")
    elif not named:
        source = _newest_like(description, root)
    uri = folder_of(source, "history") if source else ""
    if source is None or not (named or is_data_set(spark, uri)):
        run.pin(history="none")
        return None
    run.use("history", uri, source.info.run_id)
    run.pin(history=source.info.run_id)
    return read_manifest(spark, uri)


def _newest_like(description: Description, root: str) -> Run | None:
    """The newest run that prepared rows as a description says."""
    same = description.preparation_digest
    return runs.find("preprocess", having={tags.PREPARATION_DIGEST: same, tags.DATA_ROOT: root})


def folder_of(run: Run, flag: str) -> str:
    """Folder of the data set that a preprocess run wrote.

    Raises:
        RetrainingError: If the run wrote none; `flag` is the parameter that named the run.
    """
    if tags.DATASET_URI not in run.data.tags:
        raise RetrainingError(
            f"{flag}={run.info.run_id!r} did not write a data set",
            "give the id of a preprocess run",
        )
    return run.data.tags[tags.DATASET_URI]


def describe(other: Description | None, manifest: Manifest) -> Description:
    """The description to work by: another one that the caller named, or that of the data.

    Raises:
        RetrainingError: If the other one would have prepared other rows or features.
    """
    own = manifest.describe()
    if other is None or other.preparation_digest == own.preparation_digest:
        return other or own
    raise RetrainingError(
        f"the description {other.name} has other columns or features than the data was prepared "
        "with",
        "run preprocess with it first",
    )


def data_root(named: str | None) -> str:
    """Where data sets live: in the named folder, or next to the SQLite store or in the project."""
    if named:
        return absolute(named).rstrip("/")
    uri = urlparse(mlflow.get_tracking_uri())
    beside = Path(uri.path[1:]).parent if uri.scheme == "sqlite" else ROOT
    return str(beside.absolute() / "data")


def absolute(path: str) -> str:
    """The path, from the working directory if it is relative; any with a scheme as it is."""
    found = _WITHOUT_SCHEME.fullmatch(path)
    return f"{found[1] or ''}{Path(found[2]).absolute()}" if found else path


def absolute_source(source: str) -> str:
    """The same raw files, or tables, for a process in another working directory."""
    return ",".join(map(absolute, split_source(source))) or source


def raw_folder(root: str | None, name: str) -> str:
    """The default folder of the raw files of a data set."""
    return f"{data_root(root)}/raw/{name}"


def newest_model_name() -> str:
    """Name of the model that was registered last.

    Raises:
        RetrainingError: If there is none.
    """
    registered = {tags.REGISTERED: tags.TRUE}
    run = runs.find("train", having=registered) or runs.find("tune", having=registered)
    if run is None:
        raise RetrainingError("no model has been registered yet", "name one with model_name=")
    return run.data.tags[tags.MODEL_NAME]


def local_copy(source: str) -> str:
    """The local path of a list of files that a run kept; any other source as it is."""
    return download(source) if source.startswith("runs:/") else source


def paths_in(source: str | None) -> list[str]:
    """The paths that a source names: those in a local `.json` list, or else the source itself."""
    if source and source.endswith(".json") and Path(source).is_file():
        return re.findall(r'"([^"]+)"', Path(source).read_text())
    return [source] if source else []


def keep_files(run: StepRun, parameter: str, source: str, files: Sequence[RawFile]) -> None:
    """Keep the list of files that a parameter named on the run, and pin the parameter to it."""
    run.use(parameter, f"{source} ({counted(len(files), 'file')})")
    mlflow.log_text(json.dumps([file.path for file in files], indent=1), f"{parameter}.json")
    run.pin(**{parameter: f"runs:/{run.run_id}/{parameter}.json"})


def digest_of(files: Iterable[RawFile]) -> str:
    """Digest of the path, the size and the modification time of files."""
    listed = "\n".join(sorted(f"{f.path} {f.size} {f.modified}" for f in files))
    return digest(listed)


def download(uri: str) -> str:
    """Download an artifact of a run; the local copy is removed when this process ends.

    Raises:
        RetrainingError: If the run or the artifact does not exist.
    """
    folder = tempfile.mkdtemp()
    # MLflow would leave it there for ever: scores of ten million rows at each replay.
    atexit.register(shutil.rmtree, folder)
    try:
        return str(download_artifacts(artifact_uri=uri, dst_path=folder))
    except (mlflow.MlflowException, OSError) as error:
        raise faults.fault(error) or RetrainingError(
            f"{uri} cannot be read", "check run id and artifact"
        ) from error


def read_json(run_id: str, name: str) -> dict[str, Any]:
    """A JSON artifact of a run.

    Raises:
        RetrainingError: If the artifact does not exist, or is not such a file any more.
    """
    uri = f"runs:/{run_id}/{name}"
    try:
        found: dict[str, Any] = json.loads(Path(download(uri)).read_text(encoding="utf-8"))
    except ValueError as error:
        raise RetrainingError(f"{uri} is damaged ({error})", "name another run") from error
    return found


def is_run_id(text: str) -> bool:
    """Whether a text is the id of a run, and not a path."""
    return len(text) == 32 and all(digit in "0123456789abcdef" for digit in text)
