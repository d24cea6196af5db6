"""Columns made by an expression, from raw text to splits, and labels of more than two values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retraining.data import manifest
from retraining.data.files import sources
from retraining.data.preparation import prepare
from retraining.data.rows import quality
from retraining.description.reading import from_mapping
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from retraining.description.document import Description

pytestmark = pytest.mark.spark

NUMBERS = {"type": "int", "not_null": True, "min": 0}


def describe(**sections: Any) -> Description:  # noqa: ANN401 (whatever YAML may hold)
    """Claims by month: the label, the event time and the unit are in no file."""
    mapping = {
        "name": "claims",
        "files": {"header": True},
        "columns": {
            "policy": {"type": "bigint"},
            "year": NUMBERS,
            "month": NUMBERS,
            "claims": NUMBERS,
            "km": {"type": "double"},
            "claimed": {"type": "int", "expression": "CAST(claims > 0 AS INT)", "max": 1},
            "at": {"type": "timestamp", "expression": "concat(year, '-', month, '-15')"},
            "season": {"type": "string", "expression": "concat(year, ' ', quarter(at))"},
            "share": {"type": "int", "expression": "try_divide(km, month)"},
        },
        "label": {"column": "claimed"},
        "row_key": "policy",
        "event_time": "at",
        "unit": "season",
        "quarantine": {"max_share": 0.5},
        "features": {"plain": ["share"], "derived": {"month_of": "month(at)"}},
        "split": {
            "by": "time",
            "train": {"start": "2024-01-01", "end": "2024-05-01"},
            "validation": {"start": "2024-05-01", "end": "2024-07-01"},
            "holdout": {"start": "2024-07-01", "end": "2024-09-01"},
        },
        "gate": {"period": "season"},
        "estimator": {"name": "LogisticRegression"},
    }
    return from_mapping(mapping | sections)


def write(folder: Path, *more: str) -> str:
    """A policy a month; policies 1, 4 and 7 have claims."""
    rows = [f"{m},2024,{m},{m % 3 * (m % 3 < 2) * 2},{m * 10}" for m in range(1, 9)]
    folder.mkdir(exist_ok=True)
    (folder / "claims.csv").write_text(
        "\n".join(["policy,year,month,claims,km", *rows, *more]) + "\n"
    )
    return f"file://{folder}"


def test_label_time_and_unit_are_made_by_expressions(spark: SparkSession, tmp_path: Path) -> None:
    """Rejected: a month of 13, which is no time, 15 km in 2 months, and a year that is missing."""
    source = write(tmp_path / "raw", "9,2024,13,0,26", "10,2024,2,0,15", "11,,2,0,4")
    description = describe()
    files = sources.list_files(spark, source)
    prepared = prepare(
        spark, description, files=files, root=str(tmp_path / "data"), version="first"
    )
    assert prepared.quarantine.by_reason == {
        "null year": 1,
        "unparseable at": 1,
        "unparseable share": 1,
    }
    counts = {name: (s.n_rows, s.n_positives) for name, s in prepared.splits.items()}
    assert counts == {"train": (4, 2), "validation": (2, 0), "holdout": (2, 1)}
    rows = manifest.read_split(spark, prepared, "holdout").orderBy("policy").collect()
    found = [(r["claimed"], str(r["at"]), r["season"], r["share"], r["month_of"]) for r in rows]
    assert found == [
        (1, "2024-07-15 00:00:00", "2024 3", 10, 7),
        (0, "2024-08-15 00:00:00", "2024 3", 10, 8),
    ]
    rejected = spark.read.parquet(prepared.quarantine.uri)
    assert rejected.columns[3:] == ["policy", "year", "month", "claims", "km"]


def test_rows_to_score_need_nothing_that_tells_the_label(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text("policy,year,month,km\n1,2024,9,90\n2,2024,,90\n")
    files = sources.list_files(spark, f"file://{tmp_path}/new.csv")
    raw = sources.read_raw(spark, files, describe(), labelled=False)
    rows = quality.flag_invalid(raw, describe(), labelled=False).orderBy("policy").collect()
    assert [row["_reason"] for row in rows] == [None, "null month"]
    assert (rows[0]["share"], rows[0]["claimed"]) == (10, None)


def test_an_expression_that_fails_on_a_row_is_told_in_one_line(
    spark: SparkSession, tmp_path: Path
) -> None:
    source = write(tmp_path / "raw", "9,2024,0,0,26")
    columns = describe().to_mapping()["columns"]
    columns["share"]["expression"] = "km / month"
    columns["at"] = {"type": "date", "expression": "make_date(year, 1, 1)"}
    files = sources.list_files(spark, source)
    sections = {"columns": columns, "event_time": None, "features": {"plain": ["share"]}}
    sections["split"] = {"by": "hash", "train": 0.5, "validation": 0.2, "holdout": 0.3}
    with pytest.raises(RetrainingError, match=r"expression of columns fails .*DIVIDE_BY_ZERO"):
        prepare(spark, describe(**sections), files=files, root=str(tmp_path / "d"), version="v")
    assert not (tmp_path / "d" / "claims" / "v").exists()


def test_a_blank_text_that_an_expression_makes_is_null(spark: SparkSession, tmp_path: Path) -> None:
    columns = describe().to_mapping()["columns"]
    columns |= {name: {"type": "string"} for name in ("shop", "till")}
    made = {"type": "string", "not_null": True, "expression": "concat_ws(' ', shop, till)"}
    lines = ["policy,year,month,claims,km,shop,till", "1,2024,1,0,10,a,1", "2,2024,1,0,10,,"]
    (tmp_path / "claims.csv").write_text("\n".join(lines) + "\n")
    files = sources.list_files(spark, f"file://{tmp_path}/claims.csv")
    description = describe(columns=columns | {"place": made}, unit="place")
    rows = quality.flag_invalid(sources.read_raw(spark, files, description), description)
    found = [(row["place"], row["_reason"]) for row in rows.orderBy("policy").collect()]
    assert found == [("a 1", None), (None, "null place")]


def test_expressions_are_analysed_before_any_row_is_read(
    spark: SparkSession, tmp_path: Path
) -> None:
    columns = describe().to_mapping()["columns"]
    columns["season"]["expression"] = "to_date(concat(year, '-01-01'))"
    with pytest.raises(RetrainingError, match=r"columns.season.expression .* a time from text"):
        prepare(spark, describe(columns=columns), files=[], root=str(tmp_path), version="v")


def test_a_label_of_more_than_two_values_needs_to_be_told_which_are_positive(
    spark: SparkSession, tmp_path: Path
) -> None:
    files = sources.list_files(spark, write(tmp_path / "raw", "9,2024,2,5,26", "10,2024,8,1,80"))
    root = str(tmp_path / "data")
    with pytest.raises(RetrainingError) as caught:
        prepare(spark, describe(label={"column": "claims"}), files=files, root=root, version="one")
    assert "claims has more than two values: 0, 1, 2, 5: list the positive ones" in str(
        caught.value
    )
    assert "CAST(claims > 0 AS INT)" in str(caught.value)
    unheard = describe(label={"column": "claims", "positive": 7})
    with pytest.raises(RetrainingError, match=r"no row .* value 7 .* claims.* 0, 1, 2, 5: "):
        prepare(spark, unheard, files=files, root=root, version="none")
    several = describe(label={"column": "claims", "positive": [1, 2, 5]})
    prepared = prepare(spark, several, files=files, root=root, version="two")
    counts = {name: (s.n_rows, s.n_positives) for name, s in prepared.splits.items()}
    assert counts == {"train": (5, 3), "validation": (2, 0), "holdout": (3, 2)}
