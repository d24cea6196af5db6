"""The next look of a campaign: which run it continues, and the scores that it adds its own to.

The ledger of the model knows the looks of a pair; each has a run with its verdict and the scores of
all rows so far. A look counts once its run has finished: what was killed before is done again.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import mlflow
import pandas as pd
from mlflow import MlflowException

from retraining.comparison.scores import EXACT_ROWS, digest_of_folder
from retraining.comparison.tables import check_kept, read_kept
from retraining.data.columns import quote
from retraining.errors import RetrainingError
from retraining.gate.campaign import Standing
from retraining.gate.ledger import STARTED, STOPPED
from retraining.gate.looks import read_look
from retraining.spark import storage
from retraining.tracking import inputs, registry, tags

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from retraining.comparison.contenders import Contenders
    from retraining.comparison.scores import Comparison
    from retraining.data.manifest import StoredSplit
    from retraining.gate.policy import Policy

FIRST = "first"  # in place of the run that a look continues
# What must stay as it is while a campaign lasts.
_FIXED = ("metric", "strategy", "min_effect_size", "period", "capacity", "false_negative_cost")

_LONGEST_LOOK = 2 * 86_400  # seconds, after which a run that is RUNNING was killed

_LOG = logging.getLogger(__name__)


class Progress(NamedTuple):
    """How far the campaign of a pair is when its next look begins.

    Attributes:
        campaign: Name of its first test; "" where none goes on.
        previous: Id of the run of the look before; "" for the first look.
        standing: The looks before, and the alpha of the campaign; its alpha is 0 at the first look.
        known: Names of the tests that had a result when the look began.
        ended: Whether the look is one of a campaign that has ended, and can only be reused.
    """

    campaign: str = ""
    previous: str = ""
    standing: Standing = Standing(0.0)
    known: frozenset[str] = frozenset()
    ended: bool = False

    @property
    def number(self) -> int:
        """Of the look that begins."""
        return len(self.standing.past) + 1


def find(pair: Contenders, policy: Policy, holdout: StoredSplit) -> Progress | None:
    """The campaign of two versions as the ledger knows it; None where they are tested once.

    A look at a holdout that the pair has looked at is that look again.

    Raises:
        RetrainingError: The artifacts of the look before cannot be read.
    """
    if policy.n_looks == 1 or holdout.start is None:
        return None
    champion, challenger = pair.uris["champion"], pair.uris["challenger"]
    looks = [
        (entry, entry.look)
        for entry in registry.tests_of(pair.champion.name)
        if entry.look
        and (entry.champion, entry.challenger) == (champion, challenger)
        and entry.alpha > 0
    ]
    status = {
        entry.test: STARTED if look.state == STARTED else status_of(look.run_id)
        for entry, look in looks
    }
    # A look that is about to finish was not known; one whose process died will not count.
    known = frozenset(name for name, found in status.items() if found in ("FINISHED", "DEAD"))
    done = [(entry, look) for entry, look in looks if status[entry.test] == "FINISHED"]
    same = [look for entry, look in done if entry.fingerprint == holdout.fingerprint]
    if same:
        campaign, number = same[-1].campaign, same[-1].number
    elif looks:
        campaign, number = max(looks, key=lambda found: found[0].time)[1].campaign, 0
    else:
        return Progress(known=known)
    made = sorted(
        (look for _, look in done if look.campaign == campaign), key=lambda look: look.number
    )
    states = {look.state for _, look in looks if look.campaign == campaign}
    ended = bool(states & set(STOPPED)) or bool(made and made[-1].state != "open")
    if number:
        made = [look for look in made if look.number < number]
    elif ended:
        return Progress(known=known)
    if not made:
        return Progress(campaign, known=known, ended=ended)
    previous = made[-1].run_id
    if changed := _changes(previous, policy):
        _LOG.info(f"the campaign of {challenger} begins again: {changed} is another one now")
        return Progress(known=known)
    return Progress(campaign, previous, read_standing(previous), known, ended)


def status_of(run_id: str) -> str:
    """FINISHED where the run of a look has its verdict, RUNNING where it may get one, else DEAD."""
    try:
        info = mlflow.get_run(run_id).info
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return "DEAD"
    if info.status == "RUNNING" and time.time() - info.start_time / 1000 < _LONGEST_LOOK:
        return "RUNNING"
    return "FINISHED" if info.status == "FINISHED" else "DEAD"


def repeat(continues: str, alpha: float | None, policy: Policy) -> Progress:
    """The campaign whose look is repeated.

    Args:
        continues: `FIRST`, or the id of the run that it continues.
        alpha: Of the campaign; None for that of the run, or of the policy.
        policy: The conditions.
    """
    if continues == FIRST:
        return Progress(standing=Standing(alpha or policy.alpha))
    standing = read_standing(continues)
    return Progress("", continues, standing._replace(alpha=alpha or standing.alpha))


def read_standing(run_id: str) -> Standing:
    """Where the campaign of a finished look stands.

    Raises:
        RetrainingError: The run has no verdict, or it belongs to no campaign.
    """
    verdict = inputs.read_json(run_id, "verdict.json")
    if not verdict.get("campaign"):
        raise RetrainingError(
            f"run {run_id} is not a look of a campaign",
            f"give the id of an ab_test run that is one, or {FIRST}",
        )
    looks = tuple(read_look(look) for look in verdict["looks"] if look["made"])
    return Standing(verdict["campaign"]["alpha"], looks)


def add_earlier(
    spark: SparkSession, progress: Progress, new: Comparison, folder: str
) -> tuple[Comparison, int]:
    """The scores of all looks so far, and how many of these rows no earlier look has seen.

    A row that was scored before counts once, with the label that it has now.

    Args:
        spark: The session.
        progress: Names the look before.
        new: The scores of this holdout.
        folder: Where the scores of all looks are written if they are too many for the driver.

    Raises:
        RetrainingError: The scores of the look before cannot be read.
    """
    if not progress.previous:
        return new, new.n_rows
    columns = new.columns._replace(capacity_unit=None)  # its precision is that of this holdout
    key, names = str(columns.key), list(columns.names)
    kept = _read_scores(spark, progress.previous)
    if missing := [name for name in names if name not in kept.columns]:
        raise RetrainingError(
            f"the scores of run {progress.previous} lack {', '.join(missing)}, which the "
            "description asks for now",
            "return to the description of the campaign, or end it: give another version the alias "
            "challenger",
        )
    if isinstance(kept, pd.DataFrame) and isinstance(new.scores, pd.DataFrame):
        before = kept[names][~kept[key].isin(new.scores[key])]
        if len(before) + len(new.scores) <= EXACT_ROWS:
            table = pd.concat([before, new.scores[names]]).sort_values(key, ignore_index=True)
            both = new._replace(scores=table, columns=columns, n_rows=len(table), uri="", digest="")
            return both, len(table) - len(kept)
    old, fresh = (
        spark.createDataFrame(table) if isinstance(table, pd.DataFrame) else table
        for table in (kept, new.scores)
    )
    fresh = fresh.select(*map(quote, names))
    rows = old.select(*map(quote, names)).join(fresh.select(quote(key)), key, "left_anti")
    rows.unionByName(fresh).write.parquet(folder)
    frame = spark.read.parquet(folder)
    n_rows = frame.count()
    written = digest_of_folder(spark, folder)
    both = new._replace(scores=frame, columns=columns, n_rows=n_rows, uri=folder, digest=written)
    return both, n_rows - old.count()


def _read_scores(spark: SparkSession, run_id: str) -> pd.DataFrame | DataFrame:
    """The scores that a look kept."""
    found = mlflow.get_run(run_id).data.tags
    uri, stored = found[tags.SCORES_URI], found.get(f"{tags.FILES}scores", "")
    if uri.startswith("runs:/"):
        return read_kept(Path(inputs.download(uri)), uri, stored).scores
    if not storage.exists(spark, uri):
        raise RetrainingError(
            f"the scores of run {run_id} are gone: {uri}",
            "restore the folder, or end the campaign: give another version the alias challenger",
        )
    check_kept(uri, digest_of_folder(spark, uri), stored)
    return spark.read.parquet(uri)


def _changes(run_id: str, policy: Policy) -> str:
    """What of the policy is another one than at the look before; "" if nothing."""
    kept = inputs.read_json(run_id, "policy.json")
    changed = [name for name in _FIXED if kept[name] != getattr(policy, name)]
    rules = kept.get("campaign", {})
    changed += [
        f"campaign.{name}"
        for name in ("looks", "spending")
        if rules.get(name) != getattr(policy.campaign, name)
    ]
    return ", ".join(changed)
