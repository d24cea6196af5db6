"""A year of weekly tests under several rules for alpha: who gets through, and how late.

A test is a z-score: the estimated gain of a challenger over the champion in standard errors of one
week. Without a gain every promotion is false. With one, all challengers from week 30 on are better
by so much, until one of them is promoted; a gain that is not found within the 22 weeks that are
left counts as a delay of 22. LORD++ and SAFFRON bound the share of false promotions among all
promotions (FDR) in place of their number; both are given 0.2.

    python tests/benchmarks/ledger.py --years 4000    # some seconds
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click
import numpy as np
from scipy import special, stats

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "steps"))

from retraining.gate.ledger import Entry, HoldoutTest
from retraining.gate.looks import LEAST
from retraining.gate.policy import Policy
from retraining.gate.spending import spend

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retraining.gate.policy import Memory
    from retraining.statistics.rows import Bools, Floats

    # Alpha of a week, from the p-values and promotions of the weeks before, shape (years, weeks).
    Rule = Callable[[Floats, Bools], Floats]

WEEKS: Final = 52
BETTER: Final = 30  # the first week with better challengers
BUDGET: Final = 0.2  # of a year, and the FDR
GAINS: Final = (1.5, 2.49, 3.5)  # in standard errors of a week
PLAIN: Final = float(stats.norm.ppf(0.95) + stats.norm.ppf(0.8))  # found in 80 % at alpha 0.05
CANDIDATE: Final = 0.5  # lambda of SAFFRON
SHOWN: Final = (2, 11, 27, 52, 150)  # weeks


class Year(NamedTuple):
    """What a rule promoted in many years, and how late it found the gain."""

    false: Bools
    delay: Floats


@click.command(context_settings={"show_default": True})
@click.option("--years", default=4000, help="Simulated years of each rule and gain.")
@click.option("--seed", default=0, help="Of all random numbers.")
def main(years: int, seed: int) -> None:
    """Compare rules by their false promotions, and by how soon they find a gain."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(years, WEEKS))
    gains = "".join(f"{f'gain {gain:g}: 4 / 22 weeks / delay':>34}" for gain in GAINS)
    click.echo(f"{'rule':26}{'false a year':>14}{'any':>8}{gains}")
    for name, rule in rules().items():
        false = simulate(rule, noise).false
        line = (
            f"{name:26}{np.mean(np.sum(false, axis=1)):14.2f}{np.mean(np.any(false, axis=1)):8.1%}"
        )
        for gain in GAINS:
            delay = simulate(rule, noise, gain).delay
            found = [np.mean(delay < weeks) for weeks in (4, WEEKS - BETTER)]
            line += f"{found[0]:18.0%} / {found[1]:4.0%} / {np.mean(delay):4.1f}"
        click.echo(line)
    click.echo(f"\n{'power at the plain MDE':26}" + "".join(f"{f'week {w}':>10}" for w in SHOWN))
    for name, alphas in fixed(max(SHOWN)).items():
        powers = stats.norm.sf(stats.norm.isf(alphas) - PLAIN)
        click.echo(f"{name:26}" + "".join(f"{powers[week - 1]:10.1%}" for week in SHOWN))
    click.echo(f"\n{'one holdout all year':26}{'false a year':>14}{'any':>8}")
    for name, alphas in fixed(WEEKS).items():
        reused = reuse(alphas, rng.normal(size=(years, WEEKS + 1)))
        found = [np.mean(np.sum(reused, axis=1)), np.mean(np.any(reused, axis=1))]
        click.echo(f"{name:26}{found[0]:14.2f}{found[1]:8.1%}")


def rules() -> Mapping[str, Rule]:
    """Every rule by its name in the table."""
    first, third = fixed(WEEKS), {n: alphas[-WEEKS:] for n, alphas in fixed(3 * WEEKS).items()}
    named: dict[str, Rule] = {name: partial(_given, alphas) for name, alphas in first.items()}
    for name in ("spending", "1/(10+n) of what is left"):
        named[f"{name}, year 3"] = partial(_given, third[name])
    return named | {"LORD++": lord, "SAFFRON": saffron}


def fixed(weeks: int) -> Mapping[str, Floats]:
    """The alphas of rules that do not depend on what is found, by their names in the table."""
    return {
        "per_test": spent("per_test", weeks),
        "spending": spent("spending", weeks),
        "1/(10+n) of what is left": falling(weeks),
    }


def simulate(rule: Rule, noise: Floats, gain: float = 0.0) -> Year:
    """Many years of a rule, on the same noise for every rule; shape (years, weeks)."""
    pvalues = np.ones_like(noise)
    promoted = np.zeros(noise.shape, dtype=np.bool_)
    real = np.zeros_like(promoted)
    for week in range(noise.shape[1]):
        found = np.any(promoted & real, axis=1)
        real[:, week] = (gain > 0) & (week >= BETTER) & ~found
        pvalues[:, week] = stats.norm.sf(noise[:, week] + gain * real[:, week])
        promoted[:, week] = pvalues[:, week] < rule(pvalues[:, :week], promoted[:, :week])
    return Year(promoted & ~real, np.sum(real & ~promoted, axis=1))


def reuse(alphas: Floats, luck: Floats) -> Bools:
    """Promotions by one holdout on which every model has its luck, the champion's comes first."""
    champion, promoted = luck[:, 0], []
    for alpha, challenger in zip(alphas, luck[:, 1:].T, strict=True):
        promoted.append(stats.norm.sf((challenger - champion) / np.sqrt(2)) < alpha)
        champion = np.where(promoted[-1], challenger, champion)
    return np.transpose(promoted)


def spent(memory: Memory, weeks: int = WEEKS) -> Floats:
    """What the ledger gives to the test of each week, each on a fresh holdout."""
    entries: list[Entry] = []
    for week in range(weeks):
        now = datetime(2024, 1, 8, tzinfo=UTC) + timedelta(weeks=week)
        test = HoldoutTest(str(week), now, str(week), now - timedelta(weeks=1), now)
        entries.append(test.charge(spend(entries, Policy(memory=memory), test).alpha))
    return np.array([entry.alpha for entry in entries])


def falling(weeks: int) -> Floats:
    """For the test after n others of the last 365 days, 1 / (10 + n) of what they left."""
    alphas: list[float] = []
    for _ in range(weeks):
        recent = alphas[-WEEKS:]
        alphas.append(max((BUDGET - sum(recent)) / (10 + len(recent)), LEAST))
    return np.array(alphas)


def lord(pvalues: Floats, promoted: Bools) -> Floats:
    """LORD++ (Ramdas, Yang, Wainwright and Jordan 2017), starting with half of the wealth."""
    week = pvalues.shape[1]
    steps = np.arange(1, 10_000)
    gamma = 0.07720838 * np.log(np.maximum(steps, 2)) / (steps * np.exp(np.sqrt(np.log(steps))))
    first = np.cumsum(promoted, axis=1) == 1
    earned = promoted * np.where(first, BUDGET / 2, BUDGET)
    return np.asarray(BUDGET / 2 * gamma[week] + earned @ gamma[week - 1 - np.arange(week)])


def saffron(pvalues: Floats, promoted: Bools) -> Floats:
    """SAFFRON (Ramdas, Zrnic, Wainwright and Jordan 2018), starting with all of the wealth."""
    week = pvalues.shape[1]
    gamma = np.arange(1, 10_000) ** -1.6
    gamma /= special.zeta(1.6)
    wealth = (1 - CANDIDATE) * BUDGET
    candidates = np.cumsum(pvalues <= CANDIDATE, axis=1)
    total = candidates[:, -1:] if week else np.zeros((len(pvalues), 1), dtype=np.int_)
    first = np.cumsum(promoted, axis=1) == 1
    earned = promoted * np.where(first, 0.0, wealth)  # the first has paid the start
    passed = week - 1 - np.arange(week) - (total - candidates)
    alphas = wealth * gamma[week - total[:, 0]] + np.sum(earned * gamma[passed], axis=1)
    return np.asarray(np.minimum(alphas, CANDIDATE))


def _given(alphas: Floats, pvalues: Floats, promoted: Bools) -> Floats:
    return np.full(len(pvalues), alphas[pvalues.shape[1]])


if __name__ == "__main__":
    main()
