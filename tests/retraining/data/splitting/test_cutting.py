"""Windows that a wrong date would move, holdouts of next to nothing, and rows in no split."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from retraining.data.files.sources import list_files
from retraining.data.preparation import prepare
from retraining.description.reading import from_mapping
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from retraining.data.manifest import Manifest

pytestmark = pytest.mark.spark

FIRST = date(2024, 1, 1)
N_DAYS, ROWS_A_DAY = 30, 10
LENGTHS = {"by": "time", "train": "10 days", "gap": "1 day", "validation": "4 days"}


def run(
    spark: SparkSession,
    folder: Path,
    rows: dict[int, int],
    *,
    as_of: datetime | None = None,
    **changes: Any,  # noqa: ANN401
) -> Manifest:
    """Prepare numbers of rows by day, each third one positive; the ids are made of both."""
    mapping: dict[str, Any] = {
        "name": "visits",
        "columns": {
            "id": {"type": "bigint"},
            "at": {"type": "timestamp"},
            "x": {"type": "double"},
            "y": {"type": "int", "allowed": [0, 1]},
        },
        "label": {"column": "y", "delay": "1 day"},
        "row_key": "id",
        "event_time": "at",
        "features": {"plain": ["x"]},
        "split": {**LENGTHS, "holdout": "5 days"},
        "estimator": {"name": "LogisticRegression"},
    }
    lines = [
        f"{day * 1000 + n},{FIRST + timedelta(days=day)} 0{n % 10}:30:00,{n}.5,{int(n % 3 == 0)}"
        for day, n_rows in rows.items()
        for n in range(n_rows)
    ]
    (folder / "raw.csv").write_text("\n".join(lines))
    return prepare(
        spark,
        from_mapping(mapping | changes),
        files=list_files(spark, str(folder / "raw.csv")),
        root=str(folder / "data"),
        version=f"v{len([*folder.glob('data/visits/*')])}",
        as_of=as_of,
    )


@pytest.fixture
def usual() -> dict[int, int]:
    return dict.fromkeys(range(N_DAYS), ROWS_A_DAY)


@pytest.mark.parametrize(("ahead", "newest"), [(4, "2024-02-03"), (2_913_144, "9999-12-31")])
def test_a_wrong_date_does_not_move_the_windows(
    spark: SparkSession, tmp_path: Path, usual: dict[int, int], ahead: int, newest: str
) -> None:
    day = N_DAYS - 1 + ahead
    with pytest.raises(RetrainingError) as caught:
        run(spark, tmp_path, usual | {day: 1})
    told = str(caught.value)
    assert f"the newest day, {newest}, holds 1 row, and a day before has 10" in told
    assert re.search(rf"\(id {day}000 of file:.*/raw\.csv\)", told)
    assert f"{ahead} days later" in told
    assert "type as_of=2024-01-31 (as_of=" in told
    assert not [*tmp_path.rglob("*.parquet")]


def test_a_wrong_date_does_not_lengthen_shares_of_the_time(
    spark: SparkSession, tmp_path: Path, usual: dict[int, int]
) -> None:
    shares = {"by": "time", "train": "60%", "gap": "1 day", "validation": "20%", "holdout": "20%"}
    with pytest.raises(RetrainingError) as caught:
        run(spark, tmp_path, {-19_723: 1, **usual}, split=shares)
    told = str(caught.value)
    assert "the oldest day, 1970-01-01, holds 1 row (id -19723000 of file:" in told
    assert "19723 days earlier" in told
    assert "at the rule min: 2024-01-01" in told


def test_the_as_of_of_the_advice_leaves_the_wrong_date_out(
    spark: SparkSession, tmp_path: Path, usual: dict[int, int]
) -> None:
    """As of 01-31: the holdout is 01-25 to 01-29, validation from 01-20, train from 01-09."""
    as_of = datetime(2024, 1, 31, tzinfo=UTC)
    found = run(spark, tmp_path, usual | {33: 1}, as_of=as_of)
    assert found.account is not None
    counts = found.account.model_dump()
    assert counts == {
        "read": 301,
        "earlier": 0,
        "rejected": 0,
        "older": 80,
        "gaps": 20,
        "newer": 11,
        "known_positives": 0,
        "unlabelled": 0,
        "train": 100,
        "validation": 40,
        "holdout": 50,
    }
    assert counts["read"] == sum(counts.values()) - counts["read"]
    assert found.day_rows[FIRST] == ROWS_A_DAY
    assert found.warnings == ()
    assert found.account.explain() == (
        "301 rows read: 0 quarantined, 111 in no split "
        "(80 older than train, 20 in gaps, 11 newer than the holdout)"
    )


def test_a_day_that_has_just_begun_is_named_only(
    spark: SparkSession, tmp_path: Path, usual: dict[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    busy = dict.fromkeys(usual, 30)
    found = run(spark, tmp_path, busy | {N_DAYS: 1})
    (warning,) = found.warnings
    assert "2024-01-31, holds 1 row" in warning
    assert "as_of=2024-01-31 would" in warning
    assert warning in caplog.messages
    assert found.as_of == datetime(2024, 2, 1, tzinfo=UTC)


def test_a_holdout_of_next_to_nothing_is_refused_unless_asked_for(
    spark: SparkSession, tmp_path: Path, usual: dict[int, int]
) -> None:
    """Days 24 to 28, of which only one row of 50 is there."""
    rows = {day: n for day, n in usual.items() if not 24 <= day < 29} | {26: 1}
    with pytest.raises(
        RetrainingError, match=r"2024-01-25 to 2024-01-30, holds 1 row.* 50"
    ) as told:
        run(spark, tmp_path, rows)
    assert "as_of=2024-01-31 tests on it all the same" in str(told.value)
    found = run(spark, tmp_path, rows, as_of=datetime(2024, 1, 31, tzinfo=UTC))
    assert found.splits["holdout"].n_rows == 1
    assert ["holds 1 row" in warning for warning in found.warnings] == [True]


@pytest.mark.parametrize(
    ("as_of", "remedy"),
    [
        (datetime(2024, 5, 1, tzinfo=UTC), "for example as_of=2024-01-31"),
        (datetime(2024, 1, 31, tzinfo=UTC), "shorter windows"),
    ],
)
def test_windows_without_rows_name_the_days_that_have_some(
    spark: SparkSession, tmp_path: Path, usual: dict[int, int], as_of: datetime, remedy: str
) -> None:
    rows = usual if as_of.month > 1 else {day: n for day, n in usual.items() if day > 20}
    first = min(rows)
    with pytest.raises(RetrainingError, match=r"train from .* has no rows") as caught:
        run(spark, tmp_path, rows, as_of=as_of)
    assert f"of {FIRST + timedelta(days=first)} to 2024-01-30" in str(caught.value)
    assert remedy in str(caught.value)


@pytest.mark.parametrize(("train", "is_told"), [("45 days", False), ("55 days", True)])
def test_a_window_that_begins_between_usual_days_lacks_no_rows(
    train: str,
    is_told: bool,  # noqa: FBT001
    spark: SparkSession,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    lengths = {"train": train, "validation": "14 days", "holdout": "14 days"}
    run(
        spark,
        tmp_path,
        dict.fromkeys(range(0, 71, 7), ROWS_A_DAY),
        split={"by": "time", **lengths},
        label={"column": "y", "delay": "0 days"},
    )

    told = [line for line in caplog.messages if "but the oldest rows are of 2024-01-01" in line]
    assert bool(told) is is_told
