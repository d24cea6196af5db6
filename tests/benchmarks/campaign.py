"""Campaigns: how often they promote in vain, how soon they find a gain, and what a year costs.

Gains are in standard errors of one week: the estimate from the rows of one week is off by 1. All
campaigns have 8 looks, one a week. Six parts, of which the last three are in `campaign_years`:

- `boundaries`: z-scores that promote, beside published ones.
- `level`: false promotions of whole campaigns of two equal models. Lines with z-scores draw these;
  "interface" judges every pair by itself, the others take the alpha of each look from one. Lines
  with rows draw rows and judge every pair, which costs more: they have 30 % of the pairs.
- `power`: gains that are found within 4 and 8 weeks.
- `year`: 52 weekly cycles on one ledger.
- `meanwhile`: whether new models wait while a campaign lasts, or replace the challenger.
- `adversary`: an analyst who learns from the holdout.

    python tests/benchmarks/campaign.py                  # about eight minutes of one core
    python tests/benchmarks/campaign.py --part power

Beside a rate stands the probability of as many false promotions or more at the nominal alpha.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from unittest import mock

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads wait more than these sums take

import click
import numpy as np
from scipy import optimize, special, stats
from scipy.interpolate import CubicSpline

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "steps"))

from retraining.gate import campaign
from retraining.gate.campaign import Standing, judge_look
from retraining.gate.looks import LEAST, plan_looks
from retraining.gate.policy import CampaignRules, Policy
from retraining.statistics import sequential
from retraining.statistics.inference import PairedResult, excess_pvalue, tail_probability
from retraining.statistics.paired import influence
from tests.benchmarks.laws import AREA, OF_UNIT, score, with_common

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from retraining.gate.looks import Look
    from retraining.gate.policy import Meanwhile
    from retraining.statistics.rows import Bools, Codes, Floats
    from retraining.statistics.sequential import SpendingFunction

SPENDINGS: Final[tuple[SpendingFunction, ...]] = ("pocock", "obrien_fleming", "e_process")
LOOKS: Final = 8
WEEKS: Final = 52
BUDGET: Final = 0.2  # of a year
OF_CAMPAIGN: Final = BUDGET * LOOKS / WEEKS
OF_TEST: Final = BUDGET / WEEKS
GAINS: Final = (0.5, 1.0, 1.5, 2.49)
EVEN: Final = (1.0,) * LOOKS
ROWS_OF_WEEK: Final = 400
WEEKLY: Final[Mapping[str, tuple[float, ...]]] = {
    "even weeks": EVEN,
    "one week skipped": (1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    "very uneven weeks": (1.0, 5.0, 0.1, 3.0, 0.02, 8.0, 0.5, 2.0),
    "growing weeks": (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0),
    "shrinking weeks": (8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.12, 0.06),
    "first week tiny": (0.01, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
}
# Jennison and Turnbull (2000), tables 2.1 and 2.3: two-sided alpha 0.05.
CONSTANTS: Final = {
    "pocock": {2: 2.178, 5: 2.413, 10: 2.555},
    "obrien_fleming": {2: 1.977, 5: 2.040, 10: 2.087},
}
# Of five equal looks at one-sided alpha 0.025.
PUBLISHED: Final[Mapping[SpendingFunction, tuple[float, ...]]] = {
    "obrien_fleming": (4.877, 3.357, 2.680, 2.290, 2.031),
    "pocock": (2.438, 2.427, 2.410, 2.397, 2.386),
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


class Kind(NamedTuple):
    """How rows are made for a line of the table of levels.

    Attributes:
        name: In the table.
        sizes: Rows of each look, in weeks.
        n_units: Units that return in every week; 0 for independent rows.
        of_day: Share of each model's own noise that the positives of a day have in common.
    """

    name: str
    sizes: tuple[float, ...] = EVEN
    n_units: int = 0
    of_day: float = 0.0


KINDS: Final = (
    Kind("unequal weeks", (1.0, 0.4, 2.0, 0.6, 3.0, 0.3, 1.0, 1.5)),
    Kind("one week skipped", (1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0)),
    Kind("100 units return every week", n_units=100),
    Kind("days move together (10 %)", of_day=0.1),
)


@click.command(context_settings={"show_default": True})
@click.option("--pairs", default=10_000, help="Simulated campaigns of each line.")
@click.option("--years", default=4000, help="Simulated years of each rule.")
@click.option("--seed", default=0, help="Of all random numbers.")
@click.option(
    "--part",
    type=click.Choice(["level", "power", "boundaries", "year", "meanwhile", "adversary", "all"]),
    default="all",
    help="What to print.",
)
def main(pairs: int, years: int, seed: int, part: str) -> None:
    """Simulate campaigns, and years of them, and print what they promoted."""
    from tests.benchmarks import campaign_years

    parts: dict[str, Callable[[], None]] = {
        "boundaries": print_boundaries,
        "level": lambda: print_level(pairs, seed),
        "power": lambda: print_power(pairs, seed),
        "year": lambda: campaign_years.print_year(years, seed),
        "meanwhile": lambda: campaign_years.print_meanwhile(years, seed),
        "adversary": lambda: campaign_years.print_adversary(years, seed),
    }
    with remembered():
        for name, show in parts.items():
            if part in (name, "all"):
                start = time.perf_counter()
                show()
                click.echo(f"({name}: {time.perf_counter() - start:.0f} s)\n")


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


def print_boundaries() -> None:
    """Bounds beside published ones."""
    click.echo("Error of published constants, nominal 0.025 (Jennison and Turnbull 2000)")
    click.echo(f"{'boundary':18}{'looks':>6}{'constant':>10}{'error':>11}")
    for name, constants in CONSTANTS.items():
        for looks, constant in constants.items():
            levels = [float(n) for n in range(1, looks + 1)]
            power = 0.0 if name == "pocock" else 0.5
            bounds = [constant * (looks / level) ** power for level in levels]
            error = float(np.sum(sequential.crossings(levels, bounds)))
            click.echo(f"{name:18}{looks:6}{constant:10.3f}{error:11.6f}")
    click.echo("\nFive equal looks at one-sided alpha 0.025 (Lan and DeMets 1983)")
    for spending, published in PUBLISHED.items():
        bounds, used = [], 0.0
        for look in range(1, 6):
            allowed = sequential.spent(spending, 0.025, look / 5)
            levels = [float(n) for n in range(1, look + 1)]
            bounds.append(sequential.next_bound(levels, bounds, allowed - used))
            used = allowed
        for name, values in (("published", published), ("ours", bounds)):
            click.echo(f"{spending:18}{name:10}" + "".join(f"{z:8.3f}" for z in values))


def print_level(pairs: int, seed: int) -> None:
    """False promotions of equal models, by campaign."""
    rng = np.random.default_rng(seed)
    click.echo("False promotions of a whole campaign; p: of as many or more at alpha")
    heads = "".join(f"{name:>16}{'p':>7}" for name in SPENDINGS)
    click.echo(f"{'line':42}{'alpha':>8}{'pairs':>7}{heads}")
    z = draw_z(rng, pairs, EVEN, 0.0)
    hits = [sum(promotes(spending, 0.05, EVEN, path) for path in z) for spending in SPENDINGS]
    click.echo(_level_line("even weeks, interface", 0.05, pairs, hits))
    lines: list[tuple[str, tuple[float, ...], float]] = [("even weeks", EVEN, OF_CAMPAIGN)]
    lines += [(name, sizes, 0.05) for name, sizes in WEEKLY.items()]
    for name, sizes, alpha in lines:
        z = draw_z(rng, pairs, sizes, 0.0)
        hits = [crossed(spending, alpha, sizes, z) for spending in SPENDINGS]
        click.echo(_level_line(name, alpha, pairs, hits))
    hits = [0] * len(SPENDINGS)
    for _ in range(20):
        sizes = tuple(np.exp(rng.normal(size=LOOKS)).tolist())
        z = draw_z(rng, pairs // 20, sizes, 0.0)
        for n, spending in enumerate(SPENDINGS):
            hits[n] += crossed(spending, 0.05, sizes, z)
    click.echo(_level_line("lognormal weeks, 20 sequences", 0.05, pairs // 20 * 20, hits))
    z = draw_z(rng, pairs, EVEN, 0.0)
    hits = [int(np.sum(follow(course_of(name, 0.05), z).promoted)) for name in SPENDINGS]
    click.echo(_level_line("even weeks, futility followed", 0.05, pairs, hits))
    n_drawn = 3 * pairs // 10
    for kind in KINDS:
        hits = judge_rows(kind, n_drawn, rng)
        click.echo(_level_line(f"rows: {kind.name}", 0.05, n_drawn, hits))
    print_charges(pairs, rng)


def print_charges(pairs: int, rng: np.random.Generator) -> None:
    """What campaigns that follow futility are charged, beside what they promote in vain."""
    click.echo(
        "\nMean charge of a campaign of equal models that follows futility, alpha 0.05: "
        f"{10 * pairs} pairs"
    )
    click.echo(f"{'weeks':22}{'spending':18}{'charge':>10}{'promoted':>10}{'z':>8}{'looks':>8}")
    for name in ("even weeks", "one week skipped", "growing weeks"):
        sizes = WEEKLY[name]
        z = draw_z(rng, 10 * pairs, sizes, 0.0)
        for spending in SPENDINGS:
            ended = follow(course_of(spending, 0.05, sizes), z)
            excess = ended.promoted - ended.charge
            error = float(np.std(excess)) / len(z) ** 0.5
            click.echo(
                f"{name:22}{spending:18}{np.mean(ended.charge):10.4f}"
                f"{np.mean(ended.promoted):10.4f}{np.mean(excess) / error:8.1f}"
                f"{np.mean(ended.look) + 1:8.1f}"
            )


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


def judge_rows(kind: Kind, pairs: int, rng: np.random.Generator) -> list[int]:
    """False promotions of each spending on simulated rows."""
    hits = [0] * len(SPENDINGS)
    for _ in range(pairs):
        results = compare_looks(kind, rng)
        for n, spending in enumerate(SPENDINGS):
            hits[n] += judge_all(spending, 0.05, iter(results))
    return hits


def compare_looks(kind: Kind, rng: np.random.Generator) -> list[PairedResult]:
    """Two equal models on all rows up to each look.

    Every week has the same share of positives, so that bounds are found once.
    """
    counts = [round(ROWS_OF_WEEK * size) for size in kind.sizes]
    label = np.concatenate([np.arange(count) % 5 == 0 for count in counts])
    n_rows = label.size
    unit = rng.integers(0, kind.n_units, n_rows) if kind.n_units else None
    week = np.repeat(np.arange(LOOKS), counts)
    day = 7 * week + rng.integers(0, 7, n_rows) if kind.of_day else None
    own = []
    for _ in range(2):
        noise = with_common(OF_UNIT, unit, rng, n_rows)
        if day is not None:
            shock = np.where(label, rng.normal(size=7 * LOOKS)[day], rng.normal(size=n_rows))
            noise = np.sqrt(kind.of_day) * shock + np.sqrt(1 - kind.of_day) * noise
        own.append(noise)
    scores = score(label, own, (AREA, AREA), 0.9, 0.2, 0.0, rng).values()
    return [
        influence(
            label[:end],
            *(values[:end] for values in scores),
            unit=None if unit is None else unit[:end],
            period=None if day is None else day[:end],
        )
        for end in np.cumsum(counts)
    ]


def alphas_of_looks(
    spending: SpendingFunction, alpha: float, sizes: Sequence[float]
) -> tuple[float, ...]:
    """Below what the p-value of each look must be, by the rows of each look in weeks."""
    policy = rules_of(spending)
    past: tuple[Look, ...] = ()
    alphas = []
    for weeks in np.cumsum(sizes):
        judged = judge_look(Standing(alpha, past), policy, result_of(0.0, float(weeks)))
        past = judged.looks
        alphas.append(judged.alpha)
    return tuple(alphas)


def crossed(spending: SpendingFunction, alpha: float, sizes: Sequence[float], z: Floats) -> int:
    """How many pairs some look promotes, by z-scores of shape (pairs, looks)."""
    alphas = alphas_of_looks(spending, alpha, sizes)
    return int(np.sum(np.any(stats.norm.sf(z) < alphas, axis=1)))


def _level_line(name: str, alpha: float, pairs: int, hits: Sequence[int]) -> str:
    rates = "".join(
        f"{count / pairs:16.2%}{stats.binom.sf(count - 1, pairs, alpha):7.3f}" for count in hits
    )
    return f"{name:42}{alpha:8.4f}{pairs:7}{rates}"


def print_power(pairs: int, seed: int) -> None:
    """Gains that are found within 4 and 8 weeks."""
    rng = np.random.default_rng(seed)
    click.echo("Found within 4 / 8 weeks; false: promotions within 8 weeks without a gain")
    heads = "".join(f"{f'gain {gain:g}':>15}" for gain in GAINS)
    click.echo(f"{'rule':38}{'alpha':>8}{'false':>8}{heads}")
    noise = rng.normal(size=(pairs, LOOKS))
    root = np.sqrt(np.arange(1, LOOKS + 1))
    for spending in SPENDINGS:
        course = course_of(spending, OF_CAMPAIGN)
        shares = []
        for gain in (0.0, *GAINS):
            ended = follow(course, np.cumsum(noise + gain, axis=1) / root)
            found = (ended.promoted & (ended.look < weeks) for weeks in (4, 8))
            shares.append([float(np.mean(hits)) for hits in found])
        click.echo(_power_line(f"campaign, {spending}", OF_CAMPAIGN, shares))
    for name, alpha, scale, total in (
        ("single tests of new challengers", OF_TEST, 1.0, noise),
        ("same pair again and again, no bounds", OF_CAMPAIGN, root, np.cumsum(noise, axis=1)),
    ):
        drift = np.ones(LOOKS) if total is noise else root**2
        shares = []
        for gain in (0.0, *GAINS):
            above = (total + gain * drift) / scale > stats.norm.isf(alpha)
            found = (np.any(above[:, :weeks], axis=1) for weeks in (4, 8))
            shares.append([float(np.mean(hits)) for hits in found])
        click.echo(_power_line(name, alpha, shares))


def _power_line(name: str, alpha: float, shares: Sequence[Sequence[float]]) -> str:
    found = "".join(f"{four:8.0%} / {eight:4.0%}" for four, eight in shares[1:])
    return f"{name:38}{alpha:8.4f}{shares[0][1]:8.2%}{found}"


if __name__ == "__main__":
    main()
