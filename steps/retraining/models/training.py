"""What `train` and `tune` share: rows to fit on, metrics on validation, a registered version."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import mlflow

from retraining.data.manifest import read_split
from retraining.models import evaluation, pipelines, scoring, store
from retraining.tracking import lineage, registry, tags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities.model_registry import ModelVersion
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame, SparkSession

    from retraining.data.manifest import Manifest
    from retraining.description.document import Description
    from retraining.tracking.inputs import PreparedData
    from retraining.tracking.lineage import StepRun


class Rows(NamedTuple):
    """Train and validation rows with label and weight, cached."""

    train: DataFrame
    validation: DataFrame


@contextmanager
def open_rows(spark: SparkSession, manifest: Manifest, description: Description) -> Iterator[Rows]:
    """Yield the rows of a data set, ready for fits; they are released at the end."""
    train, validation = manifest.splits["train"], manifest.splits["validation"]
    weights = pipelines.class_weights(description, train.n_rows, train.n_positives)
    rows = Rows(
        *(
            pipelines.prepare(
                read_split(spark, manifest, name), description, weights, split.n_rows
            ).cache()
            for name, split in (("train", train), ("validation", validation))
        )
    )
    try:
        yield rows
    finally:
        for frame in rows:
            frame.unpersist()


def use_data(run: StepRun, manifest: Manifest, description: Description, *names: str) -> None:
    """Record which rows a run reads: fingerprints as tags, data sets on the run's page."""
    for name in names:
        split = manifest.splits[name]
        mlflow.set_tag(tags.FINGERPRINT + name, split.fingerprint)
        lineage.log_data(
            f"{description.name} {name}", split.uri, split.fingerprint, description, context=name
        )
    mlflow.set_tag(tags.DESCRIPTION_DIGEST, description.digest)
    run.use("description", f"{description.name} {description.digest}")


def finish(
    model: PipelineModel,
    rows: Rows,
    description: Description,
    manifest: Manifest,
    data: PreparedData,
) -> tuple[str, dict[str, float]]:
    """Evaluate on validation and log metrics, fitted parameters and the model on the active run.

    Returns:
        The model's URI and its metrics.
    """
    scored = scoring.score(rows.validation, model, description.feature_columns).cache()
    metrics = evaluation.evaluate(scored)
    if description.capacity and description.event_time:
        metrics[f"precision_at_{description.capacity.per_day}"] = evaluation.unit_precision(
            scored, description.event_time, description.capacity
        )
    mlflow.log_metrics(metrics)
    mlflow.log_params(pipelines.fitted_parameters(model, description))
    training = {"data": data.uri, "trained_until": manifest.trained_until or ""}
    root = manifest.uri.rpartition("/")[0]
    uri = store.log_model(model, description, scored, training, root)
    scored.unpersist()
    return uri, metrics


def register(
    name: str, model_uri: str, run: StepRun, manifest: Manifest, description: Description
) -> ModelVersion:
    """Register the model of a run, with the tags that later decisions read; its summary says so.

    A search with a limit of time finds another model when it is tried again: where another try has
    registered its own, the run tells that the version is not of its making.
    """
    once = {tags.CYCLE_ID: run.cycle_id, tags.IDENTITY: run.identity}
    more = {
        tags.STEP: run.step,
        tags.DESCRIPTION_DIGEST: description.digest,
        tags.TRAINED_UNTIL: manifest.trained_until or "",
        **{tags.FINGERPRINT + k: manifest.splits[k].fingerprint for k in ("train", "validation")},
    }
    version = registry.register(name, model_uri, run.run_id, once=once, more=more)
    run.summary += f"; {name} version {version.version}"
    if version.run_id != run.run_id:
        run.use("version", f"{name} version {version.version}", version.run_id)
        run.summary += f" (of another try, run {version.run_id})"
    mlflow.set_tags(
        {
            tags.REGISTERED: tags.TRUE,
            tags.MODEL_NAME: name,
            tags.MODEL_VERSION: version.version,
        }
    )
    return version
