"""How a model gets its first champion, and moves of the alias."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient, MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from retraining.errors import RetrainingError
from retraining.tracking import champions, registry
from tests.retraining.tracking.moves import PROMOTED, VERDICT, how, promote, roll_back, tags_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow.entities.model_registry import ModelVersion

    Register = Callable[[], ModelVersion]
    Aliases = Callable[[], dict[str, str]]


def test_first_version_ever_becomes_champion_and_no_other_does(
    register: Register, aliases: Aliases
) -> None:
    first, second = register(), register()

    assert (str(first.version), str(second.version)) == ("1", "2")
    assert aliases() == {"champion": "1"}
    told = tags_of("1")
    assert told["champion.why"] == "first version"
    assert told["champion.run_id"] == first.run_id
    assert (told["champion.moved_from"], told["champion.moved_to"]) == ("", "1")
    assert "champion.moving" not in told
    assert "champion.why" not in tags_of("2")


def test_a_model_that_lost_its_champion_gets_none_by_training(
    register: Register, aliases: Aliases, caplog: pytest.LogCaptureFixture
) -> None:
    register()
    register()
    MlflowClient().delete_registered_model_alias("people", "champion")

    with pytest.raises(RetrainingError, match="2 versions, but no champion") as refused:
        champions.refuse_vacancy("people", {"identity": "other"})
    assert (
        "`mlflow run . --env-manager uv -e promote -P action=appoint -P model_name=people "
        "-P version=1 -P reason=WHY`"
    ) in refused.value.remedy
    register()
    assert aliases() == {}
    assert "people has 3 versions, but no champion" in caplog.text
    MlflowClient().delete_model_version("people", "1")
    MlflowClient().delete_model_version("people", "3")
    with pytest.raises(RetrainingError, match="people has version 2, but no champion"):
        registry.version_at("models:/people@champion")


@pytest.mark.parametrize("lose", ["renamed", "deleted", "recreated", "emptied"])
def test_a_model_that_lost_all_versions_begins_again_only_when_a_person_says_so(
    register: Register, aliases: Aliases, lose: str
) -> None:
    client, version = MlflowClient(), register()
    assert version.run_id
    told = {"step": "train", "registered": "true", "model_name": "people"}
    for name, value in told.items():
        client.set_tag(version.run_id, name, value)
    if lose == "renamed":
        client.rename_registered_model("people", "persons")
    elif lose == "emptied":
        client.set_registered_model_tag("people", "ab_test.test.1", "{}")
        client.delete_model_version("people", "1")
        client.delete_tag(version.run_id, "registered")
    else:
        client.delete_registered_model("people")
    if lose == "recreated":
        client.create_registered_model("people")

    with pytest.raises(RetrainingError, match="had versions, but the registry has none"):
        champions.refuse_vacancy("people", {"identity": "other"})
    register()
    assert "champion" not in aliases()
    client.delete_model_version("people", registry.versions_of("people")[0].version)

    champions.appoint("people", "next", how("appointed: begin again"))
    champions.refuse_vacancy("people", {"identity": "other"})
    begun = str(register().version)
    assert aliases() == {"champion": begun}
    assert tags_of(begun)["champion.why"] == "appointed: begin again"
    register()
    assert aliases() == {"champion": begun}
    assert "champion.next" not in registry.tags_of("people")


def test_a_server_that_tells_nothing_of_what_is_not_there_lets_a_model_begin(
    register: Register, aliases: Aliases, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(*_: object) -> None:
        raise MlflowException("Permission denied", PERMISSION_DENIED)

    with monkeypatch.context() as patch:
        for name in ("get_registered_model", "get_model_version_by_alias"):
            patch.setattr(MlflowClient, name, deny)
        champions.refuse_vacancy("people", {"identity": "new"})
    register()
    assert aliases() == {"champion": "1"}


def test_a_person_appoints_a_version(register: Register, aliases: Aliases) -> None:
    for _ in range(2):
        register()
    promote()
    MlflowClient().delete_registered_model_alias("people", "champion")

    champions.appoint("people", "1", how("appointed: it served well"))

    assert aliases() == {"champion": "1"}
    assert tags_of("1")["champion.why"] == "appointed: it served well"
    assert tags_of("1")["champion.moved_by"] == "somebody"
    assert roll_back() is None


def test_move_records_who_when_and_why_and_leaves_another_challenger(
    register: Register, aliases: Aliases
) -> None:
    """An SQL store gives numbers, a server text."""
    first, second, third = register(), register(), register()
    registry.challenge(third)

    champions.move("people", second.version, seen=first.version, how=how())

    assert aliases() == {**PROMOTED, "challenger": "3"}
    told = tags_of("2")
    assert (told["champion.why"], told["champion.moved_by"]) == (VERDICT, "somebody")
    assert (told["champion.moved_from"], told["champion.moved_to"]) == ("1", "2")
    assert told["champion.moved_at"].endswith("+00:00")
    assert "champion.moving" not in told


@pytest.mark.parametrize("seen", ["1", "3"])
def test_move_from_a_champion_that_is_not_is_refused(
    register: Register, aliases: Aliases, seen: str
) -> None:
    for _ in range(3):
        register()
    promote()
    before = aliases()

    expected = rf"champion of people is version 2, .* version {seen}: "
    with pytest.raises(RetrainingError, match=expected):
        champions.move("people", "3", seen=seen, how=how())

    assert aliases() == before == PROMOTED
    assert "champion.moving" not in tags_of("3")


def test_move_without_a_champion_is_refused(register: Register, aliases: Aliases) -> None:
    register()
    MlflowClient().delete_registered_model_alias("people", "champion")

    with pytest.raises(RetrainingError, match="people has version 1, but no champion"):
        champions.move("people", "1", seen="1", how=how())
    assert aliases() == {}


def test_a_lost_way_back_is_found_in_the_tags(register: Register) -> None:
    for _ in range(2):
        register()
    promote()
    for lost in (None, "2"):
        if lost:  # as a killed promotion of before could leave it
            registry.set_alias("people", registry.PREVIOUS, lost)
        else:
            registry.remove_alias("people", registry.PREVIOUS)
        back = champions.way_back(registry.version_with("people", "champion"))
        assert back is not None
        assert str(back.version) == "1"
