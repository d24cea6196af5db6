"""Two registered models that meet: which they are, what the ledger leaves, what they score."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import mlflow

from retraining.comparison import campaigns, charges, endings
from retraining.comparison.columns import ROLES
from retraining.comparison.scores import score_holdout
from retraining.data.rows import keys
from retraining.description.splitting import OrderSplit
from retraining.errors import RetrainingError
from retraining.gate.ledger import HoldoutTest, LookEntry
from retraining.models import pipelines, store
from retraining.tracking import lineage, registry, runs, tags

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from pyspark.sql import SparkSession

    from retraining.comparison.campaigns import Progress
    from retraining.comparison.charges import Charge
    from retraining.comparison.scores import Comparison
    from retraining.data.manifest import Manifest, StoredSplit
    from retraining.description.document import Description
    from retraining.gate.policy import Policy
    from retraining.models.store import LoadedModel
    from retraining.tracking.lineage import StepRun

Pair = tuple["LoadedModel", "LoadedModel"]  # champion and challenger

_LOG = logging.getLogger(__name__)


class Contenders(NamedTuple):
    """The two versions that meet."""

    champion: ModelVersion
    challenger: ModelVersion

    @property
    def uris(self) -> dict[str, str]:
        """`models:/name/version` by role."""
        return {role: registry.uri_of(version) for role, version in self._asdict().items()}

    @property
    def names(self) -> tuple[str, str]:
        """What to call them in reports."""
        champion, challenger = (f"{version.name} version {version.version}" for version in self)
        return champion, challenger


def resolve(
    run: StepRun,
    name: str,
    *,
    champion: str | None,
    challenger: str | None,
    cycle_id: str | None,
) -> Contenders:
    """The two versions to compare, recorded on the run and pinned for its repetition.

    By default they are the versions with the two aliases. If the caller named a cycle, the
    challenger is the version that its tune run named, whichever version has the alias by now.
    If that version has become champion since, it is compared with the champion before it, so that
    a repetition finds the first test and reuses it.

    Args:
        run: The run of the step.
        name: Registered model.
        champion: Model URI; None for the default.
        challenger: Model URI; None for the default.
        cycle_id: The cycle that the caller named; None if the caller named none.

    Raises:
        RetrainingError: If the registry lacks one of them, or both are the same.
    """
    tuned = None
    if cycle_id:
        wanted = {tags.REGISTERED: tags.TRUE, tags.MODEL_NAME: name}
        tuned = runs.find("tune", cycle_id, wanted)
    if champion:
        first = registry.version_at(champion)
    else:
        first = registry.version_with(name, registry.CHAMPION)
    if challenger:
        second = registry.version_at(challenger)
    elif tuned:
        own = tuned.data.tags[tags.MODEL_VERSION]
        second = registry.version_of(name, tuned.data.tags.get(tags.CHALLENGER_VERSION, own))
        if _same(first, second):  # another cycle has promoted it meanwhile
            second = registry.version_of(name, own)
    else:
        second = registry.version_with(name, registry.CHALLENGER)
    before = first.tags.get(tags.MOVED_FROM)
    if _same(first, second) and tuned and before and not champion:
        first = registry.version_of(name, before)
    if _same(first, second):
        raise RetrainingError(
            f"champion and challenger are both {registry.uri_of(first)}",
            "run tune to get a challenger, or name another model",
        )
    contenders = Contenders(first, second)
    for role, version in contenders._asdict().items():
        run.use(role, registry.uri_of(version), version.run_id)
    run.pin(**contenders.uris)
    return contenders


def charge(
    run: StepRun,
    contenders: Contenders,
    policy: Policy,
    holdout: StoredSplit,
    progress: Progress | None,
) -> Charge:
    """Reserve the test in the ledger of the champion's model, before anything is scored.

    Args:
        run: The run of the step.
        contenders: The two versions.
        policy: What must be shown.
        holdout: The rows.
        progress: Of their campaign; None where they are tested once.

    Raises:
        RetrainingError: If the two are versions of different models, or the policy's memory refuses
            a holdout that was tested before.
    """
    check_same_model(contenders)
    name, test = (
        contenders.champion.name,
        HoldoutTest(
            run.identity,
            datetime.now(UTC),
            holdout.fingerprint,
            holdout.start,
            holdout.end,
            contenders.uris["champion"],
            contenders.uris["challenger"],
        ),
    )
    look = None
    if progress:
        if not progress.campaign:
            endings.end_campaign_of(name, test.champion, test.challenger)
        test = test._replace(n_looks=policy.n_looks, campaign=progress.campaign)
        campaign = progress.campaign or run.identity
        look = LookEntry(campaign, progress.number, policy.n_looks, run.run_id)
    charge = charges.reserve(name, policy, test, look)
    if progress:
        charge = charge._replace(known=progress.known)
        run.pin(continues=progress.previous or campaigns.FIRST)
    return charge


def check_same_model(contenders: Contenders) -> None:
    """Refuse a binding test of versions of different models."""
    champion, challenger = contenders
    if champion.name != challenger.name:
        raise RetrainingError(
            f"champion {registry.uri_of(champion)} and challenger {registry.uri_of(challenger)} "
            "are versions of different models, so that nothing can follow",
            f"compare them with register=false, or register the challenger under {champion.name}",
        )


def load(contenders: Contenders, spark: SparkSession, manifest: Manifest) -> Pair:
    """Load both models from the registry."""
    root = manifest.uri.rpartition("/")[0]
    champion, challenger = (store.load(version, spark, root) for version in contenders)
    return champion, challenger


def score(run: StepRun, spark: SparkSession, pair: Pair, manifest: Manifest) -> Comparison:
    """Let both models score the rows of the holdout that neither has seen."""
    description, split = manifest.describe(), manifest.splits["holdout"]
    mlflow.set_tag(f"{tags.FINGERPRINT}holdout", split.fingerprint)
    if split.start and split.end:
        times = {"start": split.start, "end": split.end}
        mlflow.set_tags({tags.HOLDOUT + side: time.isoformat() for side, time in times.items()})
    lineage.log_data(
        f"{description.name} holdout", split.uri, split.fingerprint, description, context="holdout"
    )
    _LOG.info(f"both models score {split.n_rows:,} rows of the holdout")
    folder = f"{manifest.uri.rpartition('/')[0]}/scores/{run.run_id}"
    return score_holdout(spark, manifest, description, *pair, folder=folder)


def facts(pair: Pair) -> dict[str, str]:
    """What both models are, for the report: estimator, parameters, features, training data.

    A feature has its share of importance beside it, where the model tells.
    """
    return {role: _describe(model) for role, model in zip(ROLES, pair, strict=True)}


def facts_of_data(manifest: Manifest) -> dict[str, str]:
    """What the prepared data and their holdout are, for the report."""
    description, split = manifest.describe(), manifest.splits["holdout"]
    made = keys.describe(description)
    return {
        "prepared data": _describe_data(manifest),
        **({"row key": made} if made else {}),
        "holdout": f"{_describe_time(split, description)}, {split.uri}",
        "fingerprint of the holdout": split.fingerprint,
    }


def _describe_time(split: StoredSplit, description: Description) -> str:
    if split.start is None and isinstance(description.split, OrderSplit):
        return f"the last in the order of {', '.join(description.split.columns)}"
    if split.start is None:
        return "chosen by a hash, whatever their time"
    return f"{split.start} to {split.end}"


def _describe_data(manifest: Manifest) -> str:
    """How many rows the splits have, how many were rejected or not used, and what is odd."""
    splits = ", ".join(
        f"{name} {split.n_rows:,} rows ({split.n_positives:,} positives"
        + (")" if split.weight is None else f", weight {split.weight:,.6g})")
        for name, split in manifest.splits.items()
    )
    quarantine = manifest.quarantine
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in quarantine.by_reason.items())
    parts = [splits, f"{quarantine.n_rows:,} rows in quarantine{f': {reasons}' * bool(reasons)}"]
    unused = manifest.account.unused if manifest.account else {}
    if unused:
        counts = ", ".join(f"{count:,} {text}" for text, count in unused.items())
        parts.append(f"{sum(unused.values()):,} rows in no split: {counts}")
    return "; ".join([*parts, *manifest.remarks])


def _describe(loaded: LoadedModel) -> str:
    classifier = type(loaded.model.stages[-1]).__name__.removesuffix("Model")
    estimator = classifier.replace("Classification", "Classifier")
    shown = pipelines.shown_parameters(loaded.model)
    parameters = ", ".join(f"{name} {value}" for name, value in shown.items())
    shares = pipelines.importances(loaded.model)
    features = ", ".join(
        f"{name} {shares[name]:.1%}" if shares else name
        for name in shares or loaded.description.feature_columns
    )
    until = loaded.training.get("trained_until")
    trained = f"; trained on rows before {until}" if until else ""
    return f"{loaded.uri}: {estimator} ({parameters}) of {features}{trained}"


def _same(first: ModelVersion, second: ModelVersion) -> bool:
    return registry.uri_of(first) == registry.uri_of(second)
