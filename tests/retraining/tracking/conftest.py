"""Versions of a model `people`, and who has its aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mlflow
import pytest

from retraining.tracking import champions, registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlflow.entities.model_registry import ModelVersion


@pytest.fixture
def register(tmp_path: Path, tracking: str) -> Callable[[], ModelVersion]:
    """Register one more version of `people` as train does, each from a run of its own."""
    assert tracking

    def make() -> ModelVersion:
        with mlflow.start_run() as run:
            pass
        once, more = {"identity": run.info.run_id}, {"step": "train"}
        version = registry.register(
            "people", tmp_path.as_uri(), run.info.run_id, once=once, more=more
        )
        champions.begin(version, once)
        return version

    return make


@pytest.fixture
def aliases() -> Callable[[], dict[str, str]]:
    """The version at each alias of `people` that stands somewhere."""

    def read() -> dict[str, str]:
        names = (registry.CHAMPION, registry.CHALLENGER, registry.PREVIOUS)
        held = {alias: registry.holder("people", alias) for alias in names}
        return {alias: str(version.version) for alias, version in held.items() if version}

    return read
