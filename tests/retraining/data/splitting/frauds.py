"""A description of frauds, and ways to split them."""

from __future__ import annotations

import datetime as dt
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

from retraining.description.reading import from_mapping

if TYPE_CHECKING:
    from retraining.description.document import Description

START = dt.datetime(2024, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
LENGTHS = {"train": "14 days", "gap": "7 days", "validation": "5 days", "holdout": "3 days"}
PERIODS = {
    "train": {"start": "2024-03-01", "end": "2024-03-05"},
    "validation": {"start": "2024-03-05", "end": "2024-03-08"},
    "holdout": {"start": "2024-03-15", "end": "2024-03-18"},
}
SHARES = {"by": "hash", "train": 0.6, "validation": 0.25, "holdout": 0.15, "seed": 7}
NEWEST = dt.datetime(2024, 5, 1, 23, 59, 59, tzinfo=UTC)


def describe(split: dict[str, Any], *, unit: str | None = None) -> Description:
    """Frauds of customers, known after 7 days."""
    mapping: dict[str, Any] = {
        "name": "frauds",
        "columns": {
            "id": {"type": "bigint"},
            "at": {"type": "timestamp"},
            "customer": {"type": "string"},
            "fraud": {"type": "int"},
        },
        "label": {"column": "fraud", "delay": "7 days"},
        "row_key": "id",
        "event_time": "at",
        "features": {"derived": {"hour": "hour(at)"}},
        "split": {"by": "time", **split},
        "estimator": {"name": "LogisticRegression"},
    }
    return from_mapping(mapping | ({"unit": unit} if unit else {}))


def past_the_rules(description: Description, **changes: Any) -> Description:  # noqa: ANN401
    """A description whose split nobody validated."""
    split = description.split.model_copy(update=changes)
    return description.model_copy(update={"split": split})
