"""Which policies are refused, and in which words."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from retraining.errors import RetrainingError
from retraining.policy import Policy


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metric": "accuracy"}, r"^policy metric is 'accuracy': choose one of auroc, auprc, log_"),
        ({"strategy": "ttest"}, r"^policy strategy is 'ttest': choose one of delong, paired_boots"),
        (
            {"metric": "brier"},
            r"^policy metric is 'brier': strategy delong needs auroc; choose paired_bootstrap$",
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
    }
