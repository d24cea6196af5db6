"""Whether a verdict may be followed, and what became of the champion."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from retraining.errors import RetrainingError
from retraining.tracking import runs, tags
from retraining.tracking.result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from retraining.tracking.lineage import StepRun


@dataclass(frozen=True)
class Move(Result):
    """What became of the champion.

    Attributes:
        outcome: What was done, or would be done in a dry run.
        model_name: Registered model.
        sentence: The same for people.
        verdict: The verdict that was followed; "" where a person decided.
    """

    outcome: Literal["promoted", "kept", "rolled_back", "appointed"]
    model_name: str
    sentence: str
    verdict: str = ""

    @property
    def summary(self) -> str:
        """What was done."""
        return f"{self.model_name} {self.sentence}"

    @property
    def tags(self) -> Mapping[str, str]:
        """The outcome, and what led to it."""
        verdict = {tags.VERDICT: self.verdict} if self.verdict else {}
        return {tags.OUTCOME: self.outcome, tags.MODEL_NAME: self.model_name, **verdict}


def find_test(run: StepRun, verdict_run: str | None) -> Run:
    """The ab_test run that the caller named, or that of the cycle.

    If it reuses an earlier run, that run is returned.

    Raises:
        RetrainingError: If there is none.
    """
    if verdict_run:
        tested = runs.get_run(verdict_run, "verdict_run")
    else:
        tested = runs.upstream("ab_test", run.cycle_id, "verdict_run", {tags.BINDING: tags.TRUE})
    return runs.original_of(tested)


def check_binding(tested: Run) -> None:
    """Refuse a run whose verdict must not be followed.

    Raises:
        RetrainingError: If it was deleted, compared no registered models, has not finished, or was
            made with register=false or on a slice.
    """
    named, carried = f"verdict_run={tested.info.run_id!r}", tested.data.tags
    if tested.info.lifecycle_stage != "active":
        restored = f"mlflow runs restore --run-id {tested.info.run_id}"
        raise RetrainingError(f"{named} is deleted", f"restore it by `{restored}`, or run ab_test")
    if f"{tags.INPUT}challenger" not in carried:
        raise RetrainingError(
            f"{named} did not compare registered models",
            "give the id of an ab_test run that compared versions of the registry",
        )
    if tested.info.status != "FINISHED" or not carried.get(tags.VERDICT):
        raise RetrainingError(
            f"{named} is {tested.info.status} and gave no verdict", "run ab_test again"
        )
    if not tags.is_true(carried, tags.BINDING):
        raise RetrainingError(
            f"{named} is not binding", "run ab_test with register=true and without slice"
        )


def reason_against(verdict: str, champion: ModelVersion, challenger: ModelVersion) -> str:
    """Why the champion stays; "" if the challenger is to be promoted."""
    if verdict != "promote":
        return f"verdict {verdict}"
    until = champion.tags.get(tags.TRAINED_UNTIL, "")
    if until > challenger.tags.get(tags.TRAINED_UNTIL, ""):
        return f"it was trained on data until {until}, later than the challenger"
    return ""


def refuse_stale(tested: Run, max_age_days: float) -> None:
    """Refuse a verdict that is too old.

    Raises:
        RetrainingError: If it is older than `max_age_days`.
    """
    age = (time.time() - tested.info.end_time / 1000) / 86_400
    if not age <= max_age_days:  # true for nan, too
        raise RetrainingError(
            f"the verdict of run {tested.info.run_id} is {age:.1f} days old, "
            f"more than max_age_days={max_age_days:g}",
            "run ab_test again",
        )
