"""Whether a repetition is the same run again: what counts, and what does not."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest
from mlflow.entities import Metric, Param, Run, RunData, RunInfo, RunTag

from retraining.tracking import reproduction
from retraining.tracking.reproduction import Difference, Repetition

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def make_run(
    params: Mapping[str, str] | None = None,
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Run:
    """A finished run of `train`."""
    info = RunInfo("0" * 32, "1", "user", "FINISHED", 0, 1, "active")
    data = RunData(
        metrics=[Metric(key, value, 0, 0) for key, value in (metrics or {}).items()],
        params=[Param(key, value) for key, value in (params or {}).items()],
        tags=[
            RunTag(key, value) for key, value in ({"step": "train"} | (dict(tags or {}))).items()
        ],
    )
    return Run(info, data)


def test_compare_of_equal_runs_finds_nothing() -> None:
    run = make_run({"seed": "7"}, {"f1": 0.5}, {"fingerprint.train": "ab", "verdict": "promote"})

    assert reproduction.compare(run, run) == []


def test_compare_finds_what_differs_and_what_is_missing() -> None:
    """One parameter, one fingerprint, one verdict and one metric differ; one of each is missing."""
    original = make_run(
        {"seed": "7", "maxDepth": "5", "same": "x"},
        {"f1": 0.5, "brier": 0.25},
        {"fingerprint.train": "ab", "verdict": "promote", "result.outcome": "promoted"},
    )
    again = make_run(
        {"seed": "8", "same": "x", "numTrees": "20"},
        {"f1": 0.6},
        {"fingerprint.train": "cd", "verdict": "inconclusive", "fingerprint.holdout": "ef"},
    )

    assert reproduction.compare(original, again) == [
        Difference("train", "parameter", "maxDepth", "5", "None"),
        Difference("train", "parameter", "numTrees", "None", "20"),
        Difference("train", "parameter", "seed", "7", "8"),
        Difference("train", "tag", "fingerprint.holdout", "None", "ef"),
        Difference("train", "tag", "fingerprint.train", "ab", "cd"),
        Difference("train", "tag", "result.outcome", "promoted", "None"),
        Difference("train", "tag", "verdict", "promote", "inconclusive"),
        Difference("train", "metric", "brier", "0.25", "None"),
        Difference("train", "metric", "f1", "0.5", "0.6"),
    ]


def test_compare_ignores_pins_durations_and_other_tags() -> None:
    pinned = json.dumps({"data": "run 1", "register": "false"})
    original = make_run(
        {"data": "''", "register": "true", "pipeline_id": "a"},
        {"duration_seconds": 3.0},
        {
            "pinned": pinned,
            "verdict.binding": "true",
            "verdict.reasons": "x",
            "mlflow.runName": "a",
        },
    )
    again = make_run(
        {"data": "'run 1'", "register": "false", "pipeline_id": "b"},
        {"duration_seconds": 9.0},
        {"verdict.reasons": "y", "mlflow.runName": "b"},
    )

    assert reproduction.compare(original, again) == []


def test_compare_takes_a_metric_of_a_pinned_name_for_a_metric() -> None:
    """The step tune pins the number of trials; its metric `trials` must still agree."""
    pins = {"pinned": json.dumps({"trials": "8"})}
    original, again = make_run({"trials": "12"}, {"trials": 8}, pins), make_run({}, {"trials": 7})

    assert reproduction.compare(original, again) == [
        Difference("train", "metric", "trials", "8", "7")
    ]


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (0.8, 0.8 * (1 + 0.9e-9), True),
        (0.8, 0.8 * (1 + 1.1e-9), False),
        (1e9, 1e9 + 0.9, True),
        (1e9, 1e9 + 1.1, False),
        (0.0, 0.9e-12, True),
        (0.0, 1.1e-12, False),
        (0.0, -0.0, True),
        (math.nan, math.nan, True),
        (math.nan, 0.5, False),
        (math.inf, math.inf, True),
        (math.inf, -math.inf, False),
    ],
)
def test_compare_of_metrics_has_a_tolerance(before: float, after: float, *, same: bool) -> None:
    found = reproduction.compare(make_run(metrics={"f1": before}), make_run(metrics={"f1": after}))

    assert (found == []) is same


def test_repetition_says_how_it_differs() -> None:
    first = Difference("train", "metric", "f1", "0.5", "0.6")
    repetition = Repetition(
        "ab12", ("train", "tune"), (first, Difference("a", "tag", "b", "c", "d"))
    )

    assert repetition.table == "train: metric f1: 0.5 -> 0.6\na: tag b: c -> d\n"
    assert repetition.summary == "2 differences: 2 steps, train, tune of run ab12"
    assert repetition.tags == {"result.comparison": "2 differences"}


def test_repetition_without_differences_is_identical() -> None:
    repetition = Repetition("ab12", ("train",), ())

    assert repetition.table == ""
    assert repetition.tags == {"result.comparison": "identical"}


def test_parameters_are_what_was_told_and_its_pins(tmp_path: Path) -> None:
    (tmp_path / "MLproject").write_text(
        "name: x\nentry_points:\n  train:\n    parameters:\n"
        "      data: {type: string, default: ''}\n      note: {type: string, default: ''}\n"
        "      seed: {type: float, default: 7}\n      empty: {type: string, default: ''}\n"
        "    command: echo\n"
    )
    original = make_run(
        {"data": "''", "note": "'it'\"'\"'s a b'", "seed": "9", "empty": "''", "maxDepth": "5"},
        tags={"pinned": json.dumps({"data": "run 1"})},
    )

    told = {"data": "run 1", "note": "it's a b", "seed": "9"}
    assert reproduction.parameters(original, str(tmp_path)) == told


def test_parameters_of_a_run_that_pinned_nothing(tmp_path: Path) -> None:
    (tmp_path / "MLproject").write_text(
        "name: x\nentry_points:\n  train:\n    parameters: {seed: {type: float, default: 7}}\n"
        "    command: echo\n"
    )

    assert reproduction.parameters(make_run({"seed": "9"}), str(tmp_path)) == {"seed": "9"}


@pytest.mark.parametrize("changed", [None, "conda.yaml", "constraints.txt"])
def test_env_manager_is_this_python_only_for_the_same_environment(
    tmp_path: Path, changed: str | None
) -> None:
    for side in ("commit", "here"):
        (tmp_path / side).mkdir()
        for name in ("conda.yaml", "constraints.txt"):
            (tmp_path / side / name).write_text(side if name == changed else "same")

    def manager(recorded: str | None) -> str:
        return reproduction.env_manager(str(tmp_path / "commit"), tmp_path / "here", recorded)

    if changed is None:
        assert manager("conda") == manager(None) == "local"
    else:
        assert (manager("conda"), manager(None)) == ("conda", "uv")


def test_env_manager_of_a_commit_that_lacks_a_file(tmp_path: Path) -> None:
    (tmp_path / "commit").mkdir()
    (tmp_path / "commit" / "conda.yaml").write_text("same")
    (tmp_path / "conda.yaml").write_text("same")
    (tmp_path / "constraints.txt").write_text("same")

    assert reproduction.env_manager(str(tmp_path / "commit"), tmp_path, None) == "uv"
