"""Move the alias `champion` if the verdict says so and the registry has not changed since.

Reads the verdict of an ab_test run. Before the move it checks that the champion is still the one
that was tested, and lets the challenger score some rows of the holdout. Writes on the version who
moved the alias, when and why; repeating it changes nothing. `--action rollback` gives the alias
back to the previous champion. `--action appoint` gives it to a version of a model that has lost its
champion, without a test: a person decides, and says why.

    mlflow run . --env-manager uv -e promote
    python steps/promote.py --verdict-run RUN_ID --dry-run true
    mlflow run . --env-manager uv -e promote -P action=rollback -P model_name=fraud
    python steps/promote.py --action appoint --model-name fraud --version 3 --reason "it served"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from retraining.cli import options
from retraining.cli.command import StepCommand, examples, open_run
from retraining.errors import RetrainingError
from retraining.tracking import tags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from retraining.tracking.lineage import StepRun
    from retraining.tracking.promotion import Move

_TRIED_ROWS = 100
_NEXT = "next"


@click.command(cls=StepCommand, epilog=examples(__doc__))
@options.option(
    "--action",
    "promote: follow the verdict; rollback: return to the previous champion; "
    "appoint: make a version champion of a model that has none.",
    type=click.Choice(["promote", "rollback", "appoint"]),
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
    "--version",
    "Number of the version to appoint, or `next` for the one that train registers next.",
)
@options.option("--reason", "Why this version is appointed, for the record.")
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
    version: str | None,
    reason: str | None,
    max_age_days: float,
    dry_run: bool,
    pipeline_id: str | None,
    spark_master: str | None,
) -> None:
    """Move the champion alias as a verdict says, or as a person does."""
    _check_options(action, version, {"model_name": model_name, "reason": reason})
    with open_run(pipeline_id) as run:
        if version and model_name and reason:
            move = appoint(run, name=model_name, number=version, reason=reason, dry_run=dry_run)
        elif action == "rollback":
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


def _check_options(action: str, version: str | None, more: Mapping[str, str | None]) -> None:
    if action != "appoint":
        if version or more["reason"]:
            raise click.UsageError(f"version and reason belong to appoint, not to {action}")
        return
    if missing := [name for name, value in {"version": version, **more}.items() if not value]:
        raise click.UsageError(f"action=appoint also needs {', '.join(missing)}")
    if version and version != _NEXT and not version.isdecimal():
        raise click.BadParameter(
            f"{version!r} is neither a number nor {_NEXT}", param_hint="version"
        )


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
    from retraining.tracking import champions, promotion, registry
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
    now = registry.version_with(name, registry.CHAMPION)
    if not dry_run:
        now = champions.settle(now)
    if registry.uri_of(now) == registry.uri_of(challenger):
        challenger = now
    stands = now is challenger
    if why in (challenger.tags.get(tags.MOVED_WHY), stands and challenger.tags.get(tags.MOVING)):
        sentence = f"version {challenger.version} was promoted on this verdict"
        by_now = "" if stands else f"; version {now.version} is champion by now"
        return Move("promoted", name, sentence + by_now, verdict)
    if against := promotion.reason_against(verdict, champion, challenger):
        return Move("kept", name, f"version {now.version} stays champion: {against}", verdict)
    promotion.refuse_stale(tested, max_age_days)
    champions.check_champion(name, champion.version)
    endings.refuse_ended(name, tested)
    _try_scoring(challenger, tested, spark_master)
    if not dry_run:
        how = champions.record(run.run_id, why)
        champions.check_permission(name)
        endings.end_campaigns(name, MOVED)
        champions.move(name, challenger.version, seen=champion.version, how=how)
    moves = "would move" if dry_run else "moved"
    sentence = f"champion {moves} from version {champion.version} to {challenger.version}"
    return Move("promoted", name, sentence, verdict)


def roll_back(run: StepRun, *, model_name: str | None, dry_run: bool) -> Move:
    """Give `champion` back to `previous_champion`; repeating it changes nothing."""
    from retraining.comparison import endings
    from retraining.gate.ledger import MOVED
    from retraining.tracking import champions, inputs, registry
    from retraining.tracking.promotion import Move

    run.pin(dry_run="true")
    name = model_name or inputs.newest_model_name()
    champion = registry.version_with(name, registry.CHAMPION)
    if not dry_run:
        champion = champions.settle(champion)
    previous = champions.way_back(champion)
    if previous is None:
        if champion.tags.get(tags.MOVED_WHY) != champions.ROLLBACK:
            raise RetrainingError(
                f"{name} has no previous_champion", "there is no promotion to roll back"
            )
        return Move("rolled_back", name, f"version {champion.version} is champion already")
    if dry_run:
        return Move("rolled_back", name, f"version {previous.version} would become champion")
    how = champions.record(run.run_id, champions.ROLLBACK)
    champions.check_champion(name, champion.version)
    champions.check_permission(name)
    endings.end_campaigns(name, MOVED)
    champions.move(name, previous.version, seen=champion.version, how=how)
    sentence = f"champion: version {champion.version} -> {previous.version}"
    return Move("rolled_back", name, sentence)


def appoint(run: StepRun, *, name: str, number: str, reason: str, dry_run: bool) -> Move:
    """Give `champion` to a version of a model that has no champion; repeating it changes nothing.

    A champion is replaced only by a verdict, or by the one before it.
    """
    from retraining.comparison import endings
    from retraining.gate.ledger import MOVED
    from retraining.tracking import champions, registry
    from retraining.tracking.promotion import Move

    run.pin(dry_run="true")
    how = champions.record(run.run_id, f"appointed: {reason}")
    champion = registry.holder(name, registry.CHAMPION)
    if champion is not None:
        if not dry_run:
            champion = champions.settle(champion)
        if str(champion.version) == number:
            return Move("appointed", name, f"version {number} is champion already")
        raise RetrainingError(
            f"version {champion.version} of {name} is champion",
            "only a verdict, or action=rollback, puts another one in its place",
        )
    follows = number == _NEXT
    named = "the next version" if follows else f"version {int(number)}"
    if not follows:
        registry.version_of(name, number)
    if not dry_run:
        endings.end_campaigns(name, MOVED)
        champions.appoint(name, number, how)
    would = "would become" if dry_run else "becomes"
    return Move("appointed", name, f"{named} {would} champion")


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
