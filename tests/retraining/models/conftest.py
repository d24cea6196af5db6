"""Rows to fit on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from retraining.models import pipelines
from retraining.models.training import TrainingRows

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame

    from retraining.description.document import Description


@pytest.fixture
def rows(describe: Callable[..., Description], people: Callable[[int], DataFrame]) -> TrainingRows:
    """90 rows to fit on and 60 to evaluate, weighted."""
    weights = pipelines.ClassWeights(1.0, 2.0)
    prepared = pipelines.prepare(people(150), describe(), weights, 150)
    return TrainingRows(*(prepared.where(part) for part in (F.col("key") < 90, F.col("key") >= 90)))
