"""Moves of a champion as the steps make them, and what stands of them in the registry."""

from __future__ import annotations

from retraining.tracking import champions, registry

VERDICT = "verdict of run 1"
PROMOTED = {"champion": "2", "previous_champion": "1"}


def how(why: str = VERDICT, run_id: str = "r1") -> dict[str, str]:
    """The record of a move."""
    return {"champion.run_id": run_id, "champion.moved_by": "somebody", "champion.moving": why}


def tags_of(version: int | str) -> dict[str, str]:
    return dict(registry.version_of("people", version).tags)


def promote(to: str = "2", run_id: str = "r1") -> None:
    """What the step does: complete what was killed, and move unless this was done."""
    now = champions.settle(registry.version_with("people", "champion"))
    if tags_of(to).get("champion.why") != VERDICT:
        champions.move("people", to, seen=str(now.version), how=how(run_id=run_id))


def roll_back() -> str | None:
    """What the step does, and the version that it returns to."""
    now = champions.settle(registry.version_with("people", "champion"))
    before = champions.way_back(now)
    if before is None:
        return None
    seen, to = str(now.version), str(before.version)
    champions.move("people", to, seen=seen, how=how(champions.ROLLBACK, "r2"))
    return to
