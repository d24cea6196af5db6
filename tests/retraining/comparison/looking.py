"""Looks of campaigns as ab_test makes them, without models: what each finds is given."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import mlflow

from retraining.comparison import campaigns, charges
from retraining.comparison.contenders import Contenders
from retraining.data.manifest import StoredSplit
from retraining.gate import campaign as gate
from retraining.gate.campaign import Standing
from retraining.gate.ledger import HoldoutTest, LookEntry, charged
from retraining.gate.policy import CampaignRules, Policy
from retraining.statistics.inference import PairedResult
from retraining.tracking import registry

if TYPE_CHECKING:
    from retraining.comparison.campaigns import Progress
    from retraining.comparison.charges import Charge
    from retraining.gate.campaign import Campaign
    from retraining.gate.fields import Outcome
    from retraining.gate.looks import Look

NOW = datetime.now(UTC)
POLICY = Policy(campaign=CampaignRules(looks=8))
DUE = POLICY.yearly_alpha * 8 / POLICY.tests_per_year


def pair(champion: int = 1, challenger: int = 2) -> Contenders:
    return Contenders(
        registry.version_of("fraud", champion), registry.version_of("fraud", challenger)
    )


def holdout(week: int) -> StoredSplit:
    end = NOW + timedelta(weeks=week)
    return StoredSplit(
        uri=f"week {week}",
        n_rows=1000,
        n_positives=100,
        fingerprint=f"rows {week}",
        start=end - timedelta(weeks=1),
        end=end,
    )


def begin(name: str, week: int, *, run_id: str = "", who: Contenders | None = None) -> Started:
    """What `contenders.charge` does, for a test of this name."""
    who = who or pair()
    progress = campaigns.find(who, POLICY, holdout(week))
    assert progress is not None
    rows = holdout(week)
    test = HoldoutTest(
        name,
        NOW + timedelta(weeks=week, seconds=len(name)),
        rows.fingerprint,
        rows.start,
        rows.end,
        who.uris["champion"],
        who.uris["challenger"],
        8,
        progress.campaign,
    )
    look = LookEntry(progress.campaign or name, progress.number, 8, run_id)
    charge = charges.reserve("fraud", POLICY, test, look)._replace(known=progress.known)
    if not progress.previous:
        progress = progress._replace(standing=Standing(charge.spending.alpha))
    return progress, charge


Started = tuple["Progress", "Charge"]


def judge(
    progress: Progress, z: float, outcome: Outcome = "inconclusive"
) -> tuple[Campaign, tuple[Look, ...]]:
    """A look that finds an effect of z standard errors."""
    number = progress.number
    error = 0.01 / math.sqrt(number)
    result = PairedResult(
        z * error, 0.8, 0.8 + z * error, error, 0.0, 0.0, 0.5, 1000 * number, 100 * number
    )
    judged = gate.judge_look(progress.standing, POLICY, result)
    return gate.conclude(progress.standing, judged, POLICY, outcome)


def finish(started: Started, z: float, outcome: Outcome = "inconclusive") -> Campaign:
    """Judge, settle, and log on the active run what the next look reads."""
    progress, charge = started
    stands, looks = judge(progress, z, outcome)
    charge.judge(stands, z, 0.01, costs=True).settle()
    written = {
        "campaign": dataclasses.asdict(stands),
        "looks": [
            {k: None if v != v else v for k, v in dataclasses.asdict(look).items()}
            for look in looks
        ],
    }
    mlflow.log_dict(written, "verdict.json")
    mlflow.log_dict(dataclasses.asdict(POLICY), "policy.json")
    return stands


def look(name: str, week: int, z: float = 1.0, outcome: Outcome = "inconclusive") -> Campaign:
    """A whole look in a run of its own."""
    with mlflow.start_run() as run:
        return finish(begin(name, week, run_id=run.info.run_id), z, outcome)


def alphas() -> dict[str, float]:
    """What counts in the ledger, by the name of the test."""
    return {entry.test: entry.alpha for entry in charged(registry.tests_of("fraud"))}
