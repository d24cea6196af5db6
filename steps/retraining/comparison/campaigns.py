"""The next look of a campaign: which run it continues, and the scores that it adds its own to.

The ledger of the model knows the looks of a pair; each has a run with its verdict and the scores of
all rows so far. A look counts once its run has finished: what was killed before is done again.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import mlflow
import pandas as pd
from mlflow import MlflowException

from retraining.comparison.scores import EXACT_ROWS
from retraining.data.columns import quote
from retraining.errors import RetrainingError
from retraining.gate.campaign import Standing
from retraining.gate.ledger import MOVED, REPLACED, STARTED
from retraining.gate.verdict import read_look
from retraining.spark import storage
from retraining.tracking import inputs, registry, tags

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from retraining.comparison.contenders import Contenders
    from retraining.comparison.scores import Comparison
    from retraining.data.manifest import StoredSplit
    from retraining.gate.ledger import Entry
    from retraining.gate.policy import Policy

FIRST = "first"  # in place of the run that a look continues
# What must stay as it is while a campaign lasts.
_FIXED = ("metric", "strategy", "min_effect_size", "period", "capacity", "false_negative_cost")

_LOG = logging.getLogger(__name__)


class Progress(NamedTuple):
    """How far the campaign of a pair is when its next look begins.

    Attributes:
        campaign: Name of its first test; "" where none goes on.
        previous: Id of the run of the look before; "" for the first look.
        standing: The looks before, and the alpha of the campaign; its alpha is 0 at the first look.
        known: Names of the tests that had a result when the look began.
    """

    campaign: str = ""
    previous: str = ""
    standing: Standing = Standing(0.0)
    known: frozenset[str] = frozenset()

    @property
    def number(self) -> int:
        """Of the look that begins."""
        return len(self.standing.past) + 1


def find(pair: Contenders, policy: Policy, holdout: StoredSplit) -> Progress | None:
    """The campaign of two versions as the ledger knows it; None where they are tested once.

    A look at the same holdout as the last one is that look again.

    Raises:
        RetrainingError: The artifacts of the look before cannot be read.
    """
    if policy.n_looks == 1 or holdout.start is None:
        return None
    champion, challenger = pair.uris["champion"], pair.uris["challenger"]
    looks = [
        entry
        for entry in registry.tests_of(pair.champion.name)
        if entry.look and (entry.champion, entry.challenger) == (champion, challenger)
    ]
    known = frozenset(e.test for e in looks if e.look and e.look.state != STARTED)
    last = max((e for e in looks if e.alpha > 0), key=lambda e: e.time, default=None)
    if last is None or last.look is None:
        return Progress(known=known)
    campaign = last.look.campaign
    mine = [e for e in looks if e.look and e.look.campaign == campaign and e.alpha > 0]
    made = sorted((e for e in mine if _has_result(e)), key=_number)
    again = bool(made) and made[-1].fingerprint == holdout.fingerprint
    if again:
        made.pop()
    states = {e.look.state for e in mine if e.look}
    if states & {REPLACED, MOVED} or not (again or _goes_on(made)):
        return Progress(known=known)
    if not made or made[-1].look is None:
        return Progress(campaign, known=known)
    previous = made[-1].look.run_id
    if changed := _changes(previous, policy):
        _LOG.info(f"the campaign of {challenger} begins again: {changed} is another one now")
        return Progress(known=known)
    return Progress(campaign, previous, read_standing(previous), known)


def repeat(continues: str, alpha: float) -> Progress:
    """The campaign whose look is repeated: `FIRST`, or the id of the run that it continues."""
    if continues == FIRST:
        return Progress(standing=Standing(alpha))
    return Progress("", continues, read_standing(continues))


def read_standing(run_id: str) -> Standing:
    """Where the campaign of a finished look stands.

    Raises:
        RetrainingError: The run has no verdict, or it belongs to no campaign.
    """
    verdict = _read(run_id, "verdict.json")
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
            "return to the description of the campaign, or give another version the alias "
            "challenger to end it",
        )
    if isinstance(kept, pd.DataFrame) and isinstance(new.scores, pd.DataFrame):
        before = kept[names][~kept[key].isin(new.scores[key])]
        if len(before) + len(new.scores) <= EXACT_ROWS:
            table = pd.concat([before, new.scores[names]]).sort_values(key, ignore_index=True)
            both = new._replace(scores=table, columns=columns, n_rows=len(table), uri="")
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
    both = new._replace(scores=frame, columns=columns, n_rows=n_rows, uri=folder)
    return both, n_rows - old.count()


def _read_scores(spark: SparkSession, run_id: str) -> pd.DataFrame | DataFrame:
    """The scores that a look kept."""
    uri = mlflow.get_run(run_id).data.tags[tags.SCORES_URI]
    if uri.startswith("runs:/"):
        return pd.read_parquet(inputs.download(uri))
    if not storage.exists(spark, uri):
        raise RetrainingError(
            f"the scores of run {run_id} are gone: {uri}",
            "restore the folder, or give another version the alias challenger to end the campaign",
        )
    return spark.read.parquet(uri)


def _read(run_id: str, name: str) -> dict[str, Any]:
    """A JSON artifact of a run."""
    path = inputs.download(f"runs:/{run_id}/{name}")
    found: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return found


def _has_result(entry: Entry) -> bool:
    """Whether a look has a verdict: its run has finished."""
    if entry.look is None or entry.look.state == STARTED:
        return False
    try:
        run = mlflow.get_run(entry.look.run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return bool(run.info.status == "FINISHED")


def _goes_on(made: list[Entry]) -> bool:
    return not made or (made[-1].look is not None and made[-1].look.state == "open")


def _number(entry: Entry) -> tuple[int, str]:
    return (entry.look.number if entry.look else 0, entry.time.isoformat())


def _changes(run_id: str, policy: Policy) -> str:
    """What of the policy is another one than at the look before; "" if nothing."""
    kept = _read(run_id, "policy.json")
    changed = [name for name in _FIXED if kept[name] != getattr(policy, name)]
    rules = kept.get("campaign", {})
    changed += [
        f"campaign.{name}"
        for name in ("looks", "spending")
        if rules.get(name) != getattr(policy.campaign, name)
    ]
    return ", ".join(changed)
