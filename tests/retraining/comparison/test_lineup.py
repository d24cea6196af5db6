"""Who challenges next, among a new version and those that waited."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import yaml
from mlflow import MlflowClient, MlflowException

from retraining.comparison import lineup
from retraining.description import reading
from retraining.tracking import registry, tags
from retraining.tracking.descriptions import DESCRIPTIONS

ROWS: Any = SimpleNamespace(sparkSession=None)
START = datetime(2026, 5, 1, tzinfo=UTC)
MANIFEST: Any = SimpleNamespace(uri="data/run", splits={"validation": SimpleNamespace(start=START)})
DESCRIPTION = reading.from_mapping(
    yaml.safe_load((DESCRIPTIONS / "fraud.yaml").read_text()), where="fraud.yaml"
)


@pytest.fixture
def versions(tracking: str) -> str:
    """A champion, two versions that wait, one of them trained on the rows, and a new one."""
    client = MlflowClient()
    client.create_registered_model("fraud")
    for until in ("2026-01-01", "2026-04-01", "2026-05-08", "2026-05-08"):
        made = {tags.TRAINED_UNTIL: f"{until}T00:00:00+00:00"}
        version = client.create_model_version("fraud", "file:///nowhere", tags=made)
        if str(version.version) in ("2", "3"):
            registry.tag(version, {tags.WAITS: tags.TRUE})
    client.set_registered_model_alias("fraud", "champion", "1")
    return tracking


def chosen() -> str:
    new = registry.version_of("fraud", 4)
    best = lineup.challenge(new, {"auroc": 0.8}, ROWS, MANIFEST, DESCRIPTION)
    holder = registry.holder("fraud", registry.CHALLENGER)
    assert holder is not None
    assert holder.version == best.version
    return str(best.version)


def waiting() -> list[str]:
    found = registry.versions_of("fraud", {tags.WAITS: tags.TRUE})
    return [str(version.version) for version in found]


@pytest.mark.usefixtures("versions")
@pytest.mark.parametrize(("auroc", "best"), [(0.9, "2"), (0.7, "4")])
def test_the_best_on_validation_challenges(
    monkeypatch: pytest.MonkeyPatch, auroc: float, best: str
) -> None:
    """Version 3 was trained on these rows, so that it goes on waiting."""
    loaded = SimpleNamespace(model=None, description=DESCRIPTION)
    monkeypatch.setattr("retraining.models.store.load", lambda *_: loaded)
    monkeypatch.setattr("retraining.models.scoring.score", lambda *_: None)
    monkeypatch.setattr("retraining.models.evaluation.evaluate", lambda _: {"auroc": auroc})
    assert chosen() == best
    assert waiting() == ["3"]


@pytest.mark.usefixtures("versions")
def test_a_version_that_cannot_be_read_and_the_champion_are_passed_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(*_: object) -> NoReturn:
        raise MlflowException("No such artifact: 'MLmodel'")

    monkeypatch.setattr("retraining.models.store.load", gone)
    registry.tag(registry.version_of("fraud", 1), {tags.WAITS: tags.TRUE})
    assert chosen() == "4"
    assert waiting() == ["3"]
    assert "version 2 of fraud is passed over: No such artifact" in caplog.text
