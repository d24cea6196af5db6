"""Which policies are refused, and in which words."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from retraining.errors import RetrainingError
from retraining.gate.policy import Policy


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metric": "accuracy"}, r"^policy metric is 'accuracy': choose one of auroc, auprc, log_"),
        ({"strategy": "ttest"}, r"^policy strategy is 'ttest': choose one of delong, influence, p"),
        (
            {"metric": "brier"},
            r"^policy metric is 'brier': strategy delong needs auroc; choose influence$",
        ),
        ({"alpha": 0}, r"^policy alpha is 0: give a number between 0 and 0.5$"),
        ({"alpha": 0.5}, r"^policy alpha is 0.5: give a number between 0 and 0.5$"),
        ({"alpha": "0.05"}, r"^policy alpha is '0.05': give a number between 0 and 0.5$"),
        ({"alpha": math.nan}, r"^policy alpha is nan: give a number between 0 and 0.5$"),
        ({"confidence_level": 95}, r"^policy confidence_level is 95: give a number between 0 and"),
        ({"power": 0.4}, r"^policy power is 0.4: give a number between 0.5 and 1$"),
        ({"min_effect_size": -0.01}, r"^policy min_effect_size is -0.01: give a number of 0 or mo"),
        ({"min_effect_size": math.inf}, r"^policy min_effect_size is inf: give a number of 0 or m"),
        ({"min_effect_size": True}, r"^policy min_effect_size is True: give a number of 0 or more"),
        ({"minimum_positives": 1}, r"^policy minimum_positives is 1: give a whole number, 2 or mo"),
        ({"minimum_positives": 9.5}, r"^policy minimum_positives is 9.5: give a whole number, 2 o"),
        ({"minimum_positives": True}, r"^policy minimum_positives is True: give a whole number"),
        ({"memory": "none"}, r"^policy memory is 'none': choose one of per_test, spending, fresh_"),
        ({"resample": "unit"}, r"^policy resample is 'unit': choose one of row, stratified$"),
        ({"interval": "basic"}, r"^policy interval is 'basic': choose one of percentile, bca$"),
        ({"n_subsamples": 1}, r"^policy n_subsamples is 1: give a whole number, 2 or more$"),
        ({"subsample": 1.0}, r"^policy subsample is 1.0: give a number between 0 and 1$"),
        ({"capacity": 0}, r"^policy capacity is 0: give a number between 0 and 1$"),
        ({"yearly_alpha": 1}, r"^policy yearly_alpha is 1: give a number between 0 and 1$"),
        ({"suspicious_gain": 1.1}, r"^policy suspicious_gain is 1.1: give a number between 0 and"),
        ({"false_negative_cost": 0}, r"^policy false_negative_cost is 0: give a number above 0$"),
        ({"slice_margin": -0.1}, r"^policy slice_margin is -0.1: give a number of 0 or more$"),
        ({"calibration_margin": "1"}, r"^policy calibration_margin is '1': give a number of 0"),
        ({"secondary": {"auc": 0.1}}, r"^policy secondary is 'auc': name one of auprc, log_loss"),
        ({"secondary": {"auroc": 0.1}}, r"^policy secondary is 'auroc': name one of auprc, log_l"),
        ({"secondary": {"brier": 0}}, r"^policy secondary.brier is 0: give a margin above 0$"),
        ({"n_resamples": 10}, r"^n_resamples is 10: give a whole number, 100 or more$"),
    ],
)
def test_policy_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RetrainingError, match=message):
        Policy(**values)


def test_policy_replaced_is_checked_again() -> None:
    with pytest.raises(RetrainingError, match=r"^policy alpha is 2"):
        dataclasses.replace(Policy(), alpha=2)


def test_policy_defaults_are_those_of_the_gate() -> None:
    assert dataclasses.asdict(Policy()) == {
        "metric": "auroc",
        "strategy": "delong",
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
        "calibration_margin": 0.1,
        "suspicious_gain": 0.8,
        "memory": "per_test",
        "yearly_alpha": 0.2,
    }
