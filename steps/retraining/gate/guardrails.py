"""Conditions beside the primary metric that a challenger must meet to be promoted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from retraining.gate.power import MINIMUM_UNITS, shortfalls
from retraining.gate.verdict import Guardrail, Slice
from retraining.gate.wording import number, percent
from retraining.statistics.calibration import expected_calibration_error, reliability
from retraining.statistics.inference import PairedResult, degrees_of_freedom, tail_probability
from retraining.statistics.paired import compare_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from retraining.gate.policy import Policy
    from retraining.statistics.rows import Rows

COMMON: Final = 0.99  # share of rows with one score above which a model hardly tells rows apart
NAMED: Final = 5  # slices that a sentence names; the report's table has them all


def check(
    rows: Rows, slices: Sequence[Slice], effect: PairedResult, policy: Policy
) -> tuple[Guardrail, ...]:
    """Every guardrail but the self-test, in the order in which they are told.

    Args:
        rows: With the scores of champion and challenger.
        slices: As `retraining.gate.slices.compare_slices` returns them.
        effect: The comparison by the primary metric.
        policy: What must be shown.
    """
    return (
        _minimum_positives(rows, policy),
        *_slices(slices, policy),
        *(_secondary(rows, name, margin, policy) for name, margin in policy.secondary.items()),
        _calibration(rows, policy),
        _leak(rows, effect, policy),
        _scores(rows),
    )


def promotable(guardrails: Iterable[Guardrail]) -> bool:
    """Whether none of them stops a promotion."""
    return all(guardrail.status != "failed" for guardrail in guardrails)


def _minimum_positives(rows: Rows, policy: Policy) -> Guardrail:
    missing = shortfalls(rows, policy.minimum_positives)
    if missing:
        sentence = " ".join(shortfall.sentence for shortfall in missing)
        return Guardrail("minimum_positives", "failed", sentence)
    units = "" if rows.unit is None else f", of {MINIMUM_UNITS} units or more"
    return Guardrail(
        "minimum_positives",
        "passed",
        f"{rows.n_positives:,} rows are of class 1 and {rows.n_rows - rows.n_positives:,} of class "
        f"0{units}; the policy asks for {policy.minimum_positives} of each.",
    )


def _slices(slices: Sequence[Slice], policy: Policy) -> list[Guardrail]:
    if not slices:
        return []
    worse = [
        f"{one.name} (effect {number(one.effect_size)}, adjusted p-value {number(one.pvalue)})"
        for one in slices
        if one.status == "worse"
    ]
    small = [one.name for one in slices if one.status == "too_small"]
    untold = f" Too small to judge: {_list(small)}." if small else ""
    margin = f" by more than {number(policy.slice_margin)}" if policy.slice_margin else ""
    if worse:
        sentence = f"The challenger is worse{margin} in {_list(worse)}.{untold}"
        return [Guardrail("slices", "failed", sentence)]
    judged = len(slices) - len(small)
    if not judged:
        sentence = f"No slice has enough rows to be judged: {_list(small)}."
        return [Guardrail("slices", "unknown", sentence)]
    many = f"any of {judged} slices" if judged > 1 else "the one slice judged"
    sentence = f"The challenger is not shown to be worse{margin} in {many}.{untold}"
    return [Guardrail("slices", "passed", sentence)]


def _secondary(rows: Rows, name: str, margin: float, policy: Policy) -> Guardrail:
    """Non-inferiority: "worse by the margin or more" must be ruled out, not merely not shown."""
    metric = policy.measure(name)
    wild = _no_probabilities(rows) if metric.of_probabilities else ""
    if wild:
        return Guardrail("secondary", "unknown", f"{wild}, so {name} cannot be judged.")
    result = compare_rows(rows, metric, confidence_level=policy.confidence_level)
    pvalue = tail_probability(
        result.effect_size + margin,
        result.standard_error,
        alternative="greater",
        degrees=degrees_of_freedom(rows.unit),
    )
    passed = pvalue < policy.alpha
    return Guardrail(
        "secondary",
        "passed" if passed else "failed",
        f"The {name} of the challenger is {number(result.challenger)}, that of the champion "
        f"{number(result.champion)}: that it is worse by {number(margin)} or more is "
        f"{'ruled out' if passed else 'not ruled out'} (p-value {number(pvalue)}, "
        f"alpha {number(policy.alpha)}).",
    )


def _calibration(rows: Rows, policy: Policy) -> Guardrail:
    wild = _no_probabilities(rows)
    if wild:
        return Guardrail("calibration", "unknown", f"{wild}, so calibration cannot be judged.")
    champion, challenger = (
        expected_calibration_error(reliability(rows.label, score, rows.weight))
        for score in rows.scores
    )
    passed = challenger <= champion + policy.calibration_margin
    return Guardrail(
        "calibration",
        "passed" if passed else "failed",
        f"The expected calibration error of the challenger is {number(challenger)}, that of the "
        f"champion {number(champion)}: {'within' if passed else 'beyond'} the margin of "
        f"{number(policy.calibration_margin)}.",
    )


def _leak(rows: Rows, effect: PairedResult, policy: Policy) -> Guardrail:
    """A gain too good to be true, measured from the champion to what the label itself reaches.

    That is a perfect metric, except for recall_at_capacity where class 1 exceeds the capacity.
    Near it, chance alone closes most of the distance: only a gain that is shown is suspicious.
    """
    metric = policy.chosen_metric
    best, _ = metric.influence(rows.label, rows.label.astype(np.float64), rows.weight)
    distance = abs(best - effect.champion)
    if not effect.ci_lower > 0 or not distance:
        sentence = f"The challenger shows no gain of {metric.name} that could be suspicious."
        return Guardrail("leak", "passed", sentence)
    share = effect.effect_size / distance
    found = (
        f"The challenger closes {percent(share)} of the champion's distance to the best possible "
        f"{metric.name} of {number(best)}"
    )
    credible = percent(policy.suspicious_gain)
    if share > policy.suspicious_gain:
        remedy = "look for a feature that knows the label"
        return Guardrail("leak", "failed", f"{found}, more than {credible}: {remedy}.")
    return Guardrail("leak", "passed", f"{found}; up to {credible} is credible.")


def _scores(rows: Rows) -> Guardrail:
    """Scores that tell rows apart. A constant one is broken; other oddities are only told."""
    distinct, tie = np.unique(rows.scores[1], return_inverse=True)
    if distinct.size == 1:
        sentence = f"The challenger gives every row the score {number(float(distinct[0]))}."
        return Guardrail("scores", "failed", sentence)
    counts = np.bincount(tie, rows.sizes)
    commonest = int(np.argmax(counts))
    share = float(counts[commonest] / np.sum(counts))
    if share > COMMON:
        return Guardrail(
            "scores",
            "unknown",
            f"{percent(share)} of the rows have the challenger's score "
            f"{number(float(distinct[commonest]))}: it hardly tells rows apart.",
        )
    if len(set(rows.are_probabilities)) > 1:
        return Guardrail(
            "scores",
            "unknown",
            f"{_no_probabilities(rows)} and those of the other model are: whoever reads them as "
            "such must know.",
        )
    return Guardrail(
        "scores",
        "passed",
        f"The challenger's scores take {distinct.size:,} values from {number(float(distinct[0]))} "
        f"to {number(float(distinct[-1]))}.",
    )


def _no_probabilities(rows: Rows) -> str:
    """The beginning of a sentence, empty where both models' scores lie in [0, 1]."""
    wild = [
        name
        for name, probable in zip(("champion", "challenger"), rows.are_probabilities, strict=True)
        if not probable
    ]
    return f"The scores of the {' and the '.join(wild)} are no probabilities" if wild else ""


def _list(names: Sequence[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
