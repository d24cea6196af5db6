"""Time, memory and precision of the aggregated comparison of two models.

    python tests/benchmarks/cells.py --rows 1e7

writes binormal scores (area 0.80, correlation 0.9, 2 % of class 1, 50 rows a unit) to a temporary
folder and prints what a scan of them takes, what `retraining.comparison.binned.aggregate` takes,
its error bound as a share of the standard error, and the peak memory of the driver's Python. Every
time is taken `--repeats` times; the first includes what Spark compiles.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "steps"))

from retraining.comparison.binned import aggregate
from retraining.comparison.columns import ScoreColumns
from retraining.spark.session import open_session
from retraining.statistics.comparing import compare_rows
from retraining.statistics.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame, SparkSession

SHIFT = 1.19  # of class 1: areas of 0.80
CORRELATION = 0.9
ROLES = ("champion", "challenger")


def main() -> None:
    """Parse, make, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=float, default=1e7)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--master", default="local[2]")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="cells-")
    try:
        with open_session("cells", options.master) as spark:
            frame = make_scores(spark, int(options.rows), f"{folder}/scores")
            measure(frame, options.repeats)
    finally:
        shutil.rmtree(folder)


def make_scores(spark: SparkSession, n_rows: int, path: str) -> DataFrame:
    """Scores of two models, stored as parquet in 16 parts."""
    rows = spark.range(0, n_rows, 1, 16)
    label = (F.rand(1) < F.lit(0.02)).cast("int")
    drawn = rows.select("id", label.alias("label"), *(F.randn(i).alias(f"z{i}") for i in range(3)))
    common = SHIFT * F.col("label") + CORRELATION**0.5 * F.col("z0") - 4.6
    own = [(1 - CORRELATION) ** 0.5 * F.col(name) for name in ("z1", "z2")]
    scores = [1 / (1 + F.exp(-common - part)) for part in own]
    unit = F.col("id") % max(1, n_rows // 50)
    named = [score.alias(role) for score, role in zip(scores, ROLES, strict=True)]
    drawn.select("label", *named, unit.alias("unit")).write.parquet(path)
    return spark.read.parquet(path)


def measure(frame: DataFrame, repeats: int) -> None:
    """Print one line for each way of going through the rows."""
    scores = frame.select("label", *ROLES)

    def scan() -> None:
        scores.write.format("noop").mode("overwrite").save()

    def total() -> None:
        scores.agg(*map(F.sum, scores.columns)).collect()

    auroc, brier = METRICS["auroc"], METRICS["brier"]
    ways: dict[str, Callable[[], object]] = {
        "scan": scan,
        "sum of the columns": total,
        "cells, auroc": lambda: aggregate.aggregate(scores, metrics=[auroc]),
        "cells, brier": lambda: aggregate.aggregate(scores, metrics=[brier]),
        "cells, auroc by unit": lambda: aggregate.aggregate(
            frame, ScoreColumns(unit="unit"), metrics=[auroc]
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, object] = {}
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            found[name] = way()
            times[name].append(time.perf_counter() - start)
    for name, taken in times.items():
        ratio = min(taken) / min(times["scan"])
        report(f"{name:22} {' '.join(f'{t:7.2f}' for t in taken)} s, {ratio:.2f} x the best scan")
    for name, result in found.items():
        if isinstance(result, aggregate.Aggregate):
            compared = compare_rows(result.rows, brier if "brier" in name else auroc)
            report(
                f"{name:22} effect {compared.effect_size:+.3e}, standard error "
                f"{compared.standard_error:.3e}, bound {compared.error_bound:.1e} = "
                f"{compared.error_bound / compared.standard_error:.3f} standard errors, "
                f"{result.rows.label.size:,} cells"
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    report(f"peak memory of the driver's Python: {peak:.2f} GiB")


def report(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
