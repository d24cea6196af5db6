"""Scores: the probability of the positive class, one number per row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as F

from retraining.description.names import PREDICTION, PROBABILITY, SCORE
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.ml import Transformer
    from pyspark.sql import DataFrame


def score(
    frame: DataFrame, model: Transformer, features: Sequence[str], *, name: str = SCORE
) -> DataFrame:
    """Add the columns `name` (probability of the positive class) and `prediction` (0 or 1).

    Columns that the stages of the model add in between are dropped, so that a second model can
    score the same frame.

    Raises:
        RetrainingError: If the frame lacks a feature of the model.
    """
    missing = [column for column in features if column not in frame.columns]
    if missing:
        raise RetrainingError(
            f"the rows lack features of the model: {', '.join(missing)}",
            "prepare the data with the description that the model was trained on",
        )
    own = list(frame.columns)
    probability = vector_to_array(F.col(PROBABILITY)).getItem(1)
    return model.transform(frame).select(
        *own, probability.alias(name), F.col(PREDICTION).cast("int").alias(PREDICTION)
    )
