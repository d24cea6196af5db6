"""Time and memory of the bootstrap and of DeLong's test, beside what else does the same.

Scores are normal in both classes (an area of about 0.80, 2 % positives, correlated models). Every
case runs in a process of its own, which gives its peak memory. What would take hours is timed for
a few resamples and extrapolated to 1,000; the column "timed" says to how many. Spark runs one
resample of 100,000 rows. "ratio" is to the seconds of the last row before with an arrow.

    python tests/benchmarks/bootstrap.py            # about five minutes
    python tests/benchmarks/bootstrap.py --quick    # 100,000 rows only, without Spark
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
import numpy as np

STEPS: Final = Path(__file__).resolve().parents[2] / "steps"
sys.path.insert(0, str(STEPS))

if TYPE_CHECKING:
    from collections.abc import Callable

    from retraining.statistics.rows import Bools, Floats

N_RESAMPLES: Final = 1000
MEBIBYTE: Final = 2**10  # ru_maxrss is in KiB


class Rows(NamedTuple):
    """What is compared."""

    label: Bools
    champion: Floats
    challenger: Floats


class Timing(NamedTuple):
    """Seconds for all resamples, extrapolated where only some were timed."""

    seconds: float
    cpu: float
    timed: int


def simulate(n_rows: int) -> Rows:
    rng = np.random.default_rng(1)
    label = rng.random(n_rows) < 0.02
    common = rng.normal(scale=0.95, size=n_rows) + 1.19 * label
    champion, challenger = common + rng.normal(scale=0.31, size=(2, n_rows))
    return Rows(label, champion, challenger)


def time_calls(call: Callable[[], object], repeats: int) -> Timing:
    """The fastest of some calls, each for all resamples."""
    found = []
    for _ in range(repeats):
        start, cpu = time.perf_counter(), time.process_time()
        call()
        found.append((time.perf_counter() - start, time.process_time() - cpu))
    return Timing(*min(found), timed=N_RESAMPLES)


def bootstrap(rows: Rows) -> Timing:
    from retraining.statistics.bootstrap import auroc_effects

    def call() -> None:
        rng = np.random.default_rng(0)
        auroc_effects(*rows, unit=None, n_resamples=N_RESAMPLES, rng=rng)

    return time_calls(call, 4)


def by_scipy(rows: Rows) -> Timing:
    from scipy.stats import bootstrap
    from sklearn.metrics import roc_auc_score

    def difference(label: Bools, champion: Floats, challenger: Floats) -> float:
        return float(roc_auc_score(label, challenger) - roc_auc_score(label, champion))

    def run(count: int) -> tuple[float, float]:
        start, cpu = time.perf_counter(), time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # two resamples make no good interval
            bootstrap(
                rows, difference, n_resamples=count, paired=True, vectorized=False,
                method="percentile", rng=np.random.default_rng(0),
            )  # fmt: skip
        return time.perf_counter() - start, time.process_time() - cpu

    few, many = (2, 12) if rows.label.size <= 100_000 else (1, 4)
    run(1)
    (first, first_cpu), (second, second_cpu) = run(few), run(many)
    factor = N_RESAMPLES / (many - few)  # the difference leaves out what is done once
    return Timing((second - first) * factor, (second_cpu - first_cpu) * factor, many - few)


def by_spark(rows: Rows) -> Timing:
    from pyspark.ml.evaluation import BinaryClassificationEvaluator
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.memory", "2g")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.csv"
        np.savetxt(path, np.column_stack(rows), delimiter=",")
        schema = "label DOUBLE, champion DOUBLE, challenger DOUBLE"
        frame = session.read.csv(path.as_uri(), schema=schema).repartition(2).cache()
        frame.count()
        evaluators = [
            BinaryClassificationEvaluator(rawPredictionCol=name) for name in rows._fields[1:]
        ]
        evaluators[0].evaluate(frame)  # the first one loads classes
        start = time.perf_counter()
        resample = frame.sample(True, 1.0, 1)  # noqa: FBT003
        for evaluator in evaluators:
            evaluator.evaluate(resample)
        seconds = time.perf_counter() - start
    session.stop()
    return Timing(seconds * N_RESAMPLES, float("nan"), 1)


def delong(rows: Rows) -> Timing:
    from retraining.statistics.paired import delong

    return time_calls(lambda: delong(*rows), 4)


def delong_by_unit_and_day(rows: Rows) -> Timing:
    from retraining.statistics.paired import delong

    rng = np.random.default_rng(2)
    unit, day = (rng.integers(0, n, rows.label.size) for n in (rows.label.size // 20, 7))
    return time_calls(lambda: delong(*rows, unit=unit, period=day), 4)


def sort_twice(rows: Rows) -> Timing:
    return time_calls(lambda: [np.argsort(score) for score in rows[1:]], 4)


def first_use(rows: Rows) -> Timing:
    """Import and the first call; with the machine code on disk if a process ran before this."""
    from retraining.statistics.bootstrap import auroc_effects

    rng = np.random.default_rng(0)
    return time_calls(lambda: auroc_effects(*rows, unit=None, n_resamples=1, rng=rng), 1)


CASES: Final[dict[str, Callable[[Rows], Timing]]] = {
    "-> bootstrap": bootstrap,
    "scipy.stats.bootstrap of scikit-learn": by_scipy,
    "Spark sample + two evaluators": by_spark,
    "-> two argsorts": sort_twice,
    "DeLong ->": delong,
    "DeLong by unit and day": delong_by_unit_and_day,
    "-> first use, compiles": first_use,
    "first use, compiled before": first_use,
}


def run_case(name: str, n_rows: int, cache: str) -> dict[str, Any]:
    """The case in a process of its own."""
    code = "import sys; from bootstrap import answer; answer(sys.argv[1], int(sys.argv[2]))"
    done = subprocess.run(
        [sys.executable, "-c", code, name, str(n_rows)],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
        env=os.environ | {"NUMBA_CACHE_DIR": cache},
    )  # fmt: skip
    if done.returncode:
        raise click.ClickException(f"{name} at {n_rows} rows failed: {done.stderr[-800:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def answer(name: str, n_rows: int) -> None:
    """Print the timing of a case as one line of JSON."""
    rows = simulate(n_rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    timing = CASES[name](rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory = {"peak": peak / MEBIBYTE, "rows": before / MEBIBYTE}
    click.echo(json.dumps(timing._asdict() | memory))


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="100,000 rows only, without Spark.")
def main(*, quick: bool) -> None:
    """Print the table."""
    small, large, huge = 100_000, 1_000_000, 10_000_000
    plan = [("-> first use, compiles", 1000), ("first use, compiled before", 1000)]
    for n_rows in (small,) if quick else (small, large):
        plan += [("-> bootstrap", n_rows), ("scipy.stats.bootstrap of scikit-learn", n_rows)]
        if n_rows == small and not quick:
            plan += [("Spark sample + two evaluators", n_rows)]
    for n_rows in (small,) if quick else (small, large, huge):
        plan += [("-> two argsorts", n_rows), ("DeLong ->", n_rows)]
        plan += [("DeLong by unit and day", n_rows)]
    click.echo(
        f"{'':38}{'rows':>12}{'timed':>7}{'seconds':>11}{'CPU s':>11}{'ratio':>9}"
        f"{'peak MiB':>10}{'of it rows':>11}"
    )
    reference = 1.0
    with tempfile.TemporaryDirectory() as cache:
        for name, n_rows in plan:
            got = run_case(name, n_rows, cache)
            if name.startswith("->"):
                reference = got["seconds"]
            click.echo(
                f"{name:38}{n_rows:12,}{got['timed']:7}{got['seconds']:11.3f}{got['cpu']:11.3f}"
                f"{got['seconds'] / reference:9,.2f}{got['peak']:10,.0f}{got['rows']:11,.0f}"
            )
            if name.endswith("->"):
                reference = got["seconds"]


if __name__ == "__main__":
    main()
