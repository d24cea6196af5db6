"""Metrics that are sums over rows: their values under weights, and how a row moves them.

The two functions of a metric are those of `ranking`: `*_evaluator` returns it as a
function of row weights, `*_influence` its derivative by the weight of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from retraining.statistics.rows import Bools, Floats

Evaluate = Callable[[Floats], Floats]  # weights of shape (..., n) to values of shape (...)

THRESHOLD: Final = 0.5  # Spark and scikit-learn predict a positive above it, a negative at it
CLIP: Final = float(np.finfo(np.float64).eps)  # log_loss keeps scores in [CLIP, 1 - CLIP]


def log_losses(label: Bools, score: Floats) -> Floats:
    """Negative log-likelihood of every row, nats."""
    probability = np.clip(score, CLIP, 1 - CLIP)
    return -np.log(np.where(label, probability, 1 - probability))


def squared_errors(label: Bools, score: Floats) -> Floats:
    """Squared distance of every probability from its label."""
    errors: Floats = (score - label) ** 2
    return errors


def costs(label: Bools, score: Floats, false_negative_cost: float) -> Floats:
    """1 for a false positive, `false_negative_cost` for a false negative, else 0.

    A positive is predicted where that is expected to cost less: above
    1 / (1 + false_negative_cost).
    """
    predicted = score > 1 / (1 + false_negative_cost)
    return np.where(label, np.where(predicted, 0.0, false_negative_cost), predicted)


def mean_evaluator(loss: Floats) -> Evaluate:
    """Weighted mean of a loss of shape (n,)."""
    return lambda weight: weight @ loss / np.sum(weight, axis=-1)


def mean_influence(loss: Floats, mass: Floats) -> tuple[float, Floats]:
    """(loss - mean) / total weight."""
    total = np.sum(mass)
    mean = float(mass @ loss / total)
    return mean, (loss - mean) / total


def f1_evaluator(label: Bools, score: Floats) -> Evaluate:
    """F1 of the positives, which are predicted above `THRESHOLD`."""
    hit, involved = _f1_parts(label, score)
    return lambda weight: 2 * (weight @ hit) / (weight @ involved)


def f1_influence(label: Bools, score: Floats, mass: Floats) -> tuple[float, Floats]:
    """(2 hit - F1 (label + predicted)) / (weight of positives + weight predicted positive)."""
    hit, involved = _f1_parts(label, score)
    total = mass @ involved
    value = float(2 * (mass @ hit) / total)
    return value, (2 * hit - value * involved) / total


def _f1_parts(label: Bools, score: Floats) -> tuple[Floats, Floats]:
    predicted = score > THRESHOLD
    return (label & predicted).astype(np.float64), label.astype(np.float64) + predicted
