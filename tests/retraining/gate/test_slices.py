"""Slices: which are judged, and how often equal models raise an alarm."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from retraining.gate import slices
from retraining.gate.policy import Policy
from retraining.gate.slices import compare_slices
from retraining.statistics.checks import check_rows
from retraining.statistics.comparing import compare_rows
from retraining.statistics.metrics import METRICS
from retraining.statistics.rows import Rows
from retraining.statistics.slicing import take
from tests.drawing import draw_scores

if TYPE_CHECKING:
    import numpy.typing as npt

    from retraining.statistics.rows import Codes

AUROC = METRICS["auroc"]


def scored(
    n_rows: int, rng: np.random.Generator, lift: float = 0.0, unit: npt.ArrayLike | None = None
) -> Rows:
    """Every third row positive; the challenger separates the classes by `lift` more."""
    label = np.arange(n_rows) % 3 == 0
    champion, challenger = draw_scores(label, rng, lift=lift, noise=0.45)
    return check_rows(label, {"champion": champion, "challenger": challenger}, unit=unit)


def join(parts: list[Rows]) -> tuple[Rows, Codes]:
    """Rows one after the other, and which part each is of."""
    joined = Rows(
        np.concatenate([part.label for part in parts]),
        (
            np.concatenate([part.scores[0] for part in parts]),
            np.concatenate([part.scores[1] for part in parts]),
        ),
        np.concatenate([part.weight for part in parts]),
        None,
    )
    return joined, np.repeat(np.arange(len(parts)), [part.n_rows for part in parts])


def test_a_slice_in_which_the_challenger_is_worse_is_found() -> None:
    rng = np.random.default_rng(1)
    rows, codes = join([scored(900, rng, lift) for lift in (0.3, -0.6, 0.0)])
    found = compare_slices(take(rows, {"city": codes}), Policy())
    assert [one.status for one in found] == ["not_worse", "worse", "not_worse"]
    assert [(one.name, one.n_rows, one.n_positives) for one in found] == [
        (f"city={i}", 900, 300) for i in range(3)
    ]
    alone = compare_rows(take(rows, {"city": codes})["city=1"], AUROC)
    errors = stats.t(299)  # the rarer class has 300 rows
    pvalue = errors.cdf(alone.effect_size / alone.standard_error)
    assert found[1].pvalue == pytest.approx(3 * pvalue)
    assert found[1].effect_size == alone.effect_size
    reach = errors.ppf(0.975) * alone.standard_error
    ends = (alone.effect_size - reach, alone.effect_size + reach)
    assert (found[1].ci_lower, found[1].ci_upper) == pytest.approx(ends)
    assert (found[1].champion, found[1].challenger) == (alone.champion, alone.challenger)
    tolerant = compare_slices(take(rows, {"city": codes}), Policy(slice_margin=0.2))
    assert {one.status for one in tolerant} == {"not_worse"}


def test_a_slice_of_losses_is_worse_where_the_loss_is_greater() -> None:
    rng = np.random.default_rng(1)
    rows = scored(900, rng, lift=-0.8)
    good, poor = (1 / (1 + np.exp(-1.2 * (score - 1.2))) for score in rows.scores)
    policy = Policy(metric="brier", strategy="influence")
    cut = {"all": rows._replace(scores=(good, poor)), "turned": rows._replace(scores=(poor, good))}
    found = compare_slices(cut, policy)
    assert [one.status for one in found] == ["worse", "not_worse"]


def test_slices_with_too_few_rows_or_units_are_not_judged_nor_adjusted_for() -> None:
    rng = np.random.default_rng(2)
    large, small = scored(900, rng, -0.3), scored(87, rng, -3.0)
    few = scored(900, rng, -3.0, unit=np.arange(900) % 29)
    none = small._replace(label=np.zeros(87, dtype=np.bool_))
    found = compare_slices({"a": small, "b": large, "c": few, "d": none}, Policy())
    assert [one.status == "too_small" for one in found] == [True, False, True, True]
    for i in (0, 2, 3):
        assert all(math.isnan(value) for value in (found[i].champion, found[i].ci_upper))
        assert all(math.isnan(value) for value in (found[i].effect_size, found[i].pvalue))
    assert (found[0].n_rows, found[0].n_positives, found[3].n_positives) == (87, 29, 0)
    alone = compare_rows(large, AUROC)
    pvalue = stats.t.cdf(alone.effect_size / alone.standard_error, 299)
    assert found[1].pvalue == pytest.approx(pvalue)
    assert math.isnan(found[3].possible_loss)


def test_a_slice_of_thirty_of_each_class_is_judged_unless_the_policy_allows_fewer() -> None:
    rng = np.random.default_rng(2)
    cut = {"a": scored(90, rng, -3.0), "b": scored(87, rng, -3.0)}
    assert [one.status for one in compare_slices(cut, Policy())] == ["worse", "too_small"]
    lenient = compare_slices(cut, Policy(minimum_positives=20))
    assert [one.status for one in lenient] == ["worse", "worse"]


def test_small_slices_of_a_column_are_judged_together() -> None:
    rng = np.random.default_rng(2)
    rows, codes = join([scored(900, rng), *(scored(60, rng, -3.0) for _ in range(3))])
    found = compare_slices(take(rows, {"city": codes}), Policy())
    assert [(one.name, one.n_positives, one.status) for one in found] == [
        ("city=0", 300, "not_worse"),
        ("city=1", 20, "pooled"),
        ("city=2", 20, "pooled"),
        ("city=3", 20, "pooled"),
        ("city: small values together", 60, "worse"),
    ]


def test_the_possible_loss_is_the_lower_limit_of_the_effect() -> None:
    rng = np.random.default_rng(2)
    cut = {"a": scored(900, rng), "b": scored(60, rng), "c": scored(900, rng, 2.0)}
    large, small, gain = compare_slices(cut, Policy(confidence_level=0.9))
    result = compare_rows(cut["a"], AUROC)
    limit = result.effect_size - stats.t.ppf(0.9, 299) * result.standard_error
    assert large.possible_loss == pytest.approx(-limit)
    result = compare_rows(cut["b"], AUROC)
    limit = result.effect_size - stats.t.ppf(0.9, 19) * result.standard_error
    assert small.status == "too_small"
    assert small.possible_loss == pytest.approx(-limit)
    assert gain.possible_loss == 0


def test_a_slice_rules_out_a_loss_by_a_test_of_its_own() -> None:
    rng = np.random.default_rng(2)
    cut = {"a": scored(900, rng), "b": scored(60, rng)}
    large, small = compare_slices(cut, Policy(slice_non_inferiority=0.05))
    result = compare_rows(cut["a"], AUROC)
    expected = stats.t.sf((result.effect_size + 0.05) / result.standard_error, 299)
    assert large.non_inferiority_pvalue == pytest.approx(expected)
    assert math.isnan(small.non_inferiority_pvalue)
    assert math.isnan(compare_slices(cut, Policy())[0].non_inferiority_pvalue)


def test_a_slice_that_both_score_alike_is_not_worse() -> None:
    rows = scored(600, np.random.default_rng(3))
    alike = rows._replace(scores=(rows.scores[0], rows.scores[0]))
    for margin in (0.0, 0.01):
        (one,) = compare_slices({"a": alike}, Policy(slice_margin=margin))
        assert (one.effect_size, one.pvalue, one.status) == (0.0, 1.0, "not_worse")


def test_a_slice_that_errs_in_every_row_is_worse_without_an_error() -> None:
    label = np.arange(400) % 2 == 0
    score = label.astype(np.float64)
    (one,) = compare_slices({"a": Rows(label, (score, 1 - score), np.ones(400), None)}, Policy())
    assert (one.effect_size, one.pvalue, one.status) == (-1.0, 0.0, "worse")


def test_a_slice_of_unknown_error_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(rows: Rows, *_: object, **__: object) -> object:
        return compare_rows(rows, AUROC)._replace(standard_error=math.nan)

    rows = scored(600, np.random.default_rng(3))
    monkeypatch.setattr(slices, "compare_rows", unknown)
    (one,) = compare_slices({"a": rows}, Policy())
    assert one.status == "too_small"


def test_no_slices_are_no_verdicts() -> None:
    assert compare_slices({}, Policy()) == ()


@pytest.mark.slow
def test_equal_models_raise_an_alarm_in_any_of_twenty_slices_as_seldom_as_alpha() -> None:
    """With the p-values of single slices, any alarm would come up in 64 % of the tests."""
    rng = np.random.default_rng(4)
    codes = np.repeat(np.arange(20), 300)
    alarms, raw = [], []
    for _ in range(250):
        cut = take(scored(6000, rng), {"slice": codes})
        alarms.append(any(one.status == "worse" for one in compare_slices(cut, Policy())))
        single = [compare_rows(rows, AUROC, alternative="less").pvalue for rows in cut.values()]
        raw.append(min(single) < Policy().alpha)
    alarmed = stats.binomtest(sum(alarms), len(alarms), Policy().alpha, alternative="greater")
    assert alarmed.pvalue > 0.001
    assert stats.binomtest(sum(raw), len(raw), 1 - 0.95**20).pvalue > 0.001


@pytest.mark.slow
def test_small_slices_raise_false_alarms_as_seldom_as_alpha() -> None:
    """Twenty slices of 30 to 100 positives among ten times as many rows, of equal models."""
    rng = np.random.default_rng(5)
    positives = np.linspace(30, 100, 20).astype(np.intp)
    codes = np.repeat(np.arange(20), 10 * positives)
    label = np.concatenate([np.arange(10 * count) < count for count in positives])
    alarms = []
    for _ in range(300):
        rows = Rows(label, draw_scores(label, rng), np.ones(label.size), None)
        found = compare_slices(take(rows, {"slice": codes}), Policy())
        assert all(one.status in ("worse", "not_worse") for one in found)
        alarms.append(any(one.status == "worse" for one in found))
    alarmed = stats.binomtest(sum(alarms), len(alarms), Policy().alpha, alternative="greater")
    assert alarmed.pvalue > 0.001


def test_a_slice_without_predictions_proves_nothing_by_f1() -> None:
    rng = np.random.default_rng(5)
    rows, codes = join([scored(900, rng), scored(900, rng)])
    low = rows._replace(
        scores=tuple(np.where(codes == 1, np.minimum(score, 0.4), score) for score in rows.scores)
    )
    policy = Policy(metric="f1", slice_non_inferiority=0.02)
    _, empty = compare_slices(take(low, {"city": codes}), policy)
    assert math.isnan(empty.possible_loss)
    assert not empty.non_inferiority_pvalue < 1


def test_a_small_slice_that_is_in_no_pool_is_not_called_pooled() -> None:
    """With a minimum below 30 the pool is of slices below that minimum."""
    rng = np.random.default_rng(6)
    sizes = (3000, 60, 24, 24, 24)
    rows, codes = join([scored(size, rng) for size in sizes])
    unit = np.r_[np.arange(3000), 3000 + np.arange(60) % 4, 3004 + np.arange(72)]
    rows = rows._replace(unit=unit)
    policy = Policy(minimum_positives=10, slice_non_inferiority=0.05)
    taken = take(rows, {"city": codes}, least=10)
    status = {one.name: one.status for one in compare_slices(taken, policy)}
    assert status["city=1"] == "too_small"
