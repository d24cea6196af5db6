"""Conditions beside the primary metric that a challenger must meet to be promoted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from retraining.gate.calibration_guardrail import judge_calibration
from retraining.gate.power import MINIMUM_UNITS, shortfalls
from retraining.gate.slice_guardrail import judge_slices
from retraining.gate.support import count_predictions, lacks_predictions
from retraining.gate.verdict import Guardrail, Slice
from retraining.gate.wording import number, percent
from retraining.statistics.comparing import compare_rows
from retraining.statistics.inference import PairedResult, excess_pvalue

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from retraining.gate.policy import Policy
    from retraining.statistics.rows import Rows

COMMON: Final = 0.99  # share of rows with the same score above which a model barely orders rows


def check(
    rows: Rows, slices: Sequence[Slice], effect: PairedResult, policy: Policy
) -> tuple[Guardrail, ...]:
    """Every guardrail but the self-test, in the order of the report.

    Args:
        rows: With the scores of champion and challenger.
        slices: As `retraining.gate.slices.compare_slices` returns them.
        effect: The comparison by the primary metric.
        policy: Minimums, margins and alpha; the guardrails use its alpha, not the ledger's.
    """
    return (
        _minimum_positives(rows, policy),
        *judge_slices(slices, policy),
        *(_secondary(rows, name, margin, policy) for name, margin in policy.secondary.items()),
        judge_calibration(rows, policy, _not_probabilities(rows)),
        _leak(rows, effect, policy),
        _scores(rows),
    )


def promotable(guardrails: Iterable[Guardrail]) -> bool:
    """Whether no guardrail stops a promotion."""
    return all(guardrail.status != "failed" for guardrail in guardrails)


def _minimum_positives(rows: Rows, policy: Policy) -> Guardrail:
    missing = shortfalls(rows, policy.minimum_positives)
    if missing:
        sentence = " ".join(shortfall.sentence for shortfall in missing)
        return Guardrail("minimum_positives", "failed", sentence)
    units = "" if rows.n_units is None else f", each from at least {MINIMUM_UNITS} units"
    return Guardrail(
        "minimum_positives",
        "passed",
        f"There are {rows.n_positives:,} positives and {rows.n_rows - rows.n_positives:,} "
        f"negatives{units}; the policy requires {policy.minimum_positives} of each.",
    )


def _secondary(rows: Rows, name: str, margin: float, policy: Policy) -> Guardrail:
    """Non-inferiority: a deterioration by the margin or more must be ruled out by a test.

    Where the metric cannot be judged, it fails if that is the challenger's doing, and not the
    champion's.
    """
    metric = policy.measure(name)
    improper = _not_probabilities(rows) if metric.of_probabilities else ""
    if improper:
        champion, challenger = rows.are_probabilities
        sentence = f"{improper}, so {name} cannot be judged."
        return Guardrail(
            "secondary", "failed" if champion and not challenger else "unknown", sentence
        )
    missing = lacks_predictions(rows) if name == "f1" else ""
    if missing:
        of_champion, of_challenger = count_predictions(rows)
        return Guardrail(
            "secondary", "failed" if of_challenger < of_champion else "unknown", missing
        )
    result = compare_rows(rows, metric, confidence_level=policy.confidence_level)
    pvalue = excess_pvalue(result, -margin)
    passed = pvalue < policy.alpha
    return Guardrail(
        "secondary",
        "passed" if passed else "failed",
        f"The {name} of the challenger is {number(result.challenger)}, that of the champion "
        f"{number(result.champion)}: a deterioration of {number(margin)} or more is "
        f"{'ruled out' if passed else 'not ruled out'} (p-value {number(pvalue)}; "
        f"the policy's alpha is {number(policy.alpha)}).",
    )


def _leak(rows: Rows, effect: PairedResult, policy: Policy) -> Guardrail:
    """A gain too good to be true: its share of the distance from the champion to the best value.

    The best value is what the label itself reaches as a score. It is a perfect metric, except for
    recall_at_capacity where the positives exceed the capacity. Close to it, chance alone covers
    most of the distance, so only a gain whose interval lies above zero is suspicious.
    """
    metric = policy.chosen_metric
    best, _ = metric.influence(rows.label, rows.label.astype(np.float64), rows.weight)
    distance = abs(best - effect.champion)
    if not effect.ci_lower > 0 or not distance:
        sentence = f"The challenger shows no gain in {metric.name} that could be suspicious."
        return Guardrail("leak", "passed", sentence)
    share = effect.effect_size / distance
    gain = (
        f"The challenger closes {percent(share)} of the champion's distance to the best possible "
        f"{metric.name} of {number(best)}"
    )
    credible = percent(policy.suspicious_gain)
    if share > policy.suspicious_gain:
        remedy = "look for a feature that reveals the label"
        return Guardrail("leak", "failed", f"{gain}, more than {credible}: {remedy}.")
    return Guardrail("leak", "passed", f"{gain}; up to {credible} is credible.")


def _scores(rows: Rows) -> Guardrail:
    """Scores that distinguish rows. Constant scores fail; other oddities are only reported."""
    distinct, tie = np.unique(rows.scores[1], return_inverse=True)
    if distinct.size == 1:
        sentence = f"The challenger gives every row the same score, {number(float(distinct[0]))}."
        return Guardrail("scores", "failed", sentence)
    counts = np.bincount(tie, rows.sizes)
    commonest = int(np.argmax(counts))
    share = float(counts[commonest] / np.sum(counts))
    if share > COMMON:
        return Guardrail(
            "scores",
            "unknown",
            f"The challenger gives {percent(share)} of the rows the same score, "
            f"{number(float(distinct[commonest]))}: it barely distinguishes rows.",
        )
    if len(set(rows.are_probabilities)) > 1:
        return Guardrail(
            "scores",
            "unknown",
            f"{_not_probabilities(rows)}, while those of the other model are: check everything "
            "that reads the scores as probabilities.",
        )
    return Guardrail(
        "scores",
        "passed",
        f"The challenger's scores have {distinct.size:,} distinct values, from "
        f"{number(float(distinct[0]))} to {number(float(distinct[-1]))}.",
    )


def _not_probabilities(rows: Rows) -> str:
    """The beginning of a sentence, empty where both models' scores lie in [0, 1]."""
    improper = [
        name
        for name, probable in zip(("champion", "challenger"), rows.are_probabilities, strict=True)
        if not probable
    ]
    return (
        f"The scores of the {' and the '.join(improper)} are not probabilities" if improper else ""
    )
