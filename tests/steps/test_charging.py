"""What a test costs in the ledger of its model, and what costs nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from mlflow import MlflowClient

from retraining.tracking import registry
from tests.steps.calling import verdict_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.steps.calling import Call, Cycle

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("store")]


def test_a_test_is_charged_to_the_ledger_of_its_model_once(call: Call, cycle: Cycle) -> None:
    entries = registry.tests_of("fraud")
    assert len(entries) == 1
    assert entries[0].test == cycle.tested.tags["identity"]
    assert entries[0].alpha == verdict_of(cycle.tested)["alpha"]
    assert entries[0].fingerprint == cycle.prepared.tags["fingerprint.holdout"]
    assert verdict_of(cycle.tested)["ledger"]["n_tests"] == 0

    repeated = call("ab_test", pipeline_id="other", data=cycle.prepared.run_id)
    assert registry.tests_of("fraud")[0].alpha == entries[0].alpha
    other = call("ab_test", data=cycle.prepared.run_id, metric="brier")
    assert len(registry.tests_of("fraud")) > len(entries)
    assert verdict_of(other)["ledger"]["n_holdout_tests"] >= 1
    assert json.loads(other.tags["verdict.charge"])["test"] == other.tags["identity"]
    assert repeated.tags["verdict.binding"] == "true"


def test_without_register_nothing_is_charged_and_nothing_can_follow(
    call: Call, cycle: Cycle, aliases: Callable[[], dict[str, str]]
) -> None:
    made = call("ab_test", register="false")
    assert len(registry.tests_of("fraud")) == 1
    assert "verdict.binding" not in made.tags
    assert verdict_of(made)["ledger"] is None
    assert "is not binding" in call("promote", verdict_run=made.run_id).refusal
    assert aliases() == {"champion": "1", "challenger": "2"}


def test_a_slice_leaves_the_versions_as_they_are(call: Call, cycle: Cycle) -> None:
    call("ab_test", slice="is_weekend=1")
    for number in ("1", "2"):
        version = MlflowClient().get_model_version("fraud", number)
        assert version.tags["ab_test.run_id"] == cycle.tested.run_id


def test_nothing_follows_from_versions_of_different_models(call: Call, cycle: Cycle) -> None:
    client = MlflowClient()
    client.create_registered_model("other")
    source = client.get_model_version("fraud", "2")
    client.create_model_version("other", str(source.source), source.run_id, tags=source.tags)
    told = {"champion": "models:/fraud/1", "challenger": "models:/other/1"}
    assert "are versions of different models" in call("ab_test", **told).refusal
    assert len(registry.tests_of("fraud")) == 1
    call("ab_test", **told, register="false")


def test_looks_are_counted_by_the_next_test_of_the_holdout(call: Call, cycle: Cycle) -> None:
    replayed = call("ab_test", replay=cycle.tested.run_id, metric="brier")
    looks = [call("ab_test", register="false"), replayed, call("ab_test", replay=replayed.run_id)]
    tested = verdict_of(call("ab_test", metric="brier"))["ledger"]
    assert {e.test for e in registry.tests_of("fraud") if e.peek} == {
        f"peek-{look.run_id}" for look in looks
    }
    assert (tested["n_tests"], tested["n_holdout_tests"]) == (4, 4)
    assert tested["spent"] == pytest.approx(4 * 0.2 / 52)


def test_too_few_positives_cost_nothing(call: Call, cycle: Cycle, tmp_path: Path) -> None:
    description = yaml.safe_load(cycle.description.read_text())
    description["gate"]["minimum_positives"] = 100_000
    path = tmp_path / "many.yaml"
    path.write_text(yaml.safe_dump(description, sort_keys=False))
    tested = call("ab_test", data=call("preprocess", dataset=path).run_id)
    assert verdict_of(tested)["verdict"] == "inconclusive"
    assert "uses nothing" in tested.tags["verdict.reasons"]
    assert {e.test: e.alpha for e in registry.tests_of("fraud")}[tested.tags["identity"]] == 0.0


def test_holdout_that_was_tested_is_refused_where_only_fresh_ones_count(
    call: Call, cycle: Cycle, tmp_path: Path
) -> None:
    description = yaml.safe_load(cycle.description.read_text())
    description["gate"]["memory"] = "fresh_holdout_only"
    path = tmp_path / "strict.yaml"
    path.write_text(yaml.safe_dump(description, sort_keys=False))
    prepared = call("preprocess", dataset=path)
    refused = call("ab_test", data=prepared.run_id).refusal
    assert "was tested before" in refused
    assert "prepare a holdout of later days" in refused


def test_a_repetition_has_the_alpha_that_the_ledger_left_and_guardrails_the_policys(
    call: Call, cycle: Cycle
) -> None:
    first = verdict_of(cycle.tested)
    pinned = json.loads(cycle.tested.tags["pinned"])
    assert float(pinned["test_alpha"]) == first["alpha"]
    again = verdict_of(call("ab_test", **pinned))
    assert {**again, "ledger": 0, "reasons": 0} == {**first, "ledger": 0, "reasons": 0}
    reused = call("ab_test")
    assert verdict_of(call("ab_test", replay=reused.run_id))["pvalue"] == first["pvalue"]
    refused = call("ab_test", test_alpha=0.01)
    assert "test_alpha" in refused.err
    assert "needs register=false" in refused.err
