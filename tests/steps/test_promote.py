"""Moves of the champion: compared before, recorded, repeatable, and never without a champion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient, MlflowException

from retraining.comparison import succession
from retraining.models import scoring
from retraining.tracking import registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import DataFrame

    from tests.steps.calling import Call, Cycle

    Aliases = Callable[[], dict[str, str]]
    MakeVerdict = Callable[..., str]

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("store")]

BEFORE = {"champion": "1", "challenger": "2"}
AFTER = {"champion": "2", "previous_champion": "1"}


def register_third(cycle: Cycle) -> str:
    """One more version, of the same model."""
    client = MlflowClient()
    source = client.get_model_version("fraud", "2").source
    assert source is not None
    return str(client.create_model_version("fraud", source).version)


def test_verdict_promote_moves_the_champion(
    call: Call, cycle: Cycle, make_verdict: MakeVerdict, aliases: Aliases
) -> None:
    verdict_run = make_verdict()
    assert aliases() == BEFORE

    made = call("promote", verdict_run=verdict_run)

    assert aliases() == AFTER
    assert made.out == "promote: fraud champion moved from version 1 to 2\n"
    assert made.tags["result.outcome"] == "promoted"
    assert (made.tags["verdict"], made.tags["model_name"]) == ("promote", "fraud")
    assert made.tags["input.verdict"] == "promote"
    tags = MlflowClient().get_model_version("fraud", "2").tags
    assert tags["champion.run_id"] == made.run_id
    assert tags["champion.why"] == f"verdict of run {verdict_run}"
    assert tags["champion.moved_by"]
    assert tags["champion.moved_at"].endswith("+00:00")
    assert (tags["champion.moved_from"], tags["champion.moved_to"]) == ("1", "2")
    note = made.tags["mlflow.note.content"]
    assert f"mlflow run . --env-manager uv -e reproduce -P run_id={made.run_id}" in note
    assert f"-P verdict_run={verdict_run}" in note
    assert "-P dry_run=true" in note


@pytest.mark.usefixtures("untried")
def test_repeating_it_changes_nothing(
    call: Call, make_verdict: MakeVerdict, aliases: Aliases
) -> None:
    verdict_run = make_verdict()
    call("promote", verdict_run=verdict_run)
    tags = MlflowClient().get_model_version("fraud", "2").tags

    for told in ({}, {"dry_run": "true"}):
        again = call("promote", verdict_run=verdict_run, **told)
        assert "fraud version 2 was promoted on this verdict" in again.out
        assert again.tags["result.outcome"] == "promoted"
    assert aliases() == AFTER
    assert MlflowClient().get_model_version("fraud", "2").tags == tags


@pytest.mark.parametrize("verdict", ["keep_champion", "inconclusive"])
def test_other_verdicts_keep_the_champion(
    call: Call, make_verdict: MakeVerdict, aliases: Aliases, verdict: str
) -> None:
    made = call("promote", verdict_run=make_verdict(verdict))

    assert made.out == f"promote: fraud version 1 stays champion: verdict {verdict}\n"
    assert made.tags["result.outcome"] == "kept"
    assert made.tags["verdict"] == verdict
    assert aliases() == BEFORE


def test_verdict_of_the_cycle_is_taken_by_default(call: Call, cycle: Cycle) -> None:
    made = call("promote", dry_run="true")

    assert made.tags["verdict"] == cycle.tested.tags["verdict"]
    assert f"/runs/{cycle.tested.run_id})" in made.tags["mlflow.note.content"]


@pytest.mark.usefixtures("untried")
def test_run_that_reused_a_verdict_stands_for_the_original(
    call: Call, make_verdict: MakeVerdict, aliases: Aliases
) -> None:
    verdict_run, shadow = make_verdict(), make_verdict()
    MlflowClient().set_tag(shadow, "reused_from", verdict_run)
    call("promote", verdict_run=verdict_run)

    assert "was promoted on this verdict" in call("promote", verdict_run=shadow).out
    assert aliases() == AFTER


def test_dry_run_tries_the_model_and_moves_nothing(
    call: Call, make_verdict: MakeVerdict, aliases: Aliases, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    monkeypatch.setattr(succession, "_try_scoring", lambda *told: tried.append(told))

    made = call("promote", verdict_run=make_verdict(), dry_run="true")

    assert made.out == "promote: fraud champion would move from version 1 to 2\n"
    assert len(tried) == 1
    assert aliases() == BEFORE
    assert "champion.why" not in MlflowClient().get_model_version("fraud", "2").tags


def test_each_version_is_asked_of_the_registry_once_before_the_champion_is_compared(
    call: Call, make_verdict: MakeVerdict, asked: list[str]
) -> None:
    call("promote", verdict_run=make_verdict(), dry_run="true")

    assert asked[:2] == ["fraud 1", "fraud 2"]
    assert set(asked[2:]) == {"fraud champion"}


def test_model_that_gives_no_probability_is_refused(
    call: Call, make_verdict: MakeVerdict, aliases: Aliases, monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(frame: DataFrame, *_: object) -> DataFrame:
        return frame.selectExpr("*", "CAST('NaN' AS DOUBLE) AS score")

    monkeypatch.setattr(scoring, "score", score)

    refused = call("promote", verdict_run=make_verdict()).refusal

    assert "models:/fraud/2 gives no probability for 100 of 100 rows" in refused
    assert aliases() == BEFORE


@pytest.mark.usefixtures("untried")
def test_champion_that_moved_meanwhile_is_left_alone(
    call: Call, cycle: Cycle, make_verdict: MakeVerdict, aliases: Aliases
) -> None:
    verdict_run = make_verdict()
    third = register_third(cycle)
    MlflowClient().set_registered_model_alias("fraud", "champion", third)
    before = aliases()

    refused = call("promote", verdict_run=verdict_run).refusal

    assert "champion of fraud is version 3" in refused
    assert "version 1" in refused
    assert aliases() == before
    assert "champion.why" not in MlflowClient().get_model_version("fraud", "2").tags


@pytest.mark.usefixtures("untried")
def test_champion_trained_on_later_data_stays(
    call: Call, make_verdict: MakeVerdict, aliases: Aliases
) -> None:
    later = "2019-12-01T00:00:00+00:00"
    MlflowClient().set_model_version_tag("fraud", "1", "trained_until", later)

    made = call("promote", verdict_run=make_verdict())

    assert f"stays champion: it was trained on data until {later}, later than" in made.out
    assert made.tags["result.outcome"] == "kept"
    assert aliases() == BEFORE


@pytest.mark.usefixtures("untried")
@pytest.mark.parametrize(("age", "limit"), [(31, "30"), (1, "0.5"), (1, "0"), (0, "nan")])
def test_stale_verdict_is_refused(
    call: Call, make_verdict: MakeVerdict, aliases: Aliases, age: float, limit: str
) -> None:
    told = {"verdict_run": make_verdict(age_days=age), "max_age_days": limit}

    assert f"more than max_age_days={limit}: run ab_test again" in call("promote", **told).refusal
    assert aliases() == BEFORE


@pytest.mark.usefixtures("untried")
@pytest.mark.parametrize(
    ("broken", "champion"),
    [("set_model_version_tag", "1"), ("champion", "1"), ("previous_champion", "2")],
)
def test_interrupted_promotion_leaves_a_champion_and_is_completed_when_repeated(
    call: Call,
    make_verdict: MakeVerdict,
    aliases: Aliases,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
    champion: str,
) -> None:
    verdict_run = make_verdict()
    set_alias = MlflowClient.set_registered_model_alias

    def fail(self: MlflowClient, *told: str) -> None:
        if broken in (told[1], "set_model_version_tag"):
            raise MlflowException("the connection is gone")
        set_alias(self, *told)

    with monkeypatch.context() as patch:
        method = broken if broken == "set_model_version_tag" else "set_registered_model_alias"
        patch.setattr(MlflowClient, method, fail)
        with pytest.raises(MlflowException, match="connection is gone"):
            call("promote", verdict_run=verdict_run)
    assert aliases()["champion"] == champion

    again = call("promote", verdict_run=verdict_run)

    assert again.tags["result.outcome"] == "promoted"
    assert aliases() == AFTER
    tags = MlflowClient().get_model_version("fraud", "2").tags
    assert tags["champion.why"] == f"verdict of run {verdict_run}"
    assert (tags["champion.moved_from"], tags["champion.moved_to"]) == ("1", "2")


@pytest.mark.parametrize("verdict", ["keep_champion", "promote"])
def test_no_version_is_said_to_stay_champion_that_is_not(
    call: Call, cycle: Cycle, make_verdict: MakeVerdict, verdict: str
) -> None:
    kept = make_verdict("keep_champion")
    verdict_run = make_verdict(verdict)
    MlflowClient().delete_registered_model_alias("fraud", "champion")
    assert (
        "fraud has 2 versions, but no champion" in call("promote", verdict_run=verdict_run).refusal
    )

    MlflowClient().set_registered_model_alias("fraud", "champion", register_third(cycle))
    assert "fraud version 3 stays champion" in call("promote", verdict_run=kept).out


@pytest.mark.parametrize(
    ("told", "phrase"),
    [
        ({"verdict_run": "0" * 32}, "verdict_run='000"),
        ({"verdict_run": "{prepared}"}, "did not compare registered models: give"),
        ({"verdict_run": "{running}"}, "is RUNNING and gave no verdict"),
        ({"verdict_run": "{failed}"}, "is FAILED and gave no verdict: run ab_test again"),
        ({"verdict_run": "{fine}", "model_name": "other"}, "is about fraud, not other"),
        ({"verdict_run": "{free}"}, "is not binding: run ab_test with register=true"),
        ({"verdict_run": "{deleted}"}, "is deleted: restore it by `mlflow runs restore --run-id "),
        ({"pipeline_id": "p0"}, "no finished ab_test run in cycle 'p0'"),
    ],
)
def test_run_whose_verdict_cannot_be_followed_is_refused_in_one_line(
    call: Call,
    cycle: Cycle,
    make_verdict: MakeVerdict,
    aliases: Aliases,
    told: dict[str, str],
    phrase: str,
) -> None:
    runs = {
        "prepared": cycle.prepared.run_id,
        "running": make_verdict("", status="RUNNING"),
        "failed": make_verdict("promote", status="FAILED"),
        "fine": make_verdict("promote"),
        "free": make_verdict("promote", binding=False),
        "deleted": make_verdict("promote"),
    }
    MlflowClient().delete_run(runs["deleted"])
    told = {name: value.format_map(runs) for name, value in told.items()}

    assert phrase in call("promote", **told).refusal
    assert aliases() == BEFORE


def test_version_that_is_gone_is_refused(
    call: Call, make_verdict: MakeVerdict, store: Path
) -> None:
    verdict_run = make_verdict()
    MlflowClient().delete_model_version("fraud", "2")

    refused = call("promote", verdict_run=verdict_run).refusal

    assert "the registry has no models:/fraud/2" in refused
    champion = registry.holder("fraud", "champion")
    assert champion is not None
    assert str(champion.version) == "1"


@pytest.mark.parametrize(
    "told", [{"action": "demote"}, {"max_age_days": -1}, {"dry_run": "perhaps"}]
)
def test_wrong_parameter_exits_with_2_and_leaves_no_run(
    call: Call, told: dict[str, object]
) -> None:
    called = call("promote", **told)

    assert (called.code, called.run, called.out) == (2, None, "")
