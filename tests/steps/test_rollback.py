"""The way back to the champion before, taken once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.steps.calling import Call, Cycle

    Aliases = Callable[[], dict[str, str]]
    MakeVerdict = Callable[..., str]

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("store")]

BEFORE = {"champion": "1", "challenger": "2"}
AFTER = {"champion": "2", "previous_champion": "1"}


@pytest.mark.usefixtures("untried")
def test_rollback_gives_the_champion_back_once(
    call: Call, make_verdict: MakeVerdict, aliases: Aliases
) -> None:
    verdict_run = make_verdict()
    call("promote", verdict_run=verdict_run)
    tried = call("promote", action="rollback", dry_run="true")
    assert tried.out == "promote: fraud version 1 would become champion\n"
    assert aliases() == AFTER

    made = call("promote", action="rollback")

    assert made.out == "promote: fraud champion: version 2 -> 1\n"
    assert made.tags["result.outcome"] == "rolled_back"
    assert aliases() == {"champion": "1"}
    tags = MlflowClient().get_model_version("fraud", "1").tags
    assert (tags["champion.why"], tags["champion.run_id"]) == ("rollback", made.run_id)
    assert (tags["champion.moved_from"], tags["champion.moved_to"]) == ("2", "1")
    assert f"-P run_id={made.run_id}" in made.tags["mlflow.note.content"]

    again = call("promote", action="rollback")
    assert again.out == "promote: fraud version 1 is champion already\n"
    assert aliases() == {"champion": "1"}
    late = call("promote", verdict_run=verdict_run)
    assert "was promoted on this verdict" in late.out
    assert aliases() == {"champion": "1"}, "a retry must not undo a rollback"


@pytest.mark.parametrize(
    ("told", "phrase"),
    [
        ({}, "fraud has no previous_champion"),
        ({"model_name": "other"}, "the registry has no models:/other@champion: run train first"),
    ],
)
def test_rollback_of_nothing_is_refused(
    call: Call, aliases: Aliases, told: dict[str, str], phrase: str
) -> None:
    assert phrase in call("promote", action="rollback", **told).refusal
    assert aliases() == BEFORE


def test_rollback_finds_the_model_though_the_newest_was_not_registered(
    call: Call, cycle: Cycle, make_verdict: MakeVerdict
) -> None:
    client = MlflowClient()
    experiment = client.get_experiment_by_name("tests")
    assert experiment is not None
    run = client.create_run(experiment.experiment_id, tags={"step": "train", "cycle_id": "p9"})
    client.set_terminated(run.info.run_id)

    assert "fraud has no previous_champion" in call("promote", action="rollback").refusal
