"""The rules of earlier systems: what they compute, and how they err."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from retraining.gate.decision import decide
from retraining.gate.policy import Policy
from retraining.gate.unsound import disjoint_split, interval_overlap, subsample_ttest
from retraining.statistics.checks import check_rows
from retraining.statistics.metrics import METRICS, auroc
from retraining.statistics.paired import delong
from tests.drawing import draw_rows

if TYPE_CHECKING:
    from retraining.gate.strategy_result import StrategyResult
    from retraining.statistics.rows import Rows


def test_subsample_ttest_is_that_of_scipy_on_the_lists_it_keeps() -> None:
    policy = Policy(strategy="subsample_ttest", subsample=0.2)
    found = subsample_ttest(draw_rows(lift=0.1), policy, 0.01, np.random.default_rng(0))
    assert list(found.tables) == ["scores_init.csv", "scores_tuned.csv"]
    init, tuned = (table["auroc"] for table in found.tables.values())
    assert init.shape == tuned.shape == (100,)
    test = stats.ttest_ind(init, tuned)
    assert found.measured["pvalue_ttest"] == pytest.approx(float(test.pvalue))
    assert found.result.pvalue == found.measured["pvalue_ttest"]
    assert found.result.effect_size == pytest.approx(np.mean(tuned) - np.mean(init))
    low, high = stats.ttest_ind(tuned, init).confidence_interval(0.95)
    assert (found.result.ci_lower, found.result.ci_upper) == pytest.approx((low, high))
    for name, values in (("init", init), ("tuned", tuned)):
        statistic, pvalue = stats.shapiro(values)
        assert found.measured[f"stat_shapiro_{name}"] == statistic
        assert found.measured[f"p_shapiro_{name}"] == pvalue
    assert set(found.measured) == {
        "p_shapiro_init",
        "stat_shapiro_init",
        "p_shapiro_tuned",
        "stat_shapiro_tuned",
        "pvalue_ttest",
    }
    assert found.says == "promote"


def test_subsample_ttest_scores_each_model_on_draws_of_its_own() -> None:
    rows = draw_rows()
    same = rows._replace(scores=(rows.scores[0],) * 2)
    found = subsample_ttest(same, Policy(), 0.05, np.random.default_rng(0))
    assert found.result.effect_size != 0


def test_subsample_ttest_does_not_promote_a_significantly_worse_challenger() -> None:
    rows = draw_rows(lift=0.3)
    swapped = rows._replace(scores=rows.scores[::-1])
    found = subsample_ttest(swapped, Policy(), 0.05, np.random.default_rng(0))
    assert found.result.pvalue < 1e-6
    assert found.says == "keep_champion"


def test_subsample_ttest_orients_losses() -> None:
    policy = Policy(strategy="subsample_ttest", metric="log_loss")
    found = subsample_ttest(draw_rows(lift=0.5), policy, 0.05, np.random.default_rng(0))
    assert found.result.effect_size > 0
    assert found.result.challenger < found.result.champion
    assert found.says == "promote"


@pytest.mark.parametrize("lift", [0.0, 9.0])
def test_subsample_ttest_of_constant_lists_is_defined(lift: float) -> None:
    """Constant scores have the area one half in every subsample, perfect ones the area one."""
    label = np.arange(40) % 2 == 0
    rows = check_rows(label, {"a": np.zeros(40), "b": lift * label})
    found = subsample_ttest(rows, Policy(n_subsamples=5), 0.05, np.random.default_rng(0))
    assert found.result.pvalue == (0.0 if lift else 1.0)
    assert found.says == ("promote" if lift else "keep_champion")


def test_subsample_ttest_leaves_out_subsamples_of_one_class() -> None:
    label = np.arange(200) == 0
    rows = check_rows(label, {"a": np.arange(200), "b": np.arange(200)[::-1]})
    found = subsample_ttest(
        rows, Policy(n_subsamples=3, subsample=0.001), 0.05, np.random.default_rng(0)
    )
    assert found.tables["scores_init.csv"]["auroc"].size == 0
    assert math.isnan(found.result.pvalue)
    assert found.says == "keep_champion"


def test_more_subsamples_make_an_equal_challenger_significant() -> None:
    """The number of subsamples is a knob: the same rows, and a p-value as small as one likes.

    The rows are the first of which the paired test says that nothing is there.
    """
    rows = next(
        rows
        for rows in (draw_rows(seed=seed) for seed in range(100))
        if 0.2 < delong(rows.label, *rows.scores).pvalue < 0.3
    )

    def pvalue(times: int) -> float:
        policy = Policy(n_subsamples=times)
        return subsample_ttest(rows, policy, 0.05, np.random.default_rng(0)).result.pvalue

    assert pvalue(2000) < 1e-6 < 1e-3 < pvalue(10)


def test_disjoint_split_measures_each_model_on_a_half_of_its_own() -> None:
    rows = draw_rows(lift=0.5)
    found = disjoint_split(rows, Policy(), 0.05, np.random.default_rng(3))
    half = np.zeros(2000, np.bool_)
    half[np.random.default_rng(3).permutation(2000)[:1000]] = True
    first = auroc(rows.label[half], rows.scores[0][half])
    second = auroc(rows.label[~half], rows.scores[1][~half])
    assert (found.result.champion, found.result.challenger) == pytest.approx((first, second))
    assert found.measured["auc_improvement"] == pytest.approx(second - first)
    assert found.measured["champion_sample_size"] == 1000
    assert {"champion_f1", "challenger_accuracy", "f1_improvement"} < set(found.measured)
    assert math.isnan(found.result.pvalue)
    assert found.says == ("promote" if second - first > 0.02 else "keep_champion")


def test_disjoint_split_of_other_scores_measures_the_area_alone() -> None:
    rows = draw_rows()
    logits = rows._replace(scores=tuple(np.log(s / (1 - s)) for s in rows.scores))
    found = disjoint_split(logits, Policy(), 0.05, np.random.default_rng(3))
    assert "auc_improvement" in found.measured
    assert "f1_improvement" not in found.measured


def test_disjoint_split_without_class_1_in_a_half_keeps_the_champion() -> None:
    label = np.arange(20) == 0
    rows = check_rows(label, {"a": np.arange(20), "b": np.arange(20)})
    found = disjoint_split(rows, Policy(), 0.05, np.random.default_rng(3))
    assert math.isnan(found.measured["auc_improvement"])
    assert found.says == "keep_champion"


def vote(rows: Rows) -> StrategyResult:
    return interval_overlap(rows, Policy(n_resamples=200), 0.05, np.random.default_rng(0))


def test_interval_overlap_counts_intervals_that_lie_apart() -> None:
    apart = vote(draw_rows(lift=1.0))
    assert apart.measured == {"improvements": 3.0, "deteriorations": 0.0, "inconclusive": 0.0}
    assert apart.says == "promote"
    rows = draw_rows(lift=1.0)
    assert vote(rows._replace(scores=rows.scores[::-1])).measured["deteriorations"] == 3.0
    assert vote(draw_rows()).measured["inconclusive"] == 3.0


def test_interval_overlap_of_other_scores_votes_by_the_area_alone() -> None:
    rows = draw_rows(lift=1.0)
    logits = rows._replace(scores=tuple(np.log(s / (1 - s)) for s in rows.scores))
    found = vote(logits)
    assert sum(found.measured.values()) == 1.0
    area = METRICS["auroc"].function(rows.label, rows.scores[1])
    assert found.result.challenger == pytest.approx(area)


def test_interval_overlap_misses_what_a_paired_test_finds() -> None:
    rows = draw_rows(lift=0.15)
    assert delong(rows.label, *rows.scores).pvalue < 1e-3
    assert vote(rows).measured["inconclusive"] == 3.0


@pytest.mark.parametrize("strategy", ["subsample_ttest", "disjoint_split", "interval_overlap"])
def test_a_champion_is_not_kept_on_an_unsound_rule(strategy: str) -> None:
    rows = draw_rows(3000)
    worse = np.where(np.arange(3000) % 3 == 0, 1 - rows.scores[0], rows.scores[0])
    policy = replace(Policy(), strategy=strategy)  # type: ignore[arg-type]
    assert decide(rows.label, rows.scores[0], worse, policy=policy).verdict == "inconclusive"
