"""What every term of a verdict and its report means, for people who are not statisticians.

Fields of the verdict are described where they are defined, in `retraining.gate`; a field of one of
its parts is listed with the part before it, for example "slices.champion".
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
        "auroc": "The probability that a positive gets a higher score than a negative; 0.5 is "
        "guessing, 1 is perfect.",
        "auprc": "The average precision: how pure the highest scores are, averaged over all "
        "positives; 1 is perfect.",
        "log_loss": "How surprising the true labels are under the predicted probabilities; 0 is "
        "perfect and smaller is better.",
        "brier": "The mean squared distance of the probability from the truth; 0 is perfect and "
        "smaller is better.",
        "f1": "The balance of precision and recall when rows with a score above 0.5 are "
        "reported; 1 is perfect.",
        "recall_at_capacity": "The share of the positives that are found when only the rows with "
        "the highest scores are checked, as many as the capacity allows; 1 is perfect.",
        "expected_cost": "The average cost of mistakes per row: a false alarm costs 1 and a missed "
        "positive costs as much as the policy says; 0 is perfect and smaller is better.",
    }
)

_OUTCOMES: Final = {
    "promote": "The challenger replaces the champion: it is better by more than is required, and "
    "chance is an unlikely explanation.",
    "keep_champion": "The champion stays: the challenger is not better by as much as is required.",
    "inconclusive": "There is no decision, so the champion stays: the rows cannot show which model "
    "is better, or a failed guardrail needs a person to look at it.",
}
_GUARDRAILS: Final = {
    "secondary": "Whether the challenger is at most a little worse by another metric.",
    "calibration": "Whether predicted probabilities match what happens: of the rows with the score "
    "0.2, one in five should be positive. The guardrail compares how many positives each model "
    "expects with how many there are.",
    "leak": "Whether the gain is too good to be true, as it is when a model has seen the answers.",
    "scores": "Whether the scores themselves look valid.",
    "support": "Whether enough rows carry the result: a difference that rests on a handful of rows "
    "is mostly chance, which the interval does not know.",
    "self_test": "Whether the gate is right where the truth is known: the champion compared with "
    "itself has no effect, and of two models derived from it, which know the label or its opposite "
    f"in {percent(PLANTED)} of the rows, the better one wins and the worse one loses.",
}
_WORDS: Final = {
    "positives": "The rows that the models should find, for example fraud; all other rows are "
    "negatives.",
    "holdout": "Rows set aside for the comparison, without those that a model was trained or "
    "selected on.",
    "score": "The number that a model gives a row: the higher it is, the more likely the row is a "
    "positive.",
    "unit": "The person or thing that rows belong to, for example a customer.",
    "weight": "How much a row counts.",
    "bootstrap": "Drawing rows at random from the rows at hand, many times, to see how much a "
    "result depends on which rows happened to be there.",
    "resample": "One such drawing.",
    "false promotion": "The promotion of a challenger that is not better.",
    "ROC curve": "The share of the positives that are found against the share of the negatives "
    "that are wrongly reported, for every threshold.",
    "precision": "Of the rows that are reported, the share that are positives.",
    "recall": "Of the positives, the share that are reported.",
    "expected calibration error": "The mean distance between the predicted probability and the "
    "share of positives among rows with similar scores.",
    "fingerprint": "A short text that changes as soon as one value of the data changes.",
}

TERMS: Final[Mapping[str, str]] = MappingProxyType(
    {**descriptions(), **_OUTCOMES, **METRICS_IN_WORDS, **_GUARDRAILS, **_WORDS}
)


def meaning(name: str, part: str = "") -> str:
    """The sentence on a field of the verdict, or of one of its parts ("slices", ...)."""
    return TERMS[f"{part}.{name}" if part else name]
