"""Campaigns by the z-scores of their looks: what they promote, how they end and what they cost."""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple
from unittest import mock

import numpy as np
from scipy import optimize, special, stats
from scipy.interpolate import CubicSpline

from retraining.gate import campaign
from retraining.gate.campaign import Standing, judge_look
from retraining.gate.looks import LEAST, plan_looks
from retraining.gate.policy import CampaignRules, Policy
from retraining.statistics import sequential
from retraining.statistics.inference import PairedResult, excess_pvalue, tail_probability
from tests.benchmarks.laws import AREA

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from retraining.gate.campaign import JudgedLook
    from retraining.gate.looks import Look
    from retraining.gate.policy import Meanwhile
    from retraining.statistics.rows import Bools, Codes, Floats
    from retraining.statistics.sequential import SpendingFunction

SPENDINGS: Final[tuple[SpendingFunction, ...]] = ("pocock", "obrien_fleming", "e_process")
FIXED: Final = SPENDINGS[:2]  # their bounds depend on how many looks are planned
LOOKS: Final = 8
WEEKS: Final = 52
BUDGET: Final = 0.2  # of a year
OF_CAMPAIGN: Final = BUDGET * LOOKS / WEEKS
OF_TEST: Final = BUDGET / WEEKS
EVEN: Final = (1.0,) * LOOKS
WEEKLY: Final[Mapping[str, tuple[float, ...]]] = {
    "even weeks": EVEN,
    "one week skipped": (1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    "very uneven weeks": (1.0, 5.0, 0.1, 3.0, 0.02, 8.0, 0.5, 2.0),
    "growing weeks": (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0),
    "shrinking weeks": (8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.12, 0.06),
    "first week tiny": (0.01, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
}


class Course(NamedTuple):
    """What a campaign does with the z-score of each look.

    Attributes:
        alpha: Of the campaign.
        bounds: A z-score above it promotes, shape (looks,).
        hopeless: A z-score below it ends the campaign before its last look, shape (looks,).
        spent: The alpha that the looks so far may have used, shape (looks,).
        unused: The alpha that no look uses, by the plan at each look, shape (looks,).
        chances: The probability that a look which is left promotes, by the z-score of each look;
            as a normal quantile, which is nearly linear in it.
    """

    alpha: float
    bounds: tuple[float, ...]
    hopeless: tuple[float, ...]
    spent: tuple[float, ...]
    unused: tuple[float, ...]
    chances: tuple[CubicSpline, ...]

    def unlimited(self, look: int, z: Floats) -> Floats:
        """What goes back where a campaign ends at a look, even if it is more than there was."""
        spline = self.chances[look]
        chance = special.ndtr(spline(np.clip(z, spline.x[0], spline.x[-1])))
        back: Floats = self.unused[look] + np.where(z > self.bounds[look], 0.0, chance)
        return back

    def charge(self, look: int, z: Floats) -> Floats:
        """What campaigns cost that end at a look, counted from 0, with these z-scores."""
        return np.maximum(self.alpha - self.unlimited(look, z), 0.0)


class Ended(NamedTuple):
    """How campaigns ended.

    Attributes:
        look: The last one of each, counted from 0, shape (pairs,).
        promoted: Shape (pairs,).
        charge: The alpha that each is charged, shape (pairs,).
    """

    look: Codes
    promoted: Bools
    charge: Floats


@contextmanager
def remembered() -> Iterator[None]:
    """Bounds are found once for each sequence of information: they depend on no score."""
    find, integrate = sequential.next_bound, sequential.crossings

    @lru_cache(maxsize=100_000)
    def found(information: tuple[float, ...], bounds: tuple[float, ...], increment: float) -> float:
        return find(information, bounds, increment)

    @lru_cache(maxsize=100_000)
    def integrated(information: tuple[float, ...], bounds: tuple[float, ...]) -> Floats:
        return integrate(information, bounds)

    def next_bound(
        information: Sequence[float], bounds: Sequence[float], increment: float
    ) -> float:
        return found(_relative(information), tuple(bounds), increment)

    def crossings(
        information: Sequence[float], bounds: Sequence[float], effect: float = 0.0
    ) -> Floats:
        if effect:
            return integrate(information, bounds, effect)
        return integrated(_relative(information), tuple(bounds))

    with (
        mock.patch.object(sequential, "next_bound", next_bound),
        mock.patch.object(sequential, "crossings", crossings),
    ):
        yield


def _relative(information: Sequence[float]) -> tuple[float, ...]:
    """Without its unit, which matters only where there is an effect."""
    return tuple(round(level / information[0], 9) for level in information)


def rules_of(spending: SpendingFunction, meanwhile: Meanwhile = "better") -> Policy:
    """A policy with campaigns of 8 looks."""
    rules = CampaignRules(looks=LOOKS, spending=spending, meanwhile=meanwhile)
    return Policy(campaign=rules)


def result_of(z: float, weeks: float) -> PairedResult:
    """A comparison with this z-score on the rows of so many weeks, of which each has 100,000."""
    error = weeks**-0.5
    effect = z * error
    n_rows = round(100_000 * weeks)
    reach = 1.96 * error
    return PairedResult(
        effect_size=effect,
        champion=AREA,
        challenger=AREA + effect,
        standard_error=error,
        ci_lower=effect - reach,
        ci_upper=effect + reach,
        pvalue=tail_probability(effect, error, alternative="greater"),
        n_rows=n_rows,
        n_positives=n_rows // 10,
    )


@lru_cache(maxsize=10_000)
def course_of(spending: SpendingFunction, alpha: float, sizes: tuple[float, ...] = EVEN) -> Course:
    """What a campaign does at each look.

    Args:
        spending: Of its alpha.
        alpha: Of the campaign.
        sizes: The rows of each look, in weeks.
    """
    policy = rules_of(spending)
    past: tuple[Look, ...] = ()
    hopeless, unused, chances = [], [], []
    for weeks in np.cumsum(sizes):
        result = result_of(0.0, float(weeks))
        judged = judge_look(Standing(alpha, past), policy, result)
        past = judged.looks
        planned = plan_looks(past, policy.campaign, alpha)
        detectable = campaign.detectable_effect((*past, *planned), policy.power)
        limit = -judged.ends[1] / result.standard_error  # below it the interval rules a gain out
        if planned and np.isfinite(detectable):
            limit = max(limit, _futile_below(past, planned, detectable))
        hopeless.append(limit)
        unused.append(alpha - (*past, *planned)[-1].spent)
        nodes = np.linspace(-5.0, min(past[-1].bound, 6.0), 15)
        back = [max(_chance(past, planned, z, 0.0), LEAST) for z in nodes]
        chances.append(CubicSpline(nodes, special.ndtri(back)))
    return Course(
        alpha=alpha,
        bounds=tuple(look.bound for look in past),
        hopeless=tuple(hopeless),
        spent=tuple(look.spent for look in past),
        unused=tuple(unused),
        chances=tuple(chances),
    )


def _futile_below(made: tuple[Look, ...], planned: tuple[Look, ...], detectable: float) -> float:
    """The z-score below which the detectable effect would hardly be found any more."""

    def excess(z: float) -> float:
        return _chance(made, planned, z, detectable) - campaign.FUTILE

    return float(optimize.brentq(excess, -12.0, 12.0, xtol=1e-4))


def _chance(made: tuple[Look, ...], planned: tuple[Look, ...], z: float, effect: float) -> float:
    """The probability of a promotion after the last look, had it this z-score."""
    last = dataclasses.replace(made[-1], z_score=z)
    return campaign._chance((*made[:-1], last), planned, effect)


def draw_z(rng: np.random.Generator, pairs: int, sizes: Sequence[float], gain: float) -> Floats:
    """Z-scores of pairs at each look, shape (pairs, looks); the gain in errors of one week."""
    growth = np.asarray(sizes)
    scores = gain * growth + np.sqrt(growth) * rng.normal(size=(pairs, growth.size))
    z: Floats = np.cumsum(scores, axis=1) / np.sqrt(np.cumsum(growth))
    return z


def follow(course: Course, z: Floats, *, futility: bool = True) -> Ended:
    """How campaigns with these z-scores end, shape (pairs, looks)."""
    above = z > course.bounds
    ends = above | (z < course.hopeless) if futility else above.copy()
    ends[:, -1] = True
    look = np.argmax(ends, axis=1)
    charges = np.column_stack([course.charge(n, z[:, n]) for n in range(z.shape[1])])
    pair = np.arange(len(z))
    return Ended(look, above[pair, look], charges[pair, look])


def judged_looks(
    z_scores: Sequence[float],
    policy: Policy,
    *,
    alpha: float = OF_CAMPAIGN,
    sizes: Sequence[float] = EVEN,
) -> list[JudgedLook]:
    """The looks with these z-scores, at so many weeks of rows each; the error of a week is 1."""
    found: list[JudgedLook] = []
    weeks = np.cumsum(sizes)[: len(z_scores)]
    for z, week in zip(z_scores, weeks, strict=True):
        past = found[-1].looks if found else ()
        found.append(judge_look(Standing(alpha, past), policy, result_of(z, float(week))))
    return found


def promotes(
    spending: SpendingFunction, alpha: float, sizes: Sequence[float], path: Floats
) -> bool:
    """Whether some look at z-scores of shape (looks,) promotes."""
    weeks = np.cumsum(sizes)
    results = (result_of(float(z), float(week)) for z, week in zip(path, weeks, strict=True))
    return judge_all(spending, alpha, results)


def judge_all(spending: SpendingFunction, alpha: float, results: Iterator[PairedResult]) -> bool:
    """Whether some look of a campaign that never gives up promotes."""
    policy = rules_of(spending)
    past: tuple[Look, ...] = ()
    for result in results:
        judged = judge_look(Standing(alpha, past), policy, result)
        if excess_pvalue(result, policy.min_effect_size) < judged.alpha:
            return True
        past = judged.looks
    return False


def alphas_of_looks(
    spending: SpendingFunction, alpha: float, sizes: Sequence[float]
) -> tuple[float, ...]:
    """Below what the p-value of each look must be, by the rows of each look in weeks."""
    judged = judged_looks([0.0] * len(sizes), rules_of(spending), alpha=alpha, sizes=sizes)
    return tuple(look.alpha for look in judged)


def crossed(spending: SpendingFunction, alpha: float, sizes: Sequence[float], z: Floats) -> int:
    """How many pairs some look promotes, by z-scores of shape (pairs, looks)."""
    alphas = alphas_of_looks(spending, alpha, sizes)
    return int(np.sum(np.any(stats.norm.sf(z) < alphas, axis=1)))
