"""From what a caller said to what a step reads: prepared data, raw files, folders."""

from __future__ import annotations

import atexit
import hashlib
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlparse

import mlflow
from mlflow.artifacts import download_artifacts

from retraining.data.manifest import is_data_set, read_manifest
from retraining.errors import RetrainingError
from retraining.tracking import outage, runs, tags
from retraining.tracking.checkout import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlflow.entities import Run
    from pyspark.sql import SparkSession

    from retraining.data.manifest import Manifest
    from retraining.data.sources import RawFile
    from retraining.description.document import Description
    from retraining.tracking.lineage import StepRun


class PreparedData(NamedTuple):
    """A prepared data set.

    Attributes:
        uri: Its folder.
        run_id: The preprocess run that made it; None if a folder was named.
    """

    uri: str
    run_id: str | None

    def read(self, spark: SparkSession) -> Manifest:
        """The manifest of the data set; RetrainingError if the folder holds none."""
        return read_manifest(spark, self.uri)

    @property
    def name(self) -> str:
        """How a later run names the same data: the run id, or the folder."""
        return self.run_id or self.uri


def find_data(run: StepRun, told: str | None) -> PreparedData:
    """The prepared data that a run id or a folder names; by default that of the run's cycle.

    The choice is recorded as an input of the run and pinned for its repetition.
    """
    if told and not _is_run_id(told):
        found = PreparedData(told, None)
    else:
        made = (
            runs.get_run(told, "data")
            if told
            else runs.upstream("preprocess", run.cycle_id, "data")
        )
        found = PreparedData(folder_made_by(made, "data"), made.info.run_id)
    run.use("data", found.uri, found.run_id)
    run.pin(data=found.name)
    return found


def find_previous(
    run: StepRun, spark: SparkSession, description: Description, root: str, named: str | None
) -> Manifest | None:
    """The data set whose days can be reused, recorded and pinned; None to process all days.

    Args:
        run: The preprocess run.
        spark: The session.
        description: What the days must have been prepared with.
        root: Where data sets live.
        named: The run that made it, or "none"; None takes the newest that fits.
    """
    if named == "none":
        made = None
    elif named:
        made = runs.get_run(named, "previous")
    else:
        digest = description.preparation_digest
        made = runs.find(
            "preprocess", having={tags.PREPARATION_DIGEST: digest, tags.DATA_ROOT: root}
        )
    uri = folder_made_by(made, "previous") if made else ""
    if made is None or not (named or is_data_set(spark, uri)):
        run.pin(previous="none")
        return None
    run.pin(previous=made.info.run_id)
    run.use("previous", uri, made.info.run_id)
    return read_manifest(spark, uri)


def folder_made_by(run: Run, flag: str) -> str:
    """Folder of the data set that a preprocess run made.

    Raises:
        RetrainingError: If the run made none; `flag` names the parameter that said it.
    """
    if tags.DATASET_URI not in run.data.tags:
        raise RetrainingError(
            f"{flag}={run.info.run_id!r} made no data set", "give the id of a preprocess run"
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


def data_root(told: str | None) -> str:
    """Where data sets live: as told, else beside the SQLite store, else in the project."""
    if told:
        return told.rstrip("/") if "://" in told else str(Path(told).absolute())
    uri = urlparse(mlflow.get_tracking_uri())
    beside = Path(uri.path[1:]).parent if uri.scheme == "sqlite" else ROOT
    return str(beside.absolute() / "data")


def raw_folder(told: str | None, name: str) -> str:
    """Where raw files of a data set lie unless told otherwise."""
    return f"{data_root(told)}/raw/{name}"


def newest_model_name() -> str:
    """Name of the model that was registered last.

    Raises:
        RetrainingError: If there is none.
    """
    registered = {tags.REGISTERED: tags.TRUE}
    run = runs.find("train", having=registered) or runs.find("tune", having=registered)
    if run is None:
        raise RetrainingError("no model was registered yet", "name one with model_name=")
    return run.data.tags[tags.MODEL_NAME]


def local_copy(source: str) -> str:
    """A list of files that a run kept, as a local path; any other source as it is."""
    return download(source) if source.startswith("runs:/") else source


def paths_in(source: str | None) -> list[str]:
    """What a source names: the paths in a local `.json` list, else itself; nothing for None."""
    if source and source.endswith(".json") and Path(source).is_file():
        return re.findall(r'"([^"]+)"', Path(source).read_text())
    return [source] if source else []


def keep_files(run: StepRun, parameter: str, source: str, files: Sequence[RawFile]) -> None:
    """Keep on the run which files a parameter named, and pin it to that list."""
    run.use(parameter, f"{source} ({len(files)} files)")
    mlflow.log_text(json.dumps([file.path for file in files], indent=1), f"{parameter}.json")
    run.pin(**{parameter: f"runs:/{run.run_id}/{parameter}.json"})


def digest_of(files: Iterable[RawFile]) -> str:
    """Digest of which files these are, by path, size and time of change."""
    listed = "\n".join(sorted(f"{f.path} {f.size} {f.modified}" for f in files))
    return hashlib.sha256(listed.encode()).hexdigest()[:16]


def download(uri: str) -> str:
    """Local path of a run's artifact, which is there as long as this process.

    Raises:
        RetrainingError: If the run or the artifact is not there.
    """
    folder = tempfile.mkdtemp()
    # MLflow would leave it there for ever: scores of ten million rows at each replay.
    atexit.register(shutil.rmtree, folder)
    try:
        return str(download_artifacts(artifact_uri=uri, dst_path=folder))
    except (mlflow.MlflowException, OSError) as error:
        raise outage.fault(error) or RetrainingError(
            f"{uri} cannot be read", "check run id and artifact"
        ) from error


def _is_run_id(text: str) -> bool:
    return len(text) == 32 and all(digit in "0123456789abcdef" for digit in text)
