"""Versions, their tags and aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mlflow
import pytest
from mlflow import MlflowClient

from retraining.errors import RetrainingError
from retraining.tracking import registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlflow.entities.model_registry import ModelVersion

pytestmark = pytest.mark.usefixtures("tracking")


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


def test_registering_in_another_model_does_not_disturb(
    register: Callable[[], ModelVersion], aliases: Callable[[], dict[str, str]], tmp_path: Path
) -> None:
    once = {"identity": register().tags["identity"]}

    other = registry.register("trees", tmp_path.as_uri(), once["identity"], once=once, more={})

    assert (other.name, str(other.version)) == ("trees", "1")
    assert aliases() == {"champion": "1"}


def test_holder_of_what_does_not_exist_is_none(register: Callable[[], ModelVersion]) -> None:
    assert registry.holder("people", "champion") is None
    register()

    assert registry.holder("people", "challenger") is None


def test_challenge_moves_the_alias(
    register: Callable[[], ModelVersion], aliases: Callable[[], dict[str, str]]
) -> None:
    register()
    for expected in ("2", "3"):
        registry.challenge(register())

        assert aliases() == {"champion": "1", "challenger": expected}


def test_tag_is_written_on_the_version(register: Callable[[], ModelVersion]) -> None:
    registry.tag(register(), {"verdict": "promote", "metric": "auroc"})

    tags = registry.version_at("models:/people/1").tags
    assert {"step": "train", "verdict": "promote", "metric": "auroc"}.items() <= tags.items()


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
     "models:/@champion", "models://1", f"models:/people/{2**63}", "runs:/0123/model", ""],
)  # fmt: skip
def test_uri_that_names_no_registered_model(uri: str) -> None:
    with pytest.raises(RetrainingError, match="give models:/NAME/VERSION or models:/NAME@ALIAS"):
        registry.version_at(uri)
