"""Which files are read again, and the sentence that says why."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from retraining.data.files.sources import RawFile, list_files
from retraining.data.increment import plan
from retraining.data.manifest import Manifest, StoredQuarantine, StoredSplit, read_split
from retraining.data.preparation import prepare
from retraining.description.reading import from_mapping, load
from retraining.progress import all_files_are

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from retraining.description.document import Description

pytestmark = pytest.mark.spark

DATASETS = Path(__file__).parents[3] / "steps" / "datasets"
OLD = RawFile("file:/raw/a.csv", 10, 1)
START = datetime(2024, 3, 1, tzinfo=UTC)
NEW = RawFile("file:/raw/b.csv", 20, 2)


def make_previous(folder: Path, description: Description) -> Manifest:
    """A version of one file and two days, whose folders are there."""
    days = {date(2018, 4, day): f"file:{folder}/rows/day=2018-04-0{day}" for day in (1, 2)}
    for uri in days.values():
        Path(uri.removeprefix("file:")).mkdir(parents=True)
    split = StoredSplit(uri="", n_rows=1, n_positives=1, fingerprint="f")
    return Manifest(
        name=description.name,
        version="v1",
        uri=f"file:{folder}",
        description=description.to_mapping(),
        description_digest=description.digest,
        preparation_digest=description.preparation_digest,
        files=(OLD,),
        columns={},
        days=days,
        splits={"train": split, "validation": split, "holdout": split},
        quarantine=StoredQuarantine(uri="", n_rows=0, by_reason={}),
        n_rows_read=1,
        fingerprint="f",
        as_of=None,
        new_days=tuple(days),
        reused_days=(),
        why="",
        day_rows=dict.fromkeys(days, 1),
    )


def change(description: Description, **changes: Any) -> Description:  # noqa: ANN401
    return from_mapping({**description.to_mapping(), **changes})


def test_only_new_files_are_read(spark: SparkSession, tmp_path: Path) -> None:
    description = load(DATASETS / "fraud.yaml")
    previous = make_previous(tmp_path, description)
    found = plan(spark, description, [NEW, OLD], previous)
    assert (found.files, found.base) == ((NEW,), previous)
    assert found.why.startswith("1 of 2 files")
    assert "v1" in found.why
    found = plan(spark, description, [OLD], previous)
    assert (found.files, found.base) == ((), previous)
    assert found.why.startswith("no file")


def test_a_change_that_touches_no_row_reads_only_new_files(
    spark: SparkSession, tmp_path: Path
) -> None:
    description = load(DATASETS / "fraud.yaml")
    previous = make_previous(tmp_path, description)
    other = change(description, class_weights="none", quarantine={"max_share": 0.5})
    assert plan(spark, other, [OLD, NEW], previous).files == (NEW,)


@pytest.mark.parametrize(
    ("files", "changes", "shown"),
    [
        ([NEW], {}, {"file:/raw/a.csv", "v1", "missing"}),
        ([RawFile(OLD.path, 11, 1)], {}, {"file:/raw/a.csv", "v1", "changed"}),
        ([RawFile(OLD.path, 10, 9)], {}, {"file:/raw/a.csv", "v1", "changed"}),
        ([OLD], {"never_features": []}, {"description", "v1"}),
        (
            [OLD],
            {"columns": {"terminal_id": {"type": "bigint", "not_null": True, "unique": True}}},
            {"duplicates"},
        ),
    ],
)
def test_all_files_are_read_when_rows_could_differ(
    spark: SparkSession,
    tmp_path: Path,
    files: list[RawFile],
    changes: dict[str, Any],
    shown: set[str],
) -> None:
    description = load(DATASETS / "fraud.yaml")
    previous = make_previous(tmp_path, description)
    if "columns" in changes:
        changes = {"columns": {**description.to_mapping()["columns"], **changes["columns"]}}
    found = plan(spark, change(description, **changes), files, previous)
    assert found.files == tuple(files)
    assert found.base is None
    assert found.why.startswith(f"{all_files_are(len(files))} read: ")
    assert shown <= set(found.why.split())


def test_all_files_are_read_without_an_earlier_version(spark: SparkSession) -> None:
    found = plan(spark, load(DATASETS / "fraud.yaml"), [OLD], None)
    assert (found.files, found.base) == ((OLD,), None)
    assert found.why.startswith("the only file is read")


def test_all_files_are_read_when_earlier_rows_are_gone(spark: SparkSession, tmp_path: Path) -> None:
    description = load(DATASETS / "fraud.yaml")
    previous = make_previous(tmp_path, description)
    (tmp_path / "rows" / "day=2018-04-02").rmdir()
    found = plan(spark, description, [OLD], previous)
    assert found.why.endswith("/rows/day=2018-04-02 of v1 is gone")
    (tmp_path / "rows" / "day=2018-04-01").rmdir()
    (tmp_path / "rows").rmdir()
    assert plan(spark, description, [OLD], previous).base is None


def test_all_files_are_read_when_earlier_rows_were_not_counted(
    spark: SparkSession, tmp_path: Path
) -> None:
    description = load(DATASETS / "fraud.yaml")
    previous = make_previous(tmp_path, description).model_copy(update={"day_rows": {}})
    found = plan(spark, description, [OLD, NEW], previous)
    assert found.files == (OLD, NEW)
    assert "v1 does not say how many rows" in found.why


def test_all_files_are_read_without_event_times(spark: SparkSession, tmp_path: Path) -> None:
    description = load(DATASETS / "drivers.yaml")
    previous = make_previous(tmp_path, description)
    found = plan(spark, description, [OLD, NEW], previous)
    assert found.files == (OLD, NEW)
    assert "event times" in found.why


def test_rows_are_computed_again_from_what_files_hold_and_not_from_fills(
    spark: SparkSession, tmp_path: Path
) -> None:
    """A gap with a stated fill, and all that is made from it; a late and a repeated row follow."""
    column = {"type": "int"}
    description = from_mapping(
        {
            "name": "gaps",
            "columns": {"id": column, "at": {"type": "timestamp"}, "shop": column}
            | {"x": {"type": "double"}, "y": column},
            "label": {"column": "y"},
            "event_time": "at",
            "features": {
                "plain": ["x"],
                "derived": {"is_gap": "CAST(x IS NULL AS INT)"},
                "rolling": [
                    {"key": "shop", "value": "x", "aggregates": ["min"], "windows": ["3 days"]}
                ],
                "missing": ["x"],
                "fill": {"x": -1, "shop_x_min_3d": 0},
            },
            "split": {"by": "time", "train": "2 days", "validation": "1 day", "holdout": "1 day"},
            "estimator": {"name": "LogisticRegression"},
        }
    )
    rows = [
        f"{10 * day + n},{START + timedelta(days=day, hours=n):%Y-%m-%d %H:%M:%S},1,"
        f"{'' if n % 3 == 0 else n},{n % 2}"
        for day in range(4)
        for n in range(6)
    ]
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "a.csv").write_text("\n".join(rows))

    def run(version: str, previous: Manifest | None = None) -> Manifest:
        files = list_files(spark, str(raw))
        options: Any = {"root": str(tmp_path), "version": version, "previous": previous}
        return prepare(spark, description, files=files, **options)

    first = run("v1")
    late = f"99,{START + timedelta(days=2, hours=3):%Y-%m-%d %H:%M:%S},1,,0"
    (raw / "b.csv").write_text("\n".join([late, rows[15]]))
    found, again = run("v2", first), run("v3")
    assert (len(found.new_days), len(found.reused_days)) == (2, 2)
    assert found.quarantine.n_rows == again.quarantine.n_rows == 0
    assert found.fingerprint == again.fingerprint
    gaps = read_split(spark, found, "holdout").where("x IS NULL AND is_gap = 1 AND x_missing = 1")
    assert gaps.where("shop_x_min_3d = 1").count() == 2
