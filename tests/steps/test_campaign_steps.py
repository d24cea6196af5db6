"""A campaign through the steps: looks at growing data, what waits, what ends and repeats it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient

from retraining.comparison import lineup
from retraining.gate.ledger import charged
from retraining.tracking import registry
from tests.steps.calling import scores_of, small_description, verdict_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.steps.calling import Call, Called, Cycle

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("store")]

GATE = {**small_description()["gate"], "worse_on_validation": "test"}
LIKE = {"champion": "models:/fraud/1", "challenger": "models:/fraud/3"}  # two random forests


@pytest.fixture
def week(
    call: Call, cycle: Cycle, tmp_path: Path, description: Callable[..., Path]
) -> Callable[..., Called]:
    """Prepare four more days each time, in a cycle of their own."""
    raw = tmp_path / "raw"
    shutil.copytree(cycle.raw, raw)
    weeks = iter(range(10))

    def prepare(meanwhile: str = "keep") -> Called:
        number = next(weeks)
        path = description(gate={**GATE, "campaign": {"looks": 8, "meanwhile": meanwhile}})
        process = {"customers": 300, "terminals": 500, "defects": 5}
        call("simulate", output=raw, more=4, pipeline_id=f"week-{number}", **process)
        prepared = call("preprocess", input=raw, dataset=path, pipeline_id=f"week-{number}")
        assert prepared.tags
        return prepared

    return prepare


def test_a_campaign_of_the_chain(
    call: Call, week: Callable[..., Called], aliases: Callable[[], dict[str, str]]
) -> None:
    """Two looks; a new model waits; a repetition is identical; a rollback ends it."""
    first_week = week()
    assert call("train", pipeline_id="week-0", seed=8).tags["model_version"] == "3"
    MlflowClient().set_registered_model_alias("fraud", "challenger", "3")
    first = call("ab_test", pipeline_id="week-0", data=first_week.run_id)
    verdict = verdict_of(first)
    assert verdict["verdict"] == "inconclusive"
    assert (verdict["campaign"]["look"], verdict["campaign"]["state"]) == (1, "open")
    assert verdict["ledger"]["alpha"] == verdict["campaign"]["alpha"] > verdict["alpha"]
    again = call("ab_test", pipeline_id="week-0", data=first_week.run_id)
    assert again.tags["reused_from"] == first.run_id

    second_week = week()
    tuned = call("tune", pipeline_id="week-1")
    assert tuned.tags["model_version"] == "4"
    assert tuned.tags["challenger_version"] == "3"
    assert aliases() == {"champion": "1", "challenger": "3"}
    assert registry.version_of("fraud", 4).tags["challenger.waits"] == "true"
    second = call("ab_test", pipeline_id="week-1")
    verdict = verdict_of(second)
    assert second.tags["input.challenger"] == "models:/fraud/3"
    assert second.tags["input.look"] == first.run_id
    assert verdict["campaign"]["look"] == 2
    assert [look["made"] for look in verdict["looks"]][:2] == [True, True]
    kept = scores_of(second)
    assert kept["key"].is_unique
    assert set(scores_of(first)["key"]) < set(kept["key"])
    assert verdict["n_rows"] == len(kept)
    (entry,) = charged(registry.tests_of("fraud"))[-1:]
    assert entry.look is not None
    assert (entry.look.number, entry.look.run_id) == (2, second.run_id)
    assert entry.alpha == pytest.approx(verdict["campaign"]["alpha"])
    page = registry.version_of("fraud", 3)
    assert page.tags["campaign"] == "2 of 8 against version 1: open"
    assert str(page.description).startswith("Campaign: look 2 of 8")
    assert call("promote", pipeline_id="week-1").tags["result.outcome"] == "kept"

    pinned = json.loads(second.tags["pinned"])
    assert pinned["continues"] == first.run_id
    assert pinned["data"] == second_week.run_id
    for repeated in (
        call("ab_test", **pinned, pipeline_id="other"),
        call("ab_test", replay=second.run_id),
    ):
        same = {**verdict_of(repeated), "ledger": 0, "reasons": 0}
        assert same == {**verdict, "ledger": 0, "reasons": 0}

    client = MlflowClient()
    client.set_registered_model_alias("fraud", "previous_champion", "2")
    assert call("promote", action="rollback", model_name="fraud").tags
    page = registry.version_of("fraud", 3)
    assert page.tags["campaign"] == "2 of 8 against version 1: champion_moved"
    (entry,) = charged(registry.tests_of("fraud"))[-1:]
    stands = verdict["campaign"]
    assert entry.alpha == pytest.approx(stands["alpha"] - stands["returnable"])

    week()
    chosen = call("tune", pipeline_id="week-2").tags["challenger_version"]
    assert chosen in ("3", "4", "5")
    assert aliases()["challenger"] == chosen
    for number in (3, 4, 5):
        assert "challenger.waits" not in registry.version_of("fraud", number).tags
    begun = verdict_of(call("ab_test", pipeline_id="week-2"))
    assert begun["verdict"] == "inconclusive" or begun["campaign"]["look"] == 1


def test_a_look_without_new_rows_says_so_and_a_plan_costs_nothing(
    call: Call, week: Callable[..., Called]
) -> None:
    prepared = week()
    call("train", pipeline_id="week-0", seed=8)
    planned = call("ab_test", data=prepared.run_id, **LIKE, plan="true")
    assert "obrien-fleming" in planned.out
    assert "verdict" not in planned.tags
    assert {"effect_size", "pvalue"}.isdisjoint(planned.metrics)
    assert len(registry.tests_of("fraud")) == 1
    first = call("ab_test", data=prepared.run_id, **LIKE)
    assert verdict_of(first)["campaign"]["state"] == "open"
    entries = registry.tests_of("fraud")
    refused = call("ab_test", data=prepared.run_id, **LIKE, continues="first").err
    assert "needs register=false" in refused
    other = call("ab_test", data=prepared.run_id, **LIKE, seed=9)
    assert verdict_of(other)["campaign"]["look"] == 1
    assert sum(e.alpha for e in charged(registry.tests_of("fraud"))) == pytest.approx(
        sum(e.alpha for e in charged(entries))
    )


@pytest.mark.parametrize("meanwhile", ["better", "newest"])
def test_a_model_that_is_better_on_validation_or_newer_replaces_the_challenger(
    call: Call,
    week: Callable[..., Called],
    aliases: Callable[[], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: str,
) -> None:
    monkeypatch.setattr(lineup, "BETTER", 0.5)  # few rows do not show more
    first_week = week(meanwhile)
    call("train", pipeline_id="week-0", seed=8)
    MlflowClient().set_registered_model_alias("fraud", "challenger", "3")
    first = call("ab_test", pipeline_id="week-0", data=first_week.run_id)
    assert verdict_of(first)["campaign"]["state"] == "open"
    week(meanwhile)
    assert call("tune", pipeline_id="week-1").tags["challenger_version"] == "4"
    assert aliases()["challenger"] == "4"
    assert registry.version_of("fraud", 3).tags["campaign"].endswith("replaced")
    assert call("ab_test", pipeline_id="week-1").tags["input.challenger"] == "models:/fraud/4"
