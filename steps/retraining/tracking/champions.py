"""Who is champion: how a model gets its first one, and moves of the alias.

A move is announced on the version that becomes champion (tag `champion.moving`), then made, and
complete when its reason is recorded (`champion.why`). A move that was killed on the way is
completed by `settle` before anything else is done with the champion.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mlflow import MlflowClient

from retraining.errors import RetrainingError
from retraining.tracking import registry, tags
from retraining.tracking.registry import CHALLENGER, CHAMPION, PREVIOUS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities.model_registry import ModelVersion

FIRST: Final = "first version"
ROLLBACK: Final = "rollback"

_LOG = logging.getLogger(__name__)


def record(run_id: str, why: str) -> dict[str, str]:
    """Tags of the version that becomes champion: which run moves the alias, for whom, and why."""
    user = MlflowClient().get_run(run_id).info.user_id
    return {tags.MOVED_RUN: run_id, tags.MOVED_BY: user or "", tags.MOVING: why}


def refuse_vacancy(name: str, once: Mapping[str, str]) -> None:
    """Refuse to fit a model for which there is no champion, unless it will be the first one.

    Args:
        name: Registered model.
        once: Tags of the version that this step registers, and that no other version has.

    Raises:
        RetrainingError: With the command that names a champion.
    """
    # Where a model does not exist yet, a server with permissions answers searches only.
    has_champion = registry.versions_of(name) and registry.holder(name, CHAMPION)
    if not has_champion and not _begins(name, once):
        raise registry.vacancy(name)


def begin(version: ModelVersion, once: Mapping[str, str]) -> None:
    """Make a version champion if it is the first of its model, or if a person has said so.

    Args:
        version: The version that was registered.
        once: Its tags that no other version has.
    """
    name = version.name
    champion = registry.holder(name, CHAMPION)
    if champion is not None:
        settle(champion)
    elif not _begins(name, once):
        _LOG.warning(str(registry.vacancy(name)))
    elif appointed := registry.tags_of(name).get(tags.NEXT):
        _move(version, "", json.loads(appointed))
        MlflowClient().delete_registered_model_tag(name, tags.NEXT)
    else:
        _move(version, "", record(version.run_id or "", FIRST))


def _begins(name: str, once: Mapping[str, str]) -> bool:
    """Whether the version with these tags may become champion without a test.

    It may where nothing was registered or tested before. Its own step may have registered it and
    been killed before it set the alias; no version has been champion then.
    """
    if tags.NEXT in registry.tags_of(name):
        return True
    versions = registry.versions_of(name)
    if any(tags.MOVED_WHY in version.tags for version in versions) or registry.had_versions(name):
        return False
    return not versions or once.items() <= versions[0].tags.items()


def appoint(name: str, number: str, how: Mapping[str, str]) -> None:
    """Make a version champion of a model that has none, because a person says so.

    Args:
        name: Registered model.
        number: Of the version; `next` for the one that `train` registers next, whichever that is.
        how: The `record` of the move.
    """
    if number == registry.NEXT:
        registry.create_model(name)
        MlflowClient().set_registered_model_tag(name, tags.NEXT, json.dumps(dict(how)))
    else:
        MlflowClient().delete_registered_model_tag(name, tags.NEXT)
        _move(registry.version_of(name, number), "", how)


def move(name: str, to: str, *, seen: str, how: Mapping[str, str]) -> None:
    """Move `champion` to another version, forward by a verdict or back by a rollback.

    `previous_champion` then is the version that had the alias; after a rollback there is none.

    Args:
        name: Registered model.
        to: Version that becomes champion.
        seen: Version that was champion when the decision was made, and must still be.
        how: The `record` of the move.

    Raises:
        RetrainingError: If another version is champion by now, or becomes it at the same time.
    """
    earlier = _moves_from(name, seen)
    check_champion(name, seen)
    check_permission(name)
    _move(registry.version_of(name, to), seen, how)
    _refuse_race(name, to, seen, earlier)


def way_back(champion: ModelVersion) -> ModelVersion | None:
    """The version that a rollback returns to; None if there is nothing to roll back.

    It is that of the alias `previous_champion`. Where that was removed, or not yet set when the
    promotion was killed, the champion's tags name it.
    """
    moved = champion.tags.get(tags.MOVING, champion.tags.get(tags.MOVED_WHY, ROLLBACK))
    before = champion.tags.get(tags.MOVED_FROM, "")
    previous = registry.holder(champion.name, PREVIOUS)
    stands = previous is not None and str(previous.version) != str(champion.version)
    if stands and tags.MOVING not in champion.tags:
        return previous
    return registry.version_of(champion.name, before) if before and moved != ROLLBACK else None


def settle(champion: ModelVersion) -> ModelVersion:
    """Complete the move that made a version champion, if it was killed on the way."""
    name, moved = champion.name, champion.tags
    if tags.MOVING not in moved:
        return champion
    why, seen = moved[tags.MOVING], moved[tags.MOVED_FROM]
    if seen and why != ROLLBACK:
        registry.set_alias(name, PREVIOUS, seen)
    waiting = registry.holder(name, CHALLENGER)
    if waiting is not None and str(waiting.version) == str(champion.version):
        registry.remove_alias(name, CHALLENGER)
    registry.tag(champion, {tags.MOVED_WHY: why})
    registry.untag(champion, tags.MOVING)
    return registry.version_of(name, champion.version)


def check_champion(name: str, seen: str) -> None:
    """Check that a version is still champion.

    Raises:
        RetrainingError: If another version is champion by now, or none.
    """
    now = registry.version_with(name, CHAMPION)
    if str(now.version) != str(seen):
        raise RetrainingError(
            f"the champion of {name} is version {now.version}, no longer version {seen}",
            "run ab_test again against the current champion",
        )


def check_permission(name: str) -> None:
    """Fail before anything is changed if this user may set aliases but not delete them."""
    registry.remove_alias(name, "nobody")


def _move(version: ModelVersion, seen: str, how: Mapping[str, str]) -> None:
    name, to = version.name, str(version.version)
    announced = {
        tags.MOVED_AT: datetime.now(UTC).isoformat(timespec="seconds"),
        tags.MOVED_FROM: str(seen),
        tags.MOVED_TO: to,
    }
    # The tag that announces the move is the last of `how`: where it stands, the others do.
    registry.tag(version, {**announced, **how})
    previous = registry.holder(name, PREVIOUS)
    if previous is not None and str(previous.version) == to:
        registry.remove_alias(name, PREVIOUS)
    registry.set_alias(name, CHAMPION, to)
    settle(registry.version_of(name, to))


def _moves_from(name: str, seen: str) -> set[tuple[str, ...]]:
    """The completed moves from a version, as they stand on the versions that it was left for."""
    return {
        (str(v.version), v.tags[tags.MOVED_WHY], v.tags.get(tags.MOVED_RUN, ""))
        for v in registry.versions_of(name)
        if v.tags.get(tags.MOVED_FROM) == str(seen) and tags.MOVED_WHY in v.tags
    }


def _refuse_race(name: str, to: str, seen: str, earlier: set[tuple[str, ...]]) -> None:
    """Look whether another move from the same champion was made meanwhile.

    MLflow has no compare-and-set. Each move records itself before it looks, so of two at once at
    least one sees the other.
    """
    others = {version for version, *_ in _moves_from(name, seen) - earlier} - {str(to)}
    now = registry.version_with(name, CHAMPION)
    if others or str(now.version) != str(to):
        meanwhile = min(others, default=str(now.version))
        raise RetrainingError(
            f"version {meanwhile} of {name} became champion at the same time as version {to}, "
            f"without a test of one against the other; the champion is version {now.version}",
            "run ab_test on the two, or roll back",
        )
