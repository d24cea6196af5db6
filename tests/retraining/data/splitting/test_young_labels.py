"""Rows whose labels may not be known yet, in splits that are not counted back from them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from retraining.data.files.sources import list_files
from retraining.data.manifest import SPLITS, read_split
from retraining.data.preparation import prepare
from retraining.data.splitting.windows import place_windows
from retraining.description.reading import from_mapping
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from retraining.data.manifest import Manifest
    from retraining.description.document import Description

pytestmark = pytest.mark.spark

FIRST = date(2024, 1, 1)
N_DAYS, ROWS_A_DAY = 40, 20
NEWEST = datetime(2024, 2, 9, 12, tzinfo=UTC)
HASH = {"by": "hash", "train": 0.6, "validation": 0.2, "holdout": 0.2}
ORDER = {"by": "order", "column": "id", "train": "60%", "validation": "20%", "holdout": "20%"}


def dates(end: str) -> dict[str, Any]:
    windows = {"train": ("01-01", "01-11"), "validation": ("01-11", "01-16")}
    windows["holdout"] = ("01-24", end)
    return {"by": "time"} | {
        name: {"start": f"2024-{start}", "end": f"2024-{stop}"}
        for name, (start, stop) in windows.items()
    }


def describe(split: dict[str, Any], delay: int, **changes: Any) -> Description:  # noqa: ANN401
    mapping: dict[str, Any] = {
        "name": "visits",
        "columns": {
            "id": {"type": "bigint"},
            "at": {"type": "timestamp"},
            "x": {"type": "double"},
            "y": {"type": "int"},
        },
        "label": {"column": "y", "delay": f"{delay} days"},
        "row_key": "id",
        "event_time": "at",
        "features": {"plain": ["x"]},
        "split": split,
        "estimator": {"name": "LogisticRegression"},
    }
    return from_mapping(mapping | changes)


def run(
    spark: SparkSession,
    folder: Path,
    description: Description,
    as_of: datetime | None = None,
    stray: date | None = None,
) -> Manifest:
    """Prepare 20 rows a day from 01-01 to 02-09, every third one positive."""
    days = [(FIRST + timedelta(days=n), n) for n in range(N_DAYS)]
    lines = [
        f"{n * 100 + i},{day},{i}.5,{i % 3 // 2}" for day, n in days for i in range(ROWS_A_DAY)
    ]
    lines += [f"99999,{stray},1.5,0"] if stray else []
    (folder / "raw.csv").write_text("\n".join(lines))
    return prepare(
        spark,
        description,
        files=list_files(spark, str(folder / "raw.csv")),
        root=str(folder / "data"),
        version="v",
        as_of=as_of,
    )


@pytest.mark.parametrize(
    ("end", "delay", "as_of", "remedy"),
    [
        ("02-04", 7, None, r"end it at 2024-02-03 or earlier .* as_of=2024-02-11 if"),
        (
            "02-03",
            7,
            datetime(2024, 2, 9),
            r"end it at 2024-02-02 or earlier .* as_of=2024-02-10 if",
        ),
        (
            "02-03",
            0,
            datetime(2024, 2, 2),
            r"end it at 2024-02-02 or earlier .* as_of=2024-02-03 if",
        ),
    ],
)
def test_dates_end_before_the_labels_that_are_not_known(
    end: str, delay: int, as_of: datetime | None, remedy: str
) -> None:
    with pytest.raises(RetrainingError, match=rf"^holdout .* to 2024-{end} .*{remedy}"):
        place_windows(describe(dates(end), delay), NEWEST, as_of)


@pytest.mark.parametrize(("end", "delay", "last"), [("02-03", 7, 3), ("03-01", 0, 1)])
def test_dates_that_end_in_time_are_taken(end: str, delay: int, last: int) -> None:
    """Where labels are known at once and no as_of is given, a window may have days to come."""
    found = place_windows(describe(dates(end), delay), NEWEST)
    assert found is not None
    assert found.holdout.end.day == last
    assert found.as_of == datetime(2024, 2, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("split", "delay", "as_of", "last", "used"),
    [
        (HASH, 20, None, "2024-01-20", datetime(2024, 2, 10, tzinfo=UTC)),
        (ORDER, 0, datetime(2024, 1, 31), "2024-01-30", datetime(2024, 1, 31, tzinfo=UTC)),
    ],
)
def test_rows_with_young_labels_are_in_no_split(
    spark: SparkSession,
    tmp_path: Path,
    split: dict[str, Any],
    delay: int,
    as_of: datetime | None,
    last: str,
    used: datetime,
) -> None:
    found = run(spark, tmp_path, describe(split, delay), as_of)
    newest = [read_split(spark, found, name).agg(F.max("at")).collect()[0][0] for name in SPLITS]
    assert f"{max(newest):%Y-%m-%d}" == last
    n_known = ROWS_A_DAY * ((date.fromisoformat(last) - FIRST).days + 1)
    assert sum(one.n_rows for one in found.splits.values()) == n_known
    assert found.account is not None
    assert found.account.newer == N_DAYS * ROWS_A_DAY - n_known
    assert found.as_of == used
    if split is ORDER:
        assert found.splits["train"].n_rows == 0.6 * n_known


def test_a_wrong_date_makes_no_label_known(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(RetrainingError, match=r"2099-01-01, .* known 27355 days too early .*02-10"):
        run(spark, tmp_path, describe(HASH, 20), stray=date(2099, 1, 1))


def test_without_event_times_as_of_leaves_nothing_out_and_says_so(
    spark: SparkSession, tmp_path: Path
) -> None:
    found = run(spark, tmp_path, describe(HASH, 0, event_time=None), datetime(2024, 1, 31))
    assert sum(one.n_rows for one in found.splits.values()) == N_DAYS * ROWS_A_DAY
    assert found.as_of is None
    (warning,) = found.warnings
    assert warning.startswith("as_of=2024-01-31 left no row out: without event_time")
