"""The chain on data that others made, held against results that others published."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import mlflow
import pytest
import yaml
from click.testing import CliRunner

import ab_test
import predict
import preprocess
import promote
import train
import tune
from retraining.description import reading
from retraining.tracking.checkout import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import click
    from mlflow.entities import Run
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.reference, pytest.mark.slow]

DESCRIPTIONS = ROOT / "steps" / "datasets"


@pytest.fixture
def store(tracking: str, tmp_path: Path, spark: SparkSession) -> Path:
    """Folder of an MLflow store of its own; the steps borrow the session of the tests."""
    assert tracking.endswith(f"{tmp_path}/mlflow.db")
    assert spark.getActiveSession() is not None
    return tmp_path


def call(command: click.Command, **parameters: object) -> Run:
    """Run a step and return its run."""
    words = [w for k, v in parameters.items() for w in (f"--{k.replace('_', '-')}", str(v))]
    result = CliRunner().invoke(command, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    run = mlflow.last_active_run()
    assert run is not None
    return mlflow.get_run(run.info.run_id)


def write(folder: Path, mapping: dict[str, Any]) -> Path:
    path = folder / f"{mapping['name']}.yaml"
    path.write_text(yaml.safe_dump(mapping, sort_keys=False))
    return path


def test_drivers_go_through_the_chain(reference_data: Path, store: Path) -> None:
    """GBT of depth 5 with 30 trees: AUC .9055, f1 .9084 were measured on another split.

    Two areas measured on different rows, 9,262 and 15,282, differ by a standard error of .0042;
    .0127 is three of them.
    """
    mapping = reading.load(DESCRIPTIONS / "drivers.yaml").to_mapping()
    mapping["estimator"]["parameters"]["maxIter"] = 30
    raw = reference_data / "drivers" / "drivers.parquet"
    prepared = call(preprocess.preprocess, dataset=write(store, mapping), input=raw)
    rows = {k: v for k, v in prepared.data.metrics.items() if k.endswith("_rows")}
    assert sum(rows.values()) + prepared.data.metrics["quarantined"] == 46_310

    baseline = call(train.train).data
    assert baseline.metrics["auroc"] == pytest.approx(0.9055, abs=0.0127)
    assert baseline.metrics["f1"] == pytest.approx(0.9084, abs=0.0127)
    assert baseline.params["maxIter"] == "30"
    assert [baseline.params[f"stage_{i}"] for i in range(4)] == [
        "StringIndexerModel",
        "StringIndexerModel",
        "VectorAssembler",
        "GBTClassificationModel",
    ]

    call(tune.tune, trials=2)
    tested = call(ab_test.ab_test, worse_on_validation="test").data
    assert tested.metrics["champion_auroc"] == pytest.approx(0.9055, abs=0.0127)
    assert tested.metrics["n_excluded"] == 0
    moved = call(promote.promote).data
    expected = "promoted" if tested.tags["verdict"] == "promote" else "kept"
    assert moved.tags["result.outcome"] == expected

    scored = call(predict.predict, input=raw).data.metrics
    assert scored["rows_scored"] + scored["quarantined"] == 46_310


def handbook() -> dict[str, Any]:
    """The handbook's split, inputs and models; it keeps amounts of zero.

    It takes from the test week the customers that are known to be defrauded. Trees get bins enough
    for every amount: the default of 32 costs them a third of their average precision.
    """
    mapping = reading.load(DESCRIPTIONS / "fraud.yaml").to_mapping()
    mapping["name"] = "handbook"
    mapping["columns"]["tx_amount"] = {"type": "double", "not_null": True, "min": 0}
    mapping["split"].update(
        train={"start": "2018-07-25", "end": "2018-08-01"},
        validation={"start": "2018-07-11", "end": "2018-07-18"},
        holdout={"start": "2018-08-08", "end": "2018-08-15"},
        known_positives={"key": "customer_id", "delay": "8 days"},
    )
    mapping["class_weights"] = "none"
    mapping["scaler"] = "standard"
    mapping["estimator"] = {"name": "LogisticRegression", "parameters": {"regParam": 0.0}}
    forest = {"numTrees": 100, "maxDepth": 10, "maxBins": 1024}
    mapping["search"] = {
        "trials": 1,
        "estimators": {
            "RandomForestClassifier": {name: {"choice": [value]} for name, value in forest.items()}
        },
    }
    mapping["capacity"] = {"per_day": 100, "unit": "customer_id"}
    return mapping


def test_handbook_gives_its_published_results(reference_data: Path, store: Path) -> None:
    """Chapter 3, BaselineModeling: AUC, average precision and card precision at 100.

    Logistic regression .871 / .606 / .291. The forest of the handbook, .867 / .658 / .287, is of
    unlimited depth; Spark's of depth 10, measured elsewhere, .864 / .643 / .290.
    """
    files = f"{reference_data}/handbook_fraud/raw/2018-0[678].parquet"
    prepared = call(preprocess.preprocess, dataset=write(store, handbook()), input=files).data
    counts = {f"{s}_{k}" for s in ("train", "holdout") for k in ("rows", "positives")}
    assert {k: prepared.metrics[k] for k in counts} == {
        "train_rows": 67_240,
        "train_positives": 598,
        "holdout_rows": 58_264,
        "holdout_positives": 385,
    }
    assert prepared.metrics["rows_read"] == 881_105
    assert prepared.metrics["quarantined"] == 0

    call(train.train)
    call(tune.tune)
    tested = call(ab_test.ab_test, worse_on_validation="test").data.metrics
    names = ("auroc", "auprc", "precision_at_100")
    linear = {name: tested[f"champion_{name}"] for name in names}
    forest = {name: tested[f"challenger_{name}"] for name in names}
    assert linear == pytest.approx(
        {"auroc": 0.871, "auprc": 0.606, "precision_at_100": 0.291}, abs=0.005
    )
    assert forest == pytest.approx(
        {"auroc": 0.864, "auprc": 0.643, "precision_at_100": 0.290}, abs=0.02
    )
    shutil.rmtree(store / "data")
