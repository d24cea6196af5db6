"""The guardrail on slices: whether one stops a promotion, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from retraining.gate.verdict import Guardrail, Slice
from retraining.gate.wording import number, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retraining.gate.policy import Policy

NAMED: Final = 5  # slices named in a sentence; the table of the report lists all of them


def judge_slices(slices: Sequence[Slice], policy: Policy) -> list[Guardrail]:
    """One guardrail; none without slices.

    It fails where a slice is shown to be worse, or, if the policy asks for it, where a slice does
    not rule out a loss of `slice_non_inferiority`.

    Args:
        slices: As `retraining.gate.slices.compare_slices` returns them.
        policy: Its slice_margin, slice_non_inferiority, confidence_level and alpha are used.
    """
    if not slices:
        return []
    judged = [one for one in slices if one.status in ("worse", "not_worse")]
    small = [one.name for one in slices if one.status == "too_small"]
    unproven = _unproven(slices, policy)
    sentences = [
        _result(judged, policy),
        _possible_losses(slices, policy),
        _proof(unproven, policy.slice_non_inferiority),
        f"Too small to judge: {_list(small)}." if small and judged else "",
    ]
    if not judged:
        sentences[0] = f"No slice is large enough to be judged: {_list(small)}."
    sentence = " ".join(filter(None, sentences))
    if unproven or any(one.status == "worse" for one in judged):
        return [Guardrail("slices", "failed", sentence)]
    return [Guardrail("slices", "passed" if judged else "unknown", sentence)]


def _result(judged: Sequence[Slice], policy: Policy) -> str:
    worse = [
        f"{one.name} (effect {number(one.effect_size)}, adjusted p-value {number(one.pvalue)})"
        for one in judged
        if one.status == "worse"
    ]
    margin = f" by more than {number(policy.slice_margin)}" if policy.slice_margin else ""
    if worse:
        return f"The challenger is worse{margin} in {_list(worse)}."
    many = f"any of {len(judged)} slices" if len(judged) > 1 else "the only slice that is judged"
    return f"The challenger is not shown to be worse{margin} in {many}."


def _possible_losses(slices: Sequence[Slice], policy: Policy) -> str:
    """The largest losses that are not ruled out, where they are known."""
    losses = sorted(
        ((one.possible_loss, one.name) for one in slices if one.possible_loss > 0),
        key=lambda loss: -loss[0],
    )
    if not losses:
        return ""
    named = _list([f"{number(loss)} in {name}" for loss, name in losses])
    return f"Losses up to {named} are not ruled out ({percent(policy.confidence_level)} limits)."


def _unproven(slices: Sequence[Slice], policy: Policy) -> list[str]:
    """The slices that do not prove what the policy asks for; none if it asks for no proof."""
    return [
        one.name
        for one in slices
        if policy.slice_non_inferiority is not None
        and one.status != "pooled"
        and not one.non_inferiority_pvalue < policy.alpha
    ]


def _proof(unproven: Sequence[str], margin: float | None) -> str:
    if margin is None:
        return ""
    if not unproven:
        return f"Every slice rules out a loss of {number(margin)} or more."
    return (
        f"The policy requires every slice to rule out a loss of {number(margin)} or more, which "
        f"{_list(unproven)} cannot."
    )


def _list(names: Sequence[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
