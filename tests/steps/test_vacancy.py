"""A model that has lost its champion: every step says so, and what to type."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient

from retraining.tracking import registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.steps.calling import Call, Cycle

    Aliases = Callable[..., dict[str, str]]

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("store")]


def typed(line: str) -> tuple[str, dict[str, str]]:
    """Entry point and parameters of the command that a line shows."""
    found = re.search("`(mlflow run [^`]+)`", line)
    assert found, line
    words = shlex.split(found[1])
    assert words[:5] == ["mlflow", "run", ".", "--env-manager", "uv"]
    given = [word.split("=", 1) for word in words if "=" in word]
    return words[6], dict(given)


@pytest.mark.parametrize("lose", ["alias", "version"])
def test_every_step_refuses_a_lost_champion_by_one_line_whose_command_names_another(
    call: Call, cycle: Cycle, aliases: Aliases, lose: str
) -> None:
    client = MlflowClient()
    if lose == "alias":
        client.delete_registered_model_alias("fraud", "champion")
    else:
        client.delete_model_version("fraud", "1")
    before = aliases(), len(registry.versions_of("fraud"))

    lines = {
        call("train", seed=8).refusal,
        call("tune", seed=8, trials=1).refusal,
        call("ab_test", seed=8).refusal,
        call("predict", input=cycle.raw).refusal,
        call("promote", action="rollback").refusal,
    }

    (line,) = lines
    assert line.startswith("fraud has ")
    assert (aliases(), len(registry.versions_of("fraud"))) == before
    step, given = typed(line)
    assert (step, given["version"]) == ("promote", "1" if lose == "alias" else "2")
    tried = call(step, dry_run="true", **given)
    assert tried.out == f"promote: fraud version {given['version']} would become champion\n"
    assert "champion" not in aliases()
    made = call(step, **given)
    assert made.out == f"promote: fraud version {given['version']} becomes champion\n"
    assert made.tags["result.outcome"] == "appointed"
    assert aliases()["champion"] == given["version"]
    carried = client.get_model_version("fraud", given["version"]).tags
    assert (carried["champion.why"], carried["champion.run_id"]) == (
        "appointed: WHY",
        made.run_id,
    )
    assert call(step, **given).out.endswith("is champion already\n")
    taken = call(step, **{**given, "version": "next"}).refusal
    assert taken.startswith(f"version {given['version']} of fraud is champion: only a verdict")


@pytest.mark.parametrize(
    "told",
    [
        {"action": "appoint"},
        {"action": "appoint", "model_name": "fraud", "version": "1"},
        {"action": "appoint", "model_name": "fraud", "version": "new", "reason": "it served"},
        {"version": "1"},
        {"action": "rollback", "reason": "it is worse"},
    ],
)
def test_an_appointment_names_model_version_and_reason(call: Call, told: dict[str, str]) -> None:
    called = call("promote", **told)

    assert (called.code, called.run, called.out) == (2, None, "")
