"""How soon a gain would be found: by single tests, or by campaigns of each spending."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field
from scipy import special

from retraining.gate.fields import Count, Record, Share
from retraining.gate.looks import Look, information_and_bounds, plan_looks, with_bound
from retraining.gate.policy import CampaignRules
from retraining.gate.spending import due
from retraining.statistics import sequential

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retraining.gate.policy import Policy
    from retraining.statistics.sequential import SpendingFunction

Rule = Literal["single", "pocock", "obrien_fleming", "e_process"]
GAINS: Final = (0.5, 1.0, 1.5, 2.5)  # of a plan, in standard errors of one look
PLANNED_LOOKS: Final = 8  # of the campaigns in a plan, where the policy has none


@dataclass(frozen=True, kw_only=True)
class PlannedRule(Record):
    """How soon one way of testing finds a gain of a given size, with rows such as these."""

    rule: Rule
    """single (each challenger is tested once, a new one each time) or a campaign of that
    spending."""
    alpha: Share
    """The alpha of a test, or of a campaign, that keeps to the yearly budget."""
    gain: Annotated[float, Field(gt=0)]
    """The true effect, beyond the required one."""
    n_looks: Annotated[int, Field(ge=1)]
    """The tests or looks."""
    found: Share
    """The probability that the gain is found within so many."""
    half_found: Count | None
    """After how many it is found with a probability of one half; unknown if not within them."""


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
    rules: dict[SpendingFunction, tuple[float, tuple[Look, ...]]] = {}
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
        made = with_bound((first,), chosen, alpha)
        rules[function] = alpha, (*made, *plan_looks(made, chosen, alpha))
    found = []
    single = due(policy, policy.tests_per_year, 1)
    for gain in (share * standard_error for share in GAINS):
        missed = float(special.ndtr(-float(special.ndtri(single)) - gain / standard_error))
        shares = [1 - missed**n for n in range(1, n_looks + 1)]
        found.append(_planned("single", single, gain, shares))
        for name, (alpha, looks) in rules.items():
            crossed = sequential.crossings(*information_and_bounds(looks), gain).cumsum()
            found.append(_planned(name, alpha, gain, [min(float(x), 1.0) for x in crossed]))
    return tuple(found)


def _planned(rule: Rule, alpha: float, gain: float, shares: Sequence[float]) -> PlannedRule:
    half = next((n for n, share in enumerate(shares, 1) if share >= 0.5), None)
    return PlannedRule(
        rule=rule,
        alpha=alpha,
        gain=gain,
        n_looks=len(shares),
        found=shares[-1],
        half_found=half,
    )
