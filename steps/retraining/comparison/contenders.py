"""What is compared: registered models, a table of scores, or the scores of an earlier test."""

from __future__ import annotations

import dataclasses
import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import mlflow

from retraining.comparison.scores import ROLES, Comparison, read_kept, read_scores, score_holdout
from retraining.errors import RetrainingError
from retraining.gate import ledger
from retraining.gate.policy import Policy
from retraining.models import store
from retraining.tracking import inputs, lineage, registry, runs, tags

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyspark.sql import SparkSession

    from retraining.gate.verdict import Spending
    from retraining.models.store import Registered

    OpenSpark = Callable[..., SparkSession]

_LOG = logging.getLogger(__name__)


class Contest(NamedTuple):
    """What is compared, by which policy, and what the report says of it.

    Attributes:
        comparison: The scores.
        policy: What must be shown.
        facts: Text by title, for the report.
        names: What to call champion and challenger.
        versions: The models by role; empty where scores were read.
        test: What the ledger shall remember; None where the test has no consequence.
        spending: What the ledger leaves of alpha; None where the test has no consequence.
    """

    comparison: Comparison
    policy: Policy
    facts: dict[str, str]
    names: tuple[str, str] = ROLES
    versions: Mapping[str, Registered] = MappingProxyType({})
    test: ledger.Entry | None = None
    spending: Spending | None = None


def of_models(
    run: lineage.StepRun,
    spark: OpenSpark,
    data: str | None,
    model_name: str | None,
    champion: str | None,
    challenger: str | None,
    overrides: Mapping[str, Any],
    *,
    binding: bool,
) -> Contest | None:
    """Let two registered models score the holdout; None if the run became a shadow of another.

    Args:
        run: The run of the step.
        spark: Opens the session, given the paths to be read.
        data: Prepared data, as told.
        model_name: Registered model, as told.
        champion: Model URI, as told.
        challenger: Model URI, as told.
        overrides: What was told of the policy.
        binding: Whether a promotion may follow: then the ledger is asked first.
    """
    prepared = inputs.find_data(run, data)
    session = spark(prepared.uri)
    manifest = prepared.read(session)
    description = manifest.describe()
    policy = choose_policy(description.gate, overrides)
    name = model_name or description.name
    exact = _choose(run, name, champion, challenger)
    for role, uri in exact.items():
        run.use(role, uri, registry.version_at(uri).run_id)
    run.pin(**exact)
    split = manifest.splits["holdout"]
    mlflow.set_tag(f"{tags.FINGERPRINT}holdout", split.fingerprint)
    if run.reuse({"data": prepared.uri, **exact}):
        return None
    test, spending = None, None
    if binding:
        test = ledger.Entry(
            run.identity, datetime.now(UTC), 0.0, split.fingerprint, split.start, split.end
        )
        spending = ledger.spend(registry.tests_of(name), policy, test)
        run.pin(alpha=str(spending.alpha))
    lineage.log_data(
        f"{description.name} holdout", split.uri, split.fingerprint, description, context="holdout"
    )
    root = manifest.uri.rpartition("/")[0]
    versions = {role: store.load(uri, session, root) for role, uri in exact.items()}
    mlflow.set_tag(tags.MODEL_NAME, versions["champion"].version.name)
    _LOG.info(f"ab_test: both models score {split.n_rows:,} rows of the holdout")
    both = (versions["champion"], versions["challenger"])
    folder = f"{root}/scores/{run.run_id}"
    table = score_holdout(session, manifest, description, *both, folder=folder)
    facts = {
        **exact,
        "holdout": f"{split.start or 'hash'} to {split.end or 'split'}, {split.uri}",
        "fingerprint of the holdout": split.fingerprint,
        "rows excluded because a model was trained on them": f"{table.n_excluded:,}",
    }
    names = tuple(f"{v.version.name} version {v.version.version}" for v in versions.values())
    return Contest(table, policy, facts, names, versions, test, spending)  # type: ignore[arg-type]


def _choose(
    run: lineage.StepRun, name: str, champion: str | None, challenger: str | None
) -> dict[str, str]:
    """The two versions to compare, as told; else those of the named cycle; else the aliases.

    In a cycle that was named, the challenger is what its tune made, whoever has the alias by now;
    and where the verdict of the cycle has made that the champion already, it meets the one before,
    so that a repetition finds the test that was made.
    """
    made = run.parameters.get("pipeline_id") and runs.find(
        "tune", run.cycle_id, {tags.REGISTERED: tags.TRUE, tags.MODEL_NAME: name}
    )
    if made and not challenger:
        challenger = f"models:/{name}/{made.data.tags[tags.MODEL_VERSION]}"
    first = registry.version_at(champion or f"models:/{name}@{registry.CHAMPION}")
    second = registry.version_at(challenger or f"models:/{name}@{registry.CHALLENGER}")
    before = first.tags.get(tags.MOVED_FROM)
    same = (first.name, str(first.version)) == (second.name, str(second.version))
    if same and made and before and not champion:
        first = registry.version_at(f"models:/{name}/{before}")
    elif same:
        raise RetrainingError(
            f"champion and challenger are both models:/{first.name}/{first.version}",
            "run tune to get a challenger, or name another model",
        )
    return {
        role: f"models:/{version.name}/{version.version}"
        for role, version in zip(ROLES, (first, second), strict=True)
    }


def of_scores(
    run: lineage.StepRun, spark: OpenSpark, scores: str, overrides: Mapping[str, Any]
) -> Contest:
    """Compare a table of scores; what its models were trained on is not known."""
    run.use("scores", scores)
    table = read_scores(spark(scores), scores)
    facts = {
        "scores": scores,
        "rows that a model was trained on": "unknown: a table of scores does not tell",
    }
    if table.ignored:
        facts["columns with too many values for slices"] = ", ".join(table.ignored)
    return Contest(table, choose_policy(Policy(), overrides), facts)


def of_replay(
    run: lineage.StepRun, spark: OpenSpark, replay: str, overrides: Mapping[str, Any]
) -> Contest:
    """The scores and the policy of an earlier run; what was told now goes before the policy."""
    original = runs.get_run(replay, "replay")
    run.use("replay", replay, replay)
    run.pin(replay=replay)
    uri = original.data.tags.get(tags.SCORES_URI)
    if uri is None:
        raise RetrainingError(
            f"replay={replay!r} kept no scores", "give the id of a finished ab_test run"
        )
    if uri.startswith("runs:/"):
        table = read_kept(inputs.download(uri))._replace(uri=uri)
    else:
        table = read_scores(spark(uri), uri)
    kept = json.loads(Path(inputs.download(f"runs:/{replay}/policy.json")).read_text())
    names = tuple(original.data.tags.get(tags.COMPARED + role, role) for role in ROLES)
    facts = {"replay of run": replay, "scores": uri}
    return Contest(table, choose_policy(Policy(**kept), overrides), facts, names)  # type: ignore[arg-type]


def choose_policy(base: Policy, overrides: Mapping[str, Any]) -> Policy:
    """A policy with what was told; where that does not fit its strategy, the one for any metric."""
    told = {key: value for key, value in overrides.items() if value is not None}
    metric = told.get("metric", base.metric)
    if "strategy" not in told and base.strategy == "delong" and metric != "auroc":
        told["strategy"] = "influence"
    secondary = {name: margin for name, margin in base.secondary.items() if name != metric}
    return dataclasses.replace(base, secondary=secondary, **told)
