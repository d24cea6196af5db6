"""Thousands of inputs with mistakes in them: each ends in success or in one line, or is shown.

Descriptions and tables of scores are judged in this process; of the examples, one in fifty is a
table of scores in a file, and one in fifty a raw file, which Spark reads. The first input of each
kind that ends in another exception is made as small as possible and printed with its traceback.

    python tests/benchmarks/fuzz.py                    # 10,000 examples, about half an hour
    python tests/benchmarks/fuzz.py --examples 500 --seed 2
"""

from __future__ import annotations

import logging
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from hypothesis import HealthCheck, given, seed, settings
from pyspark.sql import SparkSession

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "steps")]

from tests import fuzzing  # noqa: E402 (found by the path above)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy


@click.command(context_settings={"show_default": True})
@click.option("--examples", default=10_000, help="Number of inputs.")
@click.option("--seed", "number", default=1, help="What they are drawn with.")
@click.option("--kind", default="", help="Only this kind. Default: all.")
def fuzz(examples: int, number: int, kind: str) -> None:
    """Give the project inputs with mistakes in them."""
    warnings.simplefilter("ignore")
    logging.getLogger("retraining").setLevel(logging.ERROR)
    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    spark = session.config("spark.sql.shuffle.partitions", 2).getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    few = examples // 50
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kinds: dict[str, tuple[int, SearchStrategy[Any], Callable[[Any], None]]] = {
            "descriptions": (
                examples * 3 // 5,
                fuzzing.descriptions(),
                fuzzing.read_description,
            ),
            "tables": (
                examples - examples * 3 // 5 - 2 * few,
                fuzzing.tables(kept=True),
                fuzzing.compare_in_memory,
            ),
            "tables in files": (
                few,
                fuzzing.tables(),
                lambda table: fuzzing.compare_with_spark(spark, table, folder),
            ),
            "raw files": (
                few,
                fuzzing.files(),
                lambda file: fuzzing.read_file(spark, file, folder / "raw"),
            ),
        }
        chosen = {title: what for title, what in kinds.items() if kind in ("", title)}
        failed = sum(not _holds(title, number, *what) for title, what in chosen.items())
    spark.stop()
    sys.exit(1 if failed else 0)


def _holds(
    title: str,
    number: int,
    examples: int,
    strategy: SearchStrategy[Any],
    give: Callable[[Any], None],
) -> bool:
    """Whether all examples of a kind end as they should; says which does not."""
    checks = [*HealthCheck]
    options = settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=checks
    )
    try:
        seed(number)(options(given(strategy)(give)))()
    except Exception:  # noqa: BLE001 (any of them is what is looked for)
        click.echo(f"{title}: a defect in up to {examples:,} examples")
        traceback.print_exc()
        return False
    click.echo(f"{title}: {examples:,} examples, no defect")
    return True


if __name__ == "__main__":
    fuzz()
