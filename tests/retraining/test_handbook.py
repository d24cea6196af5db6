"""The published split of the fraud detection handbook, chapter 3, from its raw files.

Train is the week from 2018-07-25 (67,240 rows, 598 frauds), test the week from 08-08, from which
the customers that are known to be defrauded are taken (58,264 rows, 385 frauds).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from retraining.dataset import read_split
from retraining.description import Description, load
from retraining.preparation import prepare
from retraining.sources import list_files

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.reference, pytest.mark.slow]

FRAUD = Path(__file__).parents[2] / "steps" / "datasets" / "fraud.yaml"


def describe() -> Description:
    """The shipped description, in the handbook's weeks; the handbook keeps amounts of zero."""
    mapping = load(FRAUD).to_mapping()
    mapping["columns"]["tx_amount"] = {"type": "double", "not_null": True, "min": 0}
    mapping["split"].update(
        train={"start": "2018-07-25", "end": "2018-08-01"},
        validation={"start": "2018-07-11", "end": "2018-07-18"},
        holdout={"start": "2018-08-08", "end": "2018-08-15"},
        known_positives={"key": "customer_id", "delay": "8 days"},
    )
    return Description.from_mapping(mapping)


def test_handbook_split_has_its_published_counts(
    spark: SparkSession, reference_data: Path, tmp_path: Path
) -> None:
    files = list_files(spark, f"{reference_data}/handbook_fraud/raw/2018-0[678].parquet")
    manifest = prepare(
        spark,
        describe(),
        files=files,
        root=str(tmp_path),
        version="v1",
        progress=lambda _: None,
    )
    counts = {name: (split.n_rows, split.n_positives) for name, split in manifest.splits.items()}
    assert counts["train"] == (67_240, 598)
    assert counts["holdout"] == (58_264, 385)
    assert manifest.n_rows_read == 881_105
    assert manifest.quarantine.n_rows == 0
    assert read_split(spark, manifest, "holdout").count() == 58_264
