"""How a new challenger stands to the champion on validation, before any holdout is looked at.

It decides nothing: both were selected on such rows. It says what the test will probably find.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import mlflow
from mlflow import MlflowException
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from retraining.errors import RetrainingError, reason
from retraining.models import evaluation, scoring, store
from retraining.models.training import Standing
from retraining.statistics.metrics import METRICS
from retraining.tracking import outage, tags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities.model_registry import ModelVersion
    from pyspark.sql import DataFrame

    from retraining.data.manifest import Manifest
    from retraining.description.document import Description

_LOG = logging.getLogger(__name__)


def compare(
    champion: ModelVersion,
    validation: Mapping[str, float],
    rows: DataFrame,
    manifest: Manifest,
    description: Description,
) -> Standing | None:
    """The search's metric of the champion on the same validation rows; None if it cannot be had.

    Args:
        champion: The version that serves.
        validation: Metrics of the challenger on validation.
        rows: The validation rows with `_label` and `_weight`.
        manifest: Of the data that they are from.
        description: By which the challenger was made.
    """
    name = description.search.metric
    value = _recorded(champion, name, manifest, description)
    if value is None:
        value = _evaluate(champion, name, rows, manifest)
    if value is None:
        return None
    larger = METRICS[name].greater_is_better
    is_behind = validation[name] < value if larger else validation[name] > value
    standing = Standing(champion, name, value, is_behind=is_behind)
    if is_behind:
        _LOG.warning(
            f"{name} on validation: {validation[name]:.4f}, worse than the {value:.4f} of the "
            f"champion (version {champion.version}), so a promotion is unlikely"
        )
    return standing


def _recorded(
    champion: ModelVersion, name: str, manifest: Manifest, description: Description
) -> float | None:
    """What the champion's run has, if it was evaluated on the same rows by the same description."""
    same = {
        f"{tags.FINGERPRINT}validation": manifest.splits["validation"].fingerprint,
        tags.DESCRIPTION_DIGEST: description.digest,
    }
    if not same.items() <= champion.tags.items() or not champion.run_id:
        return None
    try:
        return mlflow.get_run(champion.run_id).data.metrics.get(name)
    except MlflowException as error:
        if outage.is_lost(error):
            raise
        return None


def _evaluate(
    champion: ModelVersion, name: str, rows: DataFrame, manifest: Manifest
) -> float | None:
    """What the champion has on these rows now; None, with a line in the log, if it fails."""
    try:
        loaded = store.load(champion, rows.sparkSession, manifest.uri.rpartition("/")[0])
        scored = scoring.score(rows, loaded.model, loaded.description.feature_columns)
        return evaluation.evaluate(scored)[name]
    except (MlflowException, RetrainingError, PySparkException, Py4JJavaError) as error:
        if outage.is_lost(error):
            raise
        _LOG.warning(
            f"the champion (version {champion.version}) cannot score validation: {reason(error)}"
        )
        return None
