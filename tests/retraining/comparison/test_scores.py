"""Tables of scores: which column is which, and a way back from what was kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

from retraining.comparison.columns import ScoreColumns
from retraining.comparison.evidence import gather
from retraining.comparison.scores import Comparison, read_kept, read_scores
from retraining.errors import RetrainingError
from retraining.gate.policy import Policy

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

SCORED = {
    "label": [0, 1] * 8,
    "champion": [i / 16 for i in range(16)],
    "challenger": [i * 5 % 16 / 16 for i in range(16)],
}


def test_columns_of_a_table_are_known_by_name() -> None:
    columns = ScoreColumns.of_table(["city", "weight", "label", "unit", "champion", "challenger"])
    assert columns == ScoreColumns(weight="weight", unit="unit", slices={"city": "city"})
    assert columns.names == ("label", "champion", "challenger", "unit", "weight", "city")


def test_slices_may_have_the_names_of_other_columns() -> None:
    columns = ScoreColumns.of_table(["label", "champion", "challenger", "slice:weight", "day"])
    assert columns == ScoreColumns(day="day", slices={"weight": "slice:weight"})


@pytest.mark.parametrize(
    "name", ["weight", "unit", "unit_2", "key", "label", "champion", "day", "period"]
)
def test_slice_by_the_name_of_a_role_is_only_a_slice(tmp_path: Path, name: str) -> None:
    values = [i // 8 for i in range(16)]
    table = pd.DataFrame({**SCORED, f"slice:{name}": values})
    columns = ScoreColumns(slices={name: f"slice:{name}"})
    table.to_parquet(tmp_path / "scores.parquet")
    kept = read_kept(str(tmp_path / "scores.parquet"))
    for comparison in (Comparison(table, columns, "", 16, 16, 0, {}), kept):
        evidence = gather(comparison, Policy())
        assert evidence.rows.weight.tolist() == [1.0] * 16
        assert evidence.rows.unit is None
        assert evidence.rows.label.tolist() == [False, True] * 8
        assert {part: rows.n_rows for part, rows in evidence.slices.items()} == {
            f"{name}=0": 8,
            f"{name}=1": 8,
        }


@pytest.mark.parametrize(("day", "first"), [("soon", "'soon'"), (None, "None")])
def test_a_day_that_is_none_is_refused(day: str | None, first: str) -> None:
    days: list[str | None] = ["2026-01-31"] * 15
    table = pd.DataFrame({**SCORED, "day": [*days, day]})
    scored = Comparison(table, ScoreColumns.of_table(table.columns), "", 16, 16, 0, {})
    with pytest.raises(
        RetrainingError, match=f"^day is missing or no day in 1 rows, first {first}"
    ):
        gather(scored, Policy())


@pytest.mark.spark
def test_table_of_scores_is_read_by_its_names(spark: SparkSession, tmp_path: Path) -> None:
    """Weight is the rows' weight, `slice:weight` a slice, and `id` has too many values."""
    more = {"weight": [2.0] * 16, "slice:weight": [0, 1] * 8, "id": range(16), "a.b": [1] * 16}
    path = str(tmp_path / "scores.parquet")
    pd.DataFrame({**SCORED, **more}).to_parquet(path)
    table = read_scores(spark, path)
    assert table.columns == ScoreColumns(
        weight="weight", slices={"weight": "slice:weight", "id": "id", "a.b": "a.b"}
    )
    evidence = gather(table, Policy())
    assert evidence.rows.weight.tolist() == [2.0] * 16
    assert [*evidence.slices][:2] == ["weight=0", "weight=1"]
