"""Models as MLflow keeps them: complete, and the same after loading."""

from __future__ import annotations

import errno
import json
import os
import shutil
from importlib import metadata
from typing import TYPE_CHECKING, Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import load_text
from mlflow.models import get_model_info
from mlflow.spark import _HadoopFileSystem
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from pyspark.ml.util import JavaMLReader

from retraining.errors import RetrainingError
from retraining.models import pipelines, scoring, store
from retraining.tracking import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame, SparkSession

    from retraining.description.document import Description

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("tracking")]


@pytest.fixture
def fitted(
    describe: Callable[..., Description], people: Callable[[int], DataFrame]
) -> Iterator[tuple[Description, DataFrame, PipelineModel, DataFrame]]:
    """A description, rows, a model of them and the rows with its scores."""
    description = describe(scaler="standard", class_weights="balanced")
    rows = people(60).cache()
    prepared = pipelines.prepare(rows, description, pipelines.ClassWeights(1.0, 2.0), 60)
    classifier = pipelines.estimator("LogisticRegression", {"maxIter": 2}, 7)
    model = pipelines.fit(prepared, description, classifier)
    yield description, rows, model, scoring.score(rows, model, description.feature_columns)
    rows.unpersist()


def test_model_comes_back_with_all_that_travels_with_it(
    spark: SparkSession, fitted: tuple[Description, DataFrame, PipelineModel, DataFrame]
) -> None:
    description, rows, model, scored = fitted
    training = {"data": "/d/v1", "trained_until": "2026-03-01T00:00:00+00:00"}

    with mlflow.start_run() as run:
        uri = store.log_model(model, description, scored, training, "data")
    version = registry.register("people", uri, run.info.run_id, once={"identity": "a"}, more={})
    loaded = store.load(version, spark, "data")

    assert (loaded.version.version, loaded.uri) == (version.version, "models:/people/1")
    assert loaded.training == training
    assert loaded.description == description
    assert list(loaded.description.columns) == list(description.columns)
    again = scoring.score(rows, loaded.model, loaded.description.feature_columns)
    columns = ["key", "score", "prediction"]
    assert again.select(columns).collect() == scored.select(columns).collect()

    info = get_model_info(uri)
    assert info.signature is not None
    assert info.signature.inputs.input_names() == ["age", "height", "city"]
    assert info.signature.outputs.input_names() == ["score"]
    example = json.loads(load_text(f"{uri}/input_example.json"))
    assert example["columns"] == ["age", "height", "city"]
    assert len(example["data"]) == 5
    requirements = load_text(f"{uri}/requirements.txt").split()
    assert f"pyspark=={metadata.version('pyspark')}" in requirements
    assert f"mlflow=={mlflow.__version__}" in requirements
    (shown,) = json.loads(mlflow.get_run(run.info.run_id).data.tags["mlflow.log-model.history"])
    assert (shown["artifact_path"], "spark" in shown["flavors"]) == ("model", True)


def test_model_of_a_run_is_one_that_mlflow_itself_loads(
    fitted: tuple[Description, DataFrame, PipelineModel, DataFrame],
) -> None:
    description, rows, model, scored = fitted
    with mlflow.start_run():
        uri = store.log_model(model, description, scored, {}, "data")

    again = scoring.score(rows, mlflow.spark.load_model(uri), description.feature_columns)
    assert again.select("score").collect() == scored.select("score").collect()
    example = mlflow.pyfunc.load_model(uri)
    assert len(example.predict(example.input_example)) == 5


def test_workers_of_a_cluster_read_and_write_in_the_shared_folder(
    spark: SparkSession,
    fitted: tuple[Description, DataFrame, PipelineModel, DataFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    description, rows, model, scored = fitted
    root, used = tmp_path / "shared", []
    load = JavaMLReader.load

    def note(reader: JavaMLReader[Any], path: str) -> PipelineModel:
        used.append(path)
        model: PipelineModel = load(reader, path)
        return model

    monkeypatch.setattr(store, "_is_local", lambda _: False)
    monkeypatch.setattr(JavaMLReader, "load", note)

    with mlflow.start_run() as run:
        uri = store.log_model(model, description, scored, {}, str(root))
    version = registry.register("shared", uri, run.info.run_id, once={"identity": "a"}, more={})
    loaded = store.load(version, spark, str(root))

    assert [path.startswith(f"file:{root}/_model-") for path in used] == [True]
    again = scoring.score(rows, loaded.model, description.feature_columns)
    assert again.select("score").collect() == scored.select("score").collect()
    assert list(root.iterdir()) == []


def test_failure_leaves_mlflow_as_it_was(
    fitted: tuple[Description, DataFrame, PipelineModel, DataFrame],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    description, _, model, scored = fitted

    def refuse(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(mlflow.spark, "save_model", refuse)
    before = (_HadoopFileSystem._filesystem, dict(os.environ))
    with mlflow.start_run(), pytest.raises(OSError, match="disk full"):
        store.log_model(model, description, scored, {}, "data")
    assert (_HadoopFileSystem._filesystem, dict(os.environ)) == before


def test_model_without_a_run_is_refused(
    fitted: tuple[Description, DataFrame, PipelineModel, DataFrame],
) -> None:
    description, _, model, scored = fitted
    with pytest.raises(RetrainingError, match="active"):
        store.log_model(model, description, scored, {}, "data")


def test_version_without_a_description_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {}\nmetadata: {team: another}\n")
    MlflowClient().create_registered_model("foreign")
    version = MlflowClient().create_model_version("foreign", tmp_path.as_uri())

    with pytest.raises(RetrainingError, match="models:/foreign/1"):
        store.load(version, spark, "data")


def change(path: Path) -> None:
    """Let the file say something else, of the same form."""
    path.write_bytes(path.read_bytes().replace(b"height", b"weight"))


def tear(path: Path) -> None:
    """Put what is not text in place of the first half."""
    content = path.read_bytes()
    path.write_bytes(b"\0{" * (len(content) // 4) + content[len(content) // 2 :])


@pytest.mark.parametrize("digest", [True, False], ids=["digest", "earlier release"])
def test_files_of_a_model_that_were_damaged_are_refused(
    spark: SparkSession,
    fitted: tuple[Description, DataFrame, PipelineModel, DataFrame],
    tmp_path: Path,
    digest: bool,  # noqa: FBT001
) -> None:
    description, _, model, scored = fitted
    with mlflow.start_run() as run:
        uri = store.log_model(model, description, scored, {}, "data")
    more = {store.FILES: mlflow.get_run(run.info.run_id).data.tags[store.FILES]} if digest else {}
    version = registry.register("people", uri, run.info.run_id, once={"identity": "a"}, more=more)
    version = registry.version_of("people", version.version)
    folder = tmp_path / "artifacts" / run.info.run_id / "artifacts" / "model"
    about = folder / "MLmodel"
    (*_, part) = sorted(folder.rglob("*.parquet"))
    damages: dict[str, Callable[[], object]] = {
        "MLmodel torn": lambda: tear(about),
        "part torn": lambda: tear(part),
        "part gone": part.unlink,
        "MLmodel gone": about.unlink,
        "all gone": lambda: shutil.rmtree(folder),
    }
    if digest:
        damages |= {"MLmodel changed": lambda: change(about)}
    assert store.load(version, spark, "data").training == {}
    kept = shutil.copytree(folder, tmp_path / "kept")
    for name, damage in damages.items():
        damage()
        for checksum in folder.rglob(".*.crc"):
            if not digest:
                checksum.unlink()
        with pytest.raises(RetrainingError, match=r"files of models:/people/1 .* restore") as error:
            store.load(version, spark, "data")
        assert "\n" not in str(error.value), name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(kept, folder)
    assert store.load(version, spark, "data").training == {}


def test_files_of_a_model_for_which_there_is_no_room_are_not_called_gone(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mlflow.start_run() as run:
        mlflow.log_text("flavors: {}", "model/MLmodel")
    uri = f"runs:/{run.info.run_id}/model"
    version = registry.register("people", uri, run.info.run_id, once={"identity": "a"}, more={})

    def refuse(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LocalArtifactRepository, "download_artifacts", refuse)
    with pytest.raises(RetrainingError, match=r"^the files of models:/people/1 .* cannot be copie"):
        store.load(version, spark, "data")
