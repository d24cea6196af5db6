"""Two registered models meet on the holdout, unless that would show nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from retraining.comparison import campaigns, contenders, screening
from retraining.comparison.charges import returned_on_error
from retraining.comparison.contest import Contest, Untested, choose_policy
from retraining.gate.campaign import Standing
from retraining.tracking import inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import SparkSession

    from retraining.comparison.campaigns import Progress
    from retraining.comparison.charges import Charge
    from retraining.comparison.contenders import Contenders
    from retraining.comparison.contest import OpenSpark
    from retraining.data.manifest import Manifest
    from retraining.gate.policy import Policy
    from retraining.tracking.lineage import StepRun
    from retraining.tracking.result import Reused


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
