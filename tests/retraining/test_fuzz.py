"""Some hundred inputs with mistakes in them; `tests/benchmarks/fuzz.py` draws thousands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from tests import fuzzing

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from pyspark.sql import SparkSession

# The same examples every time: what chance finds belongs to the benchmark.
FIXED = settings(derandomize=True, suppress_health_check=[*HealthCheck], database=None)


@settings(FIXED, max_examples=200)
@given(fuzzing.descriptions())
def test_descriptions(text: str) -> None:
    fuzzing.read_description(text)


@settings(FIXED, max_examples=100)
@given(fuzzing.tables(kept=True))
def test_tables_of_scores(table: pd.DataFrame) -> None:
    fuzzing.compare_in_memory(table)


@pytest.mark.spark
@settings(FIXED, max_examples=10)
@given(table=fuzzing.tables())
def test_tables_of_scores_in_files(
    spark: SparkSession, tmp_path: Path, table: pd.DataFrame
) -> None:
    fuzzing.compare_with_spark(spark, table, tmp_path)


@pytest.mark.spark
@settings(FIXED, max_examples=10)
@given(file=fuzzing.files())
def test_raw_files(spark: SparkSession, tmp_path: Path, file: tuple[str, bytes]) -> None:
    fuzzing.read_file(spark, file, tmp_path / "raw")
