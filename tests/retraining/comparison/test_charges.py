"""Reservations in the ledger: what tests at once, looks and lost tests leave of the budget."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import mlflow
import pytest
from mlflow import MlflowClient

from retraining.comparison import charges, contenders
from retraining.data.manifest import StoredSplit
from retraining.errors import RetrainingError
from retraining.gate.ledger import Entry, HoldoutTest
from retraining.gate.looks import LEAST
from retraining.gate.policy import Policy
from retraining.tracking import lineage, registry, tags

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime.now(UTC)
POLICY = Policy()
FRESH = Policy(memory="fresh_holdout_only")
DUE = POLICY.yearly_alpha / POLICY.tests_per_year

pytestmark = pytest.mark.usefixtures("model")


@pytest.fixture
def model(tracking: str) -> str:
    """A registered model without tests."""
    MlflowClient().create_registered_model("fraud")
    return tracking


def a_test(name: str, seconds: float = 0.0) -> HoldoutTest:
    """A test of the same week."""
    time = NOW + timedelta(seconds=seconds)
    return HoldoutTest(name, time, "rows", NOW - timedelta(days=7), NOW)


def finished(carried: Mapping[str, str] = MappingProxyType({}), *, shows: bool = True) -> str:
    """Id of a finished run of ab_test on the model and the holdout of `a_test`."""
    told = {tags.STEP: "ab_test", tags.MODEL_NAME: "fraud", f"{tags.FINGERPRINT}holdout": "rows"}
    test = a_test("")
    if test.start and test.end:
        told[f"{tags.HOLDOUT}start"] = test.start.isoformat()
        told[f"{tags.HOLDOUT}end"] = test.end.isoformat()
    if shows:
        told[tags.SCORES_URI] = "runs:/it/scores.parquet"
    with mlflow.start_run(tags={**told, **carried}) as run:
        return str(run.info.run_id)


def charged(name: str, carried: Mapping[str, str] = MappingProxyType({})) -> str:
    """Id of a run that was charged, of whose test the ledger knows nothing."""
    entry = a_test(name).charge(0.003)
    told = {tags.BINDING: "true", tags.IDENTITY: name, tags.CHARGE: entry.write()}
    return finished({**told, **carried})


def test_a_test_is_reserved_with_what_it_may_use() -> None:
    charge = charges.reserve("fraud", POLICY, a_test("first"))
    assert registry.tests_of("fraud") == [charge.entry]
    assert charge.entry.alpha == charge.spending.alpha == pytest.approx(DUE)


def test_a_reservation_that_was_left_is_taken_over_by_its_retry() -> None:
    left = charges.reserve("fraud", POLICY, a_test("first")).entry
    assert charges.reserve("fraud", POLICY, a_test("second", 1)).spending.n_tests == 1
    again = charges.reserve("fraud", POLICY, a_test("first", 3600))
    assert (again.entry, again.spending.n_tests) == (left, 0)
    assert len(registry.tests_of("fraud")) == 2


def test_a_test_that_could_not_decide_costs_nothing() -> None:
    charges.reserve("fraud", FRESH, a_test("first")).drop().settle()
    assert [entry.alpha for entry in registry.tests_of("fraud")] == [0.0]
    second = charges.reserve("fraud", FRESH, a_test("second", 1))
    assert second.spending.n_tests == second.spending.n_holdout_tests == 0


def test_a_holdout_that_is_refused_is_not_charged() -> None:
    charges.reserve("fraud", FRESH, a_test("first"))
    with pytest.raises(RetrainingError, match="was tested before"):
        charges.reserve("fraud", FRESH, a_test("second", 1))
    assert [entry.test for entry in registry.tests_of("fraud")] == ["first"]


def enter_meanwhile(monkeypatch: pytest.MonkeyPatch, other: Entry) -> None:
    """Let another test be entered between the first reading of the ledger and the reservation."""
    record = registry.record_test

    def late(name: str, entry: Entry) -> None:
        if not registry.tests_of(name):
            record(name, other)
        record(name, entry)

    monkeypatch.setattr(registry, "record_test", late)


def test_a_reservation_gives_back_what_others_took_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enter_meanwhile(monkeypatch, a_test("other", -1).charge(0.199))
    charge = charges.reserve("fraud", POLICY, a_test("mine"))
    assert charge.entry.alpha == charge.spending.alpha == pytest.approx(0.001)
    assert {e.test: e.alpha for e in registry.tests_of("fraud")}["mine"] == charge.entry.alpha


def test_a_holdout_that_another_takes_meanwhile_is_refused_at_no_cost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enter_meanwhile(monkeypatch, a_test("other", -1).charge(0.001))
    with pytest.raises(RetrainingError, match="was tested before"):
        charges.reserve("fraud", FRESH, a_test("mine"))
    assert {e.test: e.alpha for e in registry.tests_of("fraud")} == {"other": 0.001, "mine": 0.0}


def test_of_two_tests_at_once_one_at_most_has_a_fresh_holdout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever their times: the one that started first may be the last to read."""
    enter_meanwhile(monkeypatch, a_test("later", 1).charge(0.001))
    with pytest.raises(RetrainingError, match="was tested before"):
        charges.reserve("fraud", FRESH, a_test("mine"))


@pytest.mark.parametrize("kind", [RetrainingError, mlflow.MlflowException])
def test_a_reservation_is_returned_where_an_error_ends_the_test(kind: type[Exception]) -> None:
    told = ("label has no positives", "give some")[: 2 if kind is RetrainingError else 1]
    with (
        pytest.raises(kind, match="no positives"),
        charges.returned_on_error(charges.reserve("fraud", FRESH, a_test("mine"))),
    ):
        raise kind(*told)
    assert [entry.alpha for entry in registry.tests_of("fraud")] == [0.0]
    charge = charges.reserve("fraud", FRESH, a_test("mended", 1))
    with (
        pytest.raises(RetrainingError),
        charges.returned_on_error(charges.reserve("fraud", FRESH, a_test("mended", 2))),
    ):
        raise RetrainingError("the scores are gone", "keep them")
    # The first attempt may have shown its p-value.
    assert registry.tests_of("fraud")[-1].alpha == charge.entry.alpha


def test_looks_at_the_same_holdout_count_as_tests() -> None:
    start = (NOW - timedelta(days=13)).isoformat()
    overlaps = {f"{tags.FINGERPRINT}holdout": "others", f"{tags.HOLDOUT}start": start}
    looks = [finished(), finished({tags.INPUT + "replay": "a run"}), finished(overlaps)]
    finished({**overlaps, f"{tags.HOLDOUT}end": (NOW - timedelta(days=7)).isoformat()})
    finished({tags.MODEL_NAME: "another"})
    finished({tags.CYCLE_ID: "reproduce-1"})
    finished({tags.REUSED_FROM: looks[0]})
    finished(shows=False)

    spending = charges.reserve("fraud", POLICY, a_test("first", 86_400)).spending

    assert spending.n_tests == spending.n_holdout_tests == 3
    assert spending.spent == pytest.approx(3 * DUE)
    entries = [entry for entry in registry.tests_of("fraud") if entry.peek]
    assert {entry.test for entry in entries} == {f"peek-{run_id}" for run_id in looks}
    assert charges.reserve("fraud", POLICY, a_test("second", 86_401)).spending.n_tests == 4


def test_every_look_at_a_split_by_hash_counts() -> None:
    """One row more makes another fingerprint of the same units."""
    finished({f"{tags.FINGERPRINT}holdout": "rows and one more"})
    test = a_test("first", 86_400)._replace(start=None, end=None)
    assert charges.reserve("fraud", POLICY, test).spending.n_holdout_tests == 1


def test_looks_use_the_budget_up_but_no_more_than_that() -> None:
    strict = Policy(yearly_alpha=0.01, tests_per_year=3)
    for _ in range(4):
        finished()
    charge = charges.reserve("fraud", strict, a_test("first", 86_400))
    assert charge.entry.alpha == LEAST
    assert sum(entry.alpha for entry in registry.tests_of("fraud")) == pytest.approx(0.01)


def test_a_holdout_that_was_looked_at_is_not_fresh() -> None:
    run_id = finished()
    with pytest.raises(RetrainingError, match=f"as peek-{run_id}"):
        charges.reserve("fraud", FRESH, a_test("first", 86_400))


def test_tests_that_the_ledger_has_lost_are_entered_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The model was deleted and made anew, or somebody removed its tags."""
    lost = charged("lost")
    charged("reproduced", {tags.CYCLE_ID: "reproduce-1"})
    charged("mine")

    with caplog.at_level(logging.WARNING):
        spending = charges.reserve("fraud", POLICY, a_test("mine", 86_400)).spending

    assert spending.n_tests == 1
    assert spending.spent == pytest.approx(0.003)
    (line,) = [record.getMessage() for record in caplog.records if "ledger" in record.getMessage()]
    assert line.startswith(f"the ledger of fraud has lost the test of run {lost}: it is entered")


def test_the_ledger_is_that_of_the_champion_whatever_the_description_is_called() -> None:
    client, holdout = (
        MlflowClient(),
        StoredSplit(uri="file:/holdout", n_rows=1000, n_positives=100, fingerprint="rows"),
    )
    client.create_registered_model("fraud_eu")
    uris = {"champion": "models:/fraud_eu/1", "challenger": "models:/fraud_eu/2"}
    with lineage.open_step("ab_test", {}) as run:
        for _ in uris:
            client.create_model_version("fraud_eu", "file:/model", run.run_id)
        pair = contenders.resolve(run, "fraud", **uris, cycle_id=None)
        for number in range(2):
            run.identity = f"test {number}"
            charge = contenders.charge(run, pair, POLICY, holdout, None)
            assert (charge.name, charge.spending.n_tests) == ("fraud_eu", number)

    assert [entry.challenger for entry in registry.tests_of("fraud_eu")] == [uris["challenger"]] * 2
    assert registry.tests_of("fraud") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "memory_full"),
    [({"alpha": 0.03}, False), ({"alpha": 0.03, "tests_per_year": 4}, True)],
    ids=["plenty", "short"],
)
def test_twenty_processes_at_once_stay_within_the_budget(
    model: str, policy: dict[str, float], *, memory_full: bool
) -> None:
    module = "tests.retraining.comparison.test_charges"
    code = f"import sys; from {module} import reserve_at_once; reserve_at_once(*sys.argv[1:])"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "steps")])
    processes = {
        name: subprocess.Popen(
            [sys.executable, "-c", code, model, name, json.dumps(policy)],
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in (f"test {number:02}" for number in range(20))
    }
    for process in processes.values():
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes.values():
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    alphas = {name: float(process.communicate()[0]) for name, process in processes.items()}

    assert {entry.test: entry.alpha for entry in registry.tests_of("fraud")} == alphas
    chosen = Policy(**policy)  # type: ignore[arg-type]
    due = min(chosen.alpha, chosen.yearly_alpha / chosen.tests_per_year)
    assert max(alphas.values()) <= due
    assert sum(alphas.values()) <= chosen.yearly_alpha * (1 + 1e-12)
    assert memory_full or set(alphas.values()) == {due}


def reserve_at_once(uri: str, name: str, policy: str) -> None:
    """What each of many processes does: wait for the others, then reserve a test."""
    mlflow.set_tracking_uri(uri)
    registry.tests_of("fraud")  # connects, which takes longer than the rest
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    charge = charges.reserve("fraud", Policy(**json.loads(policy)), a_test(name))
    sys.stdout.write(f"{charge.entry.alpha!r}\n")
