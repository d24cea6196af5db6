"""Campaigns: the same challenger meets the champion again, on all rows so far, until it is decided.

A campaign has one alpha for all its looks. How much of it the looks up to now may have used depends
on the information that is there (Lan and DeMets 1983): of the planned information at first, and
never more than if it had come evenly. So weeks of any size are right, skipped ones as well.

Information is counted in rows, as survival trials count it in events: the variance of a few days is
too uncertain for that. Rows whose units return bring less than their number says, so that the error
is below alpha. Where later rows bring more than earlier ones it is above: 5.7 % in place of 5 where
the first week has ten times the variance of the others.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple

from pydantic import Field
from scipy import optimize, special

from retraining.gate.fields import Count, Number, Record, Share
from retraining.gate.looks import (
    LEAST,
    Look,
    information_and_bounds,
    plan_looks,
    with_bound,
    with_bounds,
)
from retraining.statistics import sequential
from retraining.statistics.inference import excess_pvalue, half_width
from retraining.statistics.sequential import SpendingFunction  # noqa: TC001 (for the schema)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retraining.gate.fields import Outcome
    from retraining.gate.policy import Policy
    from retraining.statistics.inference import PairedResult

State = Literal["open", "promoted", "no_gain", "futile", "last_look"]
FUTILE: Final = 0.1  # chance to find the detectable effect, below which a campaign ends


@dataclass(frozen=True, kw_only=True)
class Campaign(Record):
    """Where the same pair of models stands that is tested again on growing data."""

    look: Annotated[int, Field(ge=1)]
    """The number of this look."""
    n_looks: Annotated[int, Field(ge=1)]
    """The looks of the campaign, if nothing ends it before."""
    spending: SpendingFunction
    """How the looks share alpha: pocock, obrien_fleming or e_process."""
    alpha: Share
    """The accepted probability that the campaign as a whole promotes a challenger that is not
    better, whatever the number of its looks."""
    spent: Share
    """The alpha that the looks so far may have used."""
    returned: Share
    """The alpha that goes back to the budget, now that the campaign has ended; 0 while it lasts."""
    returnable: Share
    """The alpha that goes back if something else ends the campaign after this look: what the looks
    that are left could still promote by chance, given the rows so far."""
    state: State
    """open (the next cycle looks again), promoted, no_gain (the interval rules a gain out), futile
    (the detectable effect itself would hardly be found any more) or last_look."""
    median_unbiased_effect: Number
    """The effect that is too large as often as too small, allowing for the looks: the observed one
    is too large on average where a campaign ends because it was."""
    looks_still_needed: Count | None
    """After how many more looks the challenger would be promoted if the observed effect stays; 0 if
    the campaign has ended, unknown if not within it."""
    chance: Number
    """The probability that this campaign still promotes, if the true effect is the detectable
    one."""


class Standing(NamedTuple):
    """What a look knows of its campaign.

    Attributes:
        alpha: Of the whole campaign.
        past: The looks before it, oldest first.
    """

    alpha: float
    past: tuple[Look, ...] = ()


class JudgedLook(NamedTuple):
    """A look at a result: what its p-value must be below, and its interval.

    Attributes:
        looks: Those made, this one last.
        alpha: Of this look.
        ends: Of the repeated confidence interval of the effect (Jennison and Turnbull 1989), which
            holds at all looks together.
    """

    looks: tuple[Look, ...]
    alpha: float
    ends: tuple[float, float]


def judge_look(standing: Standing, policy: Policy, result: PairedResult) -> JudgedLook:
    """The next look of a campaign.

    Args:
        standing: Of the campaign.
        policy: Its campaign, min_effect_size and confidence_level are used.
        result: The comparison on all rows so far, with their ordinary interval.
    """
    past, rules = standing.past, policy.campaign
    error = result.standard_error
    look = Look(
        look=len(past) + 1,
        made=True,
        n_rows=result.n_rows,
        information=result.n_positives * (1 - result.n_positives / result.n_rows),
        effect_size=result.effect_size,
        standard_error=error,
        fraction=past[-1].fraction if past else 0.0,
        spent=past[-1].spent if past else 0.0,
        bound=math.inf,
        z_score=math.nan,
    )
    z = -float(special.ndtri(excess_pvalue(result, policy.min_effect_size)))
    farthest = sequential.FARTHEST
    look = dataclasses.replace(
        look, z_score=z if math.isnan(z) else min(max(z, -farthest), farthest)
    )
    looks = with_bound((*past, look), rules, standing.alpha)
    tail = with_bounds(looks, rules, (1 - policy.confidence_level) / 2)[-1].bound
    level = 1 - 2 * float(special.ndtr(-tail))
    reach = half_width(error, level, result.degrees_of_freedom) if level < 1 else math.inf
    reach += result.error_bound
    alpha = max(float(special.ndtr(-looks[-1].bound)), LEAST)
    return JudgedLook(looks, alpha, (result.effect_size - reach, result.effect_size + reach))


def conclude(
    standing: Standing, judged: JudgedLook, policy: Policy, outcome: Outcome
) -> tuple[Campaign, tuple[Look, ...]]:
    """Where the campaign stands after a verdict, and its looks, those that are planned included.

    Ending early for futility, or going on in spite of it, never makes a false promotion more
    probable than alpha.
    """
    made, rules = judged.looks, policy.campaign
    planned = plan_looks(made, rules, standing.alpha)
    detectable = detectable_effect((*made, *planned), policy.power)
    chance = _chance(made, planned, detectable)
    state = _state(outcome, chance, is_last=made[-1].look >= rules.looks)
    # All of alpha but by an e-process, which allows for more looks than there are.
    unused = max(standing.alpha - (*made, *planned)[-1].spent, 0.0)  # but for rounding
    by_chance = _chance(made, planned, 0.0)
    returnable = unused + (0.0 if math.isnan(by_chance) else by_chance)
    returnable = min(returnable, standing.alpha)
    stays = made[-1].z_score * made[-1].standard_error  # the effect beyond the required one
    campaign = Campaign(
        look=made[-1].look,
        n_looks=max(rules.looks, made[-1].look),
        spending=rules.spending,
        alpha=standing.alpha,
        spent=made[-1].spent,
        returned=0.0 if state == "open" else unused if state == "promoted" else returnable,
        returnable=returnable,
        state=state,
        median_unbiased_effect=_median_unbiased(made, policy.min_effect_size),
        looks_still_needed=_looks_needed(planned, stays) if state == "open" else 0,
        chance=chance,
    )
    return campaign, (*made, *planned)


def detectable_effect(looks: Sequence[Look], power: float) -> float:
    """The true effect beyond the required one that some look of a whole campaign promotes.

    Args:
        looks: All of them, with their bounds.
        power: The probability of it.
    """
    information, bounds = information_and_bounds(looks)
    least, error = min(bounds), looks[-1].standard_error
    if not (math.isfinite(least) and math.isfinite(error) and error > 0):
        return math.nan

    def excess(effect: float) -> float:
        return float(sum(sequential.crossings(information, bounds, effect))) - power

    return float(optimize.brentq(excess, -20 * error, (max(least, 0) + 20) * error))


def _chance(made: Sequence[Look], planned: Sequence[Look], effect: float) -> float:
    """The probability that a planned look promotes, given the looks so far, if this is the effect.

    Where there is no effect it is the conditional error (Mueller and Schaefer 2001).
    """
    if not any(math.isfinite(look.bound) for look in planned):
        return 0.0
    if math.isnan(effect) or math.isnan(made[-1].z_score):
        return math.nan
    information, bounds = information_and_bounds((*made, *planned))
    levels = sequential.increasing(information)
    now, ahead = levels[-len(planned) - 1], levels[-len(planned) :]
    score = made[-1].z_score * math.sqrt(now)
    more = [level - now for level in ahead]
    lifted = [
        (bound * math.sqrt(level) - score) / math.sqrt(level - now)
        for bound, level in zip(bounds[-len(planned) :], ahead, strict=True)
    ]
    return min(1.0, float(sum(sequential.crossings(more, lifted, effect))))


def _state(outcome: Outcome, chance: float, *, is_last: bool) -> State:
    if outcome == "promote":
        return "promoted"
    if outcome == "keep_champion":
        return "no_gain"
    if is_last:
        return "last_look"
    return "futile" if chance < FUTILE else "open"


def _median_unbiased(made: Sequence[Look], least: float) -> float:
    """The corrected effect: of one look it is the observed one."""
    last = made[-1]
    if not (math.isfinite(last.z_score) and last.standard_error > 0):
        return math.nan
    information, bounds = information_and_bounds(made)
    # Not by the z-score, which allows for the degrees of freedom of the error.
    distance = (last.effect_size - least) / last.standard_error
    return least + sequential.median_unbiased(information, bounds[:-1], distance)


def _looks_needed(planned: Sequence[Look], effect: float) -> int | None:
    reached = (
        number
        for number, look in enumerate(planned, 1)
        if effect >= look.bound * look.standard_error
    )
    return next(reached, None)
