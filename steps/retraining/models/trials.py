"""The trials of a search as MLflow child runs: fitted in threads, found again after a stop."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

from retraining.errors import RetrainingError
from retraining.models import evaluation, pipelines, scoring
from retraining.tracking import outage, tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame

    from retraining.description.document import Description
    from retraining.models.search import Candidate
    from retraining.models.training import Rows
    from retraining.tracking.lineage import StepRun


class EncodedRows:
    """Train and validation rows as feature vectors, encoded once for all trials.

    Linear models want one-hot categories, trees want indices; where there are no categories both
    read the same rows.
    """

    def __init__(self, rows: Rows, description: Description, estimators: Iterable[str]) -> None:
        self._description = description
        self._encoders: dict[bool, PipelineModel] = {}
        self._frames: dict[bool, tuple[DataFrame, DataFrame]] = {}
        for linear in {self._kind(name) for name in estimators}:
            encoder = pipelines.encoder(description, linear=linear).fit(rows.train)
            self._encoders[linear] = encoder
            columns = [pipelines.FEATURES, pipelines.LABEL, pipelines.WEIGHT]
            train, validation = (encoder.transform(f).select(*columns).cache() for f in rows)
            self._frames[linear] = (train, validation)

    def fit(self, candidate: Candidate, seed: int) -> PipelineModel:
        """Fit a candidate; the result starts from raw feature columns."""
        kind = self._kind(candidate.estimator)
        classifier = pipelines.estimator(candidate.estimator, candidate.parameters, seed)
        model = classifier.fit(self._frames[kind][0])
        return pipelines.joined(self._encoders[kind], model)

    def evaluate(self, candidate: Candidate, seed: int) -> dict[str, float]:
        """Fit a candidate on train and return its metrics on validation."""
        kind = self._kind(candidate.estimator)
        # A pool of its own, or the fair scheduler would serve the trials of a batch in turn.
        context = self._frames[kind][0].sparkSession.sparkContext
        context.setLocalProperty("spark.scheduler.pool", f"trial-{candidate.number}")
        classifier = self.fit(candidate, seed).stages[-1]
        validation = self._frames[kind][1]
        return evaluation.evaluate(scoring.score(validation, classifier, [pipelines.FEATURES]))

    def release(self) -> None:
        """Drop the cached vectors."""
        for frames in self._frames.values():
            for frame in frames:
                frame.unpersist()

    def _kind(self, estimator: str) -> bool:
        return bool(self._description.features.categorical) and pipelines.is_linear(estimator)


class Trials:
    """Child runs of a search, in the experiment of the search or in one of their own.

    Args:
        run: The run of the search.
        rows: What the trials fit on.
        seed: Seed of every fit.
        key: Stands for data, description, code and seed: only trials of equal key are taken over.
        experiment: Name of the experiment for the child runs; None: that of the search.
    """

    def __init__(
        self, run: StepRun, rows: EncodedRows, seed: int, key: str, experiment: str | None
    ) -> None:
        self._client = MlflowClient()
        self._run = run
        self._rows = rows
        self._seed = seed
        self._key = key
        self._experiment = self._experiment_id(experiment)
        self._finished = self._find_finished()

    def __call__(self, candidate: Candidate) -> Mapping[str, float]:
        """Metrics of a candidate: from its finished run if there is one, else from a fit.

        Called from several threads, hence through the client: the fluent API keeps one active
        run a thread.
        """
        known = self._finished.get(_name(candidate))
        if known is not None:
            return known
        run_id = self._start(candidate)
        log = partial(self._client.log_batch, run_id)
        status = "FAILED"
        started = time.monotonic()
        try:
            metrics = self._rows.evaluate(candidate, self._seed)
            now = int(time.time() * 1000)
            seconds = {"duration_seconds": time.monotonic() - started}
            log(metrics=[Metric(k, v, now, 0) for k, v in {**metrics, **seconds}.items()])
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        except Exception as error:
            if not outage.is_lost(error):
                log(tags=[RunTag(tags.FAILURE, (str(error) or type(error).__name__)[:1000])])
            raise
        finally:
            self._client.set_terminated(run_id, status)
        return metrics

    def _start(self, candidate: Candidate) -> str:
        about = {
            # The parent argument of start_run is ignored while MLFLOW_RUN_ID is set.
            MLFLOW_PARENT_RUN_ID: self._run.run_id,
            MLFLOW_RUN_NAME: f"trial-{candidate.number + 1:03d}",
            tags.STEP: "trial",
            MLFLOW_RUN_NOTE: self._note(candidate),
            tags.CYCLE_ID: self._run.cycle_id,
            tags.SEARCH_KEY: self._key,
            tags.CANDIDATE: _name(candidate),
        }
        run_id: str = self._client.create_run(self._experiment, tags=about).info.run_id
        told = {"estimator": candidate.estimator, **candidate.parameters}
        self._client.log_batch(run_id, params=[Param(k, str(v)) for k, v in told.items()])
        return run_id

    def _note(self, candidate: Candidate) -> str:
        run_id = self._run.run_id
        return (
            f"Trial {candidate.number + 1} of search {run_id}. To repeat the search:\n\n"
            f"```\nmlflow run . -e reproduce -P run_id={run_id}\n```\n"
        )

    def _find_finished(self) -> dict[str, dict[str, float]]:
        found = self._client.search_runs(
            [self._experiment],
            f"tags.{tags.SEARCH_KEY} = '{self._key}' "
            f"and tags.{tags.CYCLE_ID} = '{self._run.cycle_id}' and attributes.status = 'FINISHED'",
            ViewType.ACTIVE_ONLY,
            max_results=1000,
        )
        return {r.data.tags[tags.CANDIDATE]: dict(r.data.metrics) for r in found}

    def _experiment_id(self, name: str | None) -> str:
        if name is None:
            return str(self._client.get_run(self._run.run_id).info.experiment_id)
        found = self._client.get_experiment_by_name(name)
        if found is not None and found.lifecycle_stage != "active":
            raise RetrainingError(
                f"experiment {name!r} is deleted", "restore it, or name another experiment"
            )
        return str(found.experiment_id if found else self._client.create_experiment(name))


def _name(candidate: Candidate) -> str:
    number, estimator, parameters = candidate
    return f"{number} {estimator} {json.dumps(parameters, sort_keys=True)}"
