"""Tables of scores: which column is which, what is refused, and a way back from what was kept."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from retraining.comparison.columns import ScoreColumns
from retraining.comparison.evidence import gather
from retraining.comparison.scores import Comparison
from retraining.comparison.tables import read_kept, read_scores
from retraining.digests import digest_of_files
from retraining.errors import RetrainingError
from retraining.gate.policy import Policy
from retraining.statistics.checks import OneClassError

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
    kept = read_kept(tmp_path / "scores.parquet", "runs:/1/scores.parquet")
    for comparison in (Comparison(table, columns, "", 16, 16, 0, {}), kept):
        evidence = gather(comparison, Policy())
        assert evidence.rows.weight.tolist() == [1.0] * 16
        assert evidence.rows.unit is None
        assert evidence.rows.label.tolist() == [False, True] * 8
        assert {part: rows.n_rows for part, rows in evidence.slices.items()} == {
            f"{name}=0": 8,
            f"{name}=1": 8,
        }


@pytest.mark.parametrize(
    ("day", "said"),
    [
        ("soon", "'soon': "),
        (None, "'None': "),
        (datetime.date(9999, 1, 1), "'9999-01-01': "),
        ("x" * 100_000, "'x{40}': "),
    ],
)
def test_a_day_that_is_none_is_refused(day: str | datetime.date | None, said: str) -> None:
    days: list[str | datetime.date | None] = ["2026-01-31"] * 15
    table = pd.DataFrame({**SCORED, "day": [*days, day]})
    scored = Comparison(table, ScoreColumns.of_table(table.columns), "", 16, 16, 0, {})
    expected = f"^day is missing, or no day from 1678 to 2261, in 1 row, such as {said}"
    with pytest.raises(RetrainingError, match=expected):
        gather(scored, Policy())
    table["day"] = b"\xff"
    with pytest.raises(
        RetrainingError, match=r"^day holds bytes that are no text: give every row "
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


def write(tmp_path: Path, **columns: Any) -> str:  # noqa: ANN401
    path = tmp_path / "scores.parquet"
    pd.DataFrame({**SCORED, **columns}).to_parquet(path)
    return str(path)


FIRST_DAYS = [datetime.date(2024, 1, day) for day in (1, 2, 3, 4)] * 4


@pytest.mark.spark
@pytest.mark.parametrize(
    "days",
    [
        FIRST_DAYS,
        pd.to_datetime([str(day) for day in FIRST_DAYS]) + pd.Timedelta(hours=23),  # nanoseconds
        (pd.to_datetime([str(day) for day in FIRST_DAYS]) + pd.Timedelta(hours=23)).astype(
            "datetime64[us]"
        ),
        [str(day) for day in FIRST_DAYS],
        [f"{day}T00:30:00+0{zone % 3}:00" for zone, day in enumerate(FIRST_DAYS)],
    ],
    ids=["dates", "nanoseconds", "microseconds", "text", "zones"],
)
def test_days_of_every_type_are_the_same_days(
    spark: SparkSession,
    tmp_path: Path,
    days: Any,  # noqa: ANN401
) -> None:
    evidence = gather(read_scores(spark, write(tmp_path, day=days)), Policy())
    assert evidence.rows.period is not None
    assert evidence.rows.n_periods == 4
    assert [*evidence.maturities] == [0, 1, 2]


@pytest.mark.spark
@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("day", range(16), "^day has the type bigint: give dates"),
        ("day", [20240101] * 16, "^day has the type bigint: give dates"),
        (
            "day",
            ["abc", *["2024-01-01"] * 15],
            "^day is missing, or no day .* in 1 row, such as 'abc'",
        ),
        (
            "day",
            [None, *["2024-01-01"] * 15],
            "^day is missing, or no day .* in 1 row, such as 'None'",
        ),
        (
            "day",
            ["01/02/2024"] * 16,
            "^day is missing, or no day .* in 16 rows, such as '01/02/2024'",
        ),
        ("weight", ["1"] * 16, "^weight has the type string: give numbers"),
        ("weight", [1e300] * 16, "^weight is neither 0 nor between 1e-50 and 1e50 in 16 rows"),
        ("weight", [np.inf, *[1.0] * 15], "^weight is neither 0 nor .* in 1 row, such as inf"),
        ("weight", [-1.0, *[1.0] * 15], "^weight is neither 0 nor .* in 1 row, such as -1"),
        ("weight", [np.nan, *[1.0] * 15], "^weight is neither 0 nor .* in 1 row, such as nan"),
        ("unit", [{"a": 1}] * 16, "^unit has the type struct<.*>: give text, numbers or dates"),
        ("champion", ["high"] * 16, "^champion has the type string: give numbers"),
        ("label", [None, *[0, 1] * 7, 1], "^label is neither 0 nor 1 in 1 row, such as nan"),
        ("label", [0] * 16, "^label has no positives"),
        ("label", [1] * 16, "^label has no negatives"),
        ("weight", [0.0] * 16, "^label has no "),
    ],
)
def test_columns_that_cannot_be_what_their_names_say_are_refused(
    spark: SparkSession,
    tmp_path: Path,
    column: str,
    values: Any,  # noqa: ANN401
    expected: str,
) -> None:
    with pytest.raises(RetrainingError, match=expected):
        gather(read_scores(spark, write(tmp_path, **{column: values})), Policy())


@pytest.mark.spark
def test_times_that_pandas_cannot_hold_are_units_and_slices(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = str(tmp_path / "scores.parquet")
    frame = spark.createDataFrame(pd.DataFrame({**SCORED, "far": [0, 1] * 8}))
    far = "timestamp'2263-01-01 00:00:00' + make_interval(far)"
    frame.selectExpr("*", f"{far} unit", f"{far} since").write.parquet(path)
    evidence = gather(read_scores(spark, path), Policy())
    assert evidence.rows.n_units == 2
    assert "since=2263-01-01 00:00:00" in evidence.slices


@pytest.mark.spark
def test_columns_that_are_no_slices_are_named(spark: SparkSession, tmp_path: Path) -> None:
    path = str(tmp_path / "scores.parquet")
    frame = spark.createDataFrame(pd.DataFrame({**SCORED, "a`b": [0, 1] * 8, "c d.e": ["x"] * 16}))
    frame = frame.selectExpr("*", "map('a', 1) m", "array(1) a", "binary('x') b", "struct(1) s")
    frame.write.parquet(path)
    table = read_scores(spark, path)
    assert [*table.columns.slices] == ["a`b", "c d.e"]
    assert table.ignored == ("m", "a", "b", "s")
    assert [*gather(table, Policy()).slices] == ["a`b=0", "a`b=1", "c d.e=x"]


@pytest.mark.spark
def test_what_is_no_table_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("label,champion,challenger\n1,0.2,0.3\n")
    (tmp_path / "text.parquet").write_text("label,champion,challenger\n1,0.2,0.3\n")
    (tmp_path / "empty").mkdir()
    twice = pd.DataFrame(SCORED).assign(CITY=1)
    twice.assign(city=2).to_parquet(tmp_path / "twice.parquet")
    for name, expected in {
        "a.csv": "a.csv is not a parquet file: write the table as parquet",
        "text.parquet": "text.parquet is not a parquet file: write the table as parquet",
        "empty": "holds no files: write the table as parquet",
        "none": "does not exist",
        "twice.parquet": "has the column city twice: rename one",
    }.items():
        with pytest.raises(RetrainingError, match=expected) as error:
            read_scores(spark, str(tmp_path / name))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kept", [True, False], ids=["digest", "earlier release"])
def test_kept_scores_that_were_damaged_are_refused(tmp_path: Path, kept: bool) -> None:  # noqa: FBT001
    path = tmp_path / "scores.parquet"
    pd.DataFrame(SCORED).to_parquet(path)
    digest = digest_of_files(path) if kept else ""
    assert read_kept(path, "runs:/1/scores.parquet", digest).n_rows == 16
    content = path.read_bytes()
    for cut in (content[:-60], content[:80] + bytes(90) + content[170:], b""):
        path.write_bytes(cut)
        with pytest.raises(RetrainingError, match=r"^the scores runs:/1/scores.parquet ") as error:
            read_kept(path, "runs:/1/scores.parquet", digest)
        assert "\n" not in str(error.value)
    pd.DataFrame(SCORED).assign(label=1).to_parquet(path)
    if kept:
        with pytest.raises(RetrainingError, match="have changed since they were stored"):
            read_kept(path, "runs:/1/scores.parquet", digest)


def test_slice_of_one_class_is_not_compared() -> None:
    table = pd.DataFrame({**SCORED, "city": ["a", "b"] * 8})
    scored = Comparison(table, ScoreColumns.of_table(table.columns), "", 16, 16, 0, {})
    with pytest.raises(OneClassError, match="no positives") as error:
        gather(scored, Policy(), "city=a")
    assert (error.value.n_rows, error.value.missing) == (8, "positives")
