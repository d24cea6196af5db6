"""Move the alias `champion` if the verdict says so and the registry has not changed since.

Reads the verdict of an ab_test run. Before the move it checks that the champion is still the one
that was tested, and lets the challenger score some rows of the holdout. Writes on the version who
moved the alias, when and why; repeating it changes nothing. `--action rollback` gives the alias
back to the previous champion.

    mlflow run . -e promote
    python steps/promote.py --verdict-run RUN_ID --dry-run true
    mlflow run . -e promote -P action=rollback -P model_name=fraud
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from retraining.cli import options
from retraining.cli.command import StepCommand, examples, open_run
from retraining.errors import RetrainingError
from retraining.tracking import tags

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from retraining.tracking.lineage import StepRun
    from retraining.tracking.promotion import Move

_TRIED_ROWS = 100


@click.command(cls=StepCommand, epilog=examples(__doc__))
@options.option(
    "--action",
    "promote: follow the verdict; rollback: return to the previous champion.",
    type=click.Choice(["promote", "rollback"]),
    default="promote",
)
@options.option(
    "--verdict-run", "Id of the ab_test run to follow. Default: the ab_test run of the cycle."
)
@options.option(
    "--model-name",
    "Name of the registered model. Default: the model of the verdict; for a rollback, the model "
    "that was registered last.",
    type=options.Name(),
)
@options.option(
    "--max-age-days",
    "Refuse a verdict that is older than this many days.",
    type=click.FloatRange(min=0),
    default="30",
)
@options.option(
    "--dry-run", "true: say what would happen and move nothing.", type=click.BOOL, default="false"
)
@options.pipeline_id
@options.spark_master
def promote(
    *,
    action: str,
    verdict_run: str | None,
    model_name: str | None,
    max_age_days: float,
    dry_run: bool,
    pipeline_id: str | None,
    spark_master: str | None,
) -> None:
    """Move the champion alias as a verdict says, or roll it back."""
    with open_run(pipeline_id) as run:
        if action == "rollback":
            move = roll_back(run, model_name=model_name, dry_run=dry_run)
        else:
            move = follow_verdict(
                run,
                verdict_run=verdict_run,
                model_name=model_name,
                max_age_days=max_age_days,
                dry_run=dry_run,
                spark_master=spark_master,
            )
        run.write(move)


def follow_verdict(
    run: StepRun,
    *,
    verdict_run: str | None,
    model_name: str | None,
    max_age_days: float,
    dry_run: bool,
    spark_master: str | None,
) -> Move:
    """Promote the challenger of a verdict if it says so; repeating it changes nothing."""
    from retraining.comparison import endings
    from retraining.gate.ledger import MOVED
    from retraining.tracking import promotion, registry
    from retraining.tracking.promotion import Move

    tested = promotion.find_test(run, verdict_run)
    verdict = tested.data.tags.get(tags.VERDICT, "")
    run.pin(verdict_run=tested.info.run_id, dry_run="true", max_age_days="1e9")
    run.use("verdict", verdict, tested.info.run_id)
    promotion.check_binding(tested)
    champion, challenger = (
        registry.version_at(tested.data.tags[tags.INPUT + role])
        for role in ("champion", "challenger")
    )
    name = challenger.name
    if champion.name != name:
        raise RetrainingError(
            f"the verdict of run {tested.info.run_id} is about two models, "
            f"{champion.name} and {name}",
            f"register the challenger under {champion.name} and run ab_test again",
        )
    if model_name not in (None, name):
        raise RetrainingError(
            f"the verdict of run {tested.info.run_id} is about {name}, not {model_name}",
            "run ab_test with that model_name, or name its run with verdict_run=",
        )
    why = f"verdict of run {tested.info.run_id}"
    if challenger.tags.get(tags.MOVED_WHY) == why:
        sentence = f"version {challenger.version} was promoted on this verdict"
        return Move("promoted", name, sentence, verdict)
    if against := promotion.reason_against(verdict, champion, challenger):
        return Move("kept", name, f"version {champion.version} stays champion: {against}", verdict)
    promotion.refuse_stale(tested, max_age_days)
    registry.check_champion(name, champion.version, challenger.version)
    endings.refuse_ended(name, tested)
    _try_scoring(challenger, tested, spark_master)
    if not dry_run:
        record = promotion.record(run, why)
        registry.check_permission(name)
        endings.end_campaigns(name, MOVED)
        registry.promote(name, challenger.version, seen=champion.version, record=record)
    moves = "would move" if dry_run else "moved"
    sentence = f"champion {moves} from version {champion.version} to {challenger.version}"
    return Move("promoted", name, sentence, verdict)


def roll_back(run: StepRun, *, model_name: str | None, dry_run: bool) -> Move:
    """Give `champion` back to `previous_champion`; repeating it changes nothing."""
    from retraining.comparison import endings
    from retraining.gate.ledger import MOVED
    from retraining.tracking import inputs, promotion, registry
    from retraining.tracking.promotion import Move

    run.pin(dry_run="true")
    name = model_name or inputs.newest_model_name()
    champion = registry.holder(name, registry.CHAMPION)
    previous = registry.holder(name, registry.PREVIOUS)
    if champion is None:
        raise RetrainingError(f"{name} has no champion", "check model_name, or run train first")
    if previous is None:
        if champion.tags.get(tags.MOVED_WHY) != "rollback":
            raise RetrainingError(
                f"{name} has no previous_champion", "there is no promotion to roll back"
            )
        return Move("rolled_back", name, f"version {champion.version} is champion already")
    if dry_run:
        return Move("rolled_back", name, f"version {previous.version} would become champion")
    record = promotion.record(run, "rollback")
    registry.check_champion(name, champion.version)
    registry.check_permission(name)
    endings.end_campaigns(name, MOVED)
    registry.roll_back(name, previous.version, seen=champion.version, record=record)
    sentence = f"champion: version {champion.version} -> {previous.version}"
    return Move("rolled_back", name, sentence)


def _try_scoring(challenger: ModelVersion, tested: Run, master: str | None) -> None:
    """Load the challenger and let it score some rows of the holdout, as it will have to."""
    from pyspark.sql import functions as F

    from retraining.data.manifest import read_manifest, read_split
    from retraining.description.names import SCORE
    from retraining.models import scoring, store
    from retraining.spark.session import open_session

    data = tested.data.tags[f"{tags.INPUT}data"]
    with open_session("promote", master, [data]) as spark:
        manifest = read_manifest(spark, data)
        registered = store.load(challenger, spark, manifest.uri.rpartition("/")[0])
        rows = read_split(spark, manifest, "holdout").limit(_TRIED_ROWS)
        scored = scoring.score(rows, registered.model, registered.description.feature_columns)
        fine = F.col(SCORE).between(0, 1)
        bad = scored.where(~fine | F.isnan(SCORE) | F.isnull(SCORE)).count()
    if bad:
        raise RetrainingError(
            f"{registered.uri} gives no probability for {bad} of {_TRIED_ROWS} rows",
            "look at the model before promoting it",
        )


if __name__ == "__main__":
    promote()
