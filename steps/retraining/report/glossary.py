"""What every term of a verdict and its report means, for people who are not statisticians.

Fields of the verdict are described where they are defined, in `retraining.gate.verdict`; a field
of one of its parts is listed with the part before it, for example "slices.champion".
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from retraining.gate.schema import descriptions
from retraining.gate.selftest import PLANTED
from retraining.gate.wording import percent

if TYPE_CHECKING:
    from collections.abc import Mapping

METRICS_IN_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "auroc": "The chance that a row of class 1 gets a higher score than a row of class 0; 0.5 "
        "is guessing, 1 is perfect.",
        "auprc": "The average precision: how pure the highest scores are, averaged over all rows "
        "of class 1; 1 is perfect.",
        "log_loss": "How surprising the true labels are under the predicted probabilities; 0 is "
        "perfect and smaller is better.",
        "brier": "The mean squared distance of the probability from the truth; 0 is perfect and "
        "smaller is better.",
        "f1": "The balance of precision and recall when class 1 is predicted above 0.5; 1 is "
        "perfect.",
        "recall_at_capacity": "The share of class 1 that is found when only the highest scores are "
        "looked at, as many as there is capacity for; 1 is perfect.",
        "expected_cost": "What the mistakes cost, a row on average: a false alarm costs 1 and a "
        "missed row of class 1 as much as the policy says; 0 is perfect and smaller is better.",
    }
)

_OUTCOMES: Final = {
    "promote": "The challenger takes over: it is better by more than is required, and chance is an "
    "unlikely explanation.",
    "keep_champion": "The champion stays: the challenger is not better by as much as is required.",
    "inconclusive": "Nothing is decided, so the champion stays: the rows cannot tell, or a "
    "guardrail asks for a person.",
}
_GUARDRAILS: Final = {
    "secondary": "Whether the challenger is at most a little worse by another metric.",
    "calibration": "Whether a predicted probability means what it says: of rows scored 0.2, one in "
    "five should be positive.",
    "leak": "Whether the gain is too good to be true, as it is when a model has seen the answers.",
    "scores": "Whether the scores themselves look sound.",
    "self_test": "Whether the gate is right where the truth is known: the champion against itself "
    "has no effect, and of two models made from it that know the label or its opposite in "
    f"{percent(PLANTED)} of the rows, the better wins and the worse loses.",
}
_WORDS: Final = {
    "class 1": "The rows that the models look for, for example fraud; all others are class 0.",
    "holdout": "Rows that neither model has learned from.",
    "score": "The number that a model gives a row: the higher, the more it believes in class 1.",
    "unit": "Whom a row belongs to, for example a customer.",
    "weight": "How much a row counts.",
    "bootstrap": "Drawing rows again at random, many times, to see how much a result depends on "
    "which rows there happened to be.",
    "resample": "One such drawing.",
    "false promotion": "A challenger that is promoted though it is no better.",
    "ROC curve": "The share of class 1 that is found against the share of class 0 that is wrongly "
    "reported, for every threshold.",
    "precision": "Of the rows that are reported, the share that is of class 1.",
    "recall": "Of the rows of class 1, the share that is reported.",
    "expected calibration error": "The mean distance between the predicted probability and the "
    "share of class 1 in rows of similar score.",
    "fingerprint": "A short text that changes as soon as one value of the data changes.",
}

TERMS: Final[Mapping[str, str]] = MappingProxyType(
    {**descriptions(), **_OUTCOMES, **METRICS_IN_WORDS, **_GUARDRAILS, **_WORDS}
)


def meaning(name: str, part: str = "") -> str:
    """The sentence on a field of the verdict, or of one of its parts ("slices", ...)."""
    return TERMS[f"{part}.{name}" if part else name]
