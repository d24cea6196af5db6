"""Versions, aliases, and moves that leave a champion whatever happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mlflow
import pytest
from mlflow import MlflowClient, MlflowException

from retraining.errors import RetrainingError
from retraining.tracking import registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlflow.entities.model_registry import ModelVersion

pytestmark = pytest.mark.usefixtures("tracking")

RECORD = {"champion.why": "verdict of run 1", "champion.moved_by": "somebody"}


@pytest.fixture
def register(tmp_path: Path) -> Callable[[], ModelVersion]:
    """Register one more version of `people`, each from a run of its own."""

    def make() -> ModelVersion:
        with mlflow.start_run() as run:
            pass
        once, more = {"identity": run.info.run_id}, {"step": "train"}
        return registry.register("people", tmp_path.as_uri(), run.info.run_id, once=once, more=more)

    return make


def aliases() -> dict[str, str]:
    """The version at each alias of `people` that stands somewhere."""
    held = {a: registry.holder("people", a) for a in ("champion", "challenger", registry.PREVIOUS)}
    return {alias: str(version.version) for alias, version in held.items() if version}


def break_alias(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """Let the registry fail when one alias is set."""
    set_alias = MlflowClient.set_registered_model_alias

    def fail(self: MlflowClient, name: str, alias: str, version: str) -> None:
        if alias == broken:
            raise MlflowException("the connection is gone")
        set_alias(self, name, alias, version)

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", fail)


def test_first_version_ever_becomes_champion(register: Callable[[], ModelVersion]) -> None:
    first = register()

    assert str(first.version) == "1"
    assert first.tags == {"identity": first.run_id, "step": "train"}
    assert aliases() == {"champion": "1"}


def test_second_version_does_not_become_champion(register: Callable[[], ModelVersion]) -> None:
    register()

    assert str(register().version) == "2"
    assert aliases() == {"champion": "1"}


def test_what_was_registered_is_not_registered_again(tmp_path: Path) -> None:
    """Another try of a step that was given up, with a run of its own."""
    once = {"cycle_id": "p1", "identity": "a"}
    with mlflow.start_run() as first, mlflow.start_run(nested=True) as second:
        pass

    made = [
        registry.register("people", tmp_path.as_uri(), run.info.run_id, once=told, more={})
        for run, told in (
            (first, once),
            (second, once),
            (second, {**once, "cycle_id": "p2"}),
            (second, {**once, "identity": "b"}),
            (second, once),
        )
    ]

    assert [str(version.version) for version in made] == ["1", "1", "2", "3", "1"]
    assert made[1].run_id == first.info.run_id
    assert len(MlflowClient().search_model_versions("name = 'people'")) == 3


def test_a_first_version_that_was_left_without_its_alias_gets_it(
    register: Callable[[], ModelVersion], tmp_path: Path
) -> None:
    first = register()
    MlflowClient().delete_registered_model_alias("people", "champion")

    once = {"identity": first.tags["identity"]}
    registry.register("people", tmp_path.as_uri(), once["identity"], once=once, more={})

    assert aliases() == {"champion": "1"}


def test_registering_in_another_model_does_not_disturb(
    register: Callable[[], ModelVersion], tmp_path: Path
) -> None:
    once = {"identity": register().tags["identity"]}

    other = registry.register("trees", tmp_path.as_uri(), once["identity"], once=once, more={})

    assert (other.name, str(other.version)) == ("trees", "1")
    assert aliases() == {"champion": "1"}


def test_holder_of_what_does_not_exist_is_none(register: Callable[[], ModelVersion]) -> None:
    assert registry.holder("people", "champion") is None
    register()

    assert registry.holder("people", "challenger") is None


def test_challenge_moves_the_alias(register: Callable[[], ModelVersion]) -> None:
    register()
    for expected in ("2", "3"):
        registry.challenge(register())

        assert aliases() == {"champion": "1", "challenger": expected}


def test_tag_is_written_on_the_version(register: Callable[[], ModelVersion]) -> None:
    registry.tag(register(), {"verdict": "promote", "metric": "auroc"})

    tags = registry.version_at("models:/people/1").tags
    del tags["identity"]
    assert tags == {"step": "train", "verdict": "promote", "metric": "auroc"}


def test_promote_moves_champion_and_keeps_the_way_back(
    register: Callable[[], ModelVersion],
) -> None:
    register()
    registry.challenge(register())

    registry.promote("people", "2", seen="1", record=RECORD)

    assert aliases() == {"champion": "2", registry.PREVIOUS: "1"}
    tags = registry.version_at("models:/people/2").tags
    assert tags["champion.why"] == "verdict of run 1"
    assert tags["champion.moved_by"] == "somebody"
    assert (tags["champion.moved_from"], tags["champion.moved_to"]) == ("1", "2")
    assert tags["champion.moved_at"].endswith("+00:00")


def test_promote_takes_versions_as_a_store_hands_them_out(
    register: Callable[[], ModelVersion],
) -> None:
    """An SQL store gives numbers, a server text."""
    first, second = register(), register()
    registry.challenge(second)

    registry.promote("people", second.version, seen=first.version, record=RECORD)

    assert aliases() == {"champion": "2", registry.PREVIOUS: "1"}
    assert registry.version_at("models:/people/2").tags["champion.moved_from"] == "1"


def test_promote_leaves_another_challenger_waiting(register: Callable[[], ModelVersion]) -> None:
    register()
    register()
    registry.challenge(register())

    registry.promote("people", "2", seen="1", record=RECORD)

    assert aliases() == {"champion": "2", registry.PREVIOUS: "1", "challenger": "3"}


@pytest.mark.parametrize("seen", ["1", "3"])
def test_promote_refuses_when_champion_moved_meanwhile(
    register: Callable[[], ModelVersion], seen: str
) -> None:
    for _ in range(3):
        register()
    registry.promote("people", "2", seen="1", record=RECORD)
    before = aliases()

    expected = rf"champion of people is version 2, .* version {seen}: "
    with pytest.raises(RetrainingError, match=expected):
        registry.promote("people", "3", seen=seen, record=RECORD)

    assert aliases() == before
    assert "champion.why" not in registry.version_at("models:/people/3").tags


def test_promote_without_a_champion_is_refused(register: Callable[[], ModelVersion]) -> None:
    register()
    MlflowClient().delete_registered_model_alias("people", "champion")

    with pytest.raises(RetrainingError, match=r"champion of people is no version, .* version 1"):
        registry.promote("people", "1", seen="1", record=RECORD)
    assert aliases() == {}


def test_promote_that_breaks_off_leaves_a_champion_and_can_be_repeated(
    register: Callable[[], ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    register()
    registry.challenge(register())
    with monkeypatch.context() as broken:
        break_alias(broken, "champion")
        with pytest.raises(MlflowException, match="connection is gone"):
            registry.promote("people", "2", seen="1", record=RECORD)

    assert aliases() == {"champion": "1", "challenger": "2", registry.PREVIOUS: "1"}
    assert "champion.why" not in registry.version_at("models:/people/2").tags

    registry.promote("people", "2", seen="1", record=RECORD)
    assert aliases() == {"champion": "2", registry.PREVIOUS: "1"}


def test_promote_sets_the_way_back_first(
    register: Callable[[], ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    register()
    register()
    break_alias(monkeypatch, registry.PREVIOUS)

    with pytest.raises(MlflowException, match="connection is gone"):
        registry.promote("people", "2", seen="1", record=RECORD)
    assert aliases() == {"champion": "1"}


def test_alias_that_reads_back_otherwise_is_told(
    register: Callable[[], ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    register()
    second = register()
    monkeypatch.setattr(
        MlflowClient, "set_registered_model_alias", lambda self, name, alias, version: None
    )

    expected = "alias challenger of people was set to version 2, "
    with pytest.raises(RetrainingError, match=expected):
        registry.challenge(second)


def test_roll_back_gives_the_alias_back_once(register: Callable[[], ModelVersion]) -> None:
    register()
    register()
    registry.promote("people", "2", seen="1", record=RECORD)

    registry.roll_back("people", "1", seen="2", record={"champion.why": "rollback"})

    assert aliases() == {"champion": "1"}
    tags = registry.version_at("models:/people/1").tags
    assert (tags["champion.why"], tags["champion.moved_from"]) == ("rollback", "2")


def test_roll_back_refuses_when_champion_moved_meanwhile(
    register: Callable[[], ModelVersion],
) -> None:
    register()
    register()
    registry.promote("people", "2", seen="1", record=RECORD)

    with pytest.raises(RetrainingError, match=r"is version 2, .* version 3"):
        registry.roll_back("people", "1", seen="3", record={})
    assert aliases() == {"champion": "2", registry.PREVIOUS: "1"}


def test_version_at_alias_or_number(register: Callable[[], ModelVersion]) -> None:
    register()
    registry.challenge(register())

    assert str(registry.version_at("models:/people@champion").version) == "1"
    assert str(registry.version_at("models:/people/2").version) == "2"
    assert registry.uri_of(registry.version_with("people", "challenger")) == "models:/people/2"


@pytest.mark.parametrize(
    "uri", ["models:/people/9", "models:/people@challenger", "models:/trees/1", "models:/trees@a"]
)
def test_version_that_the_registry_lacks(register: Callable[[], ModelVersion], uri: str) -> None:
    register()

    with pytest.raises(RetrainingError, match=rf"^the registry has no {uri}: "):
        registry.version_at(uri)


@pytest.mark.parametrize(
    "uri",
    ["people", "people/1", "people@champion", "models:/people", "models:/people/latest",
     "models:/@champion", "models://1", "runs:/0123/model", ""],
)  # fmt: skip
def test_uri_that_names_no_registered_model(uri: str) -> None:
    with pytest.raises(RetrainingError, match="give models:/NAME/VERSION or models:/NAME@ALIAS"):
        registry.version_at(uri)
