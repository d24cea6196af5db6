"""What `train` and `tune` share: rows to fit on, metrics on validation, a registered version."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import mlflow

from retraining.data.manifest import read_split
from retraining.models import evaluation, pipelines, scoring, store
from retraining.tracking import lineage, registry, tags
from retraining.tracking.result import Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow.entities.model_registry import ModelVersion
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame, SparkSession

    from retraining.data.manifest import Manifest
    from retraining.description.document import Description
    from retraining.models.search import Candidate
    from retraining.tracking.inputs import PreparedData
    from retraining.tracking.lineage import StepRun


@dataclass(frozen=True)
class Fitted(Result):
    """A model that was fitted, evaluated and logged.

    Attributes:
        estimator: Name of its estimator.
        uri: Of the logged model.
        validation: Its metrics on validation.
        version: The version that it was registered as; None if it was not.
        run_id: Of the run that logged it.
    """

    estimator: str
    uri: str
    validation: Mapping[str, float]
    version: ModelVersion | None
    run_id: str

    @property
    def quality(self) -> str:
        """The two metrics that tell most."""
        auroc, auprc = self.validation["auroc"], self.validation["auprc"]
        return f"auroc {auroc:.4f}, auprc {auprc:.4f} on validation"

    @property
    def registration(self) -> str:
        """Which version the model is, and whether another try of the same run registered it."""
        if self.version is None:
            return ""
        named = f"; {self.version.name} version {self.version.version}"
        other = self.version.run_id != self.run_id
        return f"{named} (of another try, run {self.version.run_id})" if other else named

    @property
    def summary(self) -> str:
        """What was fitted, how good it is, and which version it became."""
        return f"{self.estimator}, {self.quality}{self.registration}"

    @property
    def metrics(self) -> Mapping[str, float]:
        """Metrics on validation."""
        return self.validation

    @property
    def tags(self) -> Mapping[str, str]:
        """The version, if there is one."""
        if self.version is None:
            return {}
        return {
            tags.REGISTERED: tags.TRUE,
            tags.MODEL_NAME: self.version.name,
            tags.MODEL_VERSION: str(self.version.version),
        }


@dataclass(frozen=True)
class Challenger(Result):
    """The best model of a search.

    Attributes:
        fitted: The model.
        candidate: Its estimator and parameters.
        n_trials: Number of trials.
        n_failed: Trials that failed.
    """

    fitted: Fitted
    candidate: Candidate
    n_trials: int
    n_failed: int

    @property
    def summary(self) -> str:
        """What won, against how many, how good it is, and which version waits as challenger."""
        waits = " is challenger" if self.fitted.version else ""
        return (
            f"{self.candidate.estimator} {self.candidate.parameters}, best of {self.n_trials} "
            f"trials ({self.n_failed} failed), {self.fitted.quality}{self.fitted.registration}"
            f"{waits}"
        )

    @property
    def metrics(self) -> Mapping[str, float]:
        """Metrics on validation, and numbers of trials."""
        return {**self.fitted.metrics, "trials": self.n_trials, "trials_failed": self.n_failed}

    @property
    def tags(self) -> Mapping[str, str]:
        """The version, if there is one."""
        return self.fitted.tags


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
    """Evaluate on validation; log the fitted parameters and the model on the active run.

    Returns:
        The model's URI and its metrics.
    """
    scored = scoring.score(rows.validation, model, description.feature_columns).cache()
    metrics = evaluation.evaluate(scored)
    if description.capacity and description.event_time:
        metrics[f"precision_at_{description.capacity.per_day}"] = evaluation.unit_precision(
            scored, description.event_time, description.capacity
        )
    mlflow.log_params(pipelines.fitted_parameters(model, description))
    training = {"data": data.uri, "trained_until": manifest.trained_until or ""}
    root = manifest.uri.rpartition("/")[0]
    uri = store.log_model(model, description, scored, training, root)
    scored.unpersist()
    return uri, metrics


def register(
    name: str, model_uri: str, run: StepRun, manifest: Manifest, description: Description
) -> ModelVersion:
    """Register the model of a run, with the tags that later decisions read.

    A search with a time limit may find another model when it is tried again. If another try has
    registered its model already, that version is returned, and the run shows where it came from.
    """
    once = {tags.CYCLE_ID: run.cycle_id, tags.IDENTITY: run.identity}
    more = {
        tags.STEP: run.step,
        tags.DESCRIPTION_DIGEST: description.digest,
        tags.TRAINED_UNTIL: manifest.trained_until or "",
        **{tags.FINGERPRINT + k: manifest.splits[k].fingerprint for k in ("train", "validation")},
    }
    version = registry.register(name, model_uri, run.run_id, once=once, more=more)
    if version.run_id != run.run_id:
        run.use("version", f"{name} version {version.version}", version.run_id)
    return version
