"""Rows whose label is not known: history for features, in no split, counted."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from retraining.data.files.sources import list_files
from retraining.data.manifest import read_folders, read_split
from retraining.data.preparation import prepare
from retraining.description.reading import from_mapping
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from retraining.description.document import Description

pytestmark = pytest.mark.spark

FIRST = date(2024, 1, 1)
N_DAYS = 12
COLUMNS = {
    "id": {"type": "bigint"},
    "at": {"type": "timestamp"},
    "shop": {"type": "int"},
    "x": {"type": "double"},
    "status": {"type": "string"},
    "fraud": {"type": "int", "allowed": [0, 1]},
    "inverse": {"type": "double"},
}


def describe(**changes: Any) -> Description:  # noqa: ANN401
    """Payments, of which those that were blocked have no label to be trusted."""
    mapping = {
        "name": "payments",
        "columns": COLUMNS,
        "label": {"column": "fraud", "delay": "1 day"},
        "known_when": "status != 'blocked'",
        "weight": "inverse",
        "row_key": "id",
        "event_time": "at",
        "quarantine": {"max_share": 0.1},
        "features": {
            "plain": ["x"],
            "rolling": [
                {
                    "key": "shop",
                    "value": "fraud",
                    "aggregates": ["count", "sum"],
                    "windows": ["20 days"],
                    "delay": "1 day",
                }
            ],
        },
        "split": {
            "by": "time",
            "train": "3 days",
            "gap": "1 day",
            "validation": "2 days",
            "holdout": "3 days",
        },
        "estimator": {"name": "LogisticRegression"},
    }
    return from_mapping(mapping | changes)


def lines() -> list[str]:
    """Ten payments a day: three are blocked, with text, nothing, or a 1 that nobody has seen."""
    rows = []
    for day in range(N_DAYS):
        for n in range(10):
            blocked = n >= 7
            label = ("?", "", "1")[n - 7] if blocked else str(int(n == 0))
            weight = "" if blocked else "1.4"
            moment = f"{FIRST + timedelta(days=day)} 0{n}:00:00"
            status = "blocked" if blocked else "paid"
            rows.append(f"{day * 10 + n},{moment},1,{n}.5,{status},{label},{weight}")
    noon = f"{FRIDAY} 12:00:00"
    return [*rows, f"900,{noon},2,1,paid,,1", f"901,{noon},2,1,paid,1,", f"902,{noon},2,1,,1,1"]


FRIDAY = date(2024, 1, 5)


def test_rows_without_a_known_label_are_history_and_in_no_split(
    spark: SparkSession, tmp_path: Path
) -> None:
    """As of 01-13: the holdout is 01-09 to 01-11, validation from 01-06, train from 01-02.

    01-05 and 01-08 are gaps, and 902 of 01-05 has no status, so its label is not known either.
    """
    (tmp_path / "raw.csv").write_text("\n".join(lines()))
    files = list_files(spark, str(tmp_path / "raw.csv"))
    found = prepare(spark, describe(), files=files, root=str(tmp_path), version="v")
    assert found.quarantine.by_reason == {"null fraud": 1, "null inverse": 1}
    assert found.account is not None
    assert found.account.model_dump() == {
        "read": 123,
        "earlier": 0,
        "rejected": 2,
        "older": 10,
        "gaps": 21,
        "newer": 10,
        "known_positives": 0,
        "unlabelled": 24,
        "train": 21,
        "validation": 14,
        "holdout": 21,
    }
    assert found.coverage is not None
    assert found.coverage.rows == pytest.approx(0.7)
    assert found.coverage.weight == pytest.approx(0.98)  # 21 * 1.4 of 30
    assert "70.0%" in found.remarks[0]
    assert "98.0% by weight" in found.remarks[0]
    for name in found.splits:
        rows = read_split(spark, found, name)
        assert rows.where("fraud IS NULL OR status = 'blocked'").count() == 0
    stored = read_folders(spark, found.days.values(), found.columns)
    assert stored.where("status = 'blocked' AND fraud IS NOT NULL").count() == 0
    last = read_split(spark, found, "holdout").orderBy("at").collect()[-1]
    # Up to 06:00 of 01-10: all rows of nine days and seven more, and one known positive a day.
    assert last["shop_count_20d"] == 97
    assert last["shop_fraud_sum_20d"] == 10


@pytest.mark.parametrize(
    ("condition", "complaint"),
    [
        ("status != blockd", r"known_when: .* uses blockd"),
        ("rand() > 0.5", r"known_when: .* uses rand"),
    ],
)
def test_conditions_are_functions_of_the_row(condition: str, complaint: str) -> None:
    with pytest.raises(RetrainingError, match=complaint):
        describe(known_when=condition)


def test_a_condition_is_true_or_false(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "raw.csv").write_text("\n".join(lines()))
    files = list_files(spark, str(tmp_path / "raw.csv"))
    description = describe(known_when="x + 1")
    with pytest.raises(RetrainingError, match=r"known_when \(x \+ 1\): has type double"):
        prepare(spark, description, files=files, root=str(tmp_path), version="v")
