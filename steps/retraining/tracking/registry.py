"""The model registry: versions, the three aliases, and moves that check before they change them.

`champion` is the version in use, `challenger` the one to be tested, `previous_champion` the one
that a rollback returns to. Aliases are read one by one, since search results do not include them.
Version numbers are compared as text: an SQL store returns integers, a tracking server strings.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlflow import MlflowClient, MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_DOES_NOT_EXIST,
    ErrorCode,
)

from retraining.errors import RetrainingError
from retraining.gate.ledger import Entry
from retraining.tracking import tags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous_champion"

_ABSENT = {ErrorCode.Name(RESOURCE_DOES_NOT_EXIST), ErrorCode.Name(INVALID_PARAMETER_VALUE)}


def uri_of(version: ModelVersion) -> str:
    """`models:/name/3`: unlike an alias, it always names the same version."""
    return _numbered(version.name, version.version)


def holder(name: str, alias: str) -> ModelVersion | None:
    """The version that holds an alias; None if there is no such version or no such model."""
    try:
        return MlflowClient().get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in _ABSENT:
            return None
        raise


def version_with(name: str, alias: str) -> ModelVersion:
    """The version that holds an alias.

    Raises:
        RetrainingError: If there is none.
    """
    version = holder(name, alias)
    if version is None:
        raise _absence(f"models:/{name}@{alias}")
    return version


def version_of(name: str, number: str | int) -> ModelVersion:
    """A version by its number.

    Raises:
        RetrainingError: If the registry has no such version.
    """
    try:
        return MlflowClient().get_model_version(name, str(number))
    except MlflowException as error:
        if error.error_code in _ABSENT:
            raise _absence(_numbered(name, number)) from error
        raise


def version_at(uri: str) -> ModelVersion:
    """The version that `models:/name/3` or `models:/name@alias` names.

    Raises:
        RetrainingError: If the URI has another form, or the registry has no such version.
    """
    named = re.fullmatch(r"models:/(?:([^@]+)@(.+)|(.+)/(\d+))", uri)
    if named is None:
        raise RetrainingError(
            f"{uri!r} is not the URI of a registered model",
            "give models:/NAME/VERSION or models:/NAME@ALIAS",
        )
    by_alias, alias, by_number, number = named.groups()
    return version_with(by_alias, alias) if alias else version_of(by_number, number)


def tag(version: ModelVersion, values: Mapping[str, str]) -> None:
    """Set tags on a version."""
    for key, value in values.items():
        MlflowClient().set_model_version_tag(version.name, version.version, key, value)


def untag(version: ModelVersion, key: str) -> None:
    """Remove a tag from a version; nothing happens if it has none of that name."""
    if key in version.tags:
        MlflowClient().delete_model_version_tag(version.name, version.version, key)


def describe(version: ModelVersion, text: str) -> None:
    """Set the description that the page of a version shows."""
    MlflowClient().update_model_version(version.name, str(version.version), text)


def versions_with(name: str, values: Mapping[str, str]) -> list[ModelVersion]:
    """The versions of a model that have all of these tags, oldest first."""
    same = " and ".join(f"tags.`{key}` = '{value}'" for key, value in values.items())
    return list(
        MlflowClient().search_model_versions(
            f"name = '{name}' and {same}", order_by=["version_number ASC"]
        )
    )


def register(
    name: str, model_uri: str, run_id: str, *, once: Mapping[str, str], more: Mapping[str, str]
) -> ModelVersion:
    """Register a logged model once; the first version of a model also becomes its champion.

    A step may be repeated while an attempt that was given up is still running, or after an attempt
    was killed when it had registered its model: then the version of that attempt is returned.

    Args:
        name: Registered model.
        model_uri: URI of the logged model.
        run_id: Id of the run that logged it.
        once: Tags of the version that no other version may have.
        more: Further tags of the version.
    """
    client = MlflowClient()
    if existing := versions_with(name, once):
        version = existing[0]
    else:
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                raise
        version = client.create_model_version(name, model_uri, run_id, tags={**once, **more})
    if holder(name, CHAMPION) is None:
        _set(name, CHAMPION, version.version)
    return version


def tests_of(name: str) -> list[Entry]:
    """The tests of a model in its ledger, oldest first."""
    model = MlflowClient().get_registered_model(name)
    entries = [Entry.read(v) for key, v in model.tags.items() if key.startswith(tags.LEDGER)]
    return sorted(entries, key=lambda entry: entry.time)


def record_test(name: str, entry: Entry) -> None:
    """Add a test to the ledger of a model, or replace it if it is there already.

    Each test has a tag of its own, so two tests at the same time cannot overwrite each other.
    """
    MlflowClient().set_registered_model_tag(name, tags.LEDGER + entry.test, entry.write())


def challenge(version: ModelVersion) -> None:
    """Give a version the alias `challenger`."""
    _set(version.name, CHALLENGER, version.version)


def promote(name: str, to: str, *, seen: str, record: Mapping[str, str]) -> None:
    """Move `champion` to another version, and `previous_champion` to the one that had it.

    `previous_champion` is set first, so there is always a champion and a version to return to.

    Args:
        name: Registered model.
        to: Version that becomes champion.
        seen: Version that was champion when the decision was made, and must still be.
        record: Tags of the version that say who moves the alias, and why.

    Raises:
        RetrainingError: If another version is champion by now.
    """
    check_champion(name, seen, to)
    check_permission(name)
    _set(name, PREVIOUS, seen)
    _move(name, to, seen, record)
    waiting = holder(name, CHALLENGER)
    if waiting is not None and str(waiting.version) == str(to):
        MlflowClient().delete_registered_model_alias(name, CHALLENGER)


def roll_back(name: str, to: str, *, seen: str, record: Mapping[str, str]) -> None:
    """Move `champion` back to the previous version, and remove `previous_champion`.

    Raises:
        RetrainingError: If another version is champion by now.
    """
    check_champion(name, seen)
    check_permission(name)
    _move(name, to, seen, record)
    MlflowClient().delete_registered_model_alias(name, PREVIOUS)


def check_champion(name: str, seen: str, to: str | None = None) -> None:
    """Check that a version is still champion.

    With `to`, a move from `seen` to `to` that was interrupted before it was recorded passes too.

    Raises:
        RetrainingError: If another version is champion by now.
    """
    now = holder(name, CHAMPION)
    if to is not None and _moved(name, to, seen):
        return
    if now is None or str(now.version) != str(seen):
        current = f"version {now.version}" if now else "no version"
        raise RetrainingError(
            f"the champion of {name} is {current}, no longer version {seen}",
            "run ab_test again against the current champion",
        )


def check_permission(name: str) -> None:
    """Fail before anything is changed if this user may set aliases but not delete them."""
    MlflowClient().delete_registered_model_alias(name, "nobody")


def _moved(name: str, to: str, seen: str) -> bool:
    holders = [holder(name, alias) for alias in (CHAMPION, PREVIOUS)]
    return [str(v.version) if v else "" for v in holders] == [str(to), str(seen)]


def _move(name: str, to: str, seen: str, record: Mapping[str, str]) -> None:
    _set(name, CHAMPION, to)
    moved = {
        **record,
        tags.MOVED_AT: datetime.now(UTC).isoformat(timespec="seconds"),
        tags.MOVED_FROM: seen,
        tags.MOVED_TO: to,
    }
    tag(MlflowClient().get_model_version(name, to), moved)


def _set(name: str, alias: str, version: str) -> None:
    MlflowClient().set_registered_model_alias(name, alias, version)
    read_back = holder(name, alias)
    if read_back is None or str(read_back.version) != str(version):
        raise RetrainingError(
            f"alias {alias} of {name} was set to version {version}, but is now on "
            f"{f'version {read_back.version}' if read_back else 'no version'}",
            "another process moves it too: look at the registry, then run again",
        )


def _numbered(name: str, number: str | int) -> str:
    return f"models:/{name}/{number}"


def _absence(uri: str) -> RetrainingError:
    return RetrainingError(
        f"the registry has no {uri}", "run train (champion) and tune (challenger) first"
    )
