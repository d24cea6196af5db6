"""Which rows a model may learn from: those of windows, shares of units, known positives."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from retraining.data.splitting import splits
from retraining.data.splitting.windows import place_windows
from retraining.description.reading import from_mapping, load
from retraining.errors import RetrainingError
from tests.retraining.data.splitting.frauds import (
    DAY,
    LENGTHS,
    NEWEST,
    PERIODS,
    SHARES,
    START,
    describe,
    past_the_rules,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

SCHEMA = "id bigint, at timestamp, customer string, fraud int"


def split_of(frame: DataFrame) -> dict[int, str | None]:
    return {row["id"]: row["split"] for row in frame.select("id", "split").collect()}


def test_assign_gives_each_row_the_window_of_its_time(spark: SparkSession) -> None:
    """Ends are exclusive to the microsecond; rows in a gap belong nowhere."""
    description = describe(PERIODS)
    moments = {
        START - timedelta(microseconds=1): None,
        START: "train",
        START + 4 * DAY - timedelta(microseconds=1): "train",
        START + 4 * DAY: "validation",
        START + 7 * DAY - timedelta(microseconds=1): "validation",
        START + 7 * DAY: None,
        START + 14 * DAY: "holdout",
        START + 17 * DAY: None,
    }
    rows = [(i, at, "a", 0) for i, at in enumerate(moments)]
    frame = spark.createDataFrame(rows, SCHEMA)
    assigned = splits.assign(frame, description, place_windows(description, NEWEST))
    assert assigned.columns == [*frame.columns, "split"]
    assert split_of(assigned) == dict(enumerate(moments.values()))


def test_assign_by_time_needs_windows(spark: SparkSession) -> None:
    with pytest.raises(RetrainingError, match=r"^frauds .*windows"):
        splits.assign(spark.createDataFrame([], SCHEMA), describe(LENGTHS), None)


def units(spark: SparkSession, n_rows: int, partitions: int = 2) -> DataFrame:
    return (
        spark.range(n_rows, numPartitions=partitions)
        .withColumn("at", F.timestamp_seconds("id"))
        .withColumn("customer", (F.col("id") % (n_rows // 4)).cast("string"))
        .withColumn("fraud", F.lit(0))
    )


def test_assign_by_hash_keeps_units_together(spark: SparkSession) -> None:
    assigned = splits.assign(units(spark, 4000), describe(SHARES, unit="customer"), None)
    spread = assigned.groupBy("customer").agg(F.countDistinct("split").alias("n"))
    assert spread.where("n <> 1").count() == 0
    assert assigned.where("split IS NULL").count() == 0


def test_assign_by_hash_gives_the_shares(spark: SparkSession) -> None:
    """20,000 row keys: a share is off by less than 5 standard errors (0.017)."""
    assigned = splits.assign(units(spark, 20_000), describe(SHARES), None)
    counts = Counter(split_of(assigned).values())
    for name in ("train", "validation", "holdout"):
        assert counts[name] / 20_000 == pytest.approx(float(str(SHARES[name])), abs=0.017)


def test_assign_by_hash_depends_on_unit_and_seed_alone(spark: SparkSession) -> None:
    """Pinned rows: another version of Spark or of this code must not move a unit."""
    description = describe(SHARES)
    found = split_of(splits.assign(units(spark, 400), description, None))
    again = split_of(splits.assign(units(spark, 200, 7).orderBy("fraud"), description, None))
    reseeded = split_of(splits.assign(units(spark, 400), past_the_rules(description, seed=8), None))
    assert again.items() <= found.items()
    assert reseeded != found
    assert " ".join(str(found[i]) for i in range(6)) == "train holdout train train holdout holdout"


KNOWN = {**PERIODS, "known_positives": {"key": "customer", "delay": "8 days"}}


def test_assign_drops_holdout_rows_of_known_positives(spark: SparkSession) -> None:
    """One customer a case, one holdout row a customer, at the end of the holdout's second day."""
    late = START + 15 * DAY + timedelta(hours=23)
    positives = {
        "never": [],
        "before train": [START - timedelta(seconds=1)],
        "first of train": [START],
        "in the gap, 8 days before": [START + 7 * DAY + timedelta(hours=23, minutes=59)],
        "7 days before": [START + 8 * DAY],
        "7 days before and in train": [START + 8 * DAY, START + DAY],
        "same day": [late],
        "later": [START + 20 * DAY],
    }
    kept = {"never", "before train", "7 days before", "same day", "later"}
    rows = [(i, late, who, 0) for i, who in enumerate(positives)]
    frauds = [(who, at) for who, moments in positives.items() for at in moments]
    rows += [(100 + i, at, who, 1) for i, (who, at) in enumerate(frauds)]
    description = describe(KNOWN)
    frame = spark.createDataFrame(rows, SCHEMA)
    assigned = splits.assign(frame, description, place_windows(description, NEWEST))
    found = split_of(assigned)
    assert assigned.columns == [*frame.columns, "split"]
    assert len(found) == assigned.count() == len(rows)
    for i, who in enumerate(positives):
        assert found[i] == ("holdout" if who in kept else None), who
    assert Counter(found.values())["train"] == 2  # positives in train stay there


def test_assign_keeps_rows_of_known_positives_without_a_key(spark: SparkSession) -> None:
    rows = [(0, START + 15 * DAY, None, 0), (1, START, None, 1)]
    description = describe(KNOWN)
    frame = spark.createDataFrame(rows, SCHEMA)
    assigned = splits.assign(frame, description, place_windows(description, NEWEST))
    assert split_of(assigned) == {0: "holdout", 1: "train"}


def test_check_disjoint_passes_rows_of_one_split(spark: SparkSession) -> None:
    rows = [(1, "train"), (1, "train"), (2, "holdout"), (2, None), (3, None)]
    frame = spark.createDataFrame(rows, "id bigint, split string")
    splits.check_disjoint(frame, describe(LENGTHS))
    assert frame.count() == 5


def test_check_disjoint_refuses_a_row_key_in_two_splits(spark: SparkSession) -> None:
    rows = [(1, "train"), (1, "holdout"), (2, "validation"), (3, "train"), (3, "validation")]
    frame = spark.createDataFrame(rows, "id bigint, split string")
    with pytest.raises(RetrainingError, match=r"^2 values of id .*example 1"):
        splits.check_disjoint(frame, describe(LENGTHS))


@pytest.mark.reference
def test_assign_agrees_with_the_handbook(spark: SparkSession, reference_data: Path) -> None:
    """Its published week: 67,240 and 598 in train, 58,264 and 385 in the test that is left."""
    raw = spark.read.parquet(str(reference_data / "handbook_fraud" / "raw"))
    raw = raw.withColumn("tx_datetime", F.col("tx_datetime").cast("timestamp"))
    fraud = load(Path(__file__).parents[4] / "steps" / "datasets" / "fraud.yaml").to_mapping()
    fraud["split"] = {
        "by": "time",
        "train": {"start": "2018-07-25", "end": "2018-08-01"},
        "validation": {"start": "2018-07-18", "end": "2018-07-25"},
        "holdout": {"start": "2018-08-08", "end": "2018-08-15"},
        "known_positives": {"key": "customer_id", "delay": "8 days"},
    }
    description = from_mapping(fraud)
    assigned = splits.assign(raw, description, place_windows(description, NEWEST))
    counts = assigned.groupBy("split").agg(F.count("*"), F.sum("tx_fraud")).collect()
    found = {name: (n_rows, frauds) for name, n_rows, frauds in counts}
    assert found["train"] == (67_240, 598)
    assert found["holdout"] == (58_264, 385)
