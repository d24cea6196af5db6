"""Which version challenges next: the newest, or that of a campaign that goes on.

While a campaign lasts, new versions wait, unless the policy lets a better one replace the
challenger. When it has ended, the best of them by the validation rows of that cycle follows; the
others are passed over.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Final

from mlflow import MlflowException

from retraining.comparison import endings, screening
from retraining.errors import RetrainingError
from retraining.gate.ledger import REPLACED, looks_of
from retraining.models import evaluation, scoring, store
from retraining.statistics.metrics import METRICS
from retraining.tracking import outage, registry, tags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities.model_registry import ModelVersion
    from pyspark.sql import DataFrame

    from retraining.data.manifest import Manifest
    from retraining.description.document import Description

BETTER: Final = 0.01  # the p-value of a new model that replaces the challenger

_LOG = logging.getLogger(__name__)


def challenge(
    version: ModelVersion,
    validation: Mapping[str, float],
    rows: DataFrame,
    manifest: Manifest,
    description: Description,
) -> ModelVersion:
    """Give the alias `challenger` to a new version, unless a campaign goes on or another is better.

    Args:
        version: The new version.
        validation: Its metrics on validation.
        rows: The validation rows with `_label` and `_weight`.
        manifest: Of the data that it was trained on.
        description: With which.

    Returns:
        The version that challenges in this cycle.
    """
    rules, metric = description.gate.campaign, description.search.metric
    if description.gate.n_looks == 1 or rules.meanwhile == "newest":
        return _follow(version)
    holder = _in_campaign(version.name)
    if holder and rules.meanwhile == "better" and _is_better(version, holder, rows, manifest):
        _LOG.info(
            f"version {version.version} is better on validation than {holder.version}, whose "
            "campaign ends"
        )
        return _follow(version)
    if holder:
        registry.untag(holder, tags.WAITS)
        if holder.version != version.version:
            registry.tag(version, {tags.WAITS: tags.TRUE})
            _LOG.info(f"version {version.version} waits: the campaign of {holder.version} goes on")
        return holder
    found = {version.version: (validation[metric], version)}
    root, start = manifest.uri.rpartition("/")[0], manifest.splits["validation"].start
    champion = registry.holder(version.name, registry.CHAMPION)
    for waiting in registry.versions_of(version.name, {tags.WAITS: tags.TRUE}):
        if champion and waiting.version == champion.version:
            registry.untag(waiting, tags.WAITS)
            continue
        until = waiting.tags.get(tags.TRAINED_UNTIL)
        unseen = not start or (until and datetime.fromisoformat(until) <= start)
        if waiting.version == version.version or not unseen:
            continue
        if (metrics := _evaluate(waiting, rows, root)) is None:
            registry.untag(waiting, tags.WAITS)
        else:
            found[waiting.version] = (metrics[metric], waiting)
    sign = 1 if METRICS[metric].greater_is_better else -1
    _, best = max(found.values(), key=lambda pair: (sign * pair[0], int(pair[1].version)))
    if len(found) > 1:
        shown = ", ".join(f"version {name} {value:.4f}" for name, (value, _) in found.items())
        _LOG.info(f"{metric} on validation: {shown}; version {best.version} challenges")
    _follow(best)
    for _, other in found.values():
        registry.untag(other, tags.WAITS)
    return best


def _follow(version: ModelVersion) -> ModelVersion:
    """Make a version the challenger, which ends the campaigns of others."""
    registry.challenge(version)
    endings.end_campaigns(version.name, REPLACED, but=registry.uri_of(version))
    return version


def _in_campaign(name: str) -> ModelVersion | None:
    """The challenger, if its campaign against the champion goes on."""
    champion = registry.holder(name, registry.CHAMPION)
    challenger = registry.holder(name, registry.CHALLENGER)
    if champion is None or challenger is None:
        return None
    pair = registry.uri_of(champion), registry.uri_of(challenger)
    return challenger if looks_of(registry.tests_of(name), *pair) else None


def _is_better(
    version: ModelVersion, holder: ModelVersion, rows: DataFrame, manifest: Manifest
) -> bool:
    """Whether a version is shown to be better than another one on validation.

    It was selected on these rows, hence the small `BETTER`.
    """
    if holder.version == version.version:
        return False
    spark, root = rows.sparkSession, manifest.uri.rpartition("/")[0]
    try:
        old = store.load(holder, spark, root)
    except (MlflowException, RetrainingError) as error:
        _pass_over(holder, error)
        return True
    pair = old, store.load(version, spark, root)
    try:
        found = screening.screen(spark, pair, manifest, manifest.describe().gate)
    except RetrainingError as error:
        _LOG.warning(f"version {version.version} is not compared with {holder.version}: {error}")
        return False
    return found is not None and found.result.pvalue < BETTER


def _evaluate(version: ModelVersion, rows: DataFrame, root: str) -> dict[str, float] | None:
    """The metrics of a waiting version; None, with a line in the log, if it cannot be scored."""
    try:
        loaded = store.load(version, rows.sparkSession, root)
        features = loaded.description.feature_columns
        return evaluation.evaluate(scoring.score(rows, loaded.model, features))
    except (MlflowException, RetrainingError) as error:
        _pass_over(version, error)
        return None


def _pass_over(version: ModelVersion, error: Exception) -> None:
    """Say that a version cannot challenge; a tracking server that is away is no fault of it."""
    if outage.is_lost(error):
        raise error
    _LOG.warning(f"version {version.version} of {version.name} is passed over: {error}")
