"""Small versions of a data set, written as preprocess does."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from retraining.data.files.sources import RawFile
from retraining.data.manifest import Manifest, StoredQuarantine, StoredSplit, publish, stage
from retraining.description.reading import load

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FRAUD = Path(__file__).parents[3] / "steps" / "datasets" / "fraud.yaml"
COLUMNS = {"a": "bigint", "b": "string"}


def make_manifest(folder: str) -> Manifest:
    description = load(FRAUD)
    moments = [datetime(2018, 8, day, tzinfo=UTC) for day in (1, 8, 15)]
    spans = {"train": moments[:2], "validation": moments[:2], "holdout": moments[1:]}
    return Manifest(
        name="fraud",
        version="v1",
        uri=folder,
        description=description.to_mapping(),
        description_digest=description.digest,
        preparation_digest=description.preparation_digest,
        files=(RawFile("file:/a.csv", 1, 2),),
        columns=COLUMNS,
        days={date(2018, 8, 1): f"{folder}/rows/day=2018-08-01"},
        splits={
            name: StoredSplit(
                uri=f"{folder}/splits/split={name}",
                n_rows=2,
                n_positives=1,
                fingerprint="f",
                start=start,
                end=end,
            )
            for name, (start, end) in spans.items()
        },
        quarantine=StoredQuarantine(uri=f"{folder}/quarantine", n_rows=1, by_reason={"x": 1}),
        n_rows_read=7,
        fingerprint="f",
        as_of=moments[2],
        new_days=(date(2018, 8, 1),),
        reused_days=(),
        why="there is no earlier version",
    )


def write_version(spark: SparkSession, root: Path, version: str = "v1") -> Manifest:
    with stage(spark, str(root), "fraud", version) as folder:
        for name in ("train", "validation", "holdout"):
            frame = spark.createDataFrame([(1, name), (2, name)], "a bigint, b string")
            frame.coalesce(1).write.parquet(f"{folder}/splits/split={name}")
        return publish(spark, make_manifest(folder))
