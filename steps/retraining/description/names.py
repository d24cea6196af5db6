"""Columns that the library puts beside those of a description, under names of its own.

All its other columns begin with an underscore, which no name in a description does.
"""

from __future__ import annotations

from typing import Final

# Folders of prepared rows: `rows/day=2018-07-25` and `splits/split=train`.
DAY: Final = "day"
SPLIT: Final = "split"

# What Spark ML calls the input and the outputs of a classifier.
FEATURES: Final = "features"
RAW_PREDICTION: Final = "rawPrediction"
PROBABILITY: Final = "probability"
PREDICTION: Final = "prediction"

LABEL: Final = "_label"  # of rows to fit on: 1 or 0

ROW_ID: Final = "row_id"  # the key of rows that have none
SCORE: Final = "score"  # the probability of the positive class
CLASS_WEIGHT: Final = "class_weight"  # follows from the label, so it must not be a feature

RESERVED: Final = (
    DAY,
    SPLIT,
    CLASS_WEIGHT,
    FEATURES,
    RAW_PREDICTION,
    PROBABILITY,
    PREDICTION,
    SCORE,
)
