"""Text as people write numbers, times and missing values, and what is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retraining.data.files.sources import list_files, read_raw
from retraining.data.preparation import prepare
from retraining.data.rows.quality import validate
from retraining.data.rows.reasons import count_reasons
from retraining.description.reading import from_mapping
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pyspark.sql import SparkSession

    from retraining.description.document import Description

pytestmark = pytest.mark.spark

NO_BREAK, NARROW = "\u00a0", "\u202f"


def describe(columns: Mapping[str, Any], **sections: Any) -> Description:  # noqa: ANN401
    mapping = {
        "name": "values",
        "columns": {"id": {"type": "int"}, "ill": {"type": "int"}, **columns},
        "label": {"column": "ill"},
        "row_key": "id",
        "features": {"derived": {"one": "1"}},
        "split": {"by": "hash", "train": 0.6, "validation": 0.2, "holdout": 0.2},
        "estimator": {"name": "LogisticRegression"},
    }
    return from_mapping({**mapping, **sections})


def judge(
    spark: SparkSession, texts: Sequence[str | None], description: Description
) -> list[object]:
    """The value of each text in the column `x`, or the reason why its row is rejected."""
    rows = [(str(100 + number), "0", text, None, "a.csv") for number, text in enumerate(texts)]
    schema = "id string, ill string, x string, _malformed string, _file string"
    frame = validate(spark.createDataFrame(rows, schema), description)
    shown = "coalesce(_reason, cast(x AS string)) AS shown"
    return [row["shown"] for row in frame.selectExpr("id", shown).orderBy("id").collect()]


BAD = "unparseable x"
CASES: list[tuple[dict[str, Any], str, dict[str, Any], dict[str, object]]] = [
    (
        {},
        "int",
        {"null_values": [999, "n/a"]},
        {
            "1.0": "1", " 2 ": "2", f"{NO_BREAK}3\t": "3", "1e2": "100", "-4.": "-4",
            "1.00000000001": BAD, "1e-30": BAD, "1.5e1": "15",
            "999": None, "999.00": None, "n/a": None, "": None, "N/A": BAD,
            "1.5": BAD, "1,000": BAD, "2147483648": BAD, "3e9": BAD, "5d": BAD,
        },
    ),
    (
        {"decimal": ",", "thousands": "."},
        "double",
        {"null_values": "?"},
        {
            "1.234,5": "1234.5", "1.234.567": "1234567.0", "-0,5": "-0.5", ",5": "0.5",
            "1234,5": "1234.5", "1e3": "1000.0", "1,5E2": "150.0", "?": None,
            "1.5": BAD, "1.23,4": BAD, "12.34.567": BAD, "1,234,5": BAD, "1,2.345": BAD,
        },
    ),
    (
        {"decimal": ",", "thousands": " ", "null_values": [-9.5]},
        "bigint",
        {},
        {
            "1 234": "1234", f"12{NO_BREAK}345": "12345", f"1{NARROW}000 000,0": "1000000",
            "-9,5": None, "-9,50": None, "12 34": BAD, "1 234,5": BAD, "1.0": BAD,
        },
    ),
    (
        {"null_values": ["?", 7, True]},
        "string",
        {"null_values": "none"},
        {
            " a ": "a", "\ufeff\u2009a\u200b\0": "a", " ? ": None, "none": None, "7": None,
            "7.0": "7.0", "true": None, "NA": "NA",
        },
    ),
    (
        {"null_values": "?", "trim": False},
        "string",
        {"null_values": []},
        {" a ": " a ", "?": "?", "  ": None},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("files", "kind", "rule", "expected"), CASES)
def test_text_is_read_as_it_is_written(
    spark: SparkSession,
    files: dict[str, Any],
    kind: str,
    rule: dict[str, Any],
    expected: dict[str, object],
) -> None:
    """Every number of an int column is one that has no fraction, however it is written."""
    texts = list(expected)
    found = judge(spark, texts, describe({"x": {"type": kind, **rule}}, files=files))
    assert dict(zip(texts, found, strict=True)) == expected


def test_typed_files_mean_their_values_whatever_text_is_written_like(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Parquet: fractions that are whole, a decimal point, blanks, numbers as null marks, NaN."""
    path = tmp_path / "t.parquet"
    spark.sql(
        "SELECT 1.0D AS id, 0 AS ill, 1234.5D AS x, ' a ' AS s, 999.0D AS n UNION ALL "
        "SELECT 2.0D, 1, 1e10D, 'a', 5.0D UNION ALL SELECT 3.0D, 1, double('NaN'), 'a', 5.0D"
    ).write.parquet(str(path))
    description = describe(
        {
            "x": {"type": "double"},
            "s": {"type": "string"},
            "n": {"type": "int", "null_values": 999},
        },
        files={"decimal": ",", "thousands": "."},
    )
    frame = validate(read_raw(spark, list_files(spark, str(path)), description), description)
    rows = frame.select("_reason", "id", "x", "s", "n").orderBy("id").collect()
    assert [tuple(row) for row in rows] == [
        (None, 1, 1234.5, "a", None),
        (None, 2, 1e10, "a", 5),
        (None, 3, None, "a", 5),
    ]


def test_whole_numbers_are_the_same_text_whatever_their_type(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Ids are 7 in one file and, where some are missing, 7.0 in another."""
    kinds = ("7L", "7D", "CAST(7 AS FLOAT)", "CAST(7 AS DECIMAL(9, 2))", "'7'", "12345678D", "0.5D")
    for number, value in enumerate(kinds):
        query = f"SELECT {number} AS id, 0 AS ill, {value} AS x"
        spark.sql(query).write.parquet(f"{tmp_path}/{number}.parquet")
    description = describe({"x": {"type": "string"}})
    frame = validate(read_raw(spark, list_files(spark, str(tmp_path)), description), description)
    found = [row["x"] for row in frame.orderBy("id").collect()]
    assert found == ["7"] * 5 + ["12345678", "0.5"]


def test_rejected_rows_are_reported_with_their_values(spark: SparkSession, tmp_path: Path) -> None:
    lines = ["id,ill,age,sex", "1,0,abc,f", "2,0,12 years,f", "3,0,xyz,f", "4,0,30,F", "5,0,30,F"]
    lines += ["6,1,500,f", "7,0", "8,1,,f", "9,0,30,f", "9,0,31,f", f"10,0,{'1' * 200},f"]
    (tmp_path / "raw.csv").write_text("\n".join(lines) + "\n")
    description = describe(
        {
            "age": {"type": "int", "not_null": True, "max": 100},
            "sex": {"type": "string", "allowed": ["f", "m"]},
        },
        files={"header": True},
    )
    files = list_files(spark, str(tmp_path / "raw.csv"))
    with pytest.raises(RetrainingError) as caught:
        prepare(spark, description, files=files, root=str(tmp_path / "data"), version="v")
    message = str(caught.value)
    assert "90.91% of 11 rows" in message
    assert "unparseable age: 4, for example '1111" in message
    assert "not allowed sex: 2, for example 'F'" in message
    days, rejected = count_reasons(
        validate(read_raw(spark, files, description), description), description
    )
    assert days == {None: 1}
    assert rejected.by_reason == {
        "unparseable age": 4, "not allowed sex": 2, "duplicate id": 1, "malformed": 1,
        "null age": 1, "range age": 1,
    }  # fmt: skip
    assert rejected.examples["range age"] == ("500",)
    assert rejected.examples["malformed"] == ("7,0",)
    assert rejected.examples["duplicate id"] == ("9",)
    assert "null age" not in rejected.examples
    assert rejected.examples["unparseable age"] == ("1" * 60, "xyz")
