"""Models in MLflow: logged and loaded with the description that their features are built by."""

from __future__ import annotations

import json
import uuid
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import mlflow
import mlflow.spark
from mlflow.artifacts import download_artifacts
from mlflow.models import Model, infer_signature
from mlflow.spark import _HadoopFileSystem
from mlflow.store.artifact.models_artifact_repo import REGISTERED_MODEL_META_FILE_NAME
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_MODELS
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.ml import PipelineModel
from pyspark.ml.util import JavaMLReader
from pyspark.sql import functions as F
from yaml import YAMLError

from retraining.description import reading
from retraining.digests import digest_of_files
from retraining.errors import RetrainingError, reason
from retraining.spark import storage
from retraining.tracking import faults, registry, tags

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd
    from mlflow.entities.model_registry import ModelVersion
    from pyspark.sql import DataFrame, SparkSession

    from retraining.description.document import Description

ARTIFACT = "model"
FILES = f"{tags.FILES}model"
_NOT_COPIED = "Failed to download artifacts from path"
_REQUIREMENTS = ("mlflow", "pyspark", "numpy", "pandas", "pyarrow")


class LoadedModel(NamedTuple):
    """A model of the registry, loaded with the description that travels with it."""

    version: ModelVersion
    model: PipelineModel
    description: Description
    training: dict[str, str]

    @property
    def uri(self) -> str:
        """`models:/name/version`: an alias may move, this does not."""
        return registry.uri_of(self.version)


def log_model(
    model: PipelineModel,
    description: Description,
    example: DataFrame,
    training: Mapping[str, Any],
    root: str,
) -> str:
    """Log a model on the active run and return its URI.

    Args:
        model: Fitted pipeline from feature columns to `probability`.
        description: Travels with the model, so that `predict` builds the same features.
        example: A scored frame; five of its rows become the input example and the signature.
        training: What the model was trained on, as JSON values; travels with the model too.
        root: A folder that workers can access; on a cluster the model passes through it.

    Raises:
        RetrainingError: If no run is active.
    """
    run = mlflow.active_run()
    if run is None:
        raise RetrainingError("no run is active", "log the model within mlflow.start_run()")
    about = Model(
        artifact_path=ARTIFACT,
        run_id=run.info.run_id,
        # As text: MLmodel sorts the keys of mappings, but the order of columns matters.
        metadata={
            "description": json.dumps(description.to_mapping()),
            "training": json.dumps(training),
        },
    )
    # Integers as doubles: MLflow warns about integer columns, which cannot hold nulls in pandas.
    whole = {name for name, kind in example.dtypes if kind in ("int", "bigint")}
    columns = [F.col(c).cast("double") if c in whole else c for c in description.feature_columns]
    if filled := description.features.fill:  # rows with values show the types
        gaps = sum((F.col(name).isNull().cast("int") for name in filled), F.lit(0))
        example = example.orderBy(gaps)
    rows: pd.DataFrame = example.select(*columns, "score").limit(5).toPandas()
    inputs, outputs = rows.drop(columns="score"), rows[["score"]]
    spark = example.sparkSession
    with TemporaryDirectory() as folder, _shared_folder(spark, root) as shared:
        with _copied_from(spark, shared):
            mlflow.spark.save_model(
                model,
                f"{folder}/{ARTIFACT}",
                mlflow_model=about,
                dfs_tmpdir=shared,
                signature=infer_signature(inputs, outputs),
                input_example=inputs,
                # Without this, MLflow starts a second Spark to find out what the model imports.
                pip_requirements=[f"{name}=={metadata.version(name)}" for name in _REQUIREMENTS],
            )
        mlflow.log_artifacts(f"{folder}/{ARTIFACT}", ARTIFACT)
        mlflow.set_tag(FILES, digest_of_files(Path(folder, ARTIFACT)))
    # Like mlflow.spark.log_model, which however loads the model again to test the example.
    mlflow.set_tag(MLFLOW_LOGGED_MODELS, json.dumps([about.get_tags_dict()]))
    return f"runs:/{run.info.run_id}/{ARTIFACT}"


def load(version: ModelVersion, spark: SparkSession, root: str) -> LoadedModel:
    """Load a registered model as a Spark model: the pyfunc flavour returns labels, not scores.

    Args:
        version: A version of the registry.
        spark: The session that will score with it.
        root: A folder that workers can access; on a cluster the model passes through it.

    Raises:
        RetrainingError: If the version has no description, or its files are not those that were
            logged.
    """
    uri = registry.uri_of(version)
    with TemporaryDirectory() as folder:
        downloaded = _download(version, folder)
        carried = _read_about(version, downloaded)
        stages = downloaded / carried["stages"]
        with _readable_by_workers(spark, root, stages) as path:
            model = _load_stages(spark, version, path)
    description = reading.from_mapping(json.loads(carried["description"]), where=uri)
    return LoadedModel(version, model, description, json.loads(carried["training"]))


def _download(version: ModelVersion, folder: str) -> Path:
    """The files of a version on the driver's disk, as they were logged."""
    try:
        downloaded = Path(download_artifacts(registry.uri_of(version), dst_path=folder))
    except (mlflow.MlflowException, OSError) as error:
        if _NOT_COPIED in str(error):  # MLflow does not say why
            raise RetrainingError(
                f"the files of {registry.uri_of(version)} ({version.source}) cannot be copied to "
                f"{folder}",
                "restore them if they are gone; else see that their store answers, and that there "
                "is room, or set TMPDIR",
            ) from error
        raise faults.fault(error) or _damage(version, reason(error)) from error
    logged = version.tags.get(FILES)
    # MLflow adds a file to each download of a version.
    if logged and logged != digest_of_files(downloaded, but=REGISTERED_MODEL_META_FILE_NAME):
        raise _damage(version, "they have changed since they were logged")
    return downloaded


def _read_about(version: ModelVersion, downloaded: Path) -> dict[str, str]:
    """What the file MLmodel says: description and training as JSON, and the folder of stages."""
    try:
        about = Model.load(str(downloaded))
        carried = dict(about.metadata or {})
        carried["stages"] = about.flavors.get(mlflow.spark.FLAVOR_NAME, {}).get("model_data", "")
    except (mlflow.MlflowException, YAMLError, TypeError, ValueError, AttributeError) as error:
        raise _damage(version, f"MLmodel: {reason(error)}") from error
    if "description" not in carried:
        raise RetrainingError(
            f"{registry.uri_of(version)} has no data set description",
            "register it with train or tune",
        )
    return carried


def _load_stages(spark: SparkSession, version: ModelVersion, path: str) -> PipelineModel:
    # PipelineModel.load would also read every stage in Python, with one job more per stage, and in
    # Spark 3.5 with a Python process on the workers.
    reader = JavaMLReader(cast("Any", PipelineModel)).session(spark)
    try:
        return cast("PipelineModel", reader.load(path))
    except (Py4JJavaError, PySparkException) as error:
        raise _damage(version, reason(error)) from error


def _damage(version: ModelVersion, why: str) -> RetrainingError:
    return RetrainingError(
        f"the files of {registry.uri_of(version)} ({version.source}) cannot be used: {why}",
        "restore them from a copy, or name another version",
    )


def _is_local(spark: SparkSession) -> bool:
    return (spark.sparkContext.master or "").startswith("local")


@contextmanager
def _shared_folder(spark: SparkSession, root: str) -> Iterator[str]:
    """The URI of a temporary folder that the driver and all workers can access."""
    if _is_local(spark):
        with TemporaryDirectory() as folder:
            yield Path(folder).as_uri()
        return
    shared = storage.make_absolute(spark, f"{root}/_model-{uuid.uuid4().hex}")
    try:
        yield shared
    finally:
        storage.remove(spark, shared)


@contextmanager
def _readable_by_workers(spark: SparkSession, root: str, local: Path) -> Iterator[str]:
    """The URI of a local folder or, on a cluster, of a temporary copy that workers can access."""
    if _is_local(spark):
        yield local.as_uri()
        return
    with _shared_folder(spark, root) as shared:
        storage.upload(spark, local, f"{shared}/{local.name}")
        yield f"{shared}/{local.name}"


@contextmanager
def _copied_from(spark: SparkSession, folder: str) -> Iterator[None]:
    """Make MLflow copy the model from the file system of the folder.

    MLflow copies from Hadoop's default file system, which without HDFS is the local disk, and has
    no parameter to change that.
    """
    before = _HadoopFileSystem._filesystem
    _HadoopFileSystem._filesystem = storage.file_system(spark, folder)
    try:
        yield
    finally:
        _HadoopFileSystem._filesystem = before
