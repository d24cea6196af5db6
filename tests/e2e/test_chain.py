"""Two cycles of the chain through `mlflow run`, a resumed one, and all of it repeated."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlflow.entities import Run

pytestmark = pytest.mark.slow

STEPS = ["preprocess", "train", "tune", "ab_test", "promote"]


def table_of(output: str) -> dict[str, str]:
    """The final table of a chain."""
    lines = re.findall(r"^(run \w+|\w+)  +(\S.*)$", output, re.MULTILINE)
    return dict(lines)


def client_of(project: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{project}/mlflow.db")


def children_of(client: MlflowClient, parent: str) -> list[Run]:
    found = client.search_runs(["0"], f"tags.`mlflow.parentRunId` = '{parent}'", max_results=100)
    return sorted(found, key=lambda run: run.info.start_time)


@pytest.fixture(scope="module")
def cycles(project: Path, mlflow_run: Callable[..., str]) -> list[dict[str, str]]:
    """The tables of two cycles; between them a week of transactions came in."""
    tables = []
    for _ in range(2):
        mlflow_run("simulate", customers=500, terminals=300)
        output = mlflow_run("main", input=f"{project}/data/raw/fraud", trials=2)
        tables.append(table_of(output))
    return tables


def test_every_step_is_a_finished_child_of_the_chain(
    project: Path, cycles: list[dict[str, str]]
) -> None:
    client = client_of(project)
    run = client.get_run(cycles[0]["run train"])
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    children = children_of(client, parent.info.run_id)
    assert [child.data.tags["step"] for child in children] == STEPS
    assert {child.info.status for child in [parent, *children]} == {"FINISHED"}
    assert {child.data.tags["cycle_id"] for child in children} == {cycles[0]["cycle"]}
    trials = children_of(client, cycles[0]["run tune"])
    assert [trial.data.tags["step"] for trial in trials] == ["trial", "trial"]


def test_the_first_cycle_compares_the_baseline_with_the_tuned_model(
    cycles: list[dict[str, str]],
) -> None:
    assert cycles[0]["champion"] == "models:/fraud/1"
    assert cycles[0]["challenger"] == "models:/fraud/2"
    assert cycles[0]["verdict"] in {"promote", "keep_champion", "inconclusive"}


def test_the_champion_is_the_one_that_the_verdicts_say(
    project: Path, cycles: list[dict[str, str]]
) -> None:
    expected = "1"
    for table in cycles:
        assert table["champion"] == f"models:/fraud/{expected}"
        if table["verdict"] == "promote":
            expected = table["challenger"].rpartition("/")[2]
    version = client_of(project).get_model_version_by_alias("fraud", "champion")
    assert str(version.version) == expected


def test_the_second_cycle_processes_only_the_new_days(
    project: Path, cycles: list[dict[str, str]]
) -> None:
    run = client_of(project).get_run(cycles[1]["run preprocess"])
    assert "7 of 98 files are read" in run.data.tags["result.summary"]


def test_a_chain_that_goes_on_repeats_nothing(
    project: Path, mlflow_run: Callable[..., str], cycles: list[dict[str, str]]
) -> None:
    client = client_of(project)
    before = len(client.search_model_versions("name = 'fraud'"))
    output = mlflow_run(
        "main",
        input=f"{project}/data/raw/fraud",
        trials=2,
        pipeline_id=cycles[1]["cycle"],
    )
    again = table_of(output)
    for step in STEPS[:-1]:
        tags = client.get_run(again[f"run {step}"]).data.tags
        assert tags["reused_from"] == cycles[1][f"run {step}"]
    assert again["verdict"] == cycles[1]["verdict"]
    # Promoting looks at the registry each time, and has nothing left to do.
    outcomes = [
        client.get_run(t["run promote"]).data.tags["result.outcome"] for t in (again, cycles[1])
    ]
    assert outcomes[0] == outcomes[1]
    assert len(client.search_model_versions("name = 'fraud'")) == before


def test_every_step_of_a_finished_chain_can_be_repeated(
    project: Path, mlflow_run: Callable[..., str], cycles: list[dict[str, str]]
) -> None:
    client = client_of(project)
    versions = len(client.search_model_versions("name = 'fraud'"))
    champion = client.get_model_version_by_alias("fraud", "champion").version
    chain = client.get_run(cycles[1]["run train"]).data.tags["mlflow.parentRunId"]
    output = mlflow_run("reproduce", run_id=chain)
    for step in STEPS:
        assert f"{step} {cycles[1][f'run {step}']}: identical" in output
    assert "reproduce: identical" in output
    assert len(client.search_model_versions("name = 'fraud'")) == versions
    assert client.get_model_version_by_alias("fraud", "champion").version == champion


def test_simulation_and_prediction_can_be_repeated(
    project: Path, mlflow_run: Callable[..., str], cycles: list[dict[str, str]]
) -> None:
    client = client_of(project)
    assert cycles
    days = sorted((project / "data/raw/fraud").glob("*.txt"))
    predicted = mlflow_run("predict", input=days[-1], history=f"{project}/data/raw/fraud")
    assert "rows scored by models:/fraud/" in predicted
    for step in ("simulate", "predict"):
        (run,) = client.search_runs(["0"], f"tags.step = '{step}'", max_results=1)
        assert "reproduce: identical" in mlflow_run("reproduce", run_id=run.info.run_id)


def test_a_changed_tree_is_not_called_reproducible(
    project: Path, mlflow_run: Callable[..., str]
) -> None:
    (project / "steps" / "retraining" / "extra.py").write_text('"""Not committed."""\n')
    output = mlflow_run("simulate", output=project / "elsewhere", days=1)
    run_id = re.findall(r"Run \(ID '(\w+)'\) succeeded", output)[0]
    refused = mlflow_run("reproduce", fails=True, run_id=run_id)
    assert "was made from uncommitted code" in refused
