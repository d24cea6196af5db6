"""Paired tests against published values, brute force, another bootstrap, and themselves."""

from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from retraining import paired
from retraining.errors import RetrainingError
from retraining.metrics import METRICS
from retraining.paired import PairedResult, delong, paired_bootstrap, tail_probability

if TYPE_CHECKING:
    from pathlib import Path

    from retraining.rows import Codes, Floats

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


def binormal(n: int, seed: int, lift: float = 0.0) -> tuple[Codes, Floats, Floats]:
    """Labels (a third of class 1) and probabilities of two correlated models."""
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 1 / 3).astype(np.intp)
    common = rng.normal(size=n) + 1.2 * label
    first, second = (common + 0.5 * rng.normal(size=n) for _ in range(2))
    return label, 1 / (1 + np.exp(1 - first)), 1 / (1 + np.exp(1 - second - lift * label))


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
    ratio = result.effect_size / result.standard_error
    assert result.pvalue == pytest.approx(2 * stats.t.sf(abs(ratio), 4), rel=1e-10)
    half = (result.ci_upper - result.ci_lower) / 2
    assert half / result.standard_error == pytest.approx(stats.t.ppf(0.975, 4), rel=1e-10)


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
    alternative: paired.Alternative, weight: list[float] | None
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


@pytest.mark.parametrize("metric", sorted(METRICS))
@pytest.mark.parametrize("with_units", [False, True])
def test_bootstrap_equals_scipy(metric: str, with_units: bool) -> None:  # noqa: FBT001
    """Interval and error of scipy's paired percentile bootstrap, within Monte Carlo error.

    With 2,000 resamples the error of a standard error is 1.6 %, of an interval's end about 4 %
    of the standard error; the bounds are four times that.
    """
    label, champion, challenger = binormal(240, seed=5, lift=0.2)
    unit = np.arange(240) // 4 if with_units else np.arange(240)
    members = [np.flatnonzero(unit == code) for code in range(unit.max() + 1)]
    function = METRICS[metric].function
    sign = 1 if METRICS[metric].greater_is_better else -1

    def statistic(drawn: Codes) -> float:
        rows = np.concatenate([members[code] for code in drawn])
        change = function(label[rows], challenger[rows]) - function(label[rows], champion[rows])
        return sign * change

    expected = stats.bootstrap(
        (np.arange(len(members)),),
        statistic,
        vectorized=False,
        method="percentile",
        n_resamples=2000,
        rng=np.random.default_rng(7),
    )
    result = paired_bootstrap(
        label,
        champion,
        challenger,
        metric=metric,
        unit=unit if with_units else None,
        n_resamples=2000,
        rng=np.random.default_rng(8),
    )
    error = float(expected.standard_error)
    assert result.effect_size == pytest.approx(statistic(np.arange(len(members))), abs=1e-12)
    assert result.standard_error == pytest.approx(error, rel=0.09)
    assert result.ci_lower == pytest.approx(expected.confidence_interval.low, abs=0.24 * error)
    assert result.ci_upper == pytest.approx(expected.confidence_interval.high, abs=0.24 * error)
    degrees = len(members) - 1 if with_units else math.inf
    ratio = result.effect_size / result.standard_error
    assert result.pvalue == pytest.approx(stats.t.sf(ratio, degrees), rel=1e-9)


@pytest.mark.parametrize("with_units", [False, True])
def test_bootstrap_agrees_with_delong(with_units: bool) -> None:  # noqa: FBT001
    label, champion, challenger = binormal(3000, seed=6, lift=0.05)
    weight = np.random.default_rng(9).uniform(0.5, 2, label.size)
    unit = np.arange(label.size) // 5 if with_units else None
    closed = delong(label, champion, challenger, weight=weight, unit=unit)
    sampled = paired_bootstrap(
        label, champion, challenger, weight=weight, unit=unit, rng=np.random.default_rng(1)
    )
    assert sampled.effect_size == pytest.approx(closed.effect_size, abs=1e-12)
    assert sampled.standard_error == pytest.approx(closed.standard_error, rel=0.1)


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_bootstrap_orients_every_metric(metric: str) -> None:
    """Noise on the champion's scores makes it worse by every metric."""
    label, champion, challenger = binormal(1000, seed=3)
    worse = np.clip(champion + np.random.default_rng(2).normal(size=1000), 0, 1)
    result = paired_bootstrap(
        label, worse, challenger, metric=metric, rng=np.random.default_rng(4), n_resamples=200
    )
    assert result.effect_size > 0
    assert result.ci_lower > 0
    assert result.pvalue < 1e-6
    greater = METRICS[metric].greater_is_better
    assert (result.challenger > result.champion) is greater


def test_bootstrap_is_the_same_in_batches_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    label, champion, challenger = binormal(100, seed=4)
    results: list[PairedResult] = []
    for cells in (1, 700, 2**18):
        monkeypatch.setattr(paired, "BATCH_CELLS", cells)
        rng = np.random.default_rng(11)
        results.append(paired_bootstrap(label, champion, challenger, metric="auprc", rng=rng))
    assert results[0] == pytest.approx(results[1], rel=1e-9)
    assert results[0] == pytest.approx(results[2], rel=1e-9)


def test_bootstrap_leaves_out_resamples_of_one_class() -> None:
    """With one positive in five rows a third of the resamples have no area at all."""
    result = paired_bootstrap(
        [1, 0, 0, 0, 0], [3, 1, 4, 2, 5], [4, 1, 3, 2, 5], rng=np.random.default_rng(0)
    )
    assert 0 < result.standard_error < 1
    assert -1 <= result.ci_lower <= result.ci_upper <= 1


def test_bootstrap_without_a_generator_is_fresh() -> None:
    label, champion, challenger = binormal(100, seed=4)
    one, other = (paired_bootstrap(label, champion, challenger) for _ in range(2))
    assert one.effect_size == other.effect_size
    assert one.standard_error != other.standard_error


def test_tail_probability_of_all_alternatives() -> None:
    assert tail_probability(1.96, 1.0, alternative="greater") == pytest.approx(stats.norm.sf(1.96))
    assert tail_probability(1.96, 1.0, alternative="less") == pytest.approx(stats.norm.cdf(1.96))
    both = tail_probability(-1.96, 1.0, alternative="two-sided")
    assert both == pytest.approx(2 * stats.norm.sf(1.96))
    assert tail_probability(0.0, 1.0, alternative="two-sided") == 1.0
    assert math.isnan(tail_probability(0.1, math.nan, alternative="greater"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alternative": "better"}, r"^alternative is 'better': choose one of greater, less, two-"),
        ({"confidence_level": 1.0}, r"^confidence_level is 1.0: give a number between 0 and 1$"),
        ({"confidence_level": 95}, r"^confidence_level is 95: give a number between 0 and 1$"),
        ({"metric": "accuracy"}, r"^metric is 'accuracy': choose one of auroc, auprc, log_loss, "),
        ({"n_resamples": 99}, r"^n_resamples is 99: give a whole number, 100 or more$"),
        ({"n_resamples": 1e3}, r"^n_resamples is 1000.0: give a whole number, 100 or more$"),
        ({"rng": 7}, r"^rng is 7: give numpy.random.default_rng\(seed\) or None$"),
        ({"metric": "brier"}, r"^champion is outside \[0, 1\] in 6 rows, first 4 in row 0: give "),
        ({"unit": [1, 2]}, r"^unit has 2 rows and label has 10: give both of the same rows$"),
        ({"weight": [-1] * 10}, r"^weight is negative or not finite in 10 rows, first -1 in row 0"),
    ],
)
def test_bootstrap_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RetrainingError, match=message):
        paired_bootstrap(LABEL, CHAMPION, CHALLENGER, **options)


def test_delong_refuses_what_the_bootstrap_refuses() -> None:
    with pytest.raises(RetrainingError, match=r"^confidence_level is 0: give a number between"):
        delong(LABEL, CHAMPION, CHALLENGER, confidence_level=0)
    with pytest.raises(RetrainingError, match=r"^challenger has 2 rows and label has 10"):
        delong(LABEL, CHAMPION, [1.0, 2.0])
