"""Who becomes champion: by a verdict, back to the one before, or as a person appoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyspark.sql import functions as F

from retraining.comparison import endings
from retraining.data.manifest import read_manifest, read_split
from retraining.description.names import SCORE
from retraining.errors import RetrainingError
from retraining.gate.ledger import MOVED
from retraining.models import scoring, store
from retraining.spark.session import open_session
from retraining.tracking import champions, inputs, promotion, registry, tags
from retraining.tracking.promotion import Move

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from retraining.tracking.lineage import StepRun

_TRIED_ROWS: Final = 100


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
    tested = promotion.find_test(run, verdict_run)
    verdict = tested.data.tags.get(tags.VERDICT, "")
    run.pin(verdict_run=tested.info.run_id, dry_run="true", max_age_days="1e9")
    run.use("verdict", verdict, tested.info.run_id)
    promotion.check_binding(tested)
    champion, challenger = _tested_pair(tested, model_name)
    name = challenger.name
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


def _tested_pair(tested: Run, model_name: str | None) -> tuple[ModelVersion, ModelVersion]:
    """The champion and the challenger that a run compared.

    Raises:
        RetrainingError: If they are of two models, or of another one than the caller named.
    """
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
    return champion, challenger


def roll_back(run: StepRun, *, model_name: str | None, dry_run: bool) -> Move:
    """Give `champion` back to `previous_champion`; repeating it changes nothing."""
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
    follows = number == registry.NEXT
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
