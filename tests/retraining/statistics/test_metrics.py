"""Metrics against scikit-learn and, for precision at k, against the handbook's definition."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from retraining.errors import RetrainingError
from retraining.statistics.capacity import unit_precision_at
from retraining.statistics.losses import CLIP
from retraining.statistics.metrics import (
    METRICS,
    auprc,
    auroc,
    brier,
    choose,
    expected_cost,
    f1,
    log_loss,
    recall_at_capacity,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from retraining.statistics.rows import Codes, Floats

ORACLES = {
    "auroc": sklearn.metrics.roc_auc_score,
    "auprc": sklearn.metrics.average_precision_score,
    "log_loss": sklearn.metrics.log_loss,
    "brier": sklearn.metrics.brier_score_loss,
}


@st.composite
def scored_rows(draw: st.DrawFn) -> tuple[list[int], list[float], list[float]]:
    """Labels of both classes, probabilities with many ties, positive weights."""
    size = draw(st.integers(2, 30))
    label = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))
    label[0], label[-1] = 0, 1
    ties = draw(st.integers(1, 6))
    score = draw(st.lists(st.integers(0, ties), min_size=size, max_size=size))
    weight = draw(st.lists(st.floats(0.1, 10), min_size=size, max_size=size))
    return label, [value / ties for value in score], weight


@given(rows=scored_rows(), weighted=st.booleans(), name=st.sampled_from(sorted(ORACLES)))
def test_metric_equals_sklearn(
    *, rows: tuple[list[int], list[float], list[float]], weighted: bool, name: str
) -> None:
    label, score, weight = rows
    sample_weight = weight if weighted else None
    expected = ORACLES[name](label, score, sample_weight=sample_weight)
    assert METRICS[name].function(label, score, sample_weight) == pytest.approx(expected, abs=1e-12)


@given(rows=scored_rows(), weighted=st.booleans())
def test_f1_equals_sklearn_on_predictions_above_one_half(
    *, rows: tuple[list[int], list[float], list[float]], weighted: bool
) -> None:
    label, score, weight = rows
    predicted = np.asarray(score) > 0.5
    sample_weight = weight if weighted else None
    expected = sklearn.metrics.f1_score(label, predicted, sample_weight=sample_weight)
    assert f1(label, score, sample_weight) == pytest.approx(expected, abs=1e-12)


@given(rows=scored_rows(), name=st.sampled_from(sorted(METRICS)), data=st.data())
def test_integer_weights_equal_repeated_rows(
    rows: tuple[list[int], list[float], list[float]], name: str, data: st.DataObject
) -> None:
    label, score, _ = rows
    size = len(label)
    times = data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    times[0] = times[-1] = 1
    metric = METRICS[name].function
    repeated = metric(np.repeat(label, times), np.repeat(score, times))
    assert metric(label, score, times) == pytest.approx(repeated, abs=1e-12)


def test_metrics_by_hand() -> None:
    label, score = [1, 0, 1, 0], [0.9, 0.6, 0.6, 0.2]
    assert auroc(label, score) == pytest.approx((2 + 1.5) / 4)
    assert auprc(label, score) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert brier(label, score) == pytest.approx((0.01 + 0.36 + 0.16 + 0.04) / 4)
    assert f1(label, score) == pytest.approx(2 * 2 / (2 * 2 + 1))
    losses = [math.log(0.9), math.log(0.4), math.log(0.6), math.log(0.8)]
    assert log_loss(label, score) == pytest.approx(-sum(losses) / 4)


def test_log_loss_of_a_certain_mistake_is_finite() -> None:
    assert log_loss([1, 0], [0.0, 0.5]) == pytest.approx((-math.log(CLIP) + math.log(2)) / 2)


def test_f1_does_not_predict_class_1_at_one_half() -> None:
    assert f1([1, 0, 1], [0.5, 0.5, 0.51]) == pytest.approx(2 / 3)


@pytest.mark.parametrize("name", ["log_loss", "brier", "f1", "expected_cost"])
def test_metric_of_probabilities_refuses_other_scores(name: str) -> None:
    with pytest.raises(RetrainingError, match=r"^score is outside \[0, 1\] in 1 row, such as -3"):
        METRICS[name].function([0, 1], [-3.0, 0.5])


@pytest.mark.parametrize("name", sorted(METRICS))
def test_many_weightings_equal_one_at_a_time(name: str) -> None:
    rng = np.random.default_rng(1)
    label = np.arange(40) % 3 == 0
    score = rng.integers(0, 9, 40) / 8
    weights = rng.integers(0, 4, (5, 40)).astype(np.float64)
    evaluate = METRICS[name].evaluator(label, score)
    single = [METRICS[name].function(label, score, weight) for weight in weights]
    assert evaluate(weights) == pytest.approx(single, abs=1e-12)


@given(rows=scored_rows(), share=st.floats(0.01, 0.99))
def test_recall_at_capacity_equals_the_expectation_over_orders_of_tied_rows(
    rows: tuple[list[int], list[float], list[float]], share: float
) -> None:
    """Group by group from the top: whole groups while they fit, then a fraction of the next."""
    label, score, weight = rows
    room = share * sum(weight)
    found = 0.0
    for level in sorted(set(score), reverse=True):
        group = [row for row, value in enumerate(score) if value == level]
        mass = sum(weight[row] for row in group)
        fraction = min(1.0, room / mass)
        found += fraction * sum(weight[row] for row in group if label[row])
        room -= fraction * mass
        if room <= 1e-12:
            break
    total = sum(one for one, positive in zip(weight, label, strict=True) if positive)
    value = recall_at_capacity(label, score, weight, capacity=share)
    assert value == pytest.approx(found / total, abs=1e-9)


def test_recall_at_capacity_by_hand() -> None:
    label, score = [1, 0, 1, 0, 0, 0, 1, 0, 0, 0], [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert recall_at_capacity(label, score, capacity=0.1) == pytest.approx(1 / 3)
    assert recall_at_capacity(label, score, capacity=0.3) == pytest.approx(2 / 3)
    assert recall_at_capacity(label, score, capacity=0.25) == pytest.approx(1.5 / 3)
    assert recall_at_capacity(label, [1] * 10, capacity=0.25) == pytest.approx(0.25)
    assert recall_at_capacity(label, score) == pytest.approx(0.1 / 3)


def test_expected_cost_by_hand() -> None:
    """At 10 to 1 class 1 is predicted above 1/11: one false alarm, one miss at the threshold."""
    label, score = [1, 1, 0, 0], [0.5, 1 / 11, 0.1, 0.09]
    assert expected_cost(label, score) == pytest.approx((10 + 1) / 4)
    assert expected_cost(label, score, [1, 2, 1, 0]) == pytest.approx((20 + 1) / 4)
    assert expected_cost(label, score, false_negative_cost=1.0) == pytest.approx((1 + 1) / 4)


def test_choose_takes_parameters() -> None:
    label, score = [1, 0, 0, 1], [0.9, 0.8, 0.3, 0.2]
    assert choose("recall_at_capacity", capacity=0.25).function(label, score) == 0.5
    assert choose("expected_cost", false_negative_cost=3).function(label, score) == 1.25
    assert choose("auroc", capacity=0.25) is METRICS["auroc"]
    assert choose("recall_at_capacity", capacity=0.25).parameters == {"capacity": 0.25}
    assert choose("expected_cost", false_negative_cost=3).parameters == {"false_negative_cost": 3}


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("accuracy", {}, r"^metric is 'accuracy': choose one of auroc, auprc, log_loss, brier, f1"),
        ("recall_at_capacity", {"capacity": 0.0}, r"^capacity is 0.0: give a number between 0 and"),
        ("recall_at_capacity", {"capacity": 1.0}, r"^capacity is 1.0: give a number between 0 and"),
        ("expected_cost", {"false_negative_cost": 0.0}, r"^false_negative_cost is 0.0: give a fin"),
    ],
)
def test_choose_refuses(name: str, parameters: dict[str, float], message: str) -> None:
    with pytest.raises(RetrainingError, match=message):
        choose(name, **parameters)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_model_that_is_never_wrong_is_perfect(name: str) -> None:
    metric = choose(name, capacity=0.25)
    perfect = 1.0 if metric.greater_is_better else 0.0
    assert metric.function([1, 0, 0, 0], [1.0, 0.0, 0.0, 0.0]) == pytest.approx(perfect)


def test_auprc_is_not_the_trapezoid() -> None:
    """Average precision of three points; the trapezoid joins them by lines and is larger."""
    label, score = [1, 0, 1, 0, 1], [0.9, 0.8, 0.7, 0.6, 0.5]
    precision, recall, _ = sklearn.metrics.precision_recall_curve(label, score)
    steps = auprc(label, score)
    assert steps == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert sklearn.metrics.auc(recall, precision) != pytest.approx(steps, abs=0.01)


def handbook_precision(label: Codes, score: Floats, unit: Codes, day: Codes, k: int) -> float:
    """The handbook's loop over days and cards, word for word, on dictionaries."""
    caught: set[int] = set()
    shares = []
    for today in sorted(set(day.tolist())):
        cards: dict[int, tuple[float, int]] = {}
        for row in np.flatnonzero(day == today):
            card = int(unit[row])
            if card in caught:
                continue
            best, fraud = cards.get(card, (-math.inf, 0))
            cards[card] = (max(best, score[row]), max(fraud, int(label[row])))
        ranked = sorted(cards, key=lambda card: (-cards[card][0], card))
        hits = [card for card in ranked[:k] if cards[card][1] == 1]
        caught.update(hits)
        shares.append(len(hits) / k)
    return float(np.mean(shares))


@given(seed=st.integers(0, 10_000), k=st.integers(1, 6))
def test_unit_precision_at_equals_the_handbook(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    label = (rng.random(60) < 0.2).astype(np.intp)
    label[:2] = 0, 1
    score = rng.integers(0, 12, 60) / 12
    unit, day = rng.integers(0, 9, 60), rng.integers(0, 4, 60)
    expected = handbook_precision(label, score, unit, day, k)
    assert unit_precision_at(label, score, unit, day, k) == pytest.approx(expected)
    order = rng.permutation(60)
    shuffled = unit_precision_at(label[order], score[order], unit[order], day[order], k)
    assert shuffled == pytest.approx(expected)


def test_unit_precision_at_leaves_out_units_caught_earlier() -> None:
    """Day 1 catches a; on day 2 the next in line is b, which is innocent, then c."""
    label = [1, 0, 1, 0, 1]
    score = [0.9, 0.1, 0.8, 0.7, 0.6]
    unit = ["a", "b", "a", "b", "c"]
    day = [1, 1, 2, 2, 2]
    assert unit_precision_at(label, score, unit, day, 1) == pytest.approx((1 + 0) / 2)
    assert unit_precision_at(label, score, unit, day, 2) == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_unit_precision_at_takes_the_best_row_and_the_worst_label_of_a_unit() -> None:
    """The fraud of a is its low-scoring row: the unit is caught by its other row."""
    label, score, unit = [0, 1, 0], [0.9, 0.1, 0.5], ["a", "a", "b"]
    assert unit_precision_at(label, score, unit, [1, 1, 1], 1) == pytest.approx(1.0)


@pytest.mark.parametrize("k", [0, -1, 2.0, True])
def test_unit_precision_at_refuses_k(k: int) -> None:
    with pytest.raises(RetrainingError, match=r"^k is .*: give the number of units per day"):
        unit_precision_at([0, 1], [0.1, 0.2], [1, 2], [1, 1], k)


def test_unit_precision_at_refuses_a_day_of_another_length() -> None:
    with pytest.raises(RetrainingError, match=r"^day has 1 row and label has 2"):
        unit_precision_at([0, 1], [0.1, 0.2], [1, 2], [1], 1)


@pytest.mark.spark
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_class_that_is_missing_is_an_error_here_and_a_number_in_spark(
    spark: SparkSession, label: float
) -> None:
    """Spark's evaluator answers 0.0 without class 1 and 1.0 without class 0, and says nothing."""
    from pyspark.ml.evaluation import BinaryClassificationEvaluator

    frame = spark.createDataFrame([(label, 0.1), (label, 0.9)], "label double, score double")
    evaluator = BinaryClassificationEvaluator(rawPredictionCol="score")
    assert evaluator.evaluate(frame) == label
    with pytest.raises(RetrainingError, match=r"^label has no (positives|negatives)"):
        auroc([label, label], [0.1, 0.9])


@pytest.mark.spark
def test_areas_equal_spark_except_that_its_precision_recall_is_the_trapezoid(
    spark: SparkSession,
) -> None:
    from pyspark.ml.evaluation import BinaryClassificationEvaluator

    rng = np.random.default_rng(5)
    label = rng.random(300) < 0.3
    score = np.round(rng.normal(size=300) + label, 1)
    rows = [(float(y), float(value)) for y, value in zip(label, score, strict=True)]
    frame = spark.createDataFrame(rows, "label double, score double")
    evaluator = BinaryClassificationEvaluator(rawPredictionCol="score", numBins=0)
    assert evaluator.evaluate(frame) == pytest.approx(auroc(label, score), abs=1e-12)
    precision, recall, _ = sklearn.metrics.precision_recall_curve(label, score)
    area = evaluator.setMetricName("areaUnderPR").evaluate(frame)
    assert area == pytest.approx(sklearn.metrics.auc(recall, precision), abs=1e-9)
    assert area - auprc(label, score) > 1e-4
