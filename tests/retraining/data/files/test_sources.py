"""Raw files: found, and read as text under the names of the description."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retraining.data.files.sources import RawFile, list_files, read_raw
from retraining.data.instants import clock_of
from retraining.data.rows.quality import validate
from retraining.description.reading import from_mapping, load
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from retraining.description.document import Description

pytestmark = pytest.mark.spark

FRAUD = Path(__file__).parents[4] / "steps" / "datasets" / "fraud.yaml"
ROW = "1,2018-04-01 00:00:31,596,3156,57.16,31,0,0,0"
HEADER = "# tranaction_id | tx_datetime | customer_id | terminal_id | tx_amount"


def describe(*, header: bool = False) -> Description:
    files = {"comment": "#", "header": header}
    return from_mapping({**load(FRAUD).to_mapping(), "files": files})


def read(
    spark: SparkSession, source: object, *, header: bool = False, labelled: bool = True
) -> DataFrame:
    files = list_files(spark, str(source))
    return read_raw(spark, files, describe(header=header), labelled=labelled)


def names(files: tuple[RawFile, ...]) -> list[str]:
    return [file.path.rpartition("/")[2] for file in files]


def test_list_files_takes_folders_globs_lists_and_single_files(
    spark: SparkSession, tmp_path: Path
) -> None:
    for name in ("b.csv", "a.txt", "c.parquet", "_SUCCESS", ".hidden.csv"):
        (tmp_path / name).write_text("x")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "d.csv").write_text("x")
    listed = tmp_path / "inner" / "list.json"
    listed.write_text(json.dumps([f"{tmp_path}/a.txt", f"{tmp_path}/inner/*.csv"]))
    for source, expected in {
        f"{tmp_path}": ["a.txt", "b.csv", "c.parquet"],
        f"file://{tmp_path}": ["a.txt", "b.csv", "c.parquet"],
        f"{tmp_path}/a.txt": ["a.txt"],
        f"{tmp_path}/*.csv": ["b.csv"],
        f"{tmp_path}/{{a,b}}.*": ["a.txt", "b.csv"],
        f"{tmp_path}/b.csv, {tmp_path}/a.txt, {tmp_path}/*.txt": ["a.txt", "b.csv"],
        f"{listed}": ["a.txt", "d.csv"],
    }.items():
        assert names(list_files(spark, source)) == expected, source


def test_list_files_tells_size_and_time(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("12345")
    (file,) = list_files(spark, str(tmp_path))
    stat = (tmp_path / "a.csv").stat()
    assert file == RawFile(f"file:{tmp_path}/a.csv", 5, stat.st_mtime_ns // 1_000_000)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", r"^'' "),
        ("{tmp}/none.csv", r"/none.csv holds no files"),
        ("{tmp}/a.csv,{tmp}/*.txt", r"/\*.txt holds no files"),
        ("{tmp}/readme.md", r"/readme.md .*\.txt, \.csv"),
        ("{tmp}/object.json", r"/object.json .*array"),
        ("{tmp}/broken.json", r"/broken.json .*JSON .*array"),
        ("{tmp}/none.json", r"/none.json .*path"),
        ("nosuch://bucket/a.csv", r"^nosuch://bucket/a.csv .*\(.*nosuch.*\)"),
    ],
)
def test_list_files_refuses_in_one_line(
    spark: SparkSession, tmp_path: Path, source: str, message: str
) -> None:
    (tmp_path / "a.csv").write_text("x")
    (tmp_path / "readme.md").write_text("x")
    (tmp_path / "object.json").write_text('{"a": 1}')
    (tmp_path / "broken.json").write_text("[")
    with pytest.raises(RetrainingError, match=message) as caught:
        list_files(spark, source.format(tmp=tmp_path))
    assert "\n" not in str(caught.value)


def test_text_without_header_is_read_by_position(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "2019-08-22.txt").write_text(f"{HEADER}\n{ROW}\n\n")
    (row,) = read(spark, tmp_path).collect()
    assert list(row.asDict()) == [*describe().columns, "_malformed", "_file"]
    assert row[:9] == tuple(ROW.split(","))
    assert row["_malformed"] is None
    assert row["_file"].endswith("/2019-08-22.txt")


def test_torn_lines_are_kept_whole(spark: SparkSession, tmp_path: Path) -> None:
    torn = [ROW[:20], f"{ROW},7", "garbage", '"' + ROW]
    (tmp_path / "a.csv").write_text("\n".join([ROW, ROW, *torn]))
    frame = read(spark, tmp_path).cache()
    assert sorted(row["_malformed"] for row in frame.collect() if row["_malformed"]) == sorted(torn)
    assert frame.count() == 6
    frame.unpersist()


def test_quoted_fields_hold_separators_and_quotes(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ROW.replace("596", '"5,9 ""6"""') + "\n")
    (row,) = read(spark, tmp_path).collect()
    assert row["customer_id"] == '5,9 "6"'
    assert row["_malformed"] is None


def test_names_with_glob_characters_and_compression_are_read(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "a [1].csv").write_text(f"{ROW}\n")
    with gzip.open(tmp_path / "b{2}.csv.gz", "wt") as file:
        file.write(f"{ROW}\n{ROW}\n")
    (tmp_path / "c?*.csv").write_text(ROW.replace("596", '"5\n6"') + "\n")
    rows = read(spark, tmp_path).collect()
    assert sorted(row["customer_id"] for row in rows) == ["5\n6", "596", "596", "596"]
    (tmp_path / "d 12:30.csv").write_text(f"{ROW}\n")
    with pytest.raises(RetrainingError, match=r"/d 12:30\.csv .*colon.*rename"):
        read(spark, tmp_path)


def test_a_link_to_nothing_is_named(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{ROW}\n")
    (tmp_path / "b.csv").symlink_to(tmp_path / "a.csv")
    assert len(list_files(spark, str(tmp_path))) == 2
    (tmp_path / "c.csv").symlink_to(tmp_path / "gone.csv")
    with pytest.raises(RetrainingError, match=r"/c\.csv is a link to .*/gone\.csv"):
        list_files(spark, str(tmp_path))


def test_text_with_header_is_read_by_name(spark: SparkSession, tmp_path: Path) -> None:
    """Two files with the columns in another order, one with the misspelled name."""
    columns = list(describe().columns)
    (tmp_path / "a.csv").write_text(f"{','.join(columns)}\n{ROW}\n")
    header = ",".join(reversed(["tranaction_id", *columns[1:], "extra"]))
    (tmp_path / "b.csv").write_text(f"{header}\n{','.join(reversed([*ROW.split(','), 'x']))}\n")
    rows = read(spark, tmp_path, header=True).select(*columns).collect()
    assert [tuple(row) for row in rows] == [tuple(ROW.split(","))] * 2


def test_wrong_header_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    header = ",".join(["id", *list(describe().columns)[1:]])
    (tmp_path / "a.csv").write_text(f"{header}\n{ROW}\n")
    with pytest.raises(
        RetrainingError,
        match=r"a.csv .*transaction_id or tranaction_id.* 'id', 'tx_date",
    ):
        read(spark, tmp_path, header=True)


def test_parquet_files_of_different_types_are_read_by_name(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Ids as int, bigint and double; times with and without zone and as text."""
    wanted = ("1", "2018-04-01 00:00:31", "596", "3156", "57.16", "31", "0", "0", "0")
    kinds = [("int", "timestamp"), ("bigint", "timestamp_ntz"), ("double", "string")]
    for number, (whole, time) in enumerate(kinds):
        types = dict.fromkeys(describe().columns, whole)
        types |= {"tx_datetime": time, "tx_amount": "double"}
        values = zip(wanted, types.items(), strict=True)
        row = ", ".join(f"CAST('{value}' AS {kind}) AS {name}" for value, (name, kind) in values)
        spark.sql(f"SELECT 'x' AS extra, {row}").write.parquet(f"{tmp_path}/{number}.parquet")
    rows = read(spark, tmp_path).select(*describe().columns).collect()
    assert [tuple(row) for row in rows[:2]] == [wanted] * 2
    assert [text.removesuffix(".0") for text in rows[2]] == [*wanted]


def test_parquet_with_times_in_nanoseconds_is_read(spark: SparkSession, tmp_path: Path) -> None:
    """As pandas writes them by default."""
    header = [*describe().columns]
    row = dict(zip(header, ROW.split(","), strict=True))
    table = pd.DataFrame(
        [row | {"tx_datetime": pd.Timestamp("2018-04-01 00:00:31.5").as_unit("ns")}]
    )
    table.to_parquet(tmp_path / "day.parquet", version="2.6")

    (found,) = read(spark, tmp_path).collect()
    assert found["tx_datetime"] == "2018-04-01 00:00:31.5"


@pytest.mark.parametrize("unit", ["us", "ns"])
def test_nanoseconds_of_parquet_are_instants_only_if_they_say_so(
    spark: SparkSession, tmp_path: Path, unit: str
) -> None:
    """A column of another one's field has its name, and is a whole number."""
    at = datetime(2024, 7, 1, 0, 30)
    columns = {
        "id": pa.array([7000]),
        "ill": pa.array([0]),
        "local": pa.array([at], pa.timestamp(unit)),
        "instant": pa.array([at], pa.timestamp(unit, "UTC")),
        "inner": pa.array([{"id": at}], pa.struct([("id", pa.timestamp("ns"))])),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    time = {"type": "timestamp"}
    kinds = {"id": {"type": "int"}, "ill": {"type": "int"}, "local": time, "instant": time}
    description = from_mapping(
        {
            "name": "times",
            "columns": kinds,
            "timezone": "Europe/Berlin",
            "label": {"column": "ill"},
            "features": {"derived": {"one": "1"}},
            "split": {"by": "hash", "train": 0.6, "validation": 0.2, "holdout": 0.2},
            "estimator": {"name": "LogisticRegression"},
        }
    )
    with clock_of(spark, description.zone):
        raw = read_raw(spark, list_files(spark, str(tmp_path)), description)
        row = validate(raw, description).selectExpr("id", "hour(local)", "hour(instant)").first()
    assert row is not None
    assert tuple(row) == (7000, 0, 2)


def test_a_column_without_a_name_is_seen_in_the_refusal(
    spark: SparkSession, tmp_path: Path
) -> None:
    header = ",".join(["", *list(describe().columns)[1:]])
    (tmp_path / "a.csv").write_text(f"{header}\n{ROW}\n")
    with pytest.raises(RetrainingError, match=r"its columns are '', 'tx_datetime', "):
        read(spark, tmp_path, header=True)


def test_parquet_without_a_column_is_refused_by_name(spark: SparkSession, tmp_path: Path) -> None:
    """One good file and one in which the amount has another name."""
    good = spark.createDataFrame([tuple(ROW.split(","))], list(describe().columns))
    good.write.parquet(f"{tmp_path}/a.parquet")
    good.withColumnRenamed("tx_amount", "amount").write.parquet(f"{tmp_path}/b.parquet")
    with pytest.raises(
        RetrainingError, match=r"b.parquet/.* has no column tx_amount.* 'transaction_"
    ):
        read(spark, tmp_path)


def test_broken_parquet_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("no parquet")
    with pytest.raises(RetrainingError, match=r"a.parquet .*parquet file"):
        read(spark, tmp_path)


def test_empty_files_are_refused_only_if_all_are(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(RetrainingError, match=r"the only file is empty"):
        read(spark, tmp_path)
    (tmp_path / "b.csv").write_text(ROW)
    assert read(spark, tmp_path).count() == 1


def test_rows_without_labels_are_read_by_position_and_by_name(
    spark: SparkSession, tmp_path: Path
) -> None:
    columns = list(describe().columns)
    (tmp_path / "a.csv").write_text(",".join(ROW.split(",")[:7]))
    (tmp_path / "b.csv").write_text(ROW)
    frame = spark.createDataFrame([tuple(ROW.split(",")[:7])], columns[:7])
    frame.write.parquet(f"{tmp_path}/c.parquet")
    rows = read(spark, tmp_path, labelled=False).collect()
    assert sorted(row["tx_fraud"] or "none" for row in rows) == ["0", "none", "none"]
    assert all(row["_malformed"] is None for row in rows)
    with pytest.raises(RetrainingError, match=r"has no column tx_fraud"):
        read(spark, tmp_path)


def test_rows_without_labels_still_need_their_features(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame([tuple(ROW.split(",")[:4])], list(describe().columns)[:4])
    frame.write.parquet(f"{tmp_path}/a.parquet")
    with pytest.raises(RetrainingError, match=r"has no column tx_amount"):
        read(spark, tmp_path, labelled=False)
