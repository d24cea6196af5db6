"""P-values against scipy, and Holm's adjustment against his procedure."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from retraining.statistics.inference import (
    excess_pvalue,
    holm,
    shortfall_pvalue,
    tail_probability,
)
from retraining.statistics.paired import delong


def test_tail_probability_of_all_alternatives() -> None:
    assert tail_probability(1.96, 1.0, alternative="greater") == pytest.approx(stats.norm.sf(1.96))
    assert tail_probability(1.96, 1.0, alternative="less") == pytest.approx(stats.norm.cdf(1.96))
    both = tail_probability(-1.96, 1.0, alternative="two-sided")
    assert both == pytest.approx(2 * stats.norm.sf(1.96))
    assert tail_probability(0.0, 1.0, alternative="two-sided") == 1.0
    assert math.isnan(tail_probability(0.1, math.nan, alternative="greater"))


def test_excess_pvalue_is_of_the_required_effect() -> None:
    label, champion = [1, 1, 0, 0, 0, 1], [4.0, 1.0, 3.0, 2.0, 0.0, 2.0]
    result = delong(label, champion, [0.9, 0.8, 0.6, 0.3, 0.2, 0.1])
    assert excess_pvalue(result, 0.0) == result.pvalue
    excess = (result.effect_size - 0.05) / result.standard_error
    assert excess_pvalue(result, 0.05) == pytest.approx(stats.norm.sf(excess))
    of_five = result._replace(degrees_of_freedom=4)
    assert excess_pvalue(of_five, 0.05) == pytest.approx(stats.t.sf(excess, 4))
    unsure = of_five._replace(error_bound=0.01)
    further = (result.effect_size - 0.06) / result.standard_error
    assert excess_pvalue(unsure, 0.05) == pytest.approx(stats.t.sf(further, 4))
    less = (result.effect_size + 0.01 - 0.05) / result.standard_error
    assert shortfall_pvalue(unsure, 0.05) == pytest.approx(stats.t.cdf(less, 4))


def test_holm_of_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0]
    assert holm([]).size == 0


@given(pvalues=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_what_his_procedure_rejects(pvalues: list[float]) -> None:
    """Step down from the smallest, comparing with alpha / (m - k + 1), until one is not below."""
    alpha, rejected = 0.05, set()
    order = sorted(range(len(pvalues)), key=pvalues.__getitem__)
    for k, i in enumerate(order):
        if pvalues[i] * (len(pvalues) - k) >= alpha:
            break
        rejected.add(i)
    assert set(np.flatnonzero(holm(pvalues) < alpha).tolist()) == rejected
