"""The guardrail on probabilities: whether those of the challenger are shown to be worse.

It compares how far the ratio of expected to observed positives is from 1. That ratio is relative to
the base rate, so it is as strict where one row in a thousand is positive as where every second is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from retraining.gate.verdict import Guardrail
from retraining.gate.wording import number, percent
from retraining.statistics.calibration import DISTANCE, SLOPE, log_ratio
from retraining.statistics.comparing import compare_rows
from retraining.statistics.inference import shortfall_pvalue
from retraining.statistics.slicing import part

if TYPE_CHECKING:
    from retraining.gate.policy import Policy
    from retraining.statistics.rows import Rows

FAR: Final = 2.0  # an expected number of positives that is off by this factor is said to be far off
SLOPE_ROWS: Final = 1_000_000  # enough for three digits of a slope that only informs


def judge_calibration(rows: Rows, policy: Policy, improper: str) -> Guardrail:
    """It fails where the challenger's ratio is shown to be further off by `calibration_factor`.

    Where it does not fail but the challenger's log loss is shown to be worse, it is "unknown",
    unless the policy judges the log loss itself.

    Args:
        rows: With the scores of champion and challenger.
        policy: Its calibration_factor, alpha, metric, secondary and confidence_level are used.
        improper: Why the scores are no probabilities; empty if they are.
    """
    if improper:
        return Guardrail("calibration", "unknown", f"{improper}, so calibration cannot be judged.")
    result = compare_rows(rows, DISTANCE, confidence_level=policy.confidence_level)
    pvalue = shortfall_pvalue(result, -math.log(policy.calibration_factor))
    failed = pvalue < policy.alpha
    champion, challenger = (
        math.exp(log_ratio(rows.label, score, rows.weight)) for score in rows.scores
    )
    loss = _worse_log_loss(rows, policy)
    sentences = (
        f"The challenger predicts {number(challenger)} times as many positives as there are, the "
        f"champion {number(champion)} times: the challenger is {'' if failed else 'not '}shown to "
        f"be further off by more than a factor of {number(policy.calibration_factor)} (p-value "
        f"{number(pvalue)}; the policy's alpha is {number(policy.alpha)}).",
        _both_far(champion, challenger),
        _slopes(rows, policy),
        loss,
    )
    sentence = " ".join(filter(None, sentences))
    if failed:
        return Guardrail("calibration", "failed", sentence)
    return Guardrail("calibration", "unknown" if loss else "passed", sentence)


def _both_far(champion: float, challenger: float) -> str:
    if min(champion, challenger) > FAR or max(champion, challenger) < 1 / FAR:
        return (
            "The probabilities of both models are far off, as those of models with class weights "
            "are; only the difference between the models is judged."
        )
    return ""


def _slopes(rows: Rows, policy: Policy) -> str:
    some = part(rows, np.arange(0, rows.label.size, -(-rows.label.size // SLOPE_ROWS)))
    if some.label.all() or not some.label.any():
        return ""
    result = compare_rows(some, SLOPE, confidence_level=policy.confidence_level)
    if math.isnan(result.standard_error):
        return ""
    return (
        f"The calibration slope of the challenger is {number(result.challenger)}, that of the "
        f"champion {number(result.champion)} (1 is right, less is too extreme): a difference with "
        f"a {percent(policy.confidence_level)} interval of {number(result.ci_lower)} to "
        f"{number(result.ci_upper)}."
    )


def _worse_log_loss(rows: Rows, policy: Policy) -> str:
    """That the log loss is shown to be worse; empty if not, or where the policy judges it."""
    if policy.metric == "log_loss" or "log_loss" in policy.secondary:
        return ""
    result = compare_rows(rows, policy.measure("log_loss"))
    pvalue = shortfall_pvalue(result, 0.0)
    if not pvalue < policy.alpha:
        return ""
    return (
        f"The log_loss of the challenger is {number(result.challenger)}, that of the champion "
        f"{number(result.champion)}: its probabilities are shown to be worse (p-value "
        f"{number(pvalue)}), which stops a promotion only where the policy names log_loss as "
        "secondary."
    )
