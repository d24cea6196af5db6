"""Paired tests in closed form against published values, brute force, and themselves."""

from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from retraining.errors import RetrainingError
from retraining.statistics.metrics import METRICS, choose
from retraining.statistics.paired import delong, influence, paired_bootstrap
from tests.drawing import draw_probabilities

if TYPE_CHECKING:
    from pathlib import Path

    from retraining.statistics.inference import Alternative
    from retraining.statistics.rows import Codes, Floats

# Four rows of class 1, six of class 0, ties within and between the classes.
LABEL = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
CHAMPION = [4.0, 3.0, 3.0, 1.0, 3.0, 2.0, 2.0, 1.0, 0.0, 0.0]
CHALLENGER = [0.9, 0.8, 0.4, 0.6, 0.6, 0.3, 0.2, 0.4, 0.2, 0.1]


@st.composite
def compared_rows(draw: st.DrawFn) -> tuple[Codes, Floats, Floats]:
    """Two rows or more of each class; scores with ties."""
    size = draw(st.integers(4, 40))
    label = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))
    label[:4] = 0, 0, 1, 1
    scores = st.lists(st.integers(-8, 8), min_size=size, max_size=size)
    return np.array(label), np.array(draw(scores)) / 4, np.array(draw(scores)) / 4


def columns(path: Path) -> dict[str, list[str]]:
    with path.open() as lines:
        rows = list(csv.DictReader(lines))
    return {name: [row[name] for row in rows] for name in rows[0]}


@pytest.mark.reference
@pytest.mark.parametrize("pair", ["wfns-s100b", "wfns-ndka", "ndka-s100b"])
def test_delong_equals_proc_on_asah(reference_data: Path, pair: str) -> None:
    """All digits that pROC 1.19 prints; effects there are first less second."""
    folder = reference_data / "delong"
    published = json.loads((folder / "reference_values.json").read_text())["aSAH"]
    expected = published["roc.test_paired"][pair]
    table = columns(folder / "aSAH.csv")
    label = [int(outcome == "Poor") for outcome in table["outcome"]]
    first, second = ([float(value) for value in table[name]] for name in pair.split("-"))
    result = delong(label, second, first, alternative="two-sided")
    assert result.effect_size / result.standard_error == pytest.approx(expected["Z"], rel=1e-12)
    assert result.pvalue == pytest.approx(expected["p"], rel=1e-12)
    assert (result.ci_lower, result.ci_upper) == pytest.approx(tuple(expected["ci"]), rel=1e-12)
    names = pair.split("-")
    assert result.challenger == pytest.approx(published["auc"][names[0]], rel=1e-12)
    assert result.champion == pytest.approx(published["auc"][names[1]], rel=1e-12)
    if "p_greater" in expected:
        greater = delong(label, second, first, alternative="greater")
        less = delong(label, second, first, alternative="less")
        assert greater.pvalue == pytest.approx(expected["p_greater"], rel=1e-12)
        assert less.pvalue == pytest.approx(expected["p_less"], rel=1e-12)


@pytest.mark.reference
@pytest.mark.parametrize(("name", "column"), [("Albumin", "alb"), ("Total Protein", "tp")])
def test_delong_equals_sas_on_ovarian(reference_data: Path, name: str, column: str) -> None:
    """Four decimals are printed; low values speak for the event, rows with a gap are left out."""
    folder = reference_data / "delong"
    published = json.loads((folder / "reference_values.json").read_text())["sas_ovarian"]
    table = columns(folder / "sas_roc_ovarian.csv")
    rows = list(zip(table["popind"], table["kg"], table["alb"], table["tp"], strict=True))
    complete = [[float(value) for value in row] for row in rows if _complete(row)]
    label = [int(row[0] == 0) for row in complete]
    champion = [-row[1] for row in complete]
    challenger = [-row[2 if column == "alb" else 3] for row in complete]
    result = delong(label, champion, challenger, alternative="two-sided")
    effect, error, chi_square, pvalue = published["contrasts_vs_K-G"][name]
    assert len(complete) == published["rows"]
    assert result.effect_size == pytest.approx(effect, abs=5e-5)
    assert result.standard_error == pytest.approx(error, abs=5e-5)
    assert (result.effect_size / result.standard_error) ** 2 == pytest.approx(chi_square, abs=5e-5)
    assert result.pvalue == pytest.approx(pvalue, abs=5e-5)
    assert result.challenger == pytest.approx(published["areas"][name][0], abs=5e-5)


def _complete(row: tuple[str, ...]) -> bool:
    return all(value not in {"", ".", "NA", "nan"} for value in row)


def test_delong_equals_the_definition_pair_by_pair() -> None:
    """Components, sample variances and normal tail written out from DeLong et al. (1988)."""
    ones, zeros = range(4), range(4, 10)

    def wins(score: list[float], i: int, j: int) -> float:
        return 1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0

    change = [[wins(CHALLENGER, i, j) - wins(CHAMPION, i, j) for j in zeros] for i in ones]
    effect = float(np.mean(change))
    variance = np.var(np.mean(change, axis=1), ddof=1) / 4
    variance += np.var(np.mean(change, axis=0), ddof=1) / 6
    error = math.sqrt(variance)
    result = delong(LABEL, CHAMPION, CHALLENGER, confidence_level=0.9)
    assert result.effect_size == pytest.approx(effect, rel=1e-12)
    assert result.standard_error == pytest.approx(error, rel=1e-12)
    assert result.pvalue == pytest.approx(stats.norm.sf(effect / error), rel=1e-12)
    ends = stats.norm.interval(0.9, loc=effect, scale=error)
    assert (result.ci_lower, result.ci_upper) == pytest.approx(ends, rel=1e-12)
    assert (result.champion, result.challenger) == pytest.approx((19.5 / 24, 22 / 24))
    assert (result.n_rows, result.n_positives) == (10, 4)


def test_delong_with_units_refers_to_students_t() -> None:
    unit = ["a", "b", "c", "d", "a", "b", "c", "d", "e", "e"]
    result = delong(LABEL, CHAMPION, CHALLENGER, unit=unit, alternative="two-sided")
    ratio, degrees = result.effect_size / result.standard_error, 4 - 1  # of the four positives
    assert result.pvalue == pytest.approx(2 * stats.t.sf(abs(ratio), degrees), rel=1e-10)
    half = (result.ci_upper - result.ci_lower) / 2
    assert half / result.standard_error == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-10)


@given(rows=compared_rows())
def test_delong_swapped_negates_and_mirrors(rows: tuple[Codes, Floats, Floats]) -> None:
    label, champion, challenger = rows
    one, other = delong(label, champion, challenger), delong(label, challenger, champion)
    assert other.effect_size == pytest.approx(-one.effect_size, abs=1e-15)
    assert other.ci_lower == pytest.approx(-one.ci_upper, abs=1e-12)
    assert other.ci_upper == pytest.approx(-one.ci_lower, abs=1e-12)
    if one.standard_error > 0:
        assert other.pvalue == pytest.approx(1 - one.pvalue, abs=1e-9)


@given(rows=compared_rows(), seed=st.integers(0, 99))
def test_delong_ignores_row_order_and_scale(rows: tuple[Codes, Floats, Floats], seed: int) -> None:
    label, champion, challenger = rows
    order = np.random.default_rng(seed).permutation(label.size)
    expected = delong(label, champion, challenger)
    shuffled = delong(label[order], champion[order], challenger[order])
    assert shuffled == pytest.approx(expected, abs=1e-9)
    assert delong(label, np.exp(champion), 3 * challenger - 7) == expected


@given(rows=compared_rows(), data=st.data())
def test_delong_integer_weights_equal_repeated_rows_in_effect(
    rows: tuple[Codes, Floats, Floats], data: st.DataObject
) -> None:
    label, champion, challenger = rows
    size = label.size
    times = data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    times[:4] = 1, 1, 1, 1
    weighted = delong(label, champion, challenger, weight=times)
    repeated = delong(*(np.repeat(values, times) for values in rows))
    assert weighted.effect_size == pytest.approx(repeated.effect_size, abs=1e-12)
    assert weighted.n_rows == sum(count > 0 for count in times)


@given(rows=compared_rows(), factor=st.sampled_from([0.25, 4.0]))
def test_delong_ignores_equal_weights_within_a_class(
    rows: tuple[Codes, Floats, Floats], factor: float
) -> None:
    label, champion, challenger = rows
    weighted = delong(label, champion, challenger, weight=np.where(label == 1, factor, 1.0))
    assert weighted == pytest.approx(delong(label, champion, challenger), abs=1e-9)


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
@pytest.mark.parametrize("weight", [None, [0.1, 0.7, 0.3, 1.1, 0.9, 0.2, 0.3, 0.7, 1.3, 0.6]])
def test_equal_rankings_have_no_effect_and_the_pvalue_one(
    alternative: Alternative, weight: list[float] | None
) -> None:
    """The challenger swaps neighbours of one class only, which no metric of ranks can see."""
    champion = [9.0, 8.0, 4.0, 3.0, 7.0, 6.0, 5.0, 2.0, 1.0, 0.0]
    challenger = [8.0, 9.0, 4.0, 3.0, 5.0, 7.0, 6.0, 0.0, 2.0, 1.0]
    for result in (
        delong(LABEL, champion, challenger, weight=weight, alternative=alternative),
        paired_bootstrap(
            LABEL,
            champion,
            challenger,
            weight=weight,
            alternative=alternative,
            rng=np.random.default_rng(0),
        ),
    ):
        assert (result.effect_size, result.standard_error) == (0.0, 0.0)
        assert (result.ci_lower, result.ci_upper, result.pvalue) == (0.0, 0.0, 1.0)


def test_an_effect_without_variance_is_taken_as_certain() -> None:
    label, worst, best = [0, 0, 1, 1], [3, 4, 1, 2], [1, 2, 3, 4]
    assert delong(label, worst, best)[:7] == (1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0)
    assert delong(label, best, worst).pvalue == 1.0


def test_delong_of_one_positive_has_no_error() -> None:
    result = delong([1, 0, 0], [1, 2, 3], [3, 1, 2])
    assert result.effect_size == 1.0
    assert all(math.isnan(value) for value in result[3:7])


def test_delong_refuses_what_the_bootstrap_refuses() -> None:
    with pytest.raises(RetrainingError, match=r"^confidence_level is 0: give a number between"):
        delong(LABEL, CHAMPION, CHALLENGER, confidence_level=0)
    with pytest.raises(RetrainingError, match=r"^challenger has 2 rows and label has 10"):
        delong(LABEL, CHAMPION, [1.0, 2.0])


def test_influence_on_auroc_is_delong() -> None:
    assert influence(LABEL, CHAMPION, CHALLENGER) == delong(LABEL, CHAMPION, CHALLENGER)


@pytest.mark.parametrize("metric", ["log_loss", "brier", "expected_cost"])
def test_influence_on_a_mean_is_the_paired_t_test_with_a_normal_tail(metric: str) -> None:
    label, champion, challenger = draw_probabilities(200, seed=1, lift=0.3)
    result = influence(label, champion, challenger, metric=metric)
    champion_losses, challenger_losses = (
        {
            "log_loss": -np.log(np.where(label == 1, score, 1 - score)),
            "brier": (score - label) ** 2,
            "expected_cost": np.where(label == 1, 10.0 * (score <= 1 / 11), score > 1 / 11),
        }[metric]
        for score in (champion, challenger)
    )
    expected = stats.ttest_rel(champion_losses, challenger_losses)
    assert result.effect_size / result.standard_error == pytest.approx(expected.statistic)
    assert result.pvalue == pytest.approx(stats.norm.sf(expected.statistic))


def test_influence_on_a_mean_with_equal_units_is_the_t_test_of_unit_means() -> None:
    label, champion, challenger = draw_probabilities(200, seed=1, lift=0.3)
    unit = np.empty(200, np.intp)  # the same number of positives in each
    unit[np.argsort(label, kind="stable")] = np.arange(200) % 8
    gains = (champion - label) ** 2 - (challenger - label) ** 2
    means = [np.mean(gains[unit == code]) for code in range(8)]
    expected = stats.ttest_1samp(means, 0, alternative="greater")
    result = influence(label, champion, challenger, metric="brier", unit=unit)
    assert result.effect_size / result.standard_error == pytest.approx(expected.statistic)
    assert result.pvalue == pytest.approx(expected.pvalue, rel=1e-2)
    assert result.degrees_of_freedom == pytest.approx(7, abs=0.1)


@pytest.mark.parametrize("metric", ["auroc", "brier"])
def test_pvalue_is_that_of_swapping_the_models_row_by_row(metric: str) -> None:
    """Were both models equal, every row could as well have had their scores the other way round."""
    label, champion, challenger = draw_probabilities(120, seed=12, lift=0.12)
    rng = np.random.default_rng(1)
    found = influence(label, champion, challenger, metric=metric)
    function = METRICS[metric].function
    sign = 1 if METRICS[metric].greater_is_better else -1
    as_large = 0
    for _ in range(2000):
        swapped = rng.random(label.size) < 0.5
        one, other = (
            np.where(swapped, second, first)
            for first, second in ((champion, challenger), (challenger, champion))
        )
        effect = sign * (function(label, other) - function(label, one))
        as_large += effect >= found.effect_size
    assert found.pvalue == pytest.approx(as_large / 2000, abs=0.03)
    assert 0.02 < found.pvalue < 0.4


PROBABILITIES = st.sampled_from(sorted(METRICS))


@given(rows=compared_rows(), metric=PROBABILITIES)
def test_influence_swapped_negates_and_mirrors(
    rows: tuple[Codes, Floats, Floats], metric: str
) -> None:
    label, champion, challenger = rows[0], *(stats.norm.cdf(score) for score in rows[1:])
    one = influence(label, champion, challenger, metric=metric)
    other = influence(label, challenger, champion, metric=metric)
    assert other.effect_size == pytest.approx(-one.effect_size, abs=1e-12)
    assert other.ci_lower == pytest.approx(-one.ci_upper, abs=1e-9)
    assert other.ci_upper == pytest.approx(-one.ci_lower, abs=1e-9)


@given(rows=compared_rows(), metric=PROBABILITIES, seed=st.integers(0, 99))
def test_influence_ignores_the_order_of_rows(
    rows: tuple[Codes, Floats, Floats], metric: str, seed: int
) -> None:
    label, champion, challenger = rows[0], *(stats.norm.cdf(score) for score in rows[1:])
    order = np.random.default_rng(seed).permutation(label.size)
    shuffled = influence(label[order], champion[order], challenger[order], metric=metric)
    expected = influence(label, champion, challenger, metric=metric)
    assert shuffled == pytest.approx(expected, abs=1e-9)


@given(rows=compared_rows(), metric=st.sampled_from(["auroc", "auprc", "recall_at_capacity"]))
def test_metrics_of_ranks_ignore_the_scale_of_scores(
    rows: tuple[Codes, Floats, Floats], metric: str
) -> None:
    label, champion, challenger = rows
    expected = influence(label, champion, challenger, metric=metric)
    assert influence(label, np.exp(champion), 3 * challenger - 7, metric=metric) == expected


@given(rows=compared_rows(), metric=PROBABILITIES)
def test_identical_scores_have_no_effect(rows: tuple[Codes, Floats, Floats], metric: str) -> None:
    score = stats.norm.cdf(rows[1])
    result = influence(rows[0], score, score, metric=metric)
    assert (result.effect_size, result.standard_error, result.pvalue) == (0.0, 0.0, 1.0)
    assert (result.ci_lower, result.ci_upper) == (0.0, 0.0)


def test_weights_of_the_label_alone_change_other_metrics_than_auroc() -> None:
    """Areas under ROC curves and their error cannot see balancing weights; the others can."""
    label, champion, challenger = draw_probabilities(500, seed=2, lift=0.2)
    weight = np.where(label == 1, 9.0, 1.0)
    for metric in METRICS:
        plain = influence(label, champion, challenger, metric=metric)
        balanced = influence(label, champion, challenger, metric=metric, weight=weight)
        same = balanced[:9] == pytest.approx(plain[:9], rel=1e-6)
        assert same is (metric == "auroc")


def test_few_units_widen_the_interval_beyond_the_normal() -> None:
    """Five units: 2.776 standard errors on either side, where a normal has 1.960."""
    label, champion, challenger = draw_probabilities(500, seed=2)
    result = influence(label, champion, challenger, metric="auprc", unit=np.arange(500) % 5)
    half = (result.ci_upper - result.ci_lower) / 2
    assert half / result.standard_error == pytest.approx(2.776, abs=0.01)


def test_influence_takes_a_metric_with_parameters() -> None:
    label, champion, challenger = draw_probabilities(500, seed=2)
    tenth = influence(
        label, champion, challenger, metric=choose("recall_at_capacity", capacity=0.1)
    )
    half = influence(label, champion, challenger, metric=choose("recall_at_capacity", capacity=0.5))
    assert tenth.champion < half.champion < 1
    with pytest.raises(RetrainingError, match=r"^metric is 'accuracy': choose one of auroc, "):
        influence(label, champion, challenger, metric="accuracy")
