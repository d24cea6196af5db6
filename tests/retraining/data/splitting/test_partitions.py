"""Prepared rows in folders of days."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from retraining.data.splitting import partitions
from retraining.description.reading import load
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import SparkSession

    from retraining.description.document import Description

pytestmark = pytest.mark.spark

FRAUD = Path(__file__).parents[4] / "steps" / "datasets" / "fraud.yaml"


def test_a_day_of_many_rows_is_written_by_several_tasks(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 90 rows 80 are of one day; both partitions of the session write some of them."""
    monkeypatch.setattr(partitions, "_ROWS_PER_FILE", 20)
    at = F.when(F.col("id") < 80, F.lit("2024-03-01")).otherwise("2024-03-02").cast("timestamp")
    rows = spark.range(90).select(F.col("id").alias("transaction_id"), at.alias("tx_datetime"))
    first, second = dt.date(2024, 3, 1), dt.date(2024, 3, 2)
    adaptive = str(spark.conf.get("spark.sql.adaptive.enabled"))
    spark.conf.set("spark.sql.adaptive.enabled", "false")  # it joins small partitions
    try:
        counts = {first: 80, second: 10}
        found = partitions.write_days(
            rows, load(FRAUD), str(tmp_path / "rows"), counts, F.count(F.lit(1)).alias("all")
        )
    finally:
        spark.conf.set("spark.sql.adaptive.enabled", adaptive)
    assert found == {"all": 90}
    for day, n_files in ((first, 2), (second, 1)):
        folder = partitions.day_folder(str(tmp_path / "rows"), day)
        assert len([*Path(folder).glob("*.parquet")]) == n_files
        assert spark.read.parquet(folder).count() == counts[day]


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({}, "give more files, or a larger share"),
        ({"unit": "city"}, "rows of the same city stay together"),
        (
            {
                "split": {
                    "by": "order", "column": ["age", "height"],
                    "train": "60%", "validation": "20%", "holdout": "20%",
                }
            },
            "rows with the same age and height stay together.* more columns",
        ),
        (
            {
                "columns": {
                    "key": {"type": "bigint"}, "city": {"type": "string"}, "at": {"type": "date"},
                    "age": {"type": "int"}, "height": {"type": "double"}, "ill": {"type": "int"},
                },
                "event_time": "at",
                "label": {"column": "ill", "delay": "90 days"},
            },
            "known 90 days after at, and the rows are of 2024-01-01 to 2024-01-31.* as_of",
        ),
    ],
)  # fmt: skip
def test_what_keeps_rows_from_a_split_is_named(
    describe: Callable[..., Description], sections: dict[str, Any], words: str
) -> None:
    days = [dt.date(2024, 1, 1), dt.date(2024, 1, 31)] if "event_time" in sections else []
    with pytest.raises(RetrainingError, match=rf"train has no rows.*{words}"):
        partitions.check_filled({"train": []}, describe(**sections), None, days)
