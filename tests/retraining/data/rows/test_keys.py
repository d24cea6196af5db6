"""Keys of several columns, and ids made of the content of rows that have no key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retraining.data.files import sources
from retraining.data.manifest import read_split
from retraining.data.overlap import without_rows_of
from retraining.data.preparation import prepare
from retraining.data.rows import keys, quality, reasons
from retraining.data.splitting import splits
from retraining.description.reading import from_mapping
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from retraining.data.manifest import Manifest
    from retraining.description.document import Description

pytestmark = pytest.mark.spark

HEADER = "shop,week,at,size,note,sold"
HASHED = {"by": "hash", "train": 0.4, "validation": 0.3, "holdout": 0.3}
WEEKS = {
    1: ["a,1,2024-01-01,5,x,1", "b,1,2024-01-01,6,x,0", "b,1,2024-01-01,6,x,0"],
    2: ["a,2,2024-01-02,5,x,0", "b,2,2024-01-02,6,,1"],
    3: ["a,3,2024-01-03,5,x,1", "b,3,2024-01-03,6,x,0", "b,3,2024-01-03,6,y,1"],
}


def describe(**sections: Any) -> Description:  # noqa: ANN401 (whatever YAML may hold)
    mapping = {
        "name": "shops",
        "files": {"header": True},
        "columns": {
            "shop": {"type": "string"},
            "week": {"type": "int"},
            "at": {"type": "timestamp"},
            "size": {"type": "double"},
            "note": {"type": "string"},
            "sold": {"type": "int"},
        },
        "label": {"column": "sold"},
        "event_time": "at",
        "quarantine": {"max_share": 1},
        "features": {"plain": ["size"]},
        "never_features": ["note"],
        "split": {"by": "time", "train": "1 day", "validation": "1 day", "holdout": "1 day"},
        "estimator": {"name": "LogisticRegression"},
    }
    return from_mapping(mapping | sections)


def write(folder: Path, name: str, *weeks: int) -> str:
    rows = [row for week in weeks for row in WEEKS[week]]
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join([HEADER, *rows]) + "\n")
    return f"file://{folder}"


def prepare_all(
    spark: SparkSession,
    source: str,
    description: Description,
    root: Path,
    version: str,
    previous: Manifest | None = None,
) -> Manifest:
    return prepare(
        spark,
        description,
        files=sources.list_files(spark, source),
        root=str(root),
        version=version,
        previous=previous,
    )


def ids(spark: SparkSession, manifest: Manifest) -> dict[str, tuple[str, int]]:
    rows = [row for name in manifest.splits for row in read_split(spark, manifest, name).collect()]
    assert len({row["row_id"] for row in rows}) == len(rows)
    return {row["row_id"]: (row["shop"], row["week"]) for row in rows}


def test_rows_without_a_key_get_one_from_their_content(spark: SparkSession, tmp_path: Path) -> None:
    """However files are divided and read, the ids are the same; equal rows stay two rows.

    The label and what is known only afterwards are not part of it: of the two rows of the last week
    that differ only in them one is the second, the same one each time.
    """
    together = write(tmp_path / "one", "all.csv", 3, 1, 2)
    whole = prepare_all(spark, together, describe(), tmp_path / "data", "whole")
    found = ids(spark, whole)
    assert sorted(found.values()) == [
        *(("a", 1), ("a", 2), ("a", 3)),
        *(("b", 1), ("b", 1), ("b", 2), ("b", 3), ("b", 3)),
    ]
    seconds = {value: key for key, value in found.items() if "-" in key}
    assert seconds.keys() == {("b", 1), ("b", 3)}
    assert all(key.endswith("-2") and key[:-2] in found for key in seconds.values())
    assert whole.warnings[-1].startswith("the key is row_id, made of the content")

    apart = write(tmp_path / "two", "1.csv", 1, 2)
    (tmp_path / "two" / "2.csv").write_text(f"{HEADER}\n{WEEKS[3][1]}\n")
    before = prepare_all(spark, apart, describe(), tmp_path / "data", "before")
    (tmp_path / "two" / "3.csv").write_text(f"{HEADER}\n{WEEKS[3][2]}\n{WEEKS[3][0]}\n")
    more = prepare_all(spark, apart, describe(), tmp_path / "data", "more", before)
    assert more.why.startswith("1 of 3 files is read")
    assert more.fingerprint == whole.fingerprint

    holdout = read_split(spark, whole, "holdout")
    left = without_rows_of(spark, holdout, describe(), more.uri, start=None, splits=("holdout",))
    assert left.count() == 0
    columns = describe().to_mapping()["columns"]
    columns["size"]["null_values"] = [5]
    other = describe(columns=columns)
    assert without_rows_of(spark, holdout, other, more.uri, start=whole.splits["holdout"].start)
    for start in (None, whole.splits["validation"].start):
        with pytest.raises(RetrainingError, match=r"row_id of shop, week, at, size, those of"):
            without_rows_of(spark, holdout, other, more.uri, start=start)


def test_rows_to_score_have_the_ids_that_they_had_with_a_label(
    spark: SparkSession, tmp_path: Path
) -> None:
    """A split by hash puts rows of the same content into the same split."""
    source = write(tmp_path / "raw", "all.csv", 1, 2, 3)
    description = describe(split=HASHED, event_time=None)
    raw = sources.read_raw(spark, sources.list_files(spark, source), description)
    rows = keys.add_row_id(quality.flag_invalid(raw, description), description)
    places = {r["row_id"]: r["split"] for r in splits.assign(rows, description, None).collect()}
    assert len(places) == 8
    assert [places[key] == places[key[:32]] for key in places if "-" in key] == [True, True]
    assert len(set(places.values())) > 1

    lines = [",".join(row.split(",")[:4]) for week in WEEKS.values() for row in week]
    (tmp_path / "new.csv").write_text("\n".join(["shop,week,at,size", *lines]) + "\n")
    new = sources.list_files(spark, f"file://{tmp_path}/new.csv")
    raw = sources.read_raw(spark, new, description, labelled=False)
    rows = quality.flag_invalid(raw, description, labelled=False)
    found = {row["row_id"] for row in keys.add_row_id(rows, description).collect()}
    assert found == places.keys()


def test_a_key_of_several_columns_is_unique_as_a_whole(spark: SparkSession, tmp_path: Path) -> None:
    source = write(tmp_path / "one", "all.csv", 1, 2, 3)
    description = describe(row_key=["shop", "week"])
    prepared = prepare_all(spark, source, description, tmp_path / "data", "v")
    assert prepared.quarantine.by_reason == {"duplicate shop and week": 2}
    assert {name: s.n_rows for name, s in prepared.splits.items()} == dict.fromkeys(
        ("train", "validation", "holdout"), 2
    )
    assert "row_id" not in prepared.columns
    rows = read_split(spark, prepared, "holdout").select(keys.as_value(description)).collect()
    assert {row[0] for row in rows} == {'["a","3"]', '["b","3"]'}
    again = write(tmp_path / "one", "more.csv", 1)
    more = prepare_all(spark, again, description, tmp_path / "data", "w", prepared)
    assert more.why.startswith("1 of 2 files is read")
    assert more.quarantine.by_reason == {"duplicate shop and week": 3}
    assert more.fingerprint == prepared.fingerprint


def test_a_row_without_a_unit_or_a_part_of_its_key_is_rejected(
    spark: SparkSession, tmp_path: Path
) -> None:
    """A hash would put all rows without a unit into one split."""
    source = write(tmp_path / "raw", "all.csv", 1, 2, 3)
    (tmp_path / "raw" / "more.csv").write_text(f"{HEADER}\n,4,2024-01-01,5,x,1\nc,,,5,x,1\n")
    columns = describe().to_mapping()["columns"]
    columns["month"] = {"type": "string", "expression": "date_format(at, 'yyyy-MM')"}
    description = describe(
        columns=columns, row_key=["shop", "week"], unit="month", split=HASHED, event_time=None
    )
    raw = sources.read_raw(spark, sources.list_files(spark, source), description)
    rows = quality.flag_invalid(raw, description)
    assert reasons.count_reasons(rows, description)[1].by_reason == {"null shop": 1, "null week": 1}
    without_week = describe(columns=columns, unit="month", split=HASHED, event_time=None)
    rows = quality.flag_invalid(raw, without_week)
    assert reasons.count_reasons(rows, without_week)[1].by_reason == {"null month": 1}


@pytest.mark.parametrize(
    ("sections", "shown"),
    [
        ({"row_key": ["shop", "weak"]}, "row_key: weak is not a column"),
        ({"row_key": []}, "row_key"),
        ({"row_key": ["shop", "sold"]}, "label.column: sold is also row_key"),
        (
            {"columns": {"row_id": {"type": "int"}, **describe().to_mapping()["columns"]}},
            "row_key: is missing, and the column row_id",
        ),
    ],
)
def test_keys_that_cannot_be_are_refused(sections: dict[str, Any], shown: str) -> None:
    with pytest.raises(RetrainingError) as caught:
        describe(**sections)
    assert shown in str(caught.value)
