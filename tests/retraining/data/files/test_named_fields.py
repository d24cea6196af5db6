"""JSON lines, parquet files and folders named like values: columns are found by their names."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retraining.data.files.parquet import open_parquet
from retraining.data.files.sources import list_files, read_raw
from retraining.data.rows.quality import validate
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import Row, SparkSession

    from retraining.description.document import Description

    Describe = Callable[..., Description]

pytestmark = pytest.mark.spark

COLUMNS = ("key", "city", "age", "height", "ill")


def read(spark: SparkSession, folder: Path, description: Description) -> list[Row]:
    return read_raw(spark, list_files(spark, str(folder)), description).sort("key").collect()


def columns(**sources: str) -> dict[str, dict[str, object]]:
    kinds = dict(zip(COLUMNS, ("bigint", "string", "int", "double", "int"), strict=True))
    given = {name: {"source": [source]} for name, source in sources.items()}
    return {name: {"type": kind, **given.get(name, {})} for name, kind in kinds.items()}


def test_json_lines_are_read_by_key(
    spark: SparkSession, tmp_path: Path, describe: Describe
) -> None:
    """Keys in any order, nulls written and left out, objects in objects, a torn line."""
    lines = [
        '{"key": 1, "city": "Os\\"lo,\\nN", "who": {"age": 20, "more": {"h": 1.50}}, "ill": false}',
        '{"ill": null, "who": {"age": 21}, "key": 2, "x": [1]}',
        "",
        '{"key": 3, "ci',
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "b.ndjson.gz").write_bytes(gzip.compress("\ufeff".encode() + lines[0].encode()))
    description = describe(columns=columns(age="who.age", height="who.more.h"))
    rows = read(spark, tmp_path, description)
    assert [tuple(row)[:5] for row in rows if row["_malformed"] is None] == [
        *[("1", 'Os"lo,\nN', "20", "1.5", "false")] * 2,
        ("2", None, "21", None, None),
    ]
    assert [row["_malformed"] for row in rows if row["_malformed"]] == ['{"key": 3, "ci']


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"key": 1, "city": {"name": "x"}, "age": 1, "height": 1, "ill": 1}', "city.name"),
        ('{"key": 1, "town": "x", "age": 1, "height": 1, "ill": 1}', "no column city.*town"),
        ('{"key": 1, "city": "x", "age": 1, "height": 1, "ill": 1, "age": 2}', "age 2 times"),
        ('{"key": 1, "city": "x", "age": 1, "height": 1, "ill": 1, "Age": 2}', "age, Age"),
        ('[{"key": 1}]', "one object per line"),
    ],
)
def test_json_lines_that_cannot_be_meant_are_refused(
    spark: SparkSession, tmp_path: Path, describe: Describe, line: str, words: str
) -> None:
    (tmp_path / "a.jsonl").write_text(line)
    with pytest.raises(RetrainingError, match=rf"a\.jsonl.*{words}|{words}.*a\.jsonl|{words}"):
        read(spark, tmp_path, describe())


def test_a_json_line_is_a_row_only_if_one_object_is_all_of_it(
    spark: SparkSession, tmp_path: Path, describe: Describe
) -> None:
    """Beyond the beginning that decides on the keys of a file."""
    start = '{"key": 0, "city": "Oslo", "who": {"age": 20}, "height": 1, "ill": 0'
    torn = [
        start + '}{"key": 2, "ill": 0}',
        start + '},{"key": 2, "ill": 0}',
        start + '}] [{"key": 2, "ill": 0}',
        start + "} junk }",
        start + ', "key": 2}',
        start + ', "KEY": 2}',
        start.replace("20", '20, "age": 21') + "}",
    ]
    whole = [start + ', "more": 1, "more": 2}', start + "} \r"]
    (tmp_path / "a.jsonl").write_text("\n".join([f"{start}}}"] * 2000 + torn + whole))
    description = describe(columns=columns(age="who.age"))
    rows = read(spark, tmp_path, description)
    assert sorted(row["_malformed"] for row in rows if row["_malformed"]) == sorted(torn)
    assert [tuple(row)[:5] for row in rows if row["_malformed"] is None] == [
        ("0", "Oslo", "20", "1", "0")
    ] * 2002


def test_json_lines_may_differ_in_the_name_of_a_column(
    spark: SparkSession, tmp_path: Path, describe: Describe
) -> None:
    """And the name of an object may be that of a column that is in it."""
    lines = [
        '{"key": 1, "city": {"name": "a"}, "age": 20, "height": 1, "ill": 0}',
        '{"key": 2, "city": {"name": "b"}, "years": 21, "height": 1, "ill": 0}',
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    rows = read(spark, tmp_path, describe(columns=columns(age="years", city="city.name")))
    assert [row["age"] for row in rows] == ["20", "21"]
    assert [row["city"] for row in rows] == ["a", "b"]


def test_numbers_of_json_have_no_marks_and_its_texts_have(
    spark: SparkSession, tmp_path: Path, describe: Describe
) -> None:
    heights: dict[str, float | None] = {"1.234": 1.234, "1234.5": 1234.5, "1e3": 1000.0}
    heights |= {'"1.234,5"': 1234.5, "NaN": None, '"5.5"': None}
    lines = [
        f'{{"key": {n}, "city": 1.5, "who": {{"h": {height}}}, "age": 1.0, "ill": 0}}'
        for n, height in enumerate(heights)
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    marks = {"decimal": ",", "thousands": "."}
    description = describe(columns=columns(height="who.h"), files=marks)
    raw = read_raw(spark, list_files(spark, str(tmp_path)), description)
    rows = validate(raw, description).sort("key").collect()
    assert [row["height"] for row in rows] == list(heights.values())
    assert {(row["city"], row["age"]) for row in rows} == {("1.5", 1)}
    assert [row["_reason"] for row in rows] == [None] * 5 + ["unparseable height"]


def test_keys_of_folders_are_columns(
    spark: SparkSession, tmp_path: Path, describe: Describe
) -> None:
    """Text without and with header, JSON lines and parquet; values that Hive encodes, and none."""
    towns = {
        "Os%2Flo %C3%A5": "Os/lo å",
        "a+b": "a+b",
        "5%": "5%",
        "__HIVE_DEFAULT_PARTITION__": None,
    }
    texts = {
        "a.csv": "1,1.50,0",
        "b.csv": "height,ill,key,\n1.50,0,2,",
        "c.jsonl": '{"key": 3, "height": "1.50", "ill": 0}',
    }
    for town in towns:
        folder = tmp_path / "raw" / "year=20" / f"town={town}"
        folder.mkdir(parents=True)
        for name, text in texts.items():
            (folder / name).write_text(text)
    frame = spark.sql("SELECT 4 key, 20 year, 'x' town, '1.50' height, 0 ill")
    frame.write.partitionBy("year", "town").parquet(f"{tmp_path}/raw", mode="append")
    description = describe(columns=columns(city="town", age="year"))
    rows = [tuple(row)[:5] for row in read(spark, tmp_path / "raw", description)]
    expected = [(key, city, "20", "1.50", "0") for key in "123" for city in towns.values()] + [
        ("4", "x", "20", "1.50", "0")
    ]
    assert sorted(rows, key=str) == sorted(expected, key=str)


def test_folders_that_are_not_entered_are_named(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "2024").mkdir()
    (tmp_path / "2024" / "a.csv").write_text("x")
    with pytest.raises(RetrainingError, match=r"holds no files.* 2024, .*/\*$"):
        list_files(spark, str(tmp_path))
    (tmp_path / "b.csv").write_text("x")
    assert len(list_files(spark, str(tmp_path))) == 1
    assert "the folders 2024 are not entered" in caplog.text


def test_a_delta_table_is_not_read_as_its_files(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "_delta_log").mkdir()
    spark.range(1).write.parquet(f"{tmp_path}/part.parquet")
    with pytest.raises(RetrainingError, match=r"Delta Lake"):
        list_files(spark, str(tmp_path))


@pytest.mark.parametrize("names", [["key", "age", "age"], ["key", "age", "Age"]])
def test_a_column_that_parquet_has_twice_is_named(
    spark: SparkSession, tmp_path: Path, describe: Describe, names: list[str]
) -> None:
    more = [name for name in COLUMNS if name not in names]
    arrays = [pa.array([1])] * (len(names) + len(more))
    pq.write_table(pa.Table.from_arrays(arrays, names=names + more), tmp_path / "a.parquet")
    with pytest.raises(RetrainingError, match=r"a\.parquet has the column age 2 times"):
        read(spark, tmp_path, describe())
    with pytest.raises(RetrainingError, match=r"a\.parquet has the column age twice"):
        open_parquet(spark, [f"{tmp_path}/a.parquet"])


def test_a_column_of_parquet_holds_one_value(
    spark: SparkSession, tmp_path: Path, describe: Describe
) -> None:
    for city, kind in (([{"name": "Oslo"}], "struct"), ([["Oslo"]], "array")):
        table = {"key": [1], "city": city, "age": [20], "height": [1.5], "ill": [0]}
        pq.write_table(pa.table(table), tmp_path / "a.parquet")
        with pytest.raises(RetrainingError, match=rf"a\.parquet has a {kind} .* city"):
            read(spark, tmp_path, describe())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.parquet", b"", "not a parquet file"),
        ("a.parquet", b"key,city\n1,Oslo\n", "not a parquet file"),
        ("a.csv.gz", gzip.compress(b"1,Oslo,20,1.5,0\n" * 9, mtime=0)[:20], "damaged"),
        ("a.csv.gz", b"1,Oslo,20,1.5,0\n", "damaged"),
        ("a.csv.bz2", b"1,Oslo,20,1.5,0\n", "bzip2"),
        ("a.csv", gzip.compress(b"1,Oslo,20,1.5,0\n" * 9, mtime=0), r"gzip.*\.gz"),
        ("a.csv", b"PK\x03\x04", "zip archive or a file of Excel"),
        ("a.jsonl", b"PAR1\x15\x04", r"parquet.*\.parquet"),
    ],
)
def test_files_that_are_not_what_they_say_are_named(
    spark: SparkSession, tmp_path: Path, describe: Describe, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RetrainingError, match=rf"/{name}.*{words}"):
        read(spark, tmp_path, describe())


def test_a_file_that_vanished_is_named(
    spark: SparkSession, tmp_path: Path, describe: Describe
) -> None:
    for name in ("a.csv", "b.jsonl", "c.parquet"):
        (tmp_path / name).write_text("x")
        files = list_files(spark, f"{tmp_path}/{name}")
        (tmp_path / name).unlink()
        with pytest.raises(RetrainingError, match=rf"/{name} (cannot be reached|is gone)"):
            read_raw(spark, files, describe())
