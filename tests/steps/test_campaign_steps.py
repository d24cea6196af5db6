"""A campaign through the steps: looks at growing data, what waits, what ends and repeats it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, NamedTuple

import pytest
import yaml
from mlflow import MlflowClient

from retraining.comparison import lineup
from retraining.gate.ledger import charged
from retraining.tracking import registry
from tests.small import small_description
from tests.steps.calling import (
    copied,
    invoke,
    scores_of,
    use_store,
    verdict_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.steps.calling import Call, Called, Cycle

pytestmark = pytest.mark.spark

LIKE = {"champion": "models:/fraud/1", "challenger": "models:/fraud/3"}  # two random forests


def gate(meanwhile: str) -> dict[str, object]:
    campaign = {"looks": 8, "meanwhile": meanwhile}
    return {**small_description()["gate"], "worse_on_validation": "test", "campaign": campaign}


class Begun(NamedTuple):
    """Two more weeks, each in a cycle of its own, a third model, and a first look at it.

    Attributes:
        raw: Folder of the raw files.
        description: Of a campaign in which a new model waits.
        weeks: How both weeks were prepared.
        first: The look at the third model in the first week.
        fitted: The store before the look.
        looked: The store after it.
    """

    raw: Path
    description: Path
    weeks: tuple[Called, Called]
    first: Called
    fitted: Path
    looked: Path


def prepare(number: int, raw: Path, description: Path) -> Called:
    """Simulate and prepare four more days, in a cycle of their own."""
    process = {"customers": 300, "terminals": 500, "defects": 5}
    invoke("simulate", output=raw, more=4, pipeline_id=f"week-{number}", **process)
    prepared = invoke("preprocess", input=raw, dataset=description, pipeline_id=f"week-{number}")
    assert prepared.tags
    return prepared


@pytest.fixture(scope="module")
def begun(cycle: Cycle, tmp_path_factory: pytest.TempPathFactory) -> Begun:
    """Made once; a test asks for `fitted` or `looked` too."""
    folder = tmp_path_factory.mktemp("weeks")
    raw, path = folder / "raw", folder / "campaign.yaml"
    shutil.copytree(cycle.raw, raw)
    path.write_text(yaml.safe_dump(small_description() | {"gate": gate("keep")}, sort_keys=False))
    fitted, looked = cycle.folder / "fitted.db", cycle.folder / "looked.db"
    with pytest.MonkeyPatch.context() as patch:
        shutil.copy(cycle.folder / "mlflow.db", fitted)
        use_store(patch, fitted)
        weeks = prepare(0, raw, path), prepare(1, raw, path)
        assert invoke("train", pipeline_id="week-0", seed=8).tags["model_version"] == "3"
        shutil.copy(fitted, looked)
        use_store(patch, looked)
        MlflowClient().set_registered_model_alias("fraud", "challenger", "3")
        first = invoke("ab_test", pipeline_id="week-0", data=weeks[0].run_id)
    return Begun(raw, path, weeks, first, fitted, looked)


@pytest.fixture
def fitted(begun: Begun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begun]:
    """The store before the first look, in use."""
    with copied(monkeypatch, begun.fitted, tmp_path.name):
        yield begun


@pytest.fixture
def looked(begun: Begun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begun]:
    """The store after the first look, in use."""
    with copied(monkeypatch, begun.looked, tmp_path.name):
        yield begun


def test_a_campaign_of_the_chain(
    call: Call, looked: Begun, aliases: Callable[[], dict[str, str]]
) -> None:
    """Two looks; a new model waits; a repetition is identical; a rollback ends it."""
    first, (first_week, second_week) = looked.first, looked.weeks
    verdict = verdict_of(first)
    assert verdict["verdict"] == "inconclusive"
    assert (verdict["campaign"]["look"], verdict["campaign"]["state"]) == (1, "open")
    assert verdict["ledger"]["alpha"] == verdict["campaign"]["alpha"] > verdict["alpha"]
    again = call("ab_test", pipeline_id="week-0", data=first_week.run_id)
    assert again.tags["reused_from"] == first.run_id

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

    prepare(2, looked.raw, looked.description)
    chosen = call("tune", pipeline_id="week-2").tags["challenger_version"]
    assert chosen in ("3", "4", "5")
    assert aliases()["challenger"] == chosen
    for number in (3, 4, 5):
        assert "challenger.waits" not in registry.version_of("fraud", number).tags
    begun = verdict_of(call("ab_test", pipeline_id="week-2"))
    assert begun["verdict"] == "inconclusive" or begun["campaign"]["look"] == 1


def test_a_look_without_new_rows_says_so_and_a_plan_costs_nothing(
    call: Call, fitted: Begun
) -> None:
    prepared, _ = fitted.weeks
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
    looked: Begun,
    aliases: Callable[[], dict[str, str]],
    description: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: str,
) -> None:
    monkeypatch.setattr(lineup, "BETTER", 0.5)  # few rows do not show more
    assert verdict_of(looked.first)["campaign"]["state"] == "open"
    tuned = call("tune", pipeline_id="week-1", dataset=description(gate=gate(meanwhile)))
    assert tuned.tags["challenger_version"] == "4"
    assert aliases()["challenger"] == "4"
    assert registry.version_of("fraud", 3).tags["campaign"].endswith("replaced")
    assert call("ab_test", pipeline_id="week-1").tags["input.challenger"] == "models:/fraud/4"
