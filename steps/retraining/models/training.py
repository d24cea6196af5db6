"""What `train` and `tune` share: rows to fit on, metrics on validation, a registered version."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import mlflow

from retraining.data.instants import clock_of
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
        """The two most important metrics."""
        auroc, auprc = self.validation["auroc"], self.validation["auprc"]
        return f"auroc {auroc:.4f}, auprc {auprc:.4f} on validation"

    @property
    def registration(self) -> str:
        """The version that the model became, and its run if that is another one."""
        if self.version is None:
            return ""
        named = f"; {self.version.name} version {self.version.version}"
        other = self.version.run_id != self.run_id
        return f"{named} (registered by run {self.version.run_id})" if other else named

    @property
    def summary(self) -> str:
        """The estimator, its quality and the version that it became."""
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


class Standing(NamedTuple):
    """The champion on the validation rows of a challenger.

    Attributes:
        champion: The version.
        metric: Name of the search's metric.
        value: What the champion has.
        is_behind: Whether the challenger is worse.
    """

    champion: ModelVersion
    metric: str
    value: float
    is_behind: bool


@dataclass(frozen=True)
class Challenger(Result):
    """The best model of a search.

    Attributes:
        fitted: The model.
        candidate: Its estimator and parameters.
        n_trials: Number of trials.
        n_failed: Trials that failed.
        challenger: The version that challenges in this cycle; None if nothing was registered.
        standing: The champion on validation; None if that is not known.
    """

    fitted: Fitted
    candidate: Candidate
    n_trials: int
    n_failed: int
    challenger: ModelVersion | None = None
    standing: Standing | None = None

    @property
    def summary(self) -> str:
        """The candidate, how many trials there were, its quality and the version it became."""
        stands = ""
        if self.fitted.version and self.challenger:
            own = str(self.fitted.version.version) == str(self.challenger.version)
            stands = " is challenger" if own else f"; version {self.challenger.version} challenges"
        return (
            f"{self.candidate.estimator} {self.candidate.parameters}, best of {self.n_trials} "
            f"trials ({self.n_failed} failed), {self.fitted.quality}{self.fitted.registration}"
            f"{stands}{self._warning}"
        )

    @property
    def _warning(self) -> str:
        if self.standing is None or not self.standing.is_behind:
            return ""
        champion, metric, value, _ = self.standing
        return (
            f"; worse on validation than champion version {champion.version} ({metric} {value:.4f})"
        )

    @property
    def metrics(self) -> Mapping[str, float]:
        """Metrics on validation, and numbers of trials."""
        return {**self.fitted.metrics, "trials": self.n_trials, "trials_failed": self.n_failed}

    @property
    def tags(self) -> Mapping[str, str]:
        """The version, the one that challenges, and the champion's metric, if there are any."""
        found = {**self.fitted.tags}
        if self.challenger is not None:
            found[tags.CHALLENGER_VERSION] = str(self.challenger.version)
        if self.standing is not None:
            champion, metric, value, _ = self.standing
            uri = registry.uri_of(champion)
            found[tags.CHAMPION_ON_VALIDATION] = f"{metric} {value:.6g} of {uri}"
        return found


class TrainingRows(NamedTuple):
    """Train and validation rows with label and weight, cached."""

    train: DataFrame
    validation: DataFrame


@contextmanager
def open_rows(
    spark: SparkSession, manifest: Manifest, description: Description
) -> Iterator[TrainingRows]:
    """Yield the rows of a data set, ready to be fitted on; they are released at the end."""
    train, validation = manifest.splits["train"], manifest.splits["validation"]
    weights = pipelines.class_weights(description, *train.masses)
    rows = TrainingRows(
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
    """Record the splits that a run reads: their fingerprints as tags, and as data sets."""
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
    rows: TrainingRows,
    description: Description,
    manifest: Manifest,
    data: PreparedData,
) -> tuple[str, dict[str, float]]:
    """Evaluate on validation; log the fitted parameters and the model on the active run.

    Returns:
        The model's URI and its metrics.
    """
    scored = scoring.score(rows.validation, model, description.feature_columns).cache()
    try:
        metrics = evaluation.evaluate(scored)
        capacity = description.capacity
        if capacity and description.event_time:
            with clock_of(scored.sparkSession, description.zone):
                metrics[f"precision_at_{capacity.per_day}"] = evaluation.unit_precision(
                    scored, capacity.per_day, day=description.event_time, unit=capacity.unit
                )
        mlflow.log_params(pipelines.fitted_parameters(model, description))
        training = {"data": data.uri, "trained_until": manifest.trained_until or ""}
        root = manifest.uri.rpartition("/")[0]
        uri = store.log_model(model, description, scored, training, root)
    finally:
        scored.unpersist()
    return uri, metrics


def register(
    name: str, model_uri: str, run: StepRun, manifest: Manifest, description: Description
) -> ModelVersion:
    """Register the model of a run, with the tags that later decisions read.

    A search with a time limit may find another model when it is repeated. If an earlier attempt has
    registered its model already, that version is returned, and the run shows which run it is from.
    """
    more = {
        tags.STEP: run.step,
        tags.DESCRIPTION_DIGEST: description.digest,
        tags.TRAINED_UNTIL: manifest.trained_until or "",
        store.FILES: mlflow.get_run(run.run_id).data.tags[store.FILES],
        **{tags.FINGERPRINT + k: manifest.splits[k].fingerprint for k in ("train", "validation")},
    }
    version = registry.register(name, model_uri, run.run_id, once=run.attempt, more=more)
    if version.run_id != run.run_id:
        run.use("version", f"{name} version {version.version}", version.run_id)
    return version
