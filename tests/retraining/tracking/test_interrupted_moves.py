"""Moves of the champion that are complete whatever kills them, and two at once."""

from __future__ import annotations

import shutil
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import mlflow
import pytest
from mlflow import MlflowClient

from retraining.errors import RetrainingError
from retraining.tracking import champions, registry
from tests.retraining.tracking.moves import PROMOTED, VERDICT, how, promote, roll_back, tags_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mlflow.entities.model_registry import ModelVersion

    Register = Callable[[], ModelVersion]
    Aliases = Callable[[], dict[str, str]]

WRITES = (
    "set_registered_model_alias",
    "delete_registered_model_alias",
    "set_model_version_tag",
    "delete_model_version_tag",
)


class KilledError(BaseException):
    """What a kill looks like from inside: nothing catches it."""


def interfere(patch: pytest.MonkeyPatch, at: int, act: Callable[[], None]) -> Iterator[int]:
    """Do something before the nth write to the registry; an iterator of the writes so far."""
    seen = count(1)

    def wrap(name: str) -> None:
        write = getattr(MlflowClient, name)

        def counted(*told: Any) -> object:  # noqa: ANN401
            if next(seen) == at:
                act()
            return write(*told)

        patch.setattr(MlflowClient, name, counted)

    for name in WRITES:
        wrap(name)
    return seen


def kill() -> None:
    raise KilledError


def each_kill(
    restore: Callable[[], None], monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]
) -> Iterator[int]:
    """Kill something before its first write, before its second and so on, until it comes through.

    Yields:
        After each kill, at which write it was.
    """
    for at in count(1):
        restore()
        with monkeypatch.context() as patch:
            interfere(patch, at, kill)
            try:
                act()
            except KilledError:
                pass
            else:
                return
        yield at


@pytest.fixture
def again(tracking: str, tmp_path: Path) -> Callable[[], None]:
    """Set the store back to what it was when this was first called."""
    path = tracking.removeprefix("sqlite:///")
    kept = tmp_path / "kept.db"

    def restore() -> None:
        shutil.copy(*((kept, path) if kept.exists() else (path, kept)))

    return restore


def test_the_first_champion_is_complete_whatever_killed_its_step(
    register: Register,
    aliases: Aliases,
    again: Callable[[], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again()
    once = {"identity": "same"}
    run_id = ""

    def restore() -> None:
        nonlocal run_id
        again()
        with mlflow.start_run() as run:
            run_id = run.info.run_id

    def begin() -> None:
        version = registry.register("people", tmp_path.as_uri(), run_id, once=once, more={})
        champions.begin(version, once)

    for at in each_kill(restore, monkeypatch, begin):
        champions.refuse_vacancy("people", once)
        begin()
        assert aliases() == {"champion": "1"}, f"killed at write {at}"
        assert tags_of("1")["champion.why"] == "first version"
    assert at > 5


@pytest.mark.parametrize("then", ["promote", "roll back"])
@pytest.mark.parametrize("previous", ["", "3", "2"])
def test_a_promotion_is_complete_or_undone_whatever_killed_it(
    register: Register,
    aliases: Aliases,
    again: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    then: str,
    previous: str,
) -> None:
    for _ in range(3):
        register()
    registry.challenge(registry.version_of("people", "2"))
    if previous:
        registry.set_alias("people", registry.PREVIOUS, previous)
    again()
    for at in each_kill(again, monkeypatch, promote):
        held = aliases()
        assert held["champion"] in ("1", "2"), f"killed at write {at}"
        if then == "promote":
            promote(run_id="r2")
            assert aliases() == PROMOTED
            told = tags_of("2")
            assert (told["champion.why"], told["champion.moved_from"]) == (VERDICT, "1")
            assert "champion.moving" not in told
        elif held["champion"] == "2":
            assert roll_back() == "1"
            assert aliases() == {"champion": "1"}
            assert (tags_of("2")["champion.why"], roll_back()) == (VERDICT, None)
        elif previous == "3":
            assert held["previous_champion"] == "3"
            assert roll_back() == "3"
    assert at > 8


def test_a_rollback_is_complete_whatever_killed_it(
    register: Register,
    aliases: Aliases,
    again: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(2):
        register()
    promote()
    again()

    def return_to_first() -> None:
        assert roll_back() == "1"

    for at in each_kill(again, monkeypatch, return_to_first):
        assert aliases().get("previous_champion") != aliases()["champion"]
        roll_back()
        assert aliases() == {"champion": "1"}, f"killed at write {at}"
        assert (tags_of("1")["champion.why"], roll_back()) == ("rollback", None)
    assert at > 8


def test_of_two_promotions_at_once_at_most_one_claims_success(
    register: Register,
    aliases: Aliases,
    again: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other is made as a whole before each write of the first."""
    for _ in range(3):
        register()
    again()
    outcomes: set[str] = set()
    for at in count(1):
        again()
        claimed: list[str] = []

        def attempt(to: str, claimed: list[str] = claimed) -> None:
            try:
                champions.move("people", to, seen="1", how=how(f"verdict on {to}", f"r{to}"))
            except RetrainingError:
                return
            claimed.append(to)

        with monkeypatch.context() as patch:
            seen = interfere(patch, at, partial(attempt, "3"))
            attempt("2")
        if next(seen) <= at:
            break
        assert len(claimed) == 1
        outcomes |= set(claimed)
        assert aliases()["champion"] in ("2", "3")
    assert outcomes == {"2", "3"}
    assert at > 8
