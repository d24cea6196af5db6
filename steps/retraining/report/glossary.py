"""What every term of a verdict and its report means, for people who are no statisticians.

A name that a part of the verdict uses in a sense of its own is listed with the part before it,
for example "slices.champion"; `meaning` falls back to the plain name.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

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

_VERDICT: Final = {
    "verdict": "The decision: promote, keep_champion or inconclusive.",
    "promote": "The challenger takes over: it is better by more than is required, and chance is an "
    "unlikely explanation.",
    "keep_champion": "The champion stays: the challenger is not better by as much as is required.",
    "inconclusive": "Nothing is decided, so the champion stays: the rows cannot tell, or a "
    "guardrail asks for a person.",
    "reasons": "Why, in full sentences.",
    "strategy": "The statistical method that compared the two models.",
    "metric": "What the models are compared by.",
    "effect_size": "The difference of the two models in the metric, turned so that a positive "
    "number favours the challenger.",
    "ci_lower": "The lower end of the interval that holds the true effect in most such tests; "
    "confidence_level says in how many.",
    "ci_upper": "The upper end of that interval.",
    "pvalue": "How often an effect at least this large would come up if the true effect were no "
    "more than the required one.",
    "alpha": "The p-value must be below this; it is the chance of a false promotion that is "
    "accepted.",
    "n_rows": "The rows that were compared.",
    "n_positives": "The rows of class 1 among them.",
    "minimum_detectable_effect": "The smallest true effect that rows like these would promote with "
    "the probability that power gives.",
    "champion": "The metric of the champion, the model that serves now.",
    "challenger": "The metric of the challenger, the model that asks to replace it.",
    "standard_error": "How far the effect would typically move if other rows of the same kind had "
    "been drawn.",
    "min_effect_size": "The required effect: a promotion must exceed it.",
    "n_units": "The units that the rows belong to, for example customers: rows of one unit may "
    "depend on each other, and the test allows for it. Without units every row is taken as "
    "independent of the others.",
    "rows_still_needed": "Further rows that would decide an effect as large as the observed one; "
    "unknown where it is too close to the required effect to tell.",
    "positives_still_needed": "Rows of class 1 among the rows that are still needed.",
    "confidence_level": "The share of such tests in which the interval holds the true effect.",
    "power": "The probability with which the minimum detectable effect would be found.",
    "minimum_positives": "With fewer rows of class 1, or of class 0, nothing is decided.",
    "error_bound": "By how much the effect may be off because similar rows were counted together; "
    "0 where every row was compared by itself. The interval and the p-value allow for it.",
    "cross_check": "The same comparison by a bootstrap, which needs no formula for the error; the "
    "two intervals should nearly agree.",
    "guardrails": "Conditions beside the metric that stop a promotion.",
    "slices": "The same comparison in parts of the rows, for example at night: a model that is "
    "better over all can be worse for some.",
    "opinions": "What every known strategy says of the same rows.",
    "maturities": "The same comparison on rows whose labels have had more time to become final.",
    "ledger": "What repeated tests of one model have used of the accepted chance of a false "
    "promotion.",
}
_PARTS: Final = {
    "cross_check.pvalue": "How often the bootstrap would see an effect at least this large if the "
    "two models were equal.",
    "guardrails.name": "Which condition.",
    "guardrails.status": "One of passed, failed (which stops a promotion) and unknown (which could "
    "not be judged).",
    "guardrails.sentence": "What was found.",
    "slices.name": "Which part of the rows.",
    "slices.n_rows": "The rows in the slice.",
    "slices.champion": "The metric of the champion in the slice.",
    "slices.challenger": "The metric of the challenger in the slice.",
    "slices.pvalue": "How often a fall at least this large would come up in a slice where the "
    "challenger is not worse, corrected for looking at many slices.",
    "slices.status": "One of not_worse (not shown to be worse), worse (which stops a promotion) "
    "and too_small (to be judged).",
    "opinions.strategy": "The name of the strategy.",
    "opinions.says": "What this strategy would decide by itself, without guardrails.",
    "opinions.because": "Why, in one sentence.",
    "opinions.pvalue": "The p-value as this strategy computes it.",
    "opinions.valid": "Whether this strategy promotes equal models no more often than alpha says.",
    "opinions.false_promotion_rate": "How often this strategy promoted one of two equal models, as "
    "measured: the rate, the alpha at which it was measured (null for a rule without one), and a "
    "note on what changes it.",
    "maturities.extra_days": "Days beyond the usual label delay that every row has had at least.",
    "maturities.n_rows": "The rows that are that old.",
    "ledger.memory": "How earlier tests count: per_test (not at all), spending (they share the "
    "budget of a year) or fresh_holdout_only (no holdout may be tested twice).",
    "ledger.alpha": "What this test may use.",
    "ledger.n_tests": "Earlier tests of the model in the last 365 days.",
    "ledger.n_holdout_tests": "Earlier tests that looked at rows of the same holdout.",
    "ledger.spent": "The sum of alpha over the earlier tests.",
    "ledger.budget": "What may be spent in any 365 days.",
    "ledger.left": "What is left of the budget after this test.",
    "ledger.past": "Time and alpha of the earlier tests, oldest first.",
    "secondary": "Whether the challenger is at most a little worse by another metric.",
    "calibration": "Whether a predicted probability means what it says: of rows scored 0.2, one in "
    "five should be of class 1.",
    "leak": "Whether the gain is too good to be true, as it is when a model has seen the answers.",
    "scores": "Whether the scores themselves look sound.",
    "self_test": "Whether the gate is right where the truth is known: the champion against itself "
    "has no effect, and of two models made from it that know the label or its opposite in 30% of "
    "the rows, the better wins and the worse loses.",
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
    {**_VERDICT, **METRICS_IN_WORDS, **_PARTS, **_WORDS}
)


def meaning(name: str, part: str = "") -> str:
    """The sentence on a field of the verdict, or of one of its parts ("slices", ...)."""
    return TERMS.get(f"{part}.{name}") or TERMS[name]
