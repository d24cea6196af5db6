"""Runs of other steps: which are found, which are passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mlflow
import pytest
from mlflow import MlflowClient

from retraining.errors import RetrainingError
from retraining.tracking import runs

if TYPE_CHECKING:
    from mlflow.entities import Run

pytestmark = pytest.mark.usefixtures("tracking")


def finish(step: str, experiment: str | None = None, **tags: str) -> Run:
    """A finished run of a step with these tags."""
    with mlflow.start_run(experiment_id=experiment, tags={"step": step, **tags}) as run:
        run_id = run.info.run_id
    return mlflow.get_run(run_id)


def test_find_looks_past_pages_of_reused_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    first = finish("train", cycle_id="p1")
    for _ in range(4):
        finish("train", cycle_id="p1", reused_from=first.info.run_id)
    search_runs = MlflowClient.search_runs
    pages: list[int] = []

    def two_a_page(*arguments: Any, **settings: Any) -> object:  # noqa: ANN401
        found = search_runs(*arguments, **settings | {"max_results": 2})
        pages.append(len(found))
        return found

    monkeypatch.setattr(MlflowClient, "search_runs", two_a_page)
    found = runs.find("train", "p1")

    assert found is not None
    assert found.info.run_id == first.info.run_id
    assert pages == [2, 2, 1]


def test_find_by_tags_with_quotes_and_in_any_experiment() -> None:
    elsewhere = MlflowClient().create_experiment("elsewhere")
    run = finish("train", elsewhere, root="/o'b/c")

    found = runs.find("train", having={"root": "/o'b/c"})
    assert found is not None
    assert found.info.run_id == run.info.run_id
    assert runs.find("train", having={"root": "/other"}) is None


def test_upstream_that_is_missing() -> None:
    made = finish("preprocess", cycle_id="p1")

    assert runs.upstream("preprocess", "p1", "data").info.run_id == made.info.run_id
    expected = r"no finished preprocess run in cycle 'p2': run .* -e preprocess.* with data="
    with pytest.raises(RetrainingError, match=expected):
        runs.upstream("preprocess", "p2", "data")


@pytest.mark.parametrize("run_id", ["0" * 32, "nonsense", "a/b"])
def test_run_that_does_not_exist(run_id: str) -> None:
    with pytest.raises(RetrainingError, match=f"verdict_run='{run_id}'"):
        runs.get_run(run_id, "verdict_run")
