"""The baseline: what is logged and registered, and when nothing is."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import load_text
from mlflow.models import get_model_info

from retraining.description import reading as descriptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.steps.calling import Call, Cycle

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("store")]

METRICS = {
    *("auroc", "auprc", "f1", "log_loss", "brier"),
    *("weightedPrecision", "weightedRecall", "weightedFMeasure", "accuracy"),
}


def n_versions() -> int:
    return len(MlflowClient().search_model_versions())


def test_metrics_on_validation_are_logged(cycle: Cycle) -> None:
    metrics = cycle.trained.metrics

    assert set(metrics) == METRICS | {"precision_at_100"}
    assert all(0 <= metrics[name] <= 1 for name in METRICS - {"log_loss"})
    assert metrics["auroc"] > 0.8
    assert f"auroc {metrics['auroc']:.4f}" in cycle.trained.out


def test_parameters_are_those_of_the_fitted_stages(cycle: Cycle) -> None:
    described = descriptions.load(cycle.description)
    parameters = cycle.trained.parameters

    assert parameters["input_columns"] == str(list(described.columns))
    assert parameters["features"] == str(list(described.feature_columns))
    assert parameters["target"] == "tx_fraud"
    fitted = {name: parameters[name] for name in ("maxDepth", "maxBins", "numTrees")}
    assert fitted == {"maxDepth": "4", "maxBins": "32", "numTrees": "5"}
    assert parameters["stage_0"] == "SQLTransformer"  # fills
    assert parameters["stage_1"] == "VectorAssembler"
    assert parameters["stage_2"] == "RandomForestClassificationModel"
    assert (parameters["seed"], parameters["register"]) == ("7", "true")


def test_first_version_is_registered_and_becomes_champion(
    cycle: Cycle, aliases: Callable[..., dict[str, str]]
) -> None:
    tags = cycle.trained.tags

    assert (tags["model_name"], tags["model_version"]) == ("fraud", "1")
    assert cycle.trained.out.rstrip().endswith("; fraud version 1")
    version = MlflowClient().get_model_version("fraud", "1")
    assert version.run_id == cycle.trained.run_id
    assert version.tags["step"] == "train"
    assert version.tags["cycle_id"] == cycle.cycle_id
    for split in ("train", "validation"):
        expected = cycle.prepared.tags[f"fingerprint.{split}"]
        assert version.tags[f"fingerprint.{split}"] == expected
        assert tags[f"fingerprint.{split}"] == expected
    assert version.tags["description_digest"] == descriptions.load(cycle.description).digest
    assert version.tags["trained_until"] == "2019-09-09T00:00:00+00:00"
    assert aliases()["champion"] == "1"


def test_model_carries_all_that_its_users_need(cycle: Cycle) -> None:
    described = descriptions.load(cycle.description)
    info = get_model_info("models:/fraud/1")

    assert info.signature is not None
    assert info.signature.inputs.input_names() == list(described.feature_columns)
    assert info.signature.outputs.input_names() == ["score"]
    assert info.saved_input_example_info is not None
    requirements = load_text("models:/fraud/1/requirements.txt").split()
    assert f"pyspark=={metadata.version('pyspark')}" in requirements
    assert f"mlflow=={metadata.version('mlflow')}" in requirements
    assert info.metadata is not None
    assert '"delay": "2 days"' in info.metadata["description"]
    assert cycle.data_uri in info.metadata["training"]


def test_data_and_description_are_on_the_run(cycle: Cycle) -> None:
    assert cycle.trained.logged_data == {
        f"fraud {name}": cycle.prepared.tags[f"fingerprint.{name}"]
        for name in ("train", "validation")
    }
    assert cycle.trained.tags["input.data"] == cycle.data_uri
    assert "delay: 2 days" in load_text(f"runs:/{cycle.trained.run_id}/description.yaml")


def test_repeated_in_its_cycle_nothing_is_registered_twice(call: Call, cycle: Cycle) -> None:
    before = n_versions()
    again = call("train")

    assert again.tags["reused_from"] == cycle.trained.run_id
    assert again.tags["model_version"] == "1"
    assert again.metrics == cycle.trained.metrics
    assert "train: reused run" in again.out
    assert n_versions() == before


def test_version_that_a_killed_try_registered_is_not_registered_again(
    call: Call, cycle: Cycle
) -> None:
    before = n_versions()
    MlflowClient().set_terminated(cycle.trained.run_id, "KILLED")

    again = call("train")

    assert "reused_from" not in again.tags
    assert (again.tags["model_name"], again.tags["model_version"]) == ("fraud", "1")
    assert again.out.rstrip().endswith(
        f"; fraud version 1 (registered by run {cycle.trained.run_id})"
    )
    assert again.tags["input.version"] == "fraud version 1"
    assert f"/runs/{cycle.trained.run_id})" in again.tags["mlflow.note.content"]
    assert n_versions() == before


def test_a_description_whose_file_changed_is_another_input(
    call: Call, description: Callable[..., Path], aliases: Callable[..., dict[str, str]]
) -> None:
    """Of a model that is not registered, the registry knows nothing."""
    before = n_versions(), aliases()
    told = {"register": "false", "model_name": "other"}
    estimator = {"name": "DecisionTreeClassifier", "parameters": {"maxDepth": 2, "maxBins": 8}}
    first = call("train", dataset=description(estimator=estimator), **told)
    estimator["parameters"] = {"maxDepth": 3, "maxBins": 8}
    second = call("train", dataset=description(estimator=estimator), **told)

    for called, depth in ((first, "2"), (second, "3")):
        assert "reused_from" not in called.tags
        assert called.parameters["maxDepth"] == depth
        assert "model_version" not in called.tags
        assert "version" not in called.out
    assert (n_versions(), aliases()) == before
    assert aliases("other") == {}


def test_first_version_of_another_model_becomes_its_champion(
    call: Call,
    cycle: Cycle,
    description: Callable[..., Path],
    aliases: Callable[..., dict[str, str]],
) -> None:
    before = aliases()
    estimator = {"name": "LogisticRegression", "parameters": {"maxIter": 1}}
    told = {"data": cycle.data_uri, "dataset": description(estimator=estimator)}
    for version in ("1", "2"):
        made = call("train", model_name="trees", seed=version, **told)
        assert made.tags["model_version"] == version

    assert aliases("trees") == {"champion": "1"}
    assert aliases() == before


@pytest.mark.parametrize(
    ("told", "phrase"),
    [
        ({"data": "0" * 32}, f"data='{'0' * 32}'"),
        ({"data": "{trained}"}, "give the id of a preprocess run"),
        ({"data": "/nowhere"}, "/nowhere is not a data set"),
        ({"pipeline_id": "p0"}, "no finished preprocess run in cycle 'p0'"),
        ({"dataset": "drivers"}, "the description drivers has other columns or features"),
        ({"dataset": "wrong.yaml"}, "LogisticRegression has no parameter 'numTrees'"),
        ({"dataset": "deep.yaml"}, "estimator.parameters.maxDepth: 99, allowed: "),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_line(
    call: Call,
    cycle: Cycle,
    description: Callable[..., Path],
    told: dict[str, str],
    phrase: str,
) -> None:
    wrong = {"name": "LogisticRegression", "parameters": {"numTrees": 3}}
    deep = {"name": "RandomForestClassifier", "parameters": {"numTrees": 3, "maxDepth": 99}}
    told = {name: value.format(trained=cycle.trained.run_id) for name, value in told.items()}
    if told.get("dataset", "").endswith(".yaml"):
        estimator = wrong if told["dataset"] == "wrong.yaml" else deep
        told["dataset"] = str(description(estimator=estimator))
    before = n_versions()

    assert phrase in call("train", **told).refusal
    assert n_versions() == before


@pytest.mark.parametrize(
    "told", [{"seed": "-1"}, {"seed": "x"}, {"register": "maybe"}, {"model_name": "a/b"}]
)
def test_wrong_parameter_exits_with_2_and_leaves_no_run(call: Call, told: dict[str, str]) -> None:
    called = call("train", **told)

    assert (called.code, called.run, called.out) == (2, None, "")


def test_note_shows_the_command_that_repeats_it(cycle: Cycle) -> None:
    note = cycle.trained.tags["mlflow.note.content"]

    assert f"mlflow run . --env-manager uv -e reproduce -P run_id={cycle.trained.run_id}" in note
    assert f"-P data={cycle.prepared.run_id}" in note
    assert "-P register=false" in note
    assert f"/runs/{cycle.prepared.run_id})" in note
