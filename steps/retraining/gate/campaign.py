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
from typing import TYPE_CHECKING, Final, NamedTuple

from scipy import optimize, special

from retraining.gate.policy import CampaignRules
from retraining.gate.verdict import Campaign, Look, PlannedRule
from retraining.statistics import sequential
from retraining.statistics.inference import excess_pvalue, half_width

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from retraining.gate.policy import Policy
    from retraining.gate.verdict import Outcome
    from retraining.statistics.inference import PairedResult
    from retraining.statistics.sequential import SpendingFunction

    State = Literal["open", "promoted", "no_gain", "futile", "last_look"]

FUTILE: Final = 0.1  # chance to find the detectable effect, below which a campaign ends
LEAST: Final = 1e-300  # alpha of a look at which nothing promotes: above zero, but negligible
GAINS: Final = (0.5, 1.0, 1.5, 2.5)  # of a plan, in standard errors of one look
PLANNED_LOOKS: Final = 8  # of the campaigns in a plan, where the policy has none


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
    looks = _with_bound((*past, look), rules, standing.alpha)
    tail = _with_bounds(looks, rules, (1 - policy.confidence_level) / 2)[-1].bound
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


def plan_looks(made: Sequence[Look], rules: CampaignRules, alpha: float) -> tuple[Look, ...]:
    """The looks that are left, if each brings as many rows as those so far did on average."""
    last, looks = made[-1], tuple(made)
    for number in range(last.look + 1, rules.looks + 1):
        share = last.look / number
        planned = dataclasses.replace(
            last,
            look=number,
            made=False,
            n_rows=round(last.n_rows / share),
            information=last.information / share,
            effect_size=math.nan,
            standard_error=last.standard_error * math.sqrt(share),
            z_score=math.nan,
        )
        looks = _with_bound((*looks, planned), rules, alpha)
    return looks[len(made) :]


def detectable_effect(looks: Sequence[Look], power: float) -> float:
    """The true effect beyond the required one that some look of a whole campaign promotes.

    Args:
        looks: All of them, with their bounds.
        power: The probability of it.
    """
    information, bounds = _of(looks)
    least, error = min(bounds), looks[-1].standard_error
    if not (math.isfinite(least) and math.isfinite(error) and error > 0):
        return math.nan

    def excess(effect: float) -> float:
        return float(sum(sequential.crossings(information, bounds, effect))) - power

    return float(optimize.brentq(excess, -20 * error, (max(least, 0) + 20) * error))


def plan_rules(standard_error: float, n_rows: int, policy: Policy) -> tuple[PlannedRule, ...]:
    """How soon each way of testing finds gains of several sizes; empty where the error is unknown.

    Args:
        standard_error: Of the effect on the rows of one look.
        n_rows: The number of rows of one look.
        policy: Its campaign, alpha, yearly_alpha, tests_per_year, memory and power are used.
    """
    if not (math.isfinite(standard_error) and standard_error > 0):
        return ()
    n_looks = policy.campaign.looks if policy.campaign.looks > 1 else PLANNED_LOOKS
    rules: dict[str, tuple[float, tuple[Look, ...]]] = {}
    functions: tuple[SpendingFunction, ...] = ("pocock", "obrien_fleming", "e_process")
    for function in functions:
        chosen = CampaignRules(looks=n_looks, spending=function)
        alpha = due(policy, policy.tests_per_year, n_looks)
        first = Look(
            look=1,
            made=True,
            n_rows=n_rows,
            information=1.0,
            effect_size=math.nan,
            standard_error=standard_error,
            fraction=0.0,
            spent=0.0,
            bound=math.inf,
            z_score=math.nan,
        )
        made = _with_bound((first,), chosen, alpha)
        rules[function] = alpha, (*made, *plan_looks(made, chosen, alpha))
    found = []
    single = due(policy, policy.tests_per_year, 1)
    for gain in (share * standard_error for share in GAINS):
        missed = float(special.ndtr(-float(special.ndtri(single)) - gain / standard_error))
        shares = [1 - missed**n for n in range(1, n_looks + 1)]
        found.append(_planned("single", single, gain, shares))
        for name, (alpha, looks) in rules.items():
            crossed = sequential.crossings(*_of(looks), gain).cumsum()
            found.append(_planned(name, alpha, gain, [min(float(x), 1.0) for x in crossed]))
    return tuple(found)


def due(policy: Policy, tests_per_year: float, looks: int) -> float:
    """The alpha of a campaign, or of a test, that keeps to the yearly budget at this rhythm."""
    if policy.memory == "per_test":
        return policy.alpha
    return min(policy.alpha, policy.yearly_alpha * looks / tests_per_year, policy.yearly_alpha)


def _planned(name: str, alpha: float, gain: float, shares: Sequence[float]) -> PlannedRule:
    half = next((n for n, share in enumerate(shares, 1) if share >= 0.5), None)
    return PlannedRule(
        rule=name,  # type: ignore[arg-type]
        alpha=alpha,
        gain=gain,
        n_looks=len(shares),
        found=shares[-1],
        half_found=half,
    )


def _with_bound(looks: tuple[Look, ...], rules: CampaignRules, alpha: float) -> tuple[Look, ...]:
    """The looks with fraction, bound and spent alpha of the last one."""
    *past, last = looks
    information, bounds = _of(looks)
    last = dataclasses.replace(last, fraction=_fraction(looks, rules))
    if rules.spending == "e_process":
        bound = sequential.bound_of_mixture(alpha, information[-1] / information[0])
        used = float(sum(sequential.crossings(information, [*bounds[:-1], bound])))
        return (*past, dataclasses.replace(last, bound=bound, spent=min(used, alpha)))
    before = past[-1].spent if past else 0.0
    allowed = sequential.spent(rules.spending, alpha, last.fraction)
    bound = sequential.next_bound(information, bounds[:-1], allowed - before)
    spent = max(allowed, before) if math.isfinite(bound) else before
    return (*past, dataclasses.replace(last, bound=bound, spent=spent))


def _with_bounds(looks: tuple[Look, ...], rules: CampaignRules, alpha: float) -> tuple[Look, ...]:
    """The same looks with the bounds of another alpha."""
    done: tuple[Look, ...] = ()
    for look in looks:
        done = _with_bound((*done, look), rules, alpha)
    return done


def _fraction(looks: Sequence[Look], rules: CampaignRules) -> float:
    """The share of the planned information that is there at the last look.

    The plan is that all looks are like the first. Where more comes than that, as much is expected
    of the looks that are left: a plan may follow what does not depend on the effect (Lan and DeMets
    1989).
    """
    first, last = looks[0], looks[-1]
    if last.look >= rules.looks:
        return 1.0
    plan = max(first.information, last.information / last.look) * rules.looks
    return max([last.information / plan if plan else 0.0, *(look.fraction for look in looks[:-1])])


def _of(looks: Sequence[Look]) -> tuple[list[float], list[float]]:
    """Information and bounds of looks; the information as 1 / variance of the effect.

    It is in proportion to the rows, and that of the last look is as its standard error says.
    """
    last = looks[-1]
    known = math.isfinite(last.standard_error) and last.standard_error > 0
    scale = last.standard_error**-2 / last.information if known and last.information else 1.0
    levels = [max(look.information, LEAST) * scale for look in looks]
    return levels, [look.bound for look in looks]


def _chance(made: Sequence[Look], planned: Sequence[Look], effect: float) -> float:
    """The probability that a planned look promotes, given the looks so far, if this is the effect.

    Where there is no effect it is the conditional error (Mueller and Schaefer 2001).
    """
    if not any(math.isfinite(look.bound) for look in planned):
        return 0.0
    if math.isnan(effect) or math.isnan(made[-1].z_score):
        return math.nan
    information, bounds = _of((*made, *planned))
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
    information, bounds = _of(made)
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
