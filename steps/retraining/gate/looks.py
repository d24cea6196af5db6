"""The looks of a campaign: how much alpha each may use, and the bound that promotes at it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from retraining.gate.fields import Count, Number, Record, Share
from retraining.statistics import sequential

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retraining.gate.policy import CampaignRules

LEAST: Final = 1e-300  # alpha of a look at which nothing promotes: above zero, but negligible


@dataclass(frozen=True, kw_only=True)
class Look(Record):
    """One look of a campaign, made or planned, on all rows up to it."""

    look: Annotated[int, Field(ge=1)]
    """The number of the look."""
    made: bool
    """Whether it was made; what is said of a planned one holds if rows come as they did so far."""
    n_rows: Count
    """The number of rows up to this look."""
    information: Annotated[float, Field(ge=0)]
    """What the rows up to this look tell, counted in rows: positives times negatives, by their
    sum."""
    effect_size: Number
    """The effect on all rows up to this look; unknown of a planned one."""
    standard_error: Number
    """How far that effect would typically move if other rows had been drawn."""
    fraction: Share
    """The share of the campaign's information that is there; the last look has all of it."""
    spent: Share
    """The alpha that the looks up to this one may have used."""
    bound: Number
    """The z-score that promotes; unknown where none does."""
    z_score: Number
    """The effect beyond the required one, in standard errors; unknown of a planned look."""


def read_look(written: dict[str, Any]) -> Look:
    """A look as verdict.json has it: a number that is unknown is null, an unreachable bound too."""
    unknown = {name: math.nan for name, value in written.items() if value is None}
    if "bound" in unknown:
        unknown["bound"] = math.inf
    return Look(**{**written, **unknown})


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
        looks = with_bound((*looks, planned), rules, alpha)
    return looks[len(made) :]


def with_bound(looks: tuple[Look, ...], rules: CampaignRules, alpha: float) -> tuple[Look, ...]:
    """The looks with fraction, bound and spent alpha of the last one."""
    *past, last = looks
    information, bounds = information_and_bounds(looks)
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


def with_bounds(looks: tuple[Look, ...], rules: CampaignRules, alpha: float) -> tuple[Look, ...]:
    """The same looks with the bounds of another alpha."""
    done: tuple[Look, ...] = ()
    for look in looks:
        done = with_bound((*done, look), rules, alpha)
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


def information_and_bounds(looks: Sequence[Look]) -> tuple[list[float], list[float]]:
    """Information and bounds of looks; the information as 1 / variance of the effect.

    It is in proportion to the rows, and that of the last look is as its standard error says.
    """
    last = looks[-1]
    known = math.isfinite(last.standard_error) and last.standard_error > 0
    scale = last.standard_error**-2 / last.information if known and last.information else 1.0
    levels = [max(look.information, LEAST) * scale for look in looks]
    return levels, [look.bound for look in looks]
