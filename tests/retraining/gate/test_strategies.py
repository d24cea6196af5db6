"""Every strategy on the same rows: what valid ones decide, and by which numbers."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from retraining.errors import RetrainingError
from retraining.gate import policy as policies
from retraining.gate.policy import Policy
from retraining.gate.strategies import STRATEGIES
from retraining.gate.strategy_result import StrategyResult, apply_rule
from retraining.statistics.comparing import bootstrap_rows, compare_rows
from retraining.statistics.metrics import METRICS
from retraining.statistics.paired import delong
from retraining.statistics.subsampling import subsamples
from tests.drawing import draw_rows
from tests.reading import numbers

if TYPE_CHECKING:
    from retraining.statistics.rows import Rows

UNIT = np.arange(2000) % 50
VALID = [name for name, strategy in STRATEGIES.items() if strategy.valid]


def run(name: str, rows: Rows, **options: Any) -> StrategyResult:  # noqa: ANN401 (fields of a policy)
    policy = dataclasses.replace(Policy(), **{"strategy": name, **options})
    return STRATEGIES[name].run(rows, policy, policy.alpha, np.random.default_rng(0))


def test_strategies_are_those_of_the_policy() -> None:
    assert {"delong", *STRATEGIES} == set(get_args(policies.Strategy))
    assert all(name == strategy.name for name, strategy in STRATEGIES.items())
    rates = [strategy.false_promotion_rate for strategy in STRATEGIES.values()]
    assert all(0 <= rate.rate <= 1 for rate in rates)
    assert all(STRATEGIES[name].false_promotion_rate.rate < 0.06 for name in VALID)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize("by_unit", [False, True])
def test_a_far_better_challenger_is_promoted_and_a_far_worse_one_is_not(
    *, name: str, by_unit: bool
) -> None:
    better = draw_rows(lift=1.0, unit=UNIT if by_unit else None)
    worse = better._replace(scores=better.scores[::-1])
    assert run(name, better).says == "promote"
    assert run(name, worse).says == "keep_champion"


@pytest.mark.parametrize("name", VALID)
def test_a_valid_strategy_asks_for_the_minimum_effect(name: str) -> None:
    """The gain is about 0.02: above 0.005, below 0.05, and neither of what was observed."""
    rows = draw_rows(20_000, lift=0.1)
    assert run(name, rows, min_effect_size=0.005).says == "promote"
    kept = run(name, rows, min_effect_size=0.05)
    assert kept.says == "keep_champion"
    assert kept.result.pvalue > 0.999
    observed = run(name, rows, min_effect_size=kept.result.effect_size)
    assert observed.says == "inconclusive"
    assert observed.result.pvalue == pytest.approx(0.5)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@given(seed=st.integers(0, 1000))
def test_identical_scores_never_promote_where_rows_are_shared(name: str, seed: int) -> None:
    """Rules that draw for each model apart may well promote it: for them it is not claimed."""
    rows = draw_rows(60, seed=seed)
    found = run(name, rows._replace(scores=(rows.scores[0],) * 2), n_resamples=100)
    if STRATEGIES[name].valid:
        assert found.says == "keep_champion"
        assert found.result[0] == 0.0
        assert found.result.pvalue == 1.0


def test_linearised_strategies_are_the_public_functions() -> None:
    rows = draw_rows(unit=UNIT)
    expected = delong(rows.label, *rows.scores, unit=rows.unit, confidence_level=0.9)
    assert run("influence", rows, confidence_level=0.9).result == expected
    costly = Policy(strategy="influence", metric="expected_cost", false_negative_cost=3.0)
    found = STRATEGIES["influence"].run(rows, costly, 0.05, np.random.default_rng(0)).result
    assert found == compare_rows(rows, costly.chosen_metric)
    assert found != compare_rows(rows, METRICS["expected_cost"])


def test_bootstrap_follows_the_policy() -> None:
    rows = draw_rows(lift=0.05)
    options: dict[str, Any] = {"metric": "brier", "n_resamples": 200, "confidence_level": 0.9}
    found = run("paired_bootstrap", rows, resample="stratified", interval="bca", **options)
    expected = bootstrap_rows(
        rows,
        METRICS["brier"],
        n_resamples=200,
        confidence_level=0.9,
        resample="stratified",
        interval="bca",
        rng=np.random.default_rng(0),
    )
    assert found.result == expected


def test_nadeau_bengio_by_its_formula() -> None:
    """Subsamples as drawn, mean, variance s^2 (1 / J + f / (1 - f)), Student's t with J - 1."""
    rows = draw_rows(lift=0.1)
    found = run("nadeau_bengio", rows, n_subsamples=40, subsample=0.3).result
    function = METRICS["auroc"].function
    effects = []
    for weight in subsamples(rows, 0.3, 40, np.random.default_rng(0)):
        assert np.sum(weight) == 600
        old, new = (function(rows.label, score, weight) for score in rows.scores)
        effects.append(new - old)
    error = math.sqrt(np.var(effects, ddof=1) * (1 / 40 + 0.3 / 0.7))
    assert found.effect_size == pytest.approx(np.mean(effects), abs=1e-12)
    assert found.standard_error == pytest.approx(error)
    assert found.pvalue == pytest.approx(stats.t.sf(np.mean(effects) / error, 39))
    half = (found.ci_upper - found.ci_lower) / 2
    assert half == pytest.approx(error * stats.t.ppf(0.975, 39))


def test_nadeau_bengio_estimates_the_error_that_delong_knows() -> None:
    rows = draw_rows(4000, unit=np.arange(4000) % 50)
    found = run("nadeau_bengio", rows, n_subsamples=1000).result
    expected = run("influence", rows).result
    assert found.standard_error == pytest.approx(expected.standard_error, rel=0.1)


def test_nadeau_bengio_without_two_subsamples_of_both_classes_knows_nothing() -> None:
    rows = draw_rows(60)
    label = np.arange(60) == 0
    found = run("nadeau_bengio", rows._replace(label=label), n_subsamples=2, subsample=0.02)
    assert math.isnan(found.result.pvalue)
    assert found.says == "inconclusive"


def test_a_subsample_never_holds_all_units() -> None:
    """Then all subsamples would be alike, and any effect certain."""
    rows = draw_rows(600)._replace(unit=np.arange(600) % 30)
    for weight in subsamples(rows, 0.99, 5, np.random.default_rng(0)):
        assert np.count_nonzero(weight) == 580
    assert run("nadeau_bengio", rows, subsample=0.99).result.standard_error > 0


def test_subsamples_hold_whole_units() -> None:
    rows = draw_rows(unit=UNIT)
    assert rows.unit is not None
    weight = next(subsamples(rows, 0.5, 1, np.random.default_rng(0)))
    inside = np.unique(rows.unit[weight > 0])
    assert inside.size == 25
    assert np.sum(weight) == np.isin(rows.unit, inside).sum()


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_cells_are_refused_by_strategies_that_draw_single_rows(name: str) -> None:
    rows = draw_rows(200)
    cells = rows._replace(size=np.full(200, 3.0), square=np.full(200, 3.0))
    if name in {"influence", "paired_bootstrap"}:
        assert run(name, cells).result.n_rows == 600
        return
    with pytest.raises(RetrainingError, match=rf"^strategy {name} draws single rows, and these we"):
        run(name, cells)


@pytest.mark.parametrize(
    ("pvalue_at", "says", "because"),
    [
        (0.02, "promote", ["0.02275", "0", "0.05"]),
        (-0.02, "keep_champion", ["-0.0004", "0"]),
        (0.01, "inconclusive", ["0.1587", "0", "0.05", "0"]),
        (math.nan, "inconclusive", None),
    ],
)
def test_apply_rule(pvalue_at: float, says: str, because: list[str] | None) -> None:
    result = delong([0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 2])._replace(
        effect_size=pvalue_at, standard_error=0.01, ci_upper=pvalue_at + 0.0196
    )
    found = apply_rule(result, test_alpha=0.05, min_effect_size=0.0)
    assert found.says == says
    assert because is None or numbers(found.because) == because
