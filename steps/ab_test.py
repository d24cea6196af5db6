"""Compare challenger and champion on the same unseen rows, and decide between them.

Reads the split `holdout` of a prepared data set and two registered models (by default those with
the two aliases), or a table of scores, or the scores that an earlier run kept. Logs the verdict
with its reasons (`verdict.json`, tag `verdict`), the policy, the scores and an HTML report; tags
both versions; the test is charged to the ledger of the model. Aliases are moved by `promote`.
Where the description asks for a campaign, a challenger that could not be decided on meets the
champion again, with the rows of all looks together.

    mlflow run . --env-manager uv -e ab_test
    python steps/ab_test.py --champion models:/fraud/3 --challenger models:/fraud/5
    spark-submit steps/ab_test.py --scores scores.parquet --metric log_loss
    mlflow run . --env-manager uv -e ab_test -P replay=RUN_ID -P alpha=0.01
    mlflow run . --env-manager uv -e ab_test -P plan=true
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from retraining.cli import options
from retraining.cli.command import StepCommand, examples, open_run
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import SparkSession

    from retraining.comparison.contest import Contest, Untested
    from retraining.comparison.planning import Plan
    from retraining.comparison.record import Compared
    from retraining.tracking.lineage import StepRun
    from retraining.tracking.result import Reused

# The library's names, repeated here because it takes long to import; a test compares them.
METRICS = ("auroc", "auprc", "log_loss", "brier", "f1", "recall_at_capacity", "expected_cost")
UNSOUND = ("subsample_ttest", "disjoint_split", "interval_overlap")
STRATEGIES = ("delong", "influence", "paired_bootstrap", "nadeau_bengio", *UNSOUND)


@click.command(cls=StepCommand, epilog=examples(__doc__))
@options.data
@options.model_name
@options.option("--champion", "Model URI. Default: the version with the alias champion.")
@options.option(
    "--challenger",
    "Model URI. Default: if a cycle is given, the version that its tune run registered; else the "
    "version with the alias challenger.",
)
@options.option(
    "--scores",
    "Parquet file to compare instead of two models, with columns label, champion, challenger, "
    "and optionally weight, unit, unit_2, day, period, key and slice columns.",
)
@options.option(
    "--replay",
    "Id of an ab_test run whose scores are compared again, under the policy given here. "
    "Nothing is promoted on the result.",
)
@options.option(
    "--slice",
    "Compare only rows with COLUMN=VALUE. Nothing is promoted on the result. Default: all rows.",
)
@options.option(
    "--metric",
    "Metric to compare by. Default: gate.metric of the description.",
    type=click.Choice(METRICS),
)
@options.option(
    "--strategy",
    "Decision rule; delong is influence by auroc. Default: gate.strategy of the description. "
    f"{', '.join(UNSOUND)} are for comparison only: nothing is promoted on them.",
    type=click.Choice(STRATEGIES),
)
@options.alpha
@options.option(
    "--test-alpha",
    "Alpha of the test itself, or of the campaign that it continues, where slices and guardrails "
    "keep alpha: for a repetition of a test of which the ledger had left less. Only with "
    "register=false, scores or replay. Default: what the ledger leaves, or alpha.",
    type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
)
@options.option(
    "--continues",
    "Id of the ab_test run whose campaign this look continues, or first: for a repetition of a "
    "look. Only with register=false. Default: a single test, or with register=true the next look "
    "that the registry knows.",
)
@options.option(
    "--min-effect-size",
    "Gain in the metric that a promotion must exceed. "
    "Default: gate.min_effect_size of the description.",
    type=click.FloatRange(min=0),
)
@options.option(
    "--worse-on-validation",
    "Whether a challenger that is worse on the validation rows is tested all the same, at the cost "
    "of alpha. Default: gate.worse_on_validation of the description.",
    type=click.Choice(["skip", "test"]),
)
@options.option(
    "--register",
    "Whether to tag both versions with the verdict and charge the test to the ledger, so that "
    "promote can follow it. false: leave the registry unchanged; a later test of the same "
    "holdout counts the comparison as one more test.",
    type=click.BOOL,
    default="true",
)
@options.option(
    "--plan",
    "true: say what gain tests and campaigns would find, and how soon, with holdouts such as this "
    "one. Nothing is decided, shown of the effect, or charged.",
    type=click.BOOL,
    default="false",
)
@options.seed
@options.pipeline_id
@options.spark_master
def ab_test(
    *,
    data: str | None,
    model_name: str | None,
    champion: str | None,
    challenger: str | None,
    scores: str | None,
    replay: str | None,
    slice: str | None,  # noqa: A002 (the parameter's name)
    metric: str | None,
    strategy: str | None,
    alpha: float | None,
    test_alpha: float | None,
    continues: str | None,
    min_effect_size: float | None,
    worse_on_validation: str | None,
    register: bool,
    plan: bool,
    seed: int,
    pipeline_id: str | None,
    spark_master: str | None,
) -> None:
    """Test whether the challenger is better than the champion."""
    named = {"data": data, "champion": champion, "challenger": challenger}
    named |= {"scores": scores, "replay": replay}
    *others, last = [name for name, value in named.items() if value] or [""]
    if others and (scores or replay):
        raise click.BadParameter(f"cannot be combined with {', '.join(others)}", param_hint=last)
    if test_alpha and register and not (scores or replay):
        raise click.BadParameter("needs register=false", param_hint="test_alpha")
    if continues and (register or slice or scores or replay):
        raise click.BadParameter("needs register=false, and two models", param_hint="continues")
    overrides = {"metric": metric, "strategy": strategy, "alpha": alpha}
    overrides |= {"min_effect_size": min_effect_size, "worse_on_validation": worse_on_validation}
    with open_run(pipeline_id) as run:
        compared = compare(
            run,
            data=data,
            model_name=model_name,
            champion=champion,
            challenger=challenger,
            scores=scores,
            replay=replay,
            slice=slice,
            overrides={name: value for name, value in overrides.items() if value is not None},
            test_alpha=test_alpha,
            continues=continues,
            register=register,
            plan=plan,
            seed=seed,
            cycle_id=pipeline_id,
            spark_master=spark_master,
        )
        run.write(compared)
        if plan:
            click.echo(compared.details.strip("`\n"))


def compare(
    run: StepRun,
    *,
    data: str | None,
    model_name: str | None,
    champion: str | None,
    challenger: str | None,
    scores: str | None,
    replay: str | None,
    slice: str | None,  # noqa: A002 (the parameter's name)
    overrides: Mapping[str, Any],
    test_alpha: float | None,
    continues: str | None,
    register: bool,
    plan: bool,
    seed: int,
    cycle_id: str | None,
    spark_master: str | None,
) -> Compared | Plan | Reused:
    """Score the rows, decide, and log the verdict; the registry is written last."""
    import numpy as np

    from retraining.comparison import contest, kept_scores, meeting, planning, record
    from retraining.comparison.charges import returned_on_error
    from retraining.gate import decision
    from retraining.spark.session import open_session
    from retraining.tracking.result import Reused

    run.pin(register="false")
    with ExitStack() as stack:

        def spark(*paths: str) -> SparkSession:
            return stack.enter_context(open_session("ab_test", spark_master, paths))

        if replay:
            compared: Contest | Untested | Reused = kept_scores.of_replay(
                run, spark, replay, overrides
            )
        elif scores:
            compared = kept_scores.of_table(run, spark, scores, overrides)
        else:
            binding = register and not slice and not plan
            if plan:
                overrides = {**overrides, "worse_on_validation": "test"}
            models = meeting.Models(
                data, model_name, champion, challenger, cycle_id, continues, test_alpha, plan
            )
            compared = meeting.of_models(run, spark, models, overrides, binding=binding)
        if isinstance(compared, Reused):
            return compared
        if isinstance(compared, contest.Untested):
            return _without_test(run, compared, plan=plan)
        with returned_on_error(compared.charge):
            judged = contest.gather(compared, slice)
        if isinstance(judged, contest.Untested):
            return _without_test(run, judged, plan=plan)
        if plan:
            return planning.plan(judged.rows, compared.policy)
    if slice:
        compared = compared._replace(facts={**compared.facts, "slice": slice})
    with returned_on_error(compared.charge):
        decided = decision.judge(
            judged,
            compared.policy,
            ledger=compared.charge.spending if compared.charge else None,
            test_alpha=test_alpha or compared.test_alpha,
            standing=None if replay and test_alpha else compared.standing,
            rng=np.random.default_rng(seed),
        )
    result = record.log(run.run_id, compared, judged, decided)
    record.write_registry(run.run_id, result)
    return result


def _without_test(run: StepRun, found: Untested, *, plan: bool) -> Compared:
    """Log that two models were not tested, and why."""
    from retraining.comparison import record

    if plan:
        raise RetrainingError(found.reason.rstrip("."), "prepare a later holdout")
    untested = record.untested(found)
    record.write_registry(run.run_id, untested)
    return untested


if __name__ == "__main__":
    ab_test()
