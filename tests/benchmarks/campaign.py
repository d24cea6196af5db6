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

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads wait more than these sums take

import click
import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "steps"))

from retraining.statistics import sequential
from retraining.statistics.paired import influence
from tests.benchmarks.courses import (
    EVEN,
    LOOKS,
    OF_CAMPAIGN,
    OF_TEST,
    SPENDINGS,
    WEEKLY,
    course_of,
    crossed,
    draw_z,
    follow,
    judge_all,
    promotes,
    remembered,
)
from tests.benchmarks.laws import AREA, OF_UNIT, score, with_common

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from retraining.statistics.inference import PairedResult
    from retraining.statistics.sequential import SpendingFunction

GAINS: Final = (0.5, 1.0, 1.5, 2.49)
ROWS_OF_WEEK: Final = 400
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
