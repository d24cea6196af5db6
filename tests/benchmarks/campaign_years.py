"""Years of campaigns on one ledger: the last three parts of `campaign`.

- `year`: 52 weekly cycles. With a gain, all models from week 30 on are better by so much than those
  before; a gain that is not found in the 22 weeks that are left counts as a delay of 22.
- `meanwhile`: whether new models wait while a campaign lasts, or replace the challenger. Where they
  wait, the best by a validation score follows, whose difference between two models is off by 1.
- `adversary`: an analyst whose models are worth nothing adds whatever raised the effect on the
  holdout to the next challenger (Dwork, Feldman, Hardt, Pitassi, Reingold and Roth 2015). Rows that
  are split by a hash, which are the same in all weeks, have no campaigns; on fresh rows each week
  of a challenger is a standard normal, however it was made, so that campaigns promote as in `year`.

Where all is returned, a campaign that ends before its last look without a promotion gets back what
its looks have not spent, in place of what they could still promote by chance.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import click
import numpy as np
from scipy import stats

from retraining.comparison.lineup import BETTER
from retraining.errors import RetrainingError
from retraining.gate.ledger import REPLACED, Entry, HoldoutTest, LookEntry
from retraining.gate.looks import LEAST
from retraining.gate.policy import Policy
from retraining.gate.spending import spend
from tests.benchmarks.courses import (
    BUDGET,
    LOOKS,
    SPENDINGS,
    WEEKS,
    Course,
    course_of,
    rules_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retraining.gate.policy import CampaignRules, Meanwhile, Memory
    from retraining.statistics.rows import Bools, Codes, Floats
    from retraining.statistics.sequential import SpendingFunction

MEANWHILE: Final[tuple[Meanwhile, ...]] = ("keep", "better", "newest")
CHANGE: Final = 30  # the first week with better models
AHEAD: Final = float(stats.norm.isf(BETTER))  # on validation: replaces the challenger
STEP: Final = 0.05  # alphas of campaigns are rounded down to multiples of each other by so much
NOTHING: Final = 1e-4  # an alpha below it is taken for none
START: Final = datetime(2024, 1, 8, tzinfo=UTC)


class Rule(NamedTuple):
    """A way to test that a year of models goes through.

    Attributes:
        name: In the table.
        policy: Its campaign and memory are used.
        returns_all: Whether a campaign that ends early gets all back that it has not spent.
    """

    name: str
    policy: Policy
    returns_all: bool = False


class Lived(NamedTuple):
    """What happened in a year.

    Attributes:
        champions: The model that serves after each week; 0 from before, n trained in week n - 1.
        false: Whether the promotion of a week was one of a model that was not better.
        charged: The sum of alpha in the ledger at the end.
    """

    champions: list[int]
    false: list[bool]
    charged: float


class World(NamedTuple):
    """How good models are.

    Attributes:
        name: In the table.
        quality: In standard errors of a week, shape (models, weeks).
    """

    name: str
    quality: Floats

    @property
    def best(self) -> Floats:
        """The quality of the best model that exists in each week, shape (weeks,)."""
        exists = np.arange(WEEKS + 1)[:, None] <= np.arange(WEEKS) + 1
        best: Floats = np.max(np.where(exists, self.quality, -np.inf), axis=0)
        return best


def live(rule: Rule, world: World, seed: Sequence[int]) -> Lived:
    """One year of weekly cycles; the same seed gives every rule the same luck."""
    rng = np.random.default_rng(seed)
    luck = rng.normal(size=WEEKS).tolist()
    blur = rng.normal(size=(WEEKS, WEEKS + 1)) / np.sqrt(2)
    rules, quality = rule.policy.campaign, world.quality
    entries: list[Entry] = []
    champions: list[int] = []
    false: list[bool] = []
    champion, challenger, look, total, z = 0, 0, -1, 0.0, 0.0  # look -1: no campaign goes on
    waiting: list[int] = []
    course, test = None, _test(0, rules.looks)
    for week in range(WEEKS):
        new, seen = week + 1, quality[:, week] + blur[week]
        follows = rules.looks == 1 or rules.meanwhile == "newest"
        if course and look >= 0:
            ahead = seen[new] - seen[challenger] > AHEAD
            follows = follows or (rules.meanwhile == "better" and ahead)
            if follows:
                entries[-1] = entries[-1].ended(REPLACED, _charge(course, look, z, rule))
                look = -1
        if not follows:
            waiting.append(new)
        if look < 0:
            if follows:
                challenger = new
            else:
                challenger = max(waiting, key=lambda model: float(seen[model]))
                waiting = []
            total = 0.0
            test = _test(week, rules.looks)
            course = _rounded(rules, _alpha(entries, rule.policy, test, week))
        look += 1
        lead = quality[challenger, week] - quality[champion, week]
        total += luck[week] + lead
        z = total / (look + 1) ** 0.5
        state, charge = _judge(course, look, z, rule)
        written = LookEntry(test.test, look + 1, rules.looks, "", state)
        following = _test(week, rules.looks)._replace(campaign=test.test if look else "")
        entries.append(following.charge(charge, look=written))
        false.append(state == "promoted" and lead <= 0)
        if state == "promoted":
            champion = challenger
        if state != "open":
            look = -1
        champions.append(champion)
    ended = {e.look.campaign: e.alpha for e in entries if e.look}
    return Lived(champions, false, sum(ended.values()))


def _alpha(entries: list[Entry], policy: Policy, test: HoldoutTest, week: int) -> float:
    """What the ledger gives; single tests have the same in every year."""
    if policy.campaign.looks == 1:
        return float(single_alphas(policy.memory, policy.yearly_alpha)[week])
    return spend(entries, policy, test).alpha


def _judge(course: Course | None, look: int, z: float, rule: Rule) -> tuple[str, float]:
    """The state of a campaign after a look, counted from 0, and what it is charged."""
    if course is None:
        return "futile", LEAST
    if z > course.bounds[look]:
        state = "promoted"
    elif look + 1 == len(course.bounds):
        state = "last_look"
    elif z >= course.hopeless[look]:
        return "open", course.alpha
    else:
        state = "futile"
    return state, _charge(course, look, z, rule)


def _charge(course: Course, look: int, z: float, rule: Rule) -> float:
    """What a campaign is charged that ends at a look, counted from 0, with this z-score."""
    if rule.policy.campaign.looks == 1:
        return course.alpha
    if rule.returns_all and z <= course.bounds[look]:
        return course.spent[look]
    return max(float(course.charge(look, np.array(z))), LEAST)


def _rounded(rules: CampaignRules, alpha: float) -> Course | None:
    """The course of a campaign whose alpha is rounded down; None where there is next to none."""
    if alpha < NOTHING:
        return None
    if rules.looks == 1:
        bound = float(stats.norm.isf(alpha))
        return Course(alpha, (bound,), (-np.inf,), (alpha,), (0.0,), ())
    least = float(np.exp(STEP * np.floor(np.log(alpha) / STEP + 1e-9)))
    return course_of(rules.spending, least)


@lru_cache(maxsize=1000)
def _test(week: int, looks: int) -> HoldoutTest:
    now = START + timedelta(weeks=week)
    since = now - timedelta(weeks=1)
    return HoldoutTest(str(week), now, str(week), since, now, "a", str(week), looks)


def live_all(rule: Rule, world: World, years: int, seed: int) -> tuple[Codes, Bools, Floats]:
    """Many years: champions and false promotions of shape (years, weeks), charges (years,)."""
    lived = [live(rule, world, (seed, year)) for year in range(years)]
    return (
        np.array([year.champions for year in lived]),
        np.array([year.false for year in lived]),
        np.array([year.charged for year in lived]),
    )


def better_from(gain: float) -> World:
    """All models from week 30 on are better by a gain."""
    quality = np.zeros((WEEKS + 1, WEEKS))
    quality[CHANGE + 1 :] = gain
    return World(f"gain {gain:g}", quality)


def print_year(years: int, seed: int) -> None:
    """False promotions and delays of a year."""
    rules = [Rule("single tests", Policy())]
    rules += [Rule(f"campaign, {name}, better", rules_of(name)) for name in SPENDINGS]
    rules += [
        Rule("campaign, pocock, keep", rules_of("pocock", "keep")),
        Rule("campaign, pocock, better, all returned", rules_of("pocock"), returns_all=True),
    ]
    click.echo(f"A year on one ledger, budget {BUDGET:g}: {years} years, a quarter with a gain")
    click.echo(
        f"{'rule':40}{'gain':>6}{'false a year':>14}{'any':>8}{'charged':>9}{'found':>8}"
        f"{'median delay':>14}{'mean':>7}"
    )
    for gain in (0.0, 1.0, 1.5, 2.49):
        world = better_from(gain)
        for rule in rules:
            champions, false, charged = live_all(
                rule, world, years if not gain else years // 4, seed
            )
            a_year = np.sum(false, axis=1)
            line = f"{rule.name:40}{gain:6g}{np.mean(a_year):14.3f}{np.mean(a_year > 0):8.1%}"
            line += f"{np.mean(charged):9.3f}"
            if gain:
                delay = np.sum(champions[:, CHANGE:] <= CHANGE, axis=1)
                found = np.mean(delay < WEEKS - CHANGE)
                line += f"{found:8.0%}{np.median(delay):14.1f}{np.mean(delay):7.1f}"
            click.echo(line)


def print_meanwhile(years: int, seed: int) -> None:
    """New models wait, or replace the challenger."""
    trained, now = np.arange(WEEKS + 1)[:, None], np.arange(WEEKS)[None, :]
    ahead = np.zeros((WEEKS + 1, WEEKS))
    ahead[1:] = 0.5
    broken = np.where((now >= CHANGE) & (trained <= CHANGE), -3.0, 0.0)
    worlds = [World("new models are better by 0.5, all alike", ahead)]
    worlds += [
        World(
            f"each model is better than the last by {step:g}",
            np.broadcast_to(step * trained, ahead.shape),
        )
        for step in (0.1, 0.05)
    ]
    worlds.append(World("models from before week 30 lose 3 then", broken))
    rules = [Rule("no promotion at all", Policy(yearly_alpha=1e-9))]
    rules += [Rule("single tests", Policy())]
    rules += [
        Rule(f"campaign, {name}, {meanwhile}", rules_of(name, meanwhile))
        for name in SPENDINGS
        for meanwhile in MEANWHILE
        if (name, meanwhile) != ("obrien_fleming", "newest")  # the policy refuses it
    ]
    click.echo(
        f"Loss of quality over a year against the best model, {years // 4} years: in errors of a "
        "week, summed over 52"
    )
    click.echo(f"{'world':44}{'rule':36}{'loss':>8}{'promoted':>10}{'false':>8}{'any false':>11}")
    for world in worlds:
        for rule in rules:
            champions, false, _ = live_all(rule, world, years // 4, seed)
            loss = np.sum(world.best - world.quality[champions, np.arange(WEEKS)], axis=1)
            promoted = np.sum(np.diff(champions, prepend=0, axis=1) != 0, axis=1)
            click.echo(
                f"{world.name:44}{rule.name:36}{np.mean(loss):8.1f}{np.mean(promoted):10.2f}"
                f"{np.mean(np.sum(false, axis=1)):8.3f}{np.mean(np.any(false, axis=1)):11.1%}"
            )


def print_adversary(years: int, seed: int) -> None:
    """An analyst who adds whatever helped on the holdout to the next challenger."""
    rng = np.random.default_rng(seed)
    click.echo(f"Any false promotion in a year of an analyst with worthless models, {years} years")
    click.echo(f"{'memory':40}{'one holdout':>14}{'fresh ones':>14}")
    memories: tuple[Memory, ...] = ("per_test", "spending", "fresh_holdout_only")
    for memory in memories:
        shares = []
        for fresh in (False, True):
            z = tempt(rng, years, fresh=fresh)
            above = z > stats.norm.isf(single_alphas(memory, fresh=fresh))
            shares.append(np.mean(np.any(above, axis=1)))
        click.echo(f"{memory:40}{shares[0]:14.1%}{shares[1]:14.1%}")
    for spending in SPENDINGS:
        reused = np.any(tempt(rng, years, fresh=False) > first_bounds(spending), axis=1)
        rule = Rule(spending, rules_of(spending))
        _, false, _ = live_all(rule, better_from(0.0), years, seed)
        any_fresh = np.mean(np.any(false, axis=1))
        click.echo(f"{f'campaign, {spending}':40}{np.mean(reused):14.1%}{any_fresh:14.1%}")


def first_bounds(spending: SpendingFunction) -> Floats:
    """What promotes at first looks on one holdout, which never has new rows: one for each week."""
    entries: list[Entry] = []
    bounds = []
    for week in range(WEEKS):
        test = _test(week, LOOKS)._replace(start=START, end=START + timedelta(weeks=1))
        course = _rounded(
            rules_of(spending).campaign, spend(entries, rules_of(spending), test).alpha
        )
        bounds.append(course.bounds[0] if course else np.inf)
        entries.append(test.charge(max(course.spent[0], LEAST) if course else LEAST))
    return np.array(bounds)


def tempt(rng: np.random.Generator, years: int, *, fresh: bool) -> Floats:
    """Z-scores of an analyst's challengers, shape (years, weeks).

    Each is the sum of all earlier ideas, turned so that they raise the effect that was seen, and of
    a new one. Ideas are independent of each other, and of the labels.
    """
    signs = np.zeros((years, 0))
    seen = rng.normal(size=(years, WEEKS))  # of each idea, on the holdout that has shown it
    z = np.empty((years, WEEKS))
    for week in range(WEEKS):
        old = rng.normal(size=(years, week)) if fresh else seen[:, :week]
        z[:, week] = (np.sum(signs * old, axis=1) + seen[:, week]) / (week + 1) ** 0.5
        signs = np.column_stack([signs, np.sign(seen[:, week])])
    return z


@lru_cache(maxsize=10)
def single_alphas(memory: Memory, budget: float = BUDGET, *, fresh: bool = True) -> Floats:
    """What the ledger gives to the test of each week; next to nothing where it refuses one."""
    entries: list[Entry] = []
    alphas = []
    for week in range(WEEKS):
        test = _test(week, 1)
        if not fresh:  # a split by a hash, without times
            test = test._replace(start=None, end=None, fingerprint="same")
        try:
            alpha = spend(entries, Policy(memory=memory, yearly_alpha=budget), test).alpha
        except RetrainingError:
            alphas.append(LEAST)
            continue
        entries.append(test.charge(alpha))
        alphas.append(alpha)
    return np.array(alphas)
