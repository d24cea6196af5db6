"""Whatever a user calls the columns, the results are the same."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
import pytest

from retraining.comparison import scores
from retraining.comparison.evidence import gather
from retraining.comparison.scores import Comparison, score_holdout
from retraining.data.files.sources import list_files
from retraining.data.manifest import read_split
from retraining.data.preparation import prepare
from retraining.data.profiling.profile import profile
from retraining.description.names import RESERVED
from retraining.description.reading import from_mapping
from retraining.errors import RetrainingError
from retraining.gate.policy import Policy
from retraining.models import pipelines
from retraining.models.store import LoadedModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import SparkSession

    from retraining.data.manifest import Manifest
    from retraining.description.document import Description

pytestmark = pytest.mark.spark

LIBRARY = Path(__file__).parents[3] / "steps" / "retraining"
FOLDERS = ("data", "models", "comparison")
NAMING = {
    *("alias", "col", "desc", "drop", "groupBy", "join", "orderBy", "partitionBy", "select"),
    *("withColumn", "withColumnRenamed"),
}
# What f-strings of the library made, or make, of `city` and of the roles.
MADE = {
    *("city_index", "city_onehot", "index_city", "onehot_city", "assembled"),
    *("champion_bin", "challenger_bin", "capacity_unit"),
}
ROLES = {"row_key": "moved", "label": "ones", "time": "of", "unit": "rank", "capacity": "first"}
SLICES = ("unit", "weight", "key", "label", "champion", "challenger", "column", "value", "size")
START = datetime(2018, 4, 1, tzinfo=UTC)
N_ROWS = 480
N_DAYS = 16


def names_in_library() -> set[str]:
    """Names that the code gives to columns, and its constants that look like names."""

    def strings(tree: ast.AST) -> Iterator[str]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value

    found: set[str] = set()
    for path in (path for folder in FOLDERS for path in (LIBRARY / folder).rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in NAMING:
                found.update(text for part in node.args for text in strings(part))
        constants = (node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign))
        found.update(
            node.value.value
            for node in constants
            if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        )
    reserved = {name.lower() for name in RESERVED}
    names = {name.lower() for name in found if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)}
    return names - reserved


def describe(rename: Callable[[str], str], others: list[str]) -> Description:
    """Columns of these names: the roles, the slices, a category, and the others as features."""
    plain = [*SLICES, *others]
    types = {ROLES["row_key"]: "bigint", ROLES["time"]: "timestamp", "city": "string"}
    names = [*ROLES.values(), "city", *plain]
    return from_mapping(
        {
            "name": "people",
            "columns": {rename(name): {"type": types.get(name, "int")} for name in names},
            "label": {"column": rename(ROLES["label"])},
            "row_key": rename(ROLES["row_key"]),
            "event_time": rename(ROLES["time"]),
            "unit": rename(ROLES["unit"]),
            "features": {
                "plain": [rename(name) for name in plain],
                "categorical": [rename("city")],
                "derived": {rename("derived"): f"{rename('key')} + {rename('weight')}"},
                "rolling": [
                    {
                        "key": rename(ROLES["unit"]),
                        "value": rename("weight"),
                        "aggregates": ["count", "min"],
                        "windows": ["2 days"],
                    }
                ],
            },
            "split": {"by": "time", "train": "8 days", "validation": "3 days", "holdout": "5 days"},
            "scaler": "standard",
            "class_weights": "balanced",
            "estimator": {"name": "LogisticRegression"},
            "capacity": {"per_day": 2, "unit": rename(ROLES["capacity"])},
            "slices": [rename(name) for name in SLICES],
        }
    )


def lines(n_plain: int) -> Iterator[str]:
    for i in range(N_ROWS):
        noise = i * 7919 % 101
        plain = [i * (2 * j + 3) % (11 + j) % 3 for j in range(n_plain)]
        label = int(noise + 20 * plain[0] + 15 * plain[1] > 70)
        moment = START + timedelta(days=i % N_DAYS, seconds=i)
        city = ("Oslo", "Bergen", "Molde")[i * 13 % 7 % 3]
        row = [i, label, f"{moment:%Y-%m-%d %H:%M:%S}", i % 40, i % 23, city, *plain]
        yield ",".join(map(str, row))


def prepare_and_fit(
    spark: SparkSession, folder: Path, description: Description
) -> tuple[Manifest, list[LoadedModel]]:
    files = list_files(spark, str(folder / "raw.csv"))
    version = description.digest
    manifest = prepare(spark, description, files=files, root=str(folder), version=version)
    train = manifest.splits["train"]
    weights = pipelines.class_weights(description, train.n_rows, train.n_positives)
    rows = read_split(spark, manifest, "train")
    rows = pipelines.prepare(rows, description, weights, train.n_rows).cache()
    models = [
        pipelines.fit(rows, description, pipelines.estimator(name, parameters, seed=1))
        for name, parameters in (
            ("LogisticRegression", {"maxIter": 3}),
            ("DecisionTreeClassifier", {"maxDepth": 3}),
        )
    ]
    rows.unpersist()
    training = {"data": manifest.uri}
    return manifest, [LoadedModel(cast("Any", None), m, description, training) for m in models]


def in_common(table: Comparison) -> pd.DataFrame:
    """The scores in one order, with the slices numbered."""
    frame = table.scores if isinstance(table.scores, pd.DataFrame) else table.scores.toPandas()
    slices = table.columns.slices.values()
    known = table.columns._replace(capacity_unit=None, slices={}).names
    frame = frame[[*known, *slices]].sort_values("key", ignore_index=True)
    return frame.set_axis([*known, *map(str, range(len(slices)))], axis=1)


@pytest.mark.slow
def test_names_of_columns_change_nothing(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = sorted((names_in_library() | MADE) - set(ROLES.values()) - {*SLICES, "city"})
    assert {"low", "model_name", "sound"}.issubset(others)  # which the harvest must find
    (tmp_path / "raw.csv").write_text("\n".join(lines(len(SLICES) + len(others))) + "\n")
    ordinary = {name: f"c{i}" for i, name in enumerate([*ROLES.values(), *SLICES, *others])}
    policy = Policy(minimum_positives=2)

    described = describe(lambda name: ordinary.get(name, f"x_{name}"), others)
    expected, models = prepare_and_fit(spark, tmp_path, described)
    wanted = score_holdout(spark, expected, described, *models, folder="")
    looks = profile(read_split(spark, expected, "holdout"), described)

    described = describe(str, others)
    manifest, models = prepare_and_fit(spark, tmp_path, described)
    table = score_holdout(spark, manifest, described, *models, folder="")
    monkeypatch.setattr(scores, "EXACT_ROWS", 10)
    folder = str(tmp_path / "scores")
    cells = score_holdout(spark, manifest, described, *models, folder=folder)

    assert [split.n_positives for split in manifest.splits.values()] == [
        split.n_positives for split in expected.splits.values()
    ]
    own_looks = profile(read_split(spark, manifest, "holdout"), described)
    assert [*own_looks["columns"].values()] == [*looks["columns"].values()]
    pd.testing.assert_frame_equal(in_common(table), in_common(wanted))
    pd.testing.assert_frame_equal(in_common(cells), in_common(wanted))
    roles = ["champion_precision_at_2", "challenger_precision_at_2"]
    assert [*wanted.unit_precision] == roles
    assert table.unit_precision == cells.unit_precision == wanted.unit_precision

    evidence = gather(table, policy)
    own = {number: name for name, number in ordinary.items()}
    expected_slices = {
        f"{own[column]}={value}": part.n_rows
        for name, part in gather(wanted, policy).slices.items()
        for column, _, value in [name.partition("=")]
    }
    assert {name.partition("=")[0] for name in expected_slices} == {*SLICES}
    for slices in (evidence.slices, gather(cells, policy).slices):
        assert {name: part.n_rows for name, part in slices.items()} == expected_slices
    assert set(evidence.rows.weight) == {1.0}
    assert evidence.rows.n_units == in_common(wanted)["unit"].nunique()


@pytest.mark.parametrize("name", RESERVED)
def test_names_that_are_taken_are_refused(name: str) -> None:
    with pytest.raises(RetrainingError, match=rf"columns\.{name}: {name} is reserved"):
        describe(lambda own: name if own == "low" else own, ["low"])
