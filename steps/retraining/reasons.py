"""A verdict in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retraining.verdict import Verdict


def explain_verdict(verdict: Verdict, shortfalls: Sequence[str]) -> tuple[str, ...]:
    """Full sentences that say what was found, what follows, and what more rows could change.

    Args:
        verdict: Everything but its reasons.
        shortfalls: Sentences on minimums that the rows do not meet.
    """
    sentences = [_finding(verdict), *shortfalls]
    if verdict.verdict == "promote":
        sentences.append(
            f"If the true effect were at most {number(verdict.min_effect_size)}, an effect this "
            f"large would come up with probability {number(verdict.pvalue)}, "
            f"below alpha {number(verdict.alpha)}."
        )
    elif verdict.verdict == "keep_champion":
        sentences.append(
            "The whole interval lies at or below the required effect of "
            f"{number(verdict.min_effect_size)}."
        )
    else:
        if not shortfalls:
            sentences.append(_doubt(verdict))
        sentences.append(_detectable(verdict))
        sentences.append(_rows_needed(verdict))
    return tuple(sentences)


def number(value: float) -> str:
    """Four significant digits, or "unknown" for NaN."""
    return "unknown" if math.isnan(value) else f"{value:.4g}"


def percent(share: float) -> str:
    """A share as a percentage, with no more digits than it has."""
    return f"{100 * share:.4g}%"


def _finding(verdict: Verdict) -> str:
    models = (
        f"The {verdict.metric} of the challenger is {number(verdict.challenger)}, "
        f"that of the champion {number(verdict.champion)}"
    )
    if verdict.standard_error == 0 and verdict.effect_size == 0:
        return f"{models}: as far as {verdict.metric} can tell, both score every row alike."
    favoured = "challenger" if verdict.effect_size > 0 else "champion"
    favour = f", in favour of the {favoured}," if verdict.effect_size else ""
    interval = f"{number(verdict.ci_lower)} to {number(verdict.ci_upper)}"
    return (
        f"{models}: an effect of {number(verdict.effect_size)}{favour} "
        f"with a {percent(verdict.confidence_level)} interval of {interval}."
    )


def _doubt(verdict: Verdict) -> str:
    return (
        f"The p-value {number(verdict.pvalue)} is not below alpha {number(verdict.alpha)}, and the "
        f"interval reaches above the required effect of {number(verdict.min_effect_size)}: "
        "these rows can neither show nor rule out that the challenger is better."
    )


def _detectable(verdict: Verdict) -> str:
    if math.isnan(verdict.minimum_detectable_effect):
        return "The standard error cannot be estimated, nor what effect could be detected."
    return (
        f"The minimum detectable effect is {number(verdict.minimum_detectable_effect)}: a "
        "challenger that is better by this much would be promoted in "
        f"{percent(verdict.power)} of such tests."
    )


def _rows_needed(verdict: Verdict) -> str:
    if verdict.rows_still_needed is None:
        return (
            "The observed effect is too close to the required one to say how many rows would "
            "decide."
        )
    return (
        f"About {verdict.rows_still_needed:,} more rows of the same kind would decide, if the true "
        "effect is as large as the observed one."
    )
