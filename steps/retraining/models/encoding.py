"""Train and validation rows as feature vectors, encoded once for all trials of a search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retraining.description.names import FEATURES, LABEL
from retraining.models import evaluation, pipelines, scoring, vectors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame

    from retraining.description.document import Description
    from retraining.models.search import Candidate
    from retraining.models.training import TrainingRows


class EncodedRows:
    """Train and validation rows as feature vectors, encoded once for all trials.

    Linear models need one-hot categories and trees need indices; without categories both use the
    same vectors.
    """

    def __init__(
        self, rows: TrainingRows, description: Description, estimators: Iterable[str]
    ) -> None:
        self._description = description
        self._encoders: dict[bool, PipelineModel] = {}
        self._frames: dict[bool, tuple[DataFrame, DataFrame]] = {}
        for linear in {self._kind(name) for name in estimators}:
            encoder = vectors.fit(rows.train, description, linear=linear)
            self._encoders[linear] = encoder
            columns = [FEATURES, LABEL, pipelines.WEIGHT]
            train = vectors.of_train(encoder, rows.train, description).select(*columns).cache()
            validation = encoder.transform(rows.validation).select(*columns).cache()
            self._frames[linear] = (train, validation)

    def fit(self, candidate: Candidate, seed: int) -> PipelineModel:
        """Fit a candidate; the result starts from raw feature columns."""
        kind = self._kind(candidate.estimator)
        classifier = pipelines.estimator(candidate.estimator, candidate.parameters, seed)
        vectors.check_categories(self._encoders[kind], classifier)
        model = classifier.fit(self._frames[kind][0])
        return pipelines.joined(self._encoders[kind], model)

    def evaluate(self, candidate: Candidate, seed: int) -> dict[str, float]:
        """Fit a candidate on train and return its metrics on validation."""
        kind = self._kind(candidate.estimator)
        # In one pool, the trials of a batch would run one after the other.
        context = self._frames[kind][0].sparkSession.sparkContext
        context.setLocalProperty("spark.scheduler.pool", f"trial-{candidate.number}")
        classifier = self.fit(candidate, seed).stages[-1]
        validation = self._frames[kind][1]
        return evaluation.evaluate(scoring.score(validation, classifier, [FEATURES]))

    def close(self) -> None:
        """Drop the cached vectors."""
        for frames in self._frames.values():
            for frame in frames:
                frame.unpersist()

    def _kind(self, estimator: str) -> bool:
        return bool(self._description.features.categorical) and pipelines.is_linear(estimator)
