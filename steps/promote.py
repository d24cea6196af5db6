"""Move the alias `champion` if a verdict says so and the registry still stands where it looked.

Reads the verdict of an ab_test run. Before the move it compares the alias with what the verdict
saw, and lets the new champion score rows of the holdout. Writes who moved it, when and why on the
version; repeating it changes nothing. `--action rollback` gives the alias back.

    mlflow run . -e promote
    python steps/promote.py --verdict-run RUN_ID --dry-run true
    mlflow run . -e promote -P action=rollback -P model_name=fraud
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
import mlflow
from pyspark.sql import functions as F

from retraining.cli import options
from retraining.cli.command import StepCommand, examples
from retraining.data.manifest import read_manifest, read_split
from retraining.errors import RetrainingError
from retraining.models import scoring, store
from retraining.spark.session import open_session
from retraining.tracking import inputs, lineage, registry, runs, tags

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

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
def promote(**parameters: object) -> None:
    """Move the champion alias as a verdict says, or roll it back."""
    with lineage.open_step("promote", parameters) as run:
        if parameters["action"] == "rollback":
            roll_back(run, **parameters)  # type: ignore[arg-type]
        else:
            follow_verdict(run, **parameters)  # type: ignore[arg-type]
        click.echo(f"promote: {run.summary}")


def follow_verdict(
    run: lineage.StepRun,
    *,
    verdict_run: str | None,
    model_name: str | None,
    max_age_days: float,
    dry_run: bool,
    spark_master: str | None,
    **_: object,
) -> None:
    """Promote the challenger of a verdict if it says so; the result goes to `run.summary`."""
    tested = (
        runs.get_run(verdict_run, "verdict_run")
        if verdict_run
        else runs.upstream("ab_test", run.cycle_id, "verdict_run", {tags.BINDING: tags.TRUE})
    )
    if "reused_from" in tested.data.tags:
        tested = runs.get_run(tested.data.tags["reused_from"], "reused_from")
    run.pin(verdict_run=tested.info.run_id, dry_run="true", max_age_days="1e9")
    verdict = tested.data.tags.get("verdict", "")
    run.use("verdict", verdict, tested.info.run_id)
    if "input.challenger" not in tested.data.tags:
        raise RetrainingError(
            f"verdict_run={tested.info.run_id!r} compared no registered models",
            "give the run of an ab_test between versions of the registry",
        )
    if tested.info.status != "FINISHED" or not verdict:
        raise RetrainingError(
            f"verdict_run={tested.info.run_id!r} is {tested.info.status} and gave no verdict",
            "run ab_test again",
        )
    if "verdict.binding" not in tested.data.tags:
        raise RetrainingError(
            f"verdict_run={tested.info.run_id!r} compared without consequence",
            "run ab_test with register=true and without slice",
        )
    champion, challenger = (
        registry.version_at(tested.data.tags[f"input.{role}"])
        for role in ("champion", "challenger")
    )
    name = challenger.name
    if model_name not in (None, name):
        raise RetrainingError(
            f"the verdict of run {tested.info.run_id} is on {name}, not on {model_name}",
            "run ab_test with that model_name, or name its run with verdict_run=",
        )
    mlflow.set_tags({"verdict": verdict, "model_name": name})
    why = f"verdict of run {tested.info.run_id}"
    if challenger.tags.get("champion.why") == why:
        _end(run, "promoted", f"{name} version {challenger.version} was promoted on this verdict")
        return
    against = _reason_against(verdict, champion, challenger)
    if against:
        _end(run, "kept", f"{name} version {champion.version} stays champion: {against}")
        return
    _refuse_stale(tested, max_age_days)
    registry.compare(name, champion.version, challenger.version)
    _try_scoring(challenger, tested, spark_master)
    if not dry_run:
        record = _record(run, why)
        registry.promote(name, challenger.version, seen=champion.version, record=record)
    move = "would move" if dry_run else "moved"
    done = f"{name} champion {move} from version {champion.version} to {challenger.version}"
    _end(run, "promoted", done)


def roll_back(run: lineage.StepRun, *, model_name: str | None, dry_run: bool, **_: object) -> None:
    """Give `champion` back to `previous_champion`; once done, doing it again changes nothing."""
    run.pin(dry_run="true")
    name = model_name or inputs.newest_model_name()
    mlflow.set_tag("model_name", name)
    champion = registry.holder(name, registry.CHAMPION)
    previous = registry.holder(name, registry.PREVIOUS)
    if champion is None:
        raise RetrainingError(f"{name} has no champion", "check model_name, or run train first")
    if previous is None:
        if champion.tags.get("champion.why") == "rollback":
            _end(run, "rolled_back", f"{name} version {champion.version} is champion already")
            return
        raise RetrainingError(f"{name} has no previous_champion", "there is no move to take back")
    if dry_run:
        _end(run, "rolled_back", f"{name} version {previous.version} would become champion")
        return
    record = _record(run, "rollback")
    registry.roll_back(name, previous.version, seen=champion.version, record=record)
    _end(run, "rolled_back", f"{name} champion: version {champion.version} -> {previous.version}")


def _reason_against(verdict: str, champion: ModelVersion, challenger: ModelVersion) -> str:
    if verdict != "promote":
        return f"verdict {verdict}"
    until = champion.tags.get("trained_until", "")
    if until > challenger.tags.get("trained_until", ""):
        return f"it was trained on data until {until}, later than the challenger"
    return ""


def _refuse_stale(tested: Run, max_age_days: float) -> None:
    age = (time.time() - tested.info.end_time / 1000) / 86_400
    if not age <= max_age_days:  # nan is no limit that is met
        raise RetrainingError(
            f"the verdict of run {tested.info.run_id} is {age:.1f} days old, "
            f"more than max_age_days={max_age_days:g}",
            "run ab_test again",
        )


def _try_scoring(challenger: ModelVersion, tested: Run, master: str | None) -> None:
    """Load the model and let it score some rows of the holdout, as it will have to."""
    data = tested.data.tags["input.data"]
    with open_session("promote", master, [data]) as spark:
        manifest = read_manifest(spark, data)
        root = manifest.uri.rpartition("/")[0]
        registered = store.load(f"models:/{challenger.name}/{challenger.version}", spark, root)
        rows = read_split(spark, manifest, "holdout").limit(_TRIED_ROWS)
        scored = scoring.score(rows, registered.model, registered.description.feature_columns)
        fine = F.col(scoring.SCORE).between(0, 1)
        bad = scored.where(~fine | F.isnan(scoring.SCORE) | F.isnull(scoring.SCORE)).count()
    if bad:
        raise RetrainingError(
            f"{registered.uri} gives {bad} of {_TRIED_ROWS} rows no probability",
            "look at the model before promoting it",
        )


def _record(run: lineage.StepRun, why: str) -> dict[str, str]:
    user = mlflow.get_run(run.run_id).info.user_id
    return {tags.MOVED_RUN: run.run_id, tags.MOVED_BY: user or "", tags.MOVED_WHY: why}


def _end(run: lineage.StepRun, outcome: str, summary: str) -> None:
    mlflow.set_tag("result.outcome", outcome)
    run.summary = summary


if __name__ == "__main__":
    promote()
