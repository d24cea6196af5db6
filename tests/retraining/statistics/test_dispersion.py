"""The variance with units and periods: against brute force, and by the error rate it leads to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from retraining.errors import RetrainingError
from retraining.statistics.checks import check_rows
from retraining.statistics.dispersion import (
    PRIOR_DEGREES,
    Sums,
    combine,
    dispersion,
)
from retraining.statistics.influence import paired_influence
from retraining.statistics.metrics import METRICS
from retraining.statistics.paired import delong, influence, paired_bootstrap
from tests.drawing import draw_dependent

if TYPE_CHECKING:
    from retraining.statistics.inference import PairedResult
    from retraining.statistics.rows import Codes, Floats, Rows

AUROC = METRICS["auroc"]


@st.composite
def grouped_rows(draw: st.DrawFn) -> Rows:
    """Rows with probabilities, weights, units of unequal size, and periods."""
    size = draw(st.integers(12, 30))
    label = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))
    unit = draw(st.lists(st.integers(0, 5), min_size=size, max_size=size))
    period = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    label[:12] = [0] * 6 + [1] * 6
    unit[:12] = [*range(6), *range(6)]
    period[:8] = [*range(4), *range(4)]
    scores = st.lists(st.sampled_from([0.1, 0.3, 0.6, 0.9]), min_size=size, max_size=size)
    weight = draw(st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=size, max_size=size))
    models = {"champion": draw(scores), "challenger": draw(scores)}
    return check_rows(label, models, weight=weight, unit=unit, period=period)


def of(rows: Rows, metric: str = "auroc") -> tuple[Floats, float]:
    values = paired_influence(rows, METRICS[metric])[2]
    return values, dispersion(rows, METRICS[metric], values).variance


@given(rows=grouped_rows())
def test_variance_by_unit_is_that_of_leaving_every_unit_out(rows: Rows) -> None:
    """Of a mean, which the Brier score is, by computing it again without every unit."""
    unit = rows.unit
    assert unit is not None
    n_units = int(np.max(unit)) + 1

    def effect(left_out: int, unit: Codes = unit) -> float:
        kept = unit != left_out
        losses = [
            np.average((score - rows.label)[kept] ** 2, weights=rows.weight[kept])
            for score in rows.scores
        ]
        return float(losses[1] - losses[0])

    whole = effect(-1)
    squares = [(effect(left_out) - whole) ** 2 for left_out in range(n_units)]
    found = of(rows._replace(period=None), "brier")[1]
    assert found == pytest.approx((n_units - 1) / n_units * sum(squares), abs=1e-12)


@given(rows=grouped_rows())
def test_variance_by_unit_of_the_area_by_definition(rows: Rows) -> None:
    """Each class has its own shares of weight and its own number of units."""
    codes = rows.unit
    assert codes is not None
    rows = rows._replace(period=None)
    values, found = of(rows)
    total = 0.0
    for unit in range(int(np.max(codes)) + 1):
        moved = []
        for side in (rows.label, ~rows.label):
            inside = side & (codes == unit)
            share = np.sum(rows.weight[inside]) / np.sum(rows.weight[side])
            n_side = np.unique(codes[side]).size
            moved.append(np.sum(values[inside]) / (1 - share) * math.sqrt((n_side - 1) / n_side))
        total += sum(moved) ** 2
    assert found == pytest.approx(total, abs=1e-12)
    assert found >= 0


def test_equal_units_have_the_variance_of_obuchowski() -> None:
    """Obuchowski (1997): S10 / m + S01 / n + 2 S11 / (m n), with all units of the same size."""
    rng = np.random.default_rng(3)
    label, unit = np.tile([0, 0, 1], 40), np.repeat(np.arange(40), 3)
    rows = check_rows(label, {"a": rng.normal(size=120), "b": rng.normal(size=120)}, unit=unit)
    values, found = of(rows)
    ones, zeros = (np.bincount(unit[side], values[side], 40) for side in (rows.label, ~rows.label))
    assert found == pytest.approx(40 / 39 * np.sum((ones + zeros) ** 2), rel=1e-12)
    spread = dispersion(rows, AUROC, values)
    assert (spread.worth, spread.degrees) == pytest.approx((40, 39))


@given(rows=grouped_rows())
def test_units_are_worth_what_kish_says_by_the_poorer_class(rows: Rows) -> None:
    assert rows.unit is not None
    worth = []
    for side in (rows.label, ~rows.label):
        weights = [np.sum(rows.weight[side & (rows.unit == unit)]) for unit in range(6)]
        worth.append(sum(weights) ** 2 / sum(weight**2 for weight in weights))
    spread = dispersion(rows._replace(period=None), AUROC, of(rows)[0])
    assert spread.worth == pytest.approx(min(worth))
    assert spread.degrees == pytest.approx(min(worth) - 1)


@given(rows=grouped_rows(), metric=st.sampled_from(["auroc", "brier"]))
def test_periods_add_as_in_two_way_clustering(rows: Rows, metric: str) -> None:
    """Cameron, Gelbach and Miller (2011), then moderated unless more than chance explains."""
    assert rows.unit is not None
    assert rows.period is not None
    values = of(rows, metric)[0]
    both = np.unique(rows.unit * 9 + rows.period, return_inverse=True)[1]
    by_unit, by_period, by_both = (
        dispersion(rows._replace(unit=codes, period=None), METRICS[metric], values)
        for codes in (rows.unit, rows.period, both)
    )
    found = dispersion(rows, METRICS[metric], values)
    if by_unit.variance < 1e-20 or not all(map(math.isfinite, (by_period.variance, by_unit[0]))):
        return
    two_way = by_unit.variance + by_period.variance - by_both.variance
    ratio = max(0.0, two_way / by_unit.variance)
    degrees = by_period.degrees
    if ratio <= stats.chi2.ppf(0.95, degrees) / degrees:
        ratio = (degrees * ratio + PRIOR_DEGREES) / (degrees + PRIOR_DEGREES)
        degrees += PRIOR_DEGREES
    assert found.ratio == pytest.approx(ratio, rel=1e-6, abs=1e-9)
    assert found.variance == pytest.approx(by_unit.variance * ratio, rel=1e-6)
    assert found.degrees == pytest.approx(min(by_unit.degrees, degrees))


@given(rows=grouped_rows(), data=st.data())
def test_two_kinds_of_units_and_periods_add_in_three_ways(rows: Rows, data: st.DataObject) -> None:
    """Cameron, Gelbach and Miller (2011), section 2.3: pairs are subtracted, triples added."""
    size = rows.label.size
    second = np.array(data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)))
    second[:8] = [*range(4), *range(4)]
    assert rows.unit is not None
    assert rows.period is not None
    values = of(rows)[0]

    def by(*kinds: Codes) -> float:
        codes = np.unique(np.column_stack(kinds), axis=0, return_inverse=True)[1].ravel()
        return dispersion(rows._replace(unit=codes, period=None), AUROC, values).variance

    unit, period = rows.unit, rows.period
    of_units = max(by(unit) + by(second) - by(unit, second), by(unit), by(second))
    two = dispersion(rows._replace(second=second, period=None), AUROC, values)
    assert two.variance == pytest.approx(of_units, rel=1e-9, abs=1e-15)
    of_all = by(period) - by(unit, period) - by(second, period) + by(unit, second, period)
    three = dispersion(rows._replace(second=second), AUROC, values)
    if two.variance > 1e-20 and math.isfinite(of_all):
        ratio = max(0.0, 1 + of_all / two.variance)
        degrees = dispersion(rows._replace(unit=period, period=None), AUROC, values).degrees
        if ratio <= stats.chi2.ppf(0.95, degrees) / degrees:
            ratio = (degrees * ratio + PRIOR_DEGREES) / (degrees + PRIOR_DEGREES)
        assert three.ratio == pytest.approx(ratio, rel=1e-6, abs=1e-6)


def test_two_columns_of_units_are_two_kinds() -> None:
    rng = np.random.default_rng(8)
    label, scores = rng.random(400) < 0.3, rng.normal(size=(2, 400))
    units = np.column_stack([rng.integers(0, 50, 400), rng.integers(0, 40, 400)])
    result = delong(label, *scores, unit=units)
    rows = check_rows(label, {"a": scores[0], "b": scores[1]}, unit=units)
    spread = dispersion(rows, AUROC, of(rows)[0])
    assert result.standard_error == pytest.approx(math.sqrt(spread.variance))
    assert rows.second is not None
    assert rows.units_of_class is not None
    assert max(rows.units_of_class) <= 40
    with pytest.raises(RetrainingError, match=r"^unit has the shape \(400, 3\)"):
        delong(label, *scores, unit=np.zeros((400, 3)))


def test_a_unit_with_a_whole_class_leaves_nothing_to_conclude() -> None:
    label, unit = [1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 2, 3]
    result = delong(label, [1, 2, 0, 1, 2, 3], [2, 3, 1, 0, 1, 2], unit=unit)
    assert math.isnan(result.pvalue)


def test_a_period_with_a_whole_class_shows_no_more_than_a_single_one() -> None:
    rows = draw_dependent(2000, np.random.default_rng(0), n_units=400)
    period = np.where(rows.label, 0, 1 + np.arange(2000) % 6)
    result = influence(rows.label, *rows.scores, unit=rows.unit, period=period)
    alone = influence(rows.label, *rows.scores, unit=rows.unit)
    assert result.standard_error == pytest.approx(alone.standard_error)
    assert result.degrees_of_freedom == PRIOR_DEGREES


def test_a_single_period_shows_nothing_of_shocks_and_costs_degrees() -> None:
    rows = draw_dependent(2000, np.random.default_rng(0), n_units=400)
    alone = influence(rows.label, *rows.scores, unit=rows.unit)
    day = influence(rows.label, *rows.scores, unit=rows.unit, period=np.zeros(2000, dtype=int))
    assert day.standard_error == pytest.approx(alone.standard_error)
    assert day.degrees_of_freedom == PRIOR_DEGREES


@pytest.mark.parametrize("metric", ["auroc", "log_loss"])
def test_the_bootstrap_learns_of_leverage_and_periods(metric: str) -> None:
    sizes = np.r_[0.3, np.full(100, 0.007)]
    rng = np.random.default_rng(5)
    rows = draw_dependent(3000, rng, sizes=sizes, n_periods=8, of_period=0.2)
    told = {"metric": metric, "unit": rows.unit, "period": rows.period}
    closed = influence(rows.label, *rows.scores, **told)  # type: ignore[arg-type]
    drawn = paired_bootstrap(rows.label, *rows.scores, **told, n_resamples=2000, rng=rng)  # type: ignore[arg-type]
    assert drawn.standard_error == pytest.approx(closed.standard_error, rel=0.15)
    assert drawn.degrees_of_freedom == closed.degrees_of_freedom
    assert drawn.ci_upper - drawn.ci_lower == pytest.approx(
        closed.ci_upper - closed.ci_lower, rel=0.2
    )


def zipf(n_units: int, power: float) -> Floats:
    sizes = np.arange(1.0, n_units + 1) ** -power
    shares: Floats = sizes / np.sum(sizes)
    return shares


def one_of(n_units: int, share: float) -> Floats:
    shares: Floats = np.r_[share, np.full(n_units - 1, (1 - share) / (n_units - 1))]
    return shares


def is_accident(hits: int, sets: int, rate: float) -> bool:
    """Whether this many hits or more may be one in a thousand."""
    return bool(stats.binom.sf(hits - 1, sets, rate) > 0.001)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "rate"),
    [
        ({"sizes": zipf(200, 1.2)}, 0.05),
        ({"sizes": one_of(200, 0.2)}, 0.05),
        ({"sizes": one_of(200, 0.5)}, 0.05),
        ({"sizes": zipf(2000, 1.0)}, 0.05),
        ({"n_units": 30}, 0.05),
        ({"n_units": 2000, "n_periods": 7}, 0.05),
        # Here periods may or may not be looked at as if by chance: the error may rise to 5.5 %.
        ({"n_units": 2000, "n_periods": 7, "of_period": 0.02}, 0.055),
        ({"n_units": 2000, "n_periods": 7, "of_period": 0.05}, 0.055),
        ({"n_units": 2000, "n_periods": 7, "of_period": 0.2}, 0.05),
        ({"n_units": 2000, "n_periods": 28, "of_period": 0.2}, 0.05),
    ],
)
@pytest.mark.parametrize("metric", ["auroc", "log_loss"])
def test_equal_models_differ_no_more_often_than_alpha(
    settings: dict[str, object], rate: float, metric: str
) -> None:
    rng, sets = np.random.default_rng(11), 600
    found: list[PairedResult] = []
    for _ in range(sets):
        rows = draw_dependent(5000, rng, **settings)  # type: ignore[arg-type]
        found.append(
            influence(rows.label, *rows.scores, metric=metric, unit=rows.unit, period=rows.period)
        )
    pvalues = np.array([result.pvalue for result in found])
    for hits in (np.sum(pvalues < 0.05), np.sum(pvalues > 0.95)):
        assert is_accident(int(hits), sets, rate)
    outside = sum(not result.ci_lower <= 0 <= result.ci_upper for result in found)
    assert is_accident(outside, sets, 1.1 * rate)


@pytest.mark.parametrize(("n_periods", "least"), [(7, 0.72), (14, 0.76), (28, 0.78)])
def test_periods_without_shocks_cost_little_power(n_periods: int, least: float) -> None:
    """Of the effect that a test without periods finds with a probability of 80 %."""
    rng, sets, degrees = np.random.default_rng(2), 4000, n_periods - 1
    effects = stats.norm.ppf(0.95) + stats.norm.ppf(0.8) + rng.normal(size=sets)
    squares = rng.chisquare(degrees, sets) / degrees * n_periods / degrees
    found = 0
    for effect, square in zip(effects, squares, strict=True):
        periods = Sums(square, 0, 0, n_periods, n_periods, n_periods, n_periods)
        spread = combine({("period",): periods}, 1.0, by_class=False)
        found += stats.t.sf(effect / math.sqrt(spread.variance), spread.degrees) < 0.05
    assert stats.binom.cdf(found, sets, least) > 0.001


@pytest.mark.parametrize(("alpha", "most"), [(0.05, 0.0553), (0.004, 0.0062)])
def test_periods_keep_the_error_whatever_they_share(alpha: float, most: float) -> None:
    """The largest error by 7 days over how much they multiply the variance, without simulation."""
    n_periods, degrees = 7, 6
    quantiles = stats.chi2.ppf((np.arange(400) + 0.5) / 400, degrees) / degrees
    for ratio in (1, 1.5, 2, 2.5, 3, 4, 6, 10, 30):
        errors = []
        for square in ratio * quantiles * n_periods / degrees:
            periods = Sums(square, 0, 0, n_periods, n_periods, n_periods, n_periods)
            spread = combine({("period",): periods}, 1.0, by_class=False)
            critical = stats.t.isf(alpha, spread.degrees) * math.sqrt(spread.variance / ratio)
            errors.append(stats.norm.sf(critical))
        assert np.mean(errors) <= most


def test_rows_without_units_may_have_periods() -> None:
    rows = draw_dependent(4000, np.random.default_rng(4), n_periods=10, of_period=0.3)
    assert rows.unit is None
    by_row = delong(rows.label, *rows.scores)
    by_day = delong(rows.label, *rows.scores, period=rows.period)
    days = delong(rows.label, *rows.scores, unit=rows.period)
    assert by_day.period_ratio == pytest.approx((days.standard_error / by_row.standard_error) ** 2)


def test_units_whose_classes_cancel_out_have_no_error() -> None:
    """Rounding alone could make the variance negative."""
    for seed in range(20):
        one = np.random.default_rng(seed).random((2, 60))
        scores = np.concatenate([one, 1 - one[::-1]], axis=1)
        label, unit = np.repeat([1, 0], 60), np.tile(np.arange(60), 2)
        result = influence(label, *scores, metric="brier", unit=unit)
        assert result.standard_error == 0
