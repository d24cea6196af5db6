"""The bootstrap against scipy's, the closed form, and by hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from scipy import stats

from retraining.errors import RetrainingError
from retraining.statistics import bootstrap
from retraining.statistics.bootstrap import affordable, interval_ends, replicates
from retraining.statistics.checks import check_rows
from retraining.statistics.comparing import bootstrap_rows, compare_rows
from retraining.statistics.metrics import METRICS
from retraining.statistics.paired import delong, influence, paired_bootstrap
from retraining.statistics.rows import Rows
from tests.drawing import draw_probabilities

if TYPE_CHECKING:
    from retraining.statistics.inference import PairedResult
    from retraining.statistics.rows import Codes, Floats

# Four rows of class 1, six of class 0, ties within and between the classes.
LABEL = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
CHAMPION = [4.0, 3.0, 3.0, 1.0, 3.0, 2.0, 2.0, 1.0, 0.0, 0.0]
CHALLENGER = [0.9, 0.8, 0.4, 0.6, 0.6, 0.3, 0.2, 0.4, 0.2, 0.1]


@pytest.mark.parametrize("metric", sorted(METRICS))
@pytest.mark.parametrize("with_units", [False, True])
def test_bootstrap_equals_scipy(metric: str, with_units: bool) -> None:  # noqa: FBT001
    """Interval and error of scipy's paired percentile bootstrap, within Monte Carlo error.

    With 2,000 resamples the error of a standard error is 1.6 %, of an interval's end about 4 %
    of the standard error; the bounds are four times that.
    """
    label, champion, challenger = draw_probabilities(240, seed=5, lift=0.2)
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
    rows = check_rows(label, {"a": champion, "b": challenger}, unit=unit if with_units else None)
    effects: Floats = replicates(
        rows, METRICS[metric], n_resamples=2000, rng=np.random.default_rng(8)
    )
    error = float(expected.standard_error)
    assert np.std(effects, ddof=1) == pytest.approx(error, rel=0.09)
    ends = np.quantile(effects, [0.025, 0.975], method="weibull")
    wanted = (expected.confidence_interval.low, expected.confidence_interval.high)
    assert ends == pytest.approx(wanted, abs=0.24 * error)


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_bootstrap_of_rows_is_that_of_its_resamples(metric: str) -> None:
    label, champion, challenger = draw_probabilities(240, seed=5, lift=0.2)
    rows = check_rows(label, {"a": champion, "b": challenger})
    effects: Floats = replicates(
        rows, METRICS[metric], n_resamples=200, rng=np.random.default_rng(8)
    )
    result = paired_bootstrap(
        label,
        champion,
        challenger,
        metric=metric,
        n_resamples=200,
        rng=np.random.default_rng(8),
    )
    assert result.effect_size == influence(label, champion, challenger, metric=metric).effect_size
    assert result.standard_error == np.std(effects, ddof=1)
    ratio = result.effect_size / result.standard_error
    assert result.pvalue == pytest.approx(stats.norm.sf(ratio), rel=1e-9)


@pytest.mark.parametrize("with_units", [False, True])
def test_bootstrap_agrees_with_delong(with_units: bool) -> None:  # noqa: FBT001
    label, champion, challenger = draw_probabilities(3000, seed=6, lift=0.05)
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
    label, champion, challenger = draw_probabilities(1000, seed=3)
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
    label, champion, challenger = draw_probabilities(100, seed=4)
    results: list[PairedResult] = []
    for cells in (1, 700, 2**18):
        monkeypatch.setattr(bootstrap, "BATCH_CELLS", cells)
        rng = np.random.default_rng(11)
        results.append(paired_bootstrap(label, champion, challenger, metric="auprc", rng=rng))
    assert results[0][:9] == pytest.approx(results[1][:9], rel=1e-9)
    assert results[0][:9] == pytest.approx(results[2][:9], rel=1e-9)


def test_bootstrap_leaves_out_resamples_of_one_class() -> None:
    """With one positive in five rows a third of the resamples have no area at all."""
    result = paired_bootstrap(
        [1, 0, 0, 0, 0], [3, 1, 4, 2, 5], [4, 1, 3, 2, 5], rng=np.random.default_rng(0)
    )
    assert 0 < result.standard_error < 1
    assert -1 <= result.ci_lower <= result.ci_upper <= 1


def test_bootstrap_without_a_generator_is_fresh() -> None:
    label, champion, challenger = draw_probabilities(100, seed=4)
    one, other = (paired_bootstrap(label, champion, challenger) for _ in range(2))
    assert one.effect_size == other.effect_size
    assert one.standard_error != other.standard_error


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
        ({"metric": "brier"}, r"^champion is outside \[0, 1\] in 6 rows, such as 4: give "),
        ({"unit": [1, 2]}, r"^unit has 2 rows and label has 10: give both for the same rows$"),
        ({"resample": "unit"}, r"^resample is 'unit': choose one of row, stratified$"),
        ({"interval": "basic"}, r"^interval is 'basic': choose one of percentile, bca$"),
        (
            {"weight": [-1] * 10},
            r"^weight is neither 0 nor between 1e-50 and 1e50 in 10 rows, such as -1",
        ),
    ],
)
def test_bootstrap_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RetrainingError, match=message):
        paired_bootstrap(LABEL, CHAMPION, CHALLENGER, **options)


@pytest.mark.parametrize("metric", ["auroc", "brier"])
def test_bca_equals_scipy(metric: str) -> None:
    """Of few positives, where bias and skewness matter; both ends move away from percentiles."""
    rng = np.random.default_rng(3)
    label = np.arange(200) < 25
    champion, challenger = (1 / (1 + np.exp(2 - 1.5 * label - rng.normal(size=200))) for _ in "ab")
    function = METRICS[metric].function
    sign = 1 if METRICS[metric].greater_is_better else -1

    def statistic(rows: Codes) -> float:
        return sign * (
            function(label[rows], challenger[rows]) - function(label[rows], champion[rows])
        )

    expected = stats.bootstrap(
        (np.arange(200),),
        statistic,
        vectorized=False,
        method="BCa",
        n_resamples=4000,
        rng=np.random.default_rng(7),
    )
    found = {
        kind: paired_bootstrap(
            label,
            champion,
            challenger,
            metric=metric,
            n_resamples=4000,
            interval=kind,
            rng=np.random.default_rng(8),
        )
        for kind in ("bca", "percentile")
    }
    error = float(expected.standard_error)
    ends = (found["bca"].ci_lower, found["bca"].ci_upper)
    interval = expected.confidence_interval
    assert ends == pytest.approx((interval.low, interval.high), abs=0.2 * error)
    assert found["bca"].standard_error == found["percentile"].standard_error
    assert found["bca"].ci_lower != found["percentile"].ci_lower


def test_bca_of_a_symmetric_unbiased_distribution_is_the_percentile_interval() -> None:
    effects = np.linspace(-1, 1, 999)  # the k-th of them is the quantile k / 1000
    plain = interval_ends(effects, 0.9, effect=0.0, acceleration=None)
    assert plain == pytest.approx((effects[49], effects[949]))
    corrected = interval_ends(effects, 0.9, effect=effects[499], acceleration=0.0)
    assert corrected == pytest.approx(plain)


def test_bca_by_the_formula_of_efron() -> None:
    """60 % of the resamples lie below the effect, and the acceleration is 0.1."""
    effects = np.linspace(0, 1, 100_001)
    bias = stats.norm.ppf(0.6)
    shifted = bias + stats.norm.ppf([0.05, 0.95])
    expected = np.atleast_1d(stats.norm.cdf(bias + shifted / (1 - 0.1 * shifted)))
    found = interval_ends(effects, 0.9, effect=0.6, acceleration=0.1)
    assert found == pytest.approx((expected[0], expected[1]), abs=1e-4)


def test_bca_is_finite_where_all_resamples_lie_above_the_effect() -> None:
    low, high = interval_ends(np.linspace(1, 2, 100), 0.95, effect=0.0, acceleration=0.0)
    assert 1 <= low <= high <= 2


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_error_agrees_with_the_linearised_one_on_weighted_units(metric: str) -> None:
    """Within the Monte Carlo error of 2,000 resamples (1.6 %) and that of linearising."""
    rng = np.random.default_rng(9)
    label, champion, challenger = draw_probabilities(4000, seed=5, lift=0.1)
    options: dict[str, Any] = {
        "weight": rng.uniform(0.5, 2, 4000),
        "unit": np.arange(4000) // 4,
        "metric": metric,
    }
    closed = influence(label, champion, challenger, **options)
    drawn = paired_bootstrap(label, champion, challenger, n_resamples=2000, rng=rng, **options)
    assert drawn.effect_size == pytest.approx(closed.effect_size, abs=1e-12)
    assert drawn.standard_error == pytest.approx(closed.standard_error, rel=0.1)


def cells_of(rows: Rows, steps: int) -> tuple[Rows, Rows]:
    """Rows with scores rounded to so many steps, and the same rows as cells."""
    scores = tuple(np.round(score * steps) / steps for score in rows.scores)
    table = np.column_stack([rows.label, *scores])
    distinct, cell = np.unique(table, axis=0, return_inverse=True)
    return rows._replace(scores=scores), Rows(
        distinct[:, 0] == 1,
        (distinct[:, 1], distinct[:, 2]),
        np.bincount(cell, rows.weight).astype(np.float64),
        None,
        square=np.bincount(cell, rows.squares).astype(np.float64),
        size=np.bincount(cell).astype(np.float64),
    )


@pytest.mark.parametrize("metric", sorted(METRICS))
@pytest.mark.parametrize("interval", ["percentile", "bca"])
def test_cells_are_resampled_as_their_rows(
    metric: str, interval: Literal["percentile", "bca"]
) -> None:
    label, champion, challenger = draw_probabilities(3000, seed=8, lift=0.1)
    weight = np.random.default_rng(1).uniform(0.5, 2, 3000)
    rows = check_rows(label, {"a": champion, "b": challenger}, weight=weight)
    single, cells = cells_of(rows, 12)
    assert cells.label.size < 200
    one, other = (
        bootstrap_rows(
            part,
            METRICS[metric],
            n_resamples=1500,
            interval=interval,
            rng=np.random.default_rng(2),
        )
        for part in (single, cells)
    )
    assert other.effect_size == pytest.approx(one.effect_size, abs=1e-9)
    assert other.standard_error == pytest.approx(one.standard_error, rel=0.1)
    ends = (one.ci_lower, one.ci_upper)
    assert (other.ci_lower, other.ci_upper) == pytest.approx(ends, abs=0.3 * one.standard_error)
    closed = compare_rows(cells, METRICS[metric])
    assert closed.standard_error == pytest.approx(one.standard_error, rel=0.1)


def test_stratified_resamples_keep_the_weight_of_each_class() -> None:
    """Brier's error without the chance in the share of class 1: a two-sample error by hand."""
    label, champion, challenger = draw_probabilities(2000, seed=4)
    shifted = np.where(label == 1, challenger, np.clip(challenger + 0.3, 0, 1))
    gain = (champion - label) ** 2 - (shifted - label) ** 2
    parts = [(np.mean(label == side), gain[label == side]) for side in (0, 1)]
    expected = math.sqrt(sum(share**2 * np.var(part) / part.size for share, part in parts))
    found = {
        kind: paired_bootstrap(
            label,
            champion,
            shifted,
            metric="brier",
            resample=kind,
            n_resamples=2000,
            rng=np.random.default_rng(0),
        ).standard_error
        for kind in ("row", "stratified")
    }
    assert found["stratified"] == pytest.approx(expected, rel=0.06)
    assert found["row"] == pytest.approx(np.std(gain) / math.sqrt(2000), rel=0.06)
    assert found["stratified"] < 0.9 * found["row"]


def test_replicates_are_the_resamples_of_the_interval() -> None:
    label, champion, challenger = draw_probabilities(300, seed=4)
    rows = check_rows(label, {"a": champion, "b": challenger})
    effects: Floats = replicates(
        rows, METRICS["brier"], n_resamples=200, rng=np.random.default_rng(3)
    )
    result = bootstrap_rows(rows, METRICS["brier"], n_resamples=200, rng=np.random.default_rng(3))
    assert effects.shape == (200,)
    assert (result.ci_lower, result.ci_upper) == tuple(
        np.quantile(effects, [0.025, 0.975], method="weibull")
    )
    assert result.standard_error == np.std(effects, ddof=1)


def test_many_rows_get_as_many_resamples_as_take_some_seconds() -> None:
    """Weights that differ within a class cannot go through the compiled loop."""
    n_rows = 1_000_000
    label = np.arange(n_rows) % 2 == 0
    scores = {"champion": np.linspace(0, 1, n_rows), "challenger": np.linspace(1, 0, n_rows)}
    plain = check_rows(label, scores)
    weighted = check_rows(label, scores, weight=np.linspace(1, 2, n_rows))
    assert affordable(plain, METRICS["auroc"], 1000) == 1000
    assert affordable(plain, METRICS["auroc"], 10_000) == 2000
    assert affordable(weighted, METRICS["auroc"], 1000) == 100
    assert affordable(plain, METRICS["brier"], 1000) == 100
