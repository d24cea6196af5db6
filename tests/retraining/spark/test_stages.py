"""A stage that takes long is shown while it runs; short ones are not."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest

from retraining.spark.stages import show_stages

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Look often, and report at every look."""
    monkeypatch.setattr("retraining.spark.stages._SECONDS_BETWEEN_LOOKS", 0.1)
    monkeypatch.setattr("retraining.progress.SECONDS_BETWEEN_LINES", 0)
    caplog.set_level(logging.INFO, logger="retraining")


def test_a_long_stage_is_shown_by_its_tasks(
    spark: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    slow = spark.range(0, 12, 1, numPartitions=12).selectExpr(
        "reflect('java.util.concurrent.TimeUnit', 'valueOf', 'SECONDS') as unit",
        "reflect('java.lang.Thread', 'sleep', 300L) as slept",
    )
    with show_stages(spark.sparkContext):
        slow.write.format("noop").mode("overwrite").save()
    shown = [line for line in caplog.messages if line.startswith("Spark stage ")]
    assert shown
    counts = [int(line.split(": ")[1].split(" of 12 tasks, about ")[0]) for line in shown]
    assert counts == sorted(counts)
    assert 0 < counts[0] < 12


def test_short_stages_are_not_shown_and_nothing_is_left_behind(
    spark: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    before = threading.active_count()
    with show_stages(spark.sparkContext):
        spark.range(10).count()
    assert not caplog.messages
    assert threading.active_count() == before
