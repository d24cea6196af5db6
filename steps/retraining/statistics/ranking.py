"""Metrics of the order of scores: their values under weights, and how a row moves them.

A metric consists of two functions. `*_evaluator` sorts once and returns the metric as a function of
row weights; `*_influence` is its derivative: how much a unit of further weight in a row moves it.
Both treat rows of equal scores as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from retraining.statistics.losses import Evaluate
    from retraining.statistics.rows import Bools, Codes, Floats

MANY: Final = 2**18  # rows from which a compiled loop is used; to import numba takes a second
REACH: Final = 2.0  # standard deviations by which a resample moves the border of the top


class _Ranking(NamedTuple):
    """Rows of each class from the highest score down, and the counts above each positive."""

    positives: Codes
    negatives: Codes
    positives_from: Codes  # positives with this score or a higher one
    negatives_above: Codes
    negatives_from: Codes


class _Ties(NamedTuple):
    """Groups of equal scores from the highest down."""

    order: Codes  # rows from the highest score down
    starts: Codes  # where a group begins in that order
    group: Codes  # of every row, in the rows' own order


def auroc_evaluator(label: Bools, score: Floats) -> Evaluate:
    """Area under the ROC curve, ties half."""
    ranking = _rank(label, score)

    def evaluate(weight: Floats) -> Floats:
        positive = np.take(weight, ranking.positives, axis=-1)
        negative = _totals(weight, ranking.negatives)
        lost = np.take(negative, ranking.negatives_above, axis=-1)
        lost += np.take(negative, ranking.negatives_from, axis=-1)
        share = np.sum(positive * lost, axis=-1) / np.sum(positive, axis=-1) / 2
        area: Floats = 1 - share / negative[..., -1]
        return area

    return evaluate


def auroc_influence(label: Bools, score: Floats, mass: Floats) -> tuple[float, Floats]:
    """DeLong, DeLong and Clarke-Pearson (1988): (placement - area) / weight of the row's class."""
    if label.size >= MANY:
        from retraining.statistics.compiled import differentiate_auroc

        return differentiate_auroc(label, mass, score, np.argsort(score))
    placement = placements(label, score, mass)
    totals = np.sum(mass[label]), np.sum(mass[~label])
    area = float(mass[label] @ placement[label] / totals[0])
    return area, (placement - area) / np.where(label, *totals)


def placements(label: Bools, score: Floats, weight: Floats) -> Floats:
    """Weighted share of the other class that each row is on the right side of, ties half."""
    order = np.argsort(score)
    positive, mass = label[order], weight[order]
    ends = np.flatnonzero(np.r_[np.diff(score[order]) != 0, True])  # the last row of every tie
    ties = np.diff(ends, prepend=-1)

    def middle(side: Bools) -> Floats:
        reached = np.cumsum(np.where(side, mass, 0.0))[ends]
        return np.repeat((reached + np.r_[0.0, reached[:-1]]) / (2 * reached[-1]), ties)

    result = np.empty(order.size)
    result[order] = np.where(positive, middle(~positive), 1 - middle(positive))
    return result


def auprc_evaluator(label: Bools, score: Floats) -> Evaluate:
    """Average precision, the sum of (R_n - R_{n-1}) P_n over distinct scores."""
    ranking = _rank(label, score)

    def evaluate(weight: Floats) -> Floats:
        positive = np.take(weight, ranking.positives, axis=-1)
        positives = _totals(weight, ranking.positives)
        hits = np.take(positives, ranking.positives_from, axis=-1)
        alarms = np.take(_totals(weight, ranking.negatives), ranking.negatives_from, axis=-1)
        alarms += hits
        # A resample may leave out every row from the top down to here: then nothing is summed.
        precision = np.divide(hits, alarms, out=np.zeros_like(hits), where=alarms > 0)
        area: Floats = np.sum(positive * precision, axis=-1) / positives[..., -1]
        return area

    return evaluate


def auprc_influence(label: Bools, score: Floats, mass: Floats) -> tuple[float, Floats]:
    """Derivative of sum(w_i H_i / A_i) / W over the positives, by the weight of a row.

    W is the weight of the positives; H_i and A_i are the weights of the positives and of all rows
    with the score of row i or a higher one. A row counts for itself, in W, and in H and A of every
    positive that does not lie above it.
    """
    ties = _tie(score)
    positive = np.where(label, mass, 0.0)
    hits, alarms = _sums(ties, positive), _sums(ties, mass)
    gained = np.diff(hits, prepend=0.0)
    total = hits[-1]
    precision = hits / alarms
    area = float(gained @ precision / total)
    to_hits = np.cumsum((gained / alarms)[::-1])[::-1]
    to_alarms = np.cumsum((gained * precision / alarms)[::-1])[::-1]
    own = (precision - area + to_hits)[ties.group]
    return area, (np.where(label, own, 0.0) - to_alarms[ties.group]) / total


def recall_evaluator(label: Bools, score: Floats, capacity: float) -> Evaluate:
    """Share of the positives in the highest-scored `capacity` of all weight, ties by fraction."""
    ties = _tie(score)

    def evaluate(weight: Floats) -> Floats:
        values = [
            _recall(_sums(ties, one), _sums(ties, np.where(label, one, 0.0)), capacity)
            for one in weight.reshape(-1, score.size)
        ]
        return np.array(values).reshape(weight.shape[:-1])

    return evaluate


def recall_influence(
    label: Bools, score: Floats, mass: Floats, capacity: float
) -> tuple[float, Floats]:
    """Derivative of the recall at a capacity by the weight of a row.

    A positive counts for itself and in the weight of the positives; every row moves the border of
    the top, and the rows that the border passes are positive with the share near it. Near is
    within `REACH` standard deviations of the border's place in a resample; a tie that wide is
    differentiated exactly.
    """
    ties = _tie(score)
    reached, hits = _sums(ties, mass), _sums(ties, np.where(label, mass, 0.0))
    total, border = hits[-1], capacity * reached[-1]
    recall = _recall(reached, hits, capacity)
    before = np.r_[0.0, reached[:-1]]
    inside = np.clip((border - before) / (reached - before), 0.0, 1.0)[ties.group]
    width = REACH * np.sqrt(capacity * (1 - capacity) * (mass @ mass))
    near = np.clip((border - width, border + width), 0.0, reached[-1])
    low, high = np.interp(near, np.r_[0.0, reached], np.r_[0.0, hits])
    share = (high - low) / (near[1] - near[0])
    own = np.where(label, inside - recall, 0.0)
    return float(recall), (own - share * (inside - capacity)) / total


def _recall(reached: Floats, hits: Floats, capacity: float) -> np.float64:
    top = np.interp(capacity * reached[-1], np.r_[0.0, reached], np.r_[0.0, hits])
    return np.float64(top / hits[-1])


def _rank(label: Bools, score: Floats) -> _Ranking:
    order = np.argsort(-score)
    positives, negatives = order[label[order]], order[~label[order]]
    falling, others = -score[positives], -score[negatives]
    return _Ranking(
        positives,
        negatives,
        np.searchsorted(falling, falling, side="right"),
        np.searchsorted(others, falling, side="left"),
        np.searchsorted(others, falling, side="right"),
    )


def _totals(weight: Floats, order: Codes) -> Floats:
    """Running sums of the weights in this order, from 0 to the total: shape (..., m + 1)."""
    sums = np.zeros((*weight.shape[:-1], order.size + 1))
    np.cumsum(np.take(weight, order, axis=-1), axis=-1, out=sums[..., 1:])
    return sums


def _tie(score: Floats) -> _Ties:
    order = np.argsort(-score)
    new = np.r_[True, np.diff(score[order]) != 0]
    group = np.empty(score.size, dtype=np.intp)
    group[order] = np.cumsum(new) - 1
    return _Ties(order, np.flatnonzero(new), group)


def _sums(ties: _Ties, weight: Floats) -> Floats:
    """Weight of every group and all above it, from the highest group down."""
    ends = np.r_[ties.starts[1:], ties.order.size] - 1
    sums: Floats = np.cumsum(weight[ties.order])[ends]
    return sums
