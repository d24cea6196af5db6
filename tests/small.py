"""A description for few days of transactions: a chain on them takes seconds where it can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_FRAUD = Path(__file__).resolve().parents[1] / "steps" / "datasets" / "fraud.yaml"


def small_description() -> dict[str, Any]:
    """The fraud data with windows for three weeks, small estimators, and models tested once."""
    mapping: dict[str, Any] = yaml.safe_load(_FRAUD.read_text())
    mapping["label"]["delay"] = "2 days"
    del mapping["gate"]["campaign"]
    for rolling in mapping["features"]["rolling"]:
        rolling["windows"] = ["1 day", "3 days"]
    mapping["features"]["rolling"][1]["delay"] = "2 days"
    mapping["features"]["fill"] = {f"terminal_id_tx_fraud_mean_{w}": 0.0 for w in ("1d", "3d")}
    mapping["split"] = {"by": "time", "train": "6 days", "gap": "2 days", "validation": "3 days"}
    mapping["split"]["holdout"] = "4 days"
    forest = {"numTrees": 5, "maxDepth": 4, "maxBins": 32}
    mapping["estimator"] = {"name": "RandomForestClassifier", "parameters": forest}
    mapping["search"]["trials"] = 2
    mapping["search"]["estimators"] = {
        "RandomForestClassifier": {"numTrees": {"choice": [5]}, "maxDepth": {"choice": [3, 5]}},
        "LogisticRegression": {"regParam": {"loguniform": [0.00001, 0.01]}},
    }
    return mapping
