"""Two cycles of the chain through `mlflow run`, a resumed one, and all of it repeated."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mlflow.entities import Run

    from tests.e2e.projects import FirstChain

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_jvm")]

STEPS = ["preprocess", "train", "tune", "ab_test", "promote"]
SECOND = "second"


def table_of(output: str) -> dict[str, str]:
    """The final table of a chain."""
    lines = re.findall(r"^(run \w+|\w+)  +(\S.*)$", output, re.MULTILINE)
    return dict(lines)


def run_second(first: FirstChain) -> dict[str, str]:
    """The table of a chain on all days, after which the second cycle is complete."""
    output = first.mlflow_run(
        "main",
        input=f"{first.raw},{first.more}",
        dataset=first.dataset,
        data_root=first.data_root,
        trials=2,
        model_name="first",
        pipeline_id=SECOND,
    )
    return table_of(output)


def children_of(first: FirstChain, parent: str) -> list[Run]:
    wanted = f"tags.`mlflow.parentRunId` = '{parent}'"
    return sorted(
        first.client.search_runs(["0"], wanted, max_results=100),
        key=lambda run: run.info.start_time,
    )


def registered(first: FirstChain) -> tuple[int, str]:
    """How many versions the model has, and which is the champion."""
    versions = first.client.search_model_versions("name = 'first'")
    champion = first.client.get_model_version_by_alias("first", "champion")
    return len(versions), str(champion.version)


@pytest.fixture(scope="module")
def cycles(first: FirstChain) -> list[dict[str, str]]:
    """The tables of two cycles; between them some days of transactions came in."""
    return [table_of(first.printed), run_second(first)]


def test_every_step_is_a_finished_child_of_the_chain(
    first: FirstChain, cycles: list[dict[str, str]]
) -> None:
    run = first.client.get_run(cycles[0]["run train"])
    parent = first.client.get_run(run.data.tags["mlflow.parentRunId"])
    children = children_of(first, parent.info.run_id)
    assert [child.data.tags["step"] for child in children] == STEPS
    assert {child.info.status for child in [parent, *children]} == {"FINISHED"}
    assert {child.data.tags["cycle_id"] for child in children} == {"first"}
    trials = children_of(first, cycles[0]["run tune"])
    assert [trial.data.tags["step"] for trial in trials] == ["trial", "trial"]


def test_the_first_cycle_compares_the_baseline_with_the_tuned_model(
    cycles: list[dict[str, str]],
) -> None:
    assert cycles[0]["champion"] == "models:/first/1"
    assert cycles[0]["challenger"] == "models:/first/2"
    assert cycles[0]["verdict"] in {"promote", "keep_champion", "inconclusive"}


def test_the_champion_is_the_one_that_the_verdicts_say(
    first: FirstChain, cycles: list[dict[str, str]]
) -> None:
    expected = "1"
    for table in cycles:
        assert table["champion"] == f"models:/first/{expected}"
        if table["verdict"] == "promote":
            expected = table["challenger"].rpartition("/")[2]
    _, champion = registered(first)
    assert champion == expected


def test_the_second_cycle_processes_only_the_new_days(
    first: FirstChain, cycles: list[dict[str, str]]
) -> None:
    run = first.client.get_run(cycles[1]["run preprocess"])
    more, days = (len(list(folder.iterdir())) for folder in (first.more, first.raw))
    assert f"{more} of {days + more} files are read" in run.data.tags["result.summary"]


def test_a_chain_that_is_resumed_repeats_nothing(
    first: FirstChain, cycles: list[dict[str, str]]
) -> None:
    before = registered(first)
    again = run_second(first)
    for step in STEPS[:-1]:
        tags = first.client.get_run(again[f"run {step}"]).data.tags
        assert tags["reused_from"] == cycles[1][f"run {step}"]
    assert again["verdict"] == cycles[1]["verdict"]
    # Promoting looks at the registry each time, and has nothing left to do.
    outcomes = [
        first.client.get_run(table["run promote"]).data.tags["result.outcome"]
        for table in (again, cycles[1])
    ]
    assert outcomes[0] == outcomes[1]
    assert registered(first) == before


def test_every_step_of_a_finished_chain_can_be_repeated(
    first: FirstChain, cycles: list[dict[str, str]]
) -> None:
    before = registered(first)
    chain = first.client.get_run(cycles[1]["run train"]).data.tags["mlflow.parentRunId"]
    output = first.mlflow_run("reproduce", run_id=chain)
    for step in STEPS:
        assert f"{step} {cycles[1][f'run {step}']}: identical" in output
    assert "reproduce: identical" in output
    assert registered(first) == before


def test_simulation_and_prediction_can_be_repeated(
    first: FirstChain, cycles: list[dict[str, str]]
) -> None:
    assert cycles
    newest = max(first.more.iterdir())
    predicted = first.mlflow_run("predict", input=newest, history=first.raw, model_name="first")
    assert "rows scored by models:/first/" in predicted
    for step in ("simulate", "predict"):
        (run,) = first.client.search_runs(["0"], f"tags.step = '{step}'", max_results=1)
        assert "reproduce: identical" in first.mlflow_run("reproduce", run_id=run.info.run_id)


def test_a_changed_tree_is_not_called_reproducible(first: FirstChain) -> None:
    extra = first.project / "steps" / "retraining" / "extra.py"
    extra.write_text('"""Not committed."""\n')
    try:
        output = first.mlflow_run("simulate", output=first.raw.parent / "elsewhere", days=1)
    finally:
        extra.unlink()
    run_id = re.findall(r"Run \(ID '(\w+)'\) succeeded", output)[0]
    refused = first.mlflow_run("reproduce", fails=True, run_id=run_id)
    assert "was made from uncommitted code" in refused
