"""The model registry: versions, their tags, and the three aliases.

`champion` is the version in use, `challenger` the one to be tested, `previous_champion` the one
that a rollback returns to. Aliases are read one by one, since search results do not include them.
Version numbers are compared as text: an SQL store returns integers, a tracking server strings.
"""

from __future__ import annotations

import re
from types import MappingProxyType
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
from retraining.tracking import commands, runs, tags
from retraining.tracking.pages import every

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous_champion"
NEXT = "next"  # in place of a number: the version that is registered next

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
        raise _absence(name, alias)
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
            raise RetrainingError(
                f"the registry has no {_numbered(name, number)}",
                "it was deleted, or its model was renamed: name one that MLflow shows",
            ) from error
        raise


def version_at(uri: str) -> ModelVersion:
    """The version that `models:/name/3` or `models:/name@alias` names.

    Raises:
        RetrainingError: If the URI has another form, or the registry has no such version.
    """
    # A database fails at numbers that are too large for it.
    named = re.fullmatch(r"models:/(?:([^@]+)@(.+)|(.+)/(\d{1,9}))", uri)
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


def versions_of(name: str, having: Mapping[str, str] = MappingProxyType({})) -> list[ModelVersion]:
    """The versions of a model that have all of these tags, oldest first."""
    conditions = [f"tags.`{key}` = '{value}'" for key, value in having.items()]
    found = every(
        MlflowClient().search_model_versions,
        " and ".join([f"name = '{name}'", *conditions]),
        order_by=["version_number ASC"],
    )
    return list(found)


def register(
    name: str, model_uri: str, run_id: str, *, once: Mapping[str, str], more: Mapping[str, str]
) -> ModelVersion:
    """Register a logged model once.

    A step may be repeated while an attempt that was given up is still running, or after an attempt
    was killed when it had registered its model: then the version of that attempt is returned.

    Args:
        name: Registered model.
        model_uri: URI of the logged model.
        run_id: Id of the run that logged it.
        once: Tags of the version that no other version may have.
        more: Further tags of the version.
    """
    if existing := versions_of(name, once):
        return existing[0]
    create_model(name)
    return MlflowClient().create_model_version(name, model_uri, run_id, tags={**once, **more})


def create_model(name: str) -> None:
    """Create a registered model without versions, unless there is one of that name."""
    try:
        MlflowClient().create_registered_model(name)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise


def tags_of(name: str) -> dict[str, str]:
    """The tags of a registered model; none if there is no such model.

    A server with permissions refuses to get a model that does not exist, but not to search for it.
    """
    found = every(MlflowClient().search_registered_models, f"name = '{name}'")
    return next((dict(model.tags) for model in found), {})


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
    set_alias(version.name, CHALLENGER, version.version)


def set_alias(name: str, alias: str, version: str) -> None:
    """Give an alias to a version, and look whether it is there.

    Raises:
        RetrainingError: If it is not, since another process moves it too.
    """
    MlflowClient().set_registered_model_alias(name, alias, version)
    read_back = holder(name, alias)
    if read_back is None or str(read_back.version) != str(version):
        raise RetrainingError(
            f"alias {alias} of {name} was set to version {version}, but is now on "
            f"{f'version {read_back.version}' if read_back else 'no version'}",
            "another process moves it too: look at the registry, then run again",
        )


def remove_alias(name: str, alias: str) -> None:
    """Take an alias away from whichever version has it; nothing happens if none has it."""
    MlflowClient().delete_registered_model_alias(name, alias)


def _numbered(name: str, number: str | int) -> str:
    return f"models:/{name}/{number}"


def _absence(name: str, alias: str) -> RetrainingError:
    if alias == CHAMPION:
        return vacancy(name)
    remedy = "run tune first" if alias == CHALLENGER else "name an alias that MLflow shows"
    return RetrainingError(f"the registry has no models:/{name}@{alias}", remedy)


def vacancy(name: str) -> RetrainingError:
    """Why a model has no champion, and the command that gives it one."""
    versions = versions_of(name)
    if not versions and not had_versions(name):
        return RetrainingError(f"the registry has no models:/{name}@{CHAMPION}", "run train first")
    appoint = {"action": "appoint", "model_name": name}
    begin = commands.show("promote", {**appoint, "version": NEXT, "reason": "WHY"})
    if not versions:
        return RetrainingError(
            f"{name} had versions, but the registry has none of them: they were deleted, or the "
            "model was renamed",
            f"name it with model_name=, or let the next version that train registers become "
            f"champion, by `{begin}`",
        )
    last = max(versions, key=lambda version: version.tags.get(tags.MOVED_AT, ""))
    again = commands.show("promote", {**appoint, "version": str(last.version), "reason": "WHY"})
    shown = f"version {last.version}" if len(versions) == 1 else f"{len(versions)} versions"
    return RetrainingError(
        f"{name} has {shown}, but no champion: its alias or its version was deleted",
        f"appoint one by `{again}`; version={NEXT} is the one that train registers next",
    )


def had_versions(name: str) -> bool:
    """Whether a model was tested or registered before, though it may have no versions now."""
    if any(key.startswith(tags.LEDGER) for key in tags_of(name)):
        return True
    registered = {tags.REGISTERED: tags.TRUE, tags.MODEL_NAME: name}
    return any(runs.find(step, having=registered) for step in ("train", "tune"))
