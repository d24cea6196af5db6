"""A year of weekly retraining in which no challenger is ever better: who gets through?

Every week the champion is compared with a challenger of the same true AUROC on 5,000 rows, 10 % of
class 1, and replaced when the test says so: on a fresh window each week, or on one window that is
used all year. Printed are the mean number of false promotions in a year, and the probability of at
least one after 12, 26 and 52 weeks.

    python tests/benchmarks/ledger.py --years 500    # about two minutes of one core
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, get_args

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "steps"))

from retraining.errors import RetrainingError
from retraining.gate.ledger import Entry, HoldoutTest, spend
from retraining.gate.policy import Memory, Policy
from retraining.statistics.metrics import METRICS
from retraining.statistics.paired import compare_rows
from retraining.statistics.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retraining.statistics.rows import Bools, Floats

WEEKS: Final = 52
N_ROWS: Final = 5000
SEPARATION: Final = 1.2  # of the classes, in standard deviations: an AUROC of .80
NOISE: Final = 0.45  # of either model beyond what both know: their scores correlate by .83
MEMORIES: Final[tuple[Memory, ...]] = get_args(Memory)


class Window(NamedTuple):
    """Rows that models are tested on: labels, and what every model knows of them."""

    label: Bools
    common: Floats


@click.command(context_settings={"show_default": True})
@click.option("--years", default=100, help="Simulated years of either kind of window.")
@click.option("--seed", default=0, help="Of all random numbers.")
def main(years: int, seed: int) -> None:
    """Print how often worthless challengers get through in a year of weekly tests."""
    rng = np.random.default_rng(seed)
    click.echo(f"{'memory':20}{'window':8}{'false a year':>14}{'12 weeks':>10}{'26':>8}{'52':>8}")
    for reused in (False, True):
        found = [simulate(reused=reused, rng=rng) for _ in range(years)]
        for memory in MEMORIES:
            promoted = np.array([year[memory] for year in found])
            ever = [np.mean(np.any(promoted[:, :weeks], axis=1)) for weeks in (12, 26, 52)]
            click.echo(
                f"{memory:20}{'reused' if reused else 'fresh':8}"
                f"{np.mean(np.sum(promoted, axis=1)):14.3f}"
                f"{ever[0]:10.1%}{ever[1]:8.1%}{ever[2]:8.1%}"
            )


def simulate(
    *, reused: bool, rng: np.random.Generator, weeks: int = WEEKS, n_rows: int = N_ROWS
) -> dict[Memory, Bools]:
    """One year under each memory: in which weeks the challenger was promoted, shape (weeks,)."""
    alphas = {memory: spent(memory, reused=reused, weeks=weeks) for memory in MEMORIES}
    promoted = {memory: np.zeros(weeks, dtype=np.bool_) for memory in MEMORIES}
    window = _open(n_rows, rng)
    first = _score(window, rng)
    champions = dict.fromkeys(MEMORIES, first)
    for week in range(weeks):
        if week and not reused:  # a model is as good on new rows, and errs on them anew
            window = _open(n_rows, rng)
            champions = dict.fromkeys(MEMORIES, _score(window, rng))
        challenger = _score(window, rng)
        pvalues: dict[int, float] = {}
        for memory in MEMORIES:
            champion = champions[memory]
            if id(champion) not in pvalues:
                rows = Rows(window.label, (champion, challenger), np.ones(n_rows), None)
                pvalues[id(champion)] = compare_rows(rows, METRICS["auroc"]).pvalue
            promoted[memory][week] = pvalues[id(champion)] < alphas[memory][week]
            if promoted[memory][week]:
                champions[memory] = challenger
    return promoted


def spent(memory: Memory, *, reused: bool, weeks: int = WEEKS) -> Sequence[float]:
    """What the ledger gives to the test of each week; 0 where it refuses to test."""
    entries: list[Entry] = []
    alphas = []
    for week in range(weeks):
        now = datetime(2024, 1, 8, tzinfo=UTC) + timedelta(weeks=week)
        end = now - timedelta(weeks=week if reused else 0)
        start = end - timedelta(weeks=1)
        test = HoldoutTest(str(week), now, str(start), start, end)
        try:
            alpha = spend(entries, Policy(memory=memory), test).alpha
            entries.append(test.charge(alpha))
        except RetrainingError:
            alpha = 0.0
        alphas.append(alpha)
    return alphas


def _open(n_rows: int, rng: np.random.Generator) -> Window:
    label = np.arange(n_rows) % 10 == 0
    return Window(label, rng.normal(size=n_rows) + SEPARATION * label)


def _score(window: Window, rng: np.random.Generator) -> Floats:
    return window.common + NOISE * rng.normal(size=window.label.size)


if __name__ == "__main__":
    main()
