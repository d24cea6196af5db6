"""A fitted model as MLflow keeps it: with signature, example, requirements and description."""

from __future__ import annotations

import json
import os
import uuid
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import mlflow
import mlflow.spark
from mlflow.models import get_model_info, infer_signature
from mlflow.spark import _HadoopFileSystem
from pyspark.ml.util import DefaultParamsReader
from pyspark.sql import functions as F

from retraining.description import reading
from retraining.errors import RetrainingError
from retraining.spark import storage
from retraining.tracking import registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd
    from mlflow.entities.model_registry import ModelVersion
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame, SparkSession

    from retraining.description.document import Description

ARTIFACT = "model"
_PLACE = "MLFLOW_DFS_TMP"
_REQUIREMENTS = ("mlflow", "pyspark", "numpy", "pandas", "pyarrow")


class Registered(NamedTuple):
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
        example: A scored frame; five of its rows become input example and signature.
        training: What the model was trained on, JSON-able; travels too.
        root: A folder that workers see, too: a cluster hands the model over through it.
    """
    # Integers as doubles: MLflow warns of integer columns, which in pandas hold no nulls.
    whole = {name for name, kind in example.dtypes if kind in ("int", "bigint")}
    columns = [F.col(c).cast("double") if c in whole else c for c in description.feature_columns]
    rows: pd.DataFrame = example.select(*columns).limit(5).toPandas()
    # Without pip_requirements MLflow starts a second Spark to find out what the model imports.
    signature = infer_signature(rows, example.select("score").limit(5).toPandas())
    with _shared_folder(example.sparkSession, root), _without_python_workers(example.sparkSession):
        info = mlflow.spark.log_model(
            model,
            ARTIFACT,
            signature=signature,
            input_example=rows,
            pip_requirements=[f"{name}=={metadata.version(name)}" for name in _REQUIREMENTS],
            # As text: MLmodel sorts the keys of mappings, and the order of columns means something.
            metadata={
                "description": json.dumps(description.to_mapping()),
                "training": json.dumps(training),
            },
        )
    return str(info.model_uri)


def load(version: ModelVersion, spark: SparkSession, root: str) -> Registered:
    """Load a registered model natively: the pyfunc flavour returns labels, not scores.

    Args:
        version: As the registry gave it.
        spark: The session that is to score with it.
        root: A folder that workers see, too: a cluster hands the model over through it.

    Raises:
        RetrainingError: If the version carries no description.
    """
    uri = registry.uri_of(version)
    carried = get_model_info(uri).metadata or {}
    if "description" not in carried:
        raise RetrainingError(
            f"{uri} carries no data set description", "register it with train or tune"
        )
    description = reading.from_mapping(json.loads(carried["description"]), where=uri)
    training = json.loads(carried["training"])
    with _shared_folder(spark, root) as folder, _without_python_workers(spark):
        model = mlflow.spark.load_model(uri, dst_path=folder)
    return Registered(version, model, description, training)


@contextmanager
def _shared_folder(spark: SparkSession, root: str) -> Iterator[str | None]:
    """Let MLflow hand a model over to the workers of a cluster, and back, in a passing folder.

    A model is written and read by workers. MLflow takes it for granted that they find the default
    file system of Hadoop, which without HDFS is the disk of each machine. With a local master
    nothing is changed.

    Yields:
        Where to download a model to, so that workers can read it; None where that does not matter.
    """
    if (spark.sparkContext.master or "").startswith("local"):
        yield None
        return
    folder = storage.make_absolute(spark, f"{root}/_model-{uuid.uuid4().hex}")
    before, told = _HadoopFileSystem._filesystem, os.environ.get(_PLACE)
    _HadoopFileSystem._filesystem = storage.file_system(spark, folder)
    os.environ[_PLACE] = folder
    local = folder.removeprefix("file:") if folder.startswith("file:") else None
    try:
        if local:
            Path(local).mkdir(parents=True)
        yield local
    finally:
        _HadoopFileSystem._filesystem = before
        os.environ.pop(_PLACE) if told is None else os.environ.update({_PLACE: told})
        storage.remove(spark, folder)


@contextmanager
def _without_python_workers(spark: SparkSession) -> Iterator[None]:
    """Read what a model says of itself as PySpark 4 does, by Spark.

    PySpark 3.5 starts a Python on a worker for this one line, which has to be the driver's version.
    """

    def load_metadata(path: str, _: object, expected_class: str = "") -> dict[str, Any]:
        (line,) = spark.read.text(f"{path}/metadata").head(1)
        read: dict[str, Any] = DefaultParamsReader._parseMetaData(line.value, expected_class)
        return read

    before = DefaultParamsReader.loadMetadata
    if not spark.version.startswith("4."):
        DefaultParamsReader.loadMetadata = staticmethod(load_metadata)  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        DefaultParamsReader.loadMetadata = staticmethod(before)  # type: ignore[method-assign]
