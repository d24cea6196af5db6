"""What is compared: registered models, a table of scores, or the scores of an earlier test."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from mlflow.artifacts import list_artifacts

from retraining.comparison import campaigns, contenders, evidence, screening
from retraining.comparison.charges import returned_on_error
from retraining.comparison.columns import ROLES
from retraining.comparison.scores import Comparison, digest_of_folder
from retraining.comparison.tables import check_kept, read_kept, read_scores
from retraining.description.reading import read_policy
from retraining.errors import RetrainingError
from retraining.gate.campaign import Standing
from retraining.gate.policy import Policy
from retraining.statistics.checks import OneClassError
from retraining.tracking import inputs, runs, tags

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow.entities import Run
    from pyspark.sql import SparkSession

    from retraining.comparison.campaigns import Progress
    from retraining.comparison.charges import Charge
    from retraining.comparison.contenders import Contenders
    from retraining.data.manifest import Manifest
    from retraining.gate.decision import Evidence
    from retraining.tracking.lineage import StepRun
    from retraining.tracking.result import Reused

    OpenSpark = Callable[..., SparkSession]


FACTS = "facts.json"  # of a run: what its report says of models and data


class Contest(NamedTuple):
    """What is compared, by which policy, and what the report says of it.

    Attributes:
        comparison: The scores.
        policy: What must be shown.
        facts: Text by title, for the report.
        names: What to call champion and challenger.
        contenders: The two versions; None where scores were read.
        charge: None where nothing may follow from the test.
        test_alpha: Alpha of the test itself; None for what the ledger left, or the policy's.
        looked: Tags of the run whose scores are judged again: which model, and which holdout.
        standing: Of the campaign whose next look this is; None for a test that is made once.
    """

    comparison: Comparison
    policy: Policy
    facts: Mapping[str, str]
    names: tuple[str, str] = ROLES
    contenders: Contenders | None = None
    charge: Charge | None = None
    test_alpha: float | None = None
    looked: Mapping[str, str] = MappingProxyType({})
    standing: Standing | None = None


class Untested(NamedTuple):
    """Two models that are not tested, at no cost of alpha.

    Attributes:
        contenders: The two versions; None where scores were read.
        charge: The reserved test; None where nothing may follow from it.
        reason: Why, in full sentences.
        numbers: Metrics by name.
    """

    contenders: Contenders | None
    charge: Charge | None
    reason: str
    numbers: Mapping[str, float]


class Models(NamedTuple):
    """What the caller said of the models that are to meet; None stands for the default.

    Attributes:
        data: Prepared data: the id of a preprocess run, or a folder.
        model_name: Registered model.
        champion: Model URI.
        challenger: Model URI.
        cycle_id: The cycle that the caller named.
        continues: Id of the run whose campaign is continued, or `campaigns.FIRST`, for a look that
            is repeated.
        test_alpha: Alpha of a test, or of a campaign, that is repeated.
        plan: Whether a plan is asked for, and no test.
    """

    data: str | None
    model_name: str | None
    champion: str | None
    challenger: str | None
    cycle_id: str | None
    continues: str | None = None
    test_alpha: float | None = None
    plan: bool = False


def of_models(
    run: StepRun, spark: OpenSpark, models: Models, overrides: Mapping[str, Any], *, binding: bool
) -> Contest | Untested | Reused:
    """Let two registered models score the holdout, unless this cycle has done the same already.

    They are not tested if the challenger is worse on validation, or no row is left: a model of
    later data has seen all of an older holdout.

    Args:
        run: The run of the step.
        spark: Opens the session, given the paths that are to be read.
        models: Which models, and on which data.
        overrides: What the caller said of the policy, by the names of its attributes.
        binding: Whether a promotion may follow: then the ledger of the model is asked first.
    """
    prepared = inputs.find_data(run, models.data)
    session = spark(prepared.uri)
    manifest = prepared.read(session)
    description = manifest.describe()
    policy = choose_policy(description.gate, overrides)
    pair = contenders.resolve(
        run,
        models.model_name or description.name,
        champion=models.champion,
        challenger=models.challenger,
        cycle_id=models.cycle_id,
    )
    holdout, progress = manifest.splits["holdout"], None
    if binding:
        contenders.check_same_model(pair)
        progress = campaigns.find(pair, policy, holdout)
    elif models.continues:
        progress = campaigns.repeat(models.continues, models.test_alpha, policy)
    before = {"look": progress.previous} if progress and progress.previous else {}
    # A plan is shown again, not reused.
    reused = None if models.plan else run.reuse({"data": prepared.uri, **pair.uris, **before})
    if reused:
        return reused
    if progress and progress.ended:
        progress = campaigns.Progress(known=progress.known)
    elif before:
        run.use("look", before["look"], before["look"])
    charge = contenders.charge(run, pair, policy, holdout, progress) if binding else None
    if charge:
        alpha = charge.spending.alpha
        if progress:
            # No less than the looks before have used: further ones promote nothing then.
            past = progress.standing.past
            alpha = max(min(alpha, progress.standing.alpha), past[-1].spent) if past else alpha
            progress = progress._replace(standing=Standing(alpha, past))
        run.pin(test_alpha=str(alpha))
    with returned_on_error(charge):
        return _meet(run, session, manifest, pair, policy, charge, progress)


def _meet(
    run: StepRun,
    session: SparkSession,
    manifest: Manifest,
    pair: Contenders,
    policy: Policy,
    charge: Charge | None,
    progress: Progress | None,
) -> Contest | Untested:
    """Let both models score what neither has seen, unless that would show nothing."""
    loaded = contenders.load(pair, session, manifest)
    screened, goes_on = None, progress and progress.previous
    if policy.worse_on_validation == "skip" and not goes_on:
        screened = screening.screen(session, loaded, manifest, policy)
    if screened and screened.is_worse:
        return Untested(pair, charge, screened.explain(), screened.numbers)
    scores = contenders.score(run, session, loaded, manifest)
    if not scores.n_rows:
        n = scores.n_holdout
        reason = f"All {n:,} rows of the holdout were used to train one of the models."
        return Untested(pair, charge, reason, {"n_rows": 0, "n_holdout": n, "n_excluded": n})
    looks = {}
    if progress:
        n = scores.n_rows
        folder = f"{manifest.uri.rpartition('/')[0]}/scores/{run.run_id}-looks"
        scores, n_new = campaigns.add_earlier(session, progress, scores, folder)
        if not n_new:
            reason = (
                f"All {n:,} rows were compared in look {progress.number - 1} of the campaign (run "
                f"{progress.previous}): the next look needs rows that are new."
            )
            return Untested(pair, charge, reason, {"n_rows": 0, "n_holdout": scores.n_holdout})
        looks["campaign"] = f"look {progress.number} of {policy.campaign.looks}, {n_new:,} new rows"
        if progress.previous:
            looks["campaign"] += f" and {scores.n_rows - n_new:,} of run {progress.previous}"
    facts = {
        **contenders.facts(loaded),
        **({"on the validation rows": screened.describe()} if screened else {}),
        **contenders.facts_of_data(manifest),
        "rows excluded because a model was trained on them": f"{scores.n_excluded:,}",
        **looks,
    }
    standing = progress and progress.standing
    return Contest(scores, policy, facts, pair.names, pair, charge, standing=standing)


def gather(contest: Contest, only: str | None) -> Evidence | Untested:
    """What the gate judges; rows of one class are no failure, but nothing is tested on them.

    Args:
        contest: What is compared.
        only: A slice, as `evidence.gather` takes it.
    """
    of = contest.comparison
    try:
        return evidence.gather(of, contest.policy, only)
    except OneClassError as found:
        which, needed = found.missing.removesuffix("s"), contest.policy.minimum_positives
        reason = (
            f"None of the {found.n_rows:,} rows is a {which}, and at least {needed:,} must be: "
            "more rows are needed."
        )
        numbers = {"n_rows": found.n_rows, "n_holdout": of.n_holdout, "n_excluded": of.n_excluded}
        return Untested(contest.contenders, contest.charge, reason, numbers)


def of_scores(run: StepRun, spark: OpenSpark, scores: str, overrides: Mapping[str, Any]) -> Contest:
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


def choose_policy(base: Policy, overrides: Mapping[str, Any]) -> Policy:
    """The policy with the caller's overrides.

    Raises:
        RetrainingError: A value is out of range, or the strategy does not serve the metric.
    """
    metric = overrides.get("metric", base.metric)
    secondary = {name: margin for name, margin in base.secondary.items() if name != metric}
    return read_policy({**dataclasses.asdict(base), "secondary": secondary, **overrides})
