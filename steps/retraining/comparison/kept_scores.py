"""Contests whose scores are there: those of a table, or of an earlier test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.artifacts import list_artifacts

from retraining.comparison import campaigns
from retraining.comparison.columns import ROLES
from retraining.comparison.contest import FACTS, Contest, choose_policy
from retraining.comparison.scores import digest_of_folder
from retraining.comparison.tables import check_kept, read_kept, read_scores
from retraining.description.reading import read_policy
from retraining.errors import RetrainingError
from retraining.gate.policy import Policy
from retraining.tracking import inputs, runs, tags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities import Run

    from retraining.comparison.contest import OpenSpark
    from retraining.tracking.lineage import StepRun


def of_table(run: StepRun, spark: OpenSpark, scores: str, overrides: Mapping[str, Any]) -> Contest:
    """The contest of two columns of a table of scores, whose models are not known."""
    run.use("scores", scores)
    table = read_scores(spark(scores), scores)
    facts = {
        "scores": scores,
        "rows that a model was trained on": "unknown for a table of scores",
    }
    if table.ignored:
        facts["columns with too many values for slices"] = ", ".join(table.ignored)
    kept = runs.find("ab_test", having={tags.SCORES_URI: scores})
    policy = choose_policy(Policy(), overrides)
    return Contest(table, policy, facts, looked=_holdout_of(kept) if kept else {})


def of_replay(run: StepRun, spark: OpenSpark, replay: str, overrides: Mapping[str, Any]) -> Contest:
    """The contest of an earlier run again: the same scores, and its policy with the overrides."""
    original = runs.original_of(runs.get_run(replay, "replay"))
    replay = original.info.run_id
    run.use("replay", replay, replay)
    run.pin(replay=replay)
    uri = original.data.tags.get(tags.SCORES_URI)
    if uri is None:
        raise RetrainingError(
            f"replay={replay!r} kept no scores", "give the id of a finished ab_test run"
        )
    stored = original.data.tags.get(f"{tags.FILES}scores", "")
    if uri.startswith("runs:/"):
        table = read_kept(Path(inputs.download(uri)), uri, stored)
    else:
        session = spark(uri)
        check_kept(uri, digest_of_folder(session, uri), stored)
        table = read_scores(session, uri)
    kept = inputs.read_json(replay, "policy.json")
    champion, challenger = (original.data.tags.get(tags.COMPARED + role, role) for role in ROLES)
    facts = {"replay of run": replay, **_facts_of(replay), "scores": uri}
    policy = choose_policy(read_policy(kept), overrides)
    verdict = inputs.read_json(replay, "verdict.json")
    test_alpha = None if "alpha" in overrides else verdict["alpha"]
    standing = None
    if verdict.get("campaign") and not overrides:
        found = campaigns.read_standing(replay)
        standing = found._replace(past=found.past[:-1])
    return Contest(
        table,
        policy,
        facts,
        (champion, challenger),
        test_alpha=test_alpha,
        looked=_holdout_of(original),
        standing=standing,
    )


def _facts_of(run_id: str) -> dict[str, str]:
    """What the report of a run says of models and data; runs of earlier releases kept nothing."""
    kept = {file.path for file in list_artifacts(run_id=run_id)}
    return inputs.read_json(run_id, FACTS) if FACTS in kept else {}


def _holdout_of(original: Run) -> dict[str, str]:
    """Tags by which the ledger finds that the scores of a run were looked at once more."""
    times = (f"{tags.HOLDOUT}start", f"{tags.HOLDOUT}end")
    names = (tags.MODEL_NAME, f"{tags.FINGERPRINT}holdout", *times)
    return {name: original.data.tags[name] for name in names if name in original.data.tags}
