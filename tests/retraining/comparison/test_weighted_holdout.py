"""Rows with weights: from raw files to the scores of a holdout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from retraining.comparison.evidence import gather
from retraining.comparison.scores import score_holdout, score_validation
from retraining.data.files.sources import list_files, read_raw
from retraining.data.manifest import read_split
from retraining.data.preparation import prepare
from retraining.data.rows.quality import REASON, validate
from retraining.description.reading import from_mapping
from retraining.errors import RetrainingError
from retraining.gate.policy import Policy
from retraining.models import pipelines
from retraining.models.store import LoadedModel

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from retraining.description.document import Description

pytestmark = pytest.mark.spark

N_ROWS = 300
BAD = {"900": "0", "901": "-1", "902": "", "903": "inf"}


def describe(**changes: Any) -> Description:  # noqa: ANN401
    """Policies, weighted by the part of a year for which they were in force."""
    mapping = {
        "name": "policies",
        "columns": {
            "id": {"type": "bigint"},
            "x": {"type": "double"},
            "exposure": {"type": "double"},
            "claim": {"type": "int"},
        },
        "label": {"column": "claim"},
        "row_key": "id",
        "weight": "exposure",
        "class_weights": "balanced",
        "features": {"plain": ["x"]},
        "split": {"by": "hash", "train": 0.4, "validation": 0.3, "holdout": 0.3},
        "estimator": {"name": "LogisticRegression"},
    }
    return from_mapping(mapping | changes)


def exposure_of(key: int) -> float:
    return (key % 8 + 1) / 8


def test_weights_go_from_files_to_the_scores_of_a_holdout(
    spark: SparkSession, tmp_path: Path
) -> None:
    rows = [f"{i},{i * 7 % 11},{exposure_of(i)},{int(i * 7919 % 101 > 60)}" for i in range(N_ROWS)]
    rows += [f"{key},1,{weight},0" for key, weight in BAD.items()]
    (tmp_path / "raw.csv").write_text("\n".join(rows))
    description = describe()
    files = list_files(spark, str(tmp_path / "raw.csv"))
    manifest = prepare(spark, description, files=files, root=str(tmp_path), version="v")
    assert manifest.quarantine.by_reason == {
        "range exposure": 2,
        "null exposure": 1,
        "unparseable exposure": 1,
    }
    tables = {name: read_split(spark, manifest, name).toPandas() for name in manifest.splits}
    for name, split in manifest.splits.items():
        rows_of = tables[name]
        positives = rows_of[rows_of["claim"] == 1]
        sums = rows_of["exposure"].sum(), positives["exposure"].sum()
        assert split.masses == pytest.approx(sums, rel=1e-11)
    weights = pipelines.class_weights(description, *manifest.splits["train"].masses)
    train = pipelines.prepare(read_split(spark, manifest, "train"), description, weights, N_ROWS)
    by_class = train.groupBy("claim").sum(pipelines.WEIGHT).collect()
    assert by_class[0][1] == pytest.approx(by_class[1][1])
    estimator = pipelines.estimator("LogisticRegression", {"maxIter": 3}, seed=1)
    fitted = pipelines.fit(train, description, estimator)
    model = LoadedModel(cast("Any", None), fitted, description, {"data": manifest.uri})

    found = score_holdout(spark, manifest, description, model, model, folder="")
    weighed = gather(found, Policy(minimum_positives=2)).rows
    assert weighed.weight.sum() == pytest.approx(manifest.splits["holdout"].weight)
    key = tables["holdout"].sort_values("id")["id"]
    assert weighed.weight.tolist() == [exposure_of(i) for i in key]
    table, columns = score_validation(spark, manifest, description, model, model)
    assert columns.weight == "weight"
    assert table["weight"].sum() == pytest.approx(manifest.splits["validation"].weight)


def test_a_row_to_be_scored_needs_no_weight(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("id,x\n1,0.5\n")
    headed = {"files": {"header": True}}
    files = list_files(spark, str(tmp_path / "new.csv"))
    description = describe(**headed)
    rows = validate(
        read_raw(spark, files, description, labelled=False), description, labelled=False
    )
    assert [row[REASON] for row in rows.collect()] == [None]
    as_feature = describe(**headed, features={"derived": {"z": "x * exposure"}})
    with pytest.raises(RetrainingError, match="no column exposure"):
        read_raw(spark, files, as_feature, labelled=False)


@pytest.mark.parametrize(
    ("weight", "complaint"),
    [
        ("mass", "weight: mass is not a column"),
        ("city", "weight: city has type string, allowed: a number"),
        ("claim", "claim is also row_key, unit, event_time or weight"),
    ],
)
def test_weights_that_are_none_are_refused(weight: str, complaint: str) -> None:
    columns = describe().to_mapping()["columns"] | {"city": {"type": "string"}}
    with pytest.raises(RetrainingError, match=complaint):
        describe(columns=columns, weight=weight)
