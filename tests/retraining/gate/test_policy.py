"""Which policies are refused, by which of their fields, and why."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from pydantic import ValidationError

from retraining.gate.policy import Policy
from retraining.statistics.metrics import METRICS


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"metric": "accuracy"}, "literal_error"),
        ({"strategy": "ttest"}, "literal_error"),
        ({"alpha": 0}, "greater_than"),
        ({"alpha": 0.5}, "less_than"),
        ({"alpha": "0.05"}, "float_type"),
        ({"alpha": math.nan}, "finite_number"),
        ({"confidence_level": 95}, "less_than"),
        ({"power": 0.4}, "greater_than"),
        ({"min_effect_size": -0.01}, "greater_than_equal"),
        ({"min_effect_size": math.inf}, "finite_number"),
        ({"min_effect_size": True}, "float_type"),
        ({"minimum_positives": 1}, "greater_than_equal"),
        ({"minimum_positives": 9.5}, "int_type"),
        ({"minimum_positives": True}, "int_type"),
        ({"memory": "none"}, "literal_error"),
        ({"resample": "unit"}, "literal_error"),
        ({"interval": "basic"}, "literal_error"),
        ({"n_subsamples": 1}, "greater_than_equal"),
        ({"subsample": 1.0}, "less_than"),
        ({"capacity": 0}, "greater_than"),
        ({"yearly_alpha": 1}, "less_than"),
        ({"tests_per_year": 0.5}, "greater_than_equal"),
        ({"suspicious_gain": 1.1}, "less_than_equal"),
        ({"false_negative_cost": 0}, "greater_than"),
        ({"slice_margin": -0.1}, "greater_than_equal"),
        ({"slice_non_inferiority": 0}, "greater_than"),
        ({"calibration_factor": "1"}, "float_type"),
        ({"calibration_factor": 0.9}, "greater_than_equal"),
        ({"secondary": {"auc": 0.1}}, "literal_error"),
        ({"secondary": {"auroc": 0.1}}, "value_error"),
        ({"secondary": {"brier": 0}}, "greater_than"),
        ({"n_resamples": 10}, "greater_than_equal"),
        ({"n_resamples": 1e3}, "int_type"),
        ({"campaign": {"looks": 0}}, "greater_than_equal"),
        ({"campaign": {"looks": 53}}, "less_than_equal"),
        ({"campaign": {"looks": 2.5}}, "int_type"),
        ({"campaign": {"spending": "haybittle"}}, "literal_error"),
        ({"campaign": {"meanwhile": "drop"}}, "literal_error"),
        ({"campaign": {"spending": "obrien_fleming", "meanwhile": "newest"}}, "value_error"),
        ({"campaign": {"typo": 1}}, "unexpected_keyword_argument"),
        ({"typo": 1}, "unexpected_keyword_argument"),
    ],
)
def test_policy_refuses(values: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Policy(**values)
    (error,) = refused.value.errors()
    assert (error["loc"][0], error["type"]) == (next(iter(values)), rule)


@pytest.mark.parametrize("strategy", ["delong", "disjoint_split", "interval_overlap"])
def test_strategies_of_auroc_are_refused_for_other_metrics(strategy: str) -> None:
    Policy(metric="auroc", strategy=strategy)  # type: ignore[arg-type]
    for metric in METRICS.keys() - {"auroc"}:
        with pytest.raises(ValidationError, match=r"strategy\n.*needs the metric auroc"):
            Policy(metric=metric, strategy=strategy)  # type: ignore[arg-type]


def test_delong_is_another_name_of_influence() -> None:
    assert Policy(strategy="delong") == Policy(strategy="influence") == Policy()
    assert Policy().strategy_in_reports == "delong"
    assert Policy(metric="brier").strategy_in_reports == "influence"
    assert Policy(strategy="paired_bootstrap").strategy_in_reports == "paired_bootstrap"


def test_policy_replaced_is_checked_again() -> None:
    with pytest.raises(ValidationError, match=r"alpha\n.*less than 0\.5"):
        dataclasses.replace(Policy(), alpha=2)


def test_policy_defaults_are_those_of_the_gate() -> None:
    assert dataclasses.asdict(Policy()) == {
        "metric": "auroc",
        "period": "day",
        "strategy": "influence",
        "alpha": 0.05,
        "min_effect_size": 0.0,
        "minimum_positives": 100,
        "confidence_level": 0.95,
        "power": 0.8,
        "n_resamples": 1000,
        "resample": "row",
        "interval": "percentile",
        "n_subsamples": 100,
        "subsample": 0.5,
        "capacity": 0.01,
        "false_negative_cost": 10.0,
        "secondary": {},
        "slice_margin": 0.0,
        "slice_non_inferiority": None,
        "calibration_factor": 1.25,
        "suspicious_gain": 0.8,
        "worse_on_validation": "skip",
        "memory": "spending",
        "yearly_alpha": 0.2,
        "tests_per_year": 52.0,
        "campaign": {"looks": 1, "spending": "pocock", "meanwhile": "better"},
    }
