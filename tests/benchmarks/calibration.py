"""How often every strategy promotes a challenger that is no better, and finds one that is.

Champion and challenger are simulated, so that the truth is known: their scores are normal in both
classes (an area under the ROC curve of 0.80) and become right probabilities. Equal
models give the rate of false promotions and the coverage; for the power the challenger's area is
larger by `LIFT`. A data set has few or many rows, few or many positives, models that agree or not,
ties, weights, or units. In the settings at the end rows depend on each other: units are unequal
(Zipf's law, or one with much of the rows), and the positives of a day share some of each model's
error, whatever their unit; "V" is the variance of the effect by that without days.

    python tests/benchmarks/calibration.py               # about half an hour of one core
    python tests/benchmarks/calibration.py --dependent   # only where rows depend: a quarter of it
    python tests/benchmarks/calibration.py --quick       # about one minute

"!" marks what an exact binomial test says is no accident (one in a thousand): promotions more
often than alpha, coverage below the confidence level.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads wait more than these sums take

import click
import numpy as np
import numpy.typing as npt
from scipy import special, stats

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "steps"))

from retraining.gate.policy import Policy
from retraining.gate.strategies import STRATEGIES
from retraining.statistics.checks import check_rows
from retraining.statistics.metrics import METRICS

if TYPE_CHECKING:
    from retraining.statistics.rows import Rows

AREA: Final = 0.8
LIFT: Final = 0.01
UNLIKELY: Final = 0.001
FEW: Final = 100  # positives


class Setting(NamedTuple):
    """How a data set is made."""

    n_rows: int
    prevalence: float
    correlation: float = 0.9  # of the two scores within a class
    step: float = 0.0  # to which log odds are rounded; 0 leaves no ties
    weighted: bool = False
    n_units: int = 0
    zipf: float = 0.0  # the k-th unit has k ** -zipf times the rows of the first
    largest: float = 0.0  # share of the rows that one unit has
    n_days: int = 0
    of_day: float = (
        0.0  # share of each model's own noise that the positives of a day have in common
    )
    sets: int = 2000

    @property
    def name(self) -> str:
        """What sets it apart."""
        parts = [f"{self.n_rows} rows, {100 * self.prevalence:g} %"]
        parts += [f"r {self.correlation:g}"] if self.correlation != 0.9 else []
        parts += ["ties"] if self.step else []
        parts += ["weights"] if self.weighted else []
        parts += [f"{self.n_units} units"] if self.n_units else []
        parts += [f"Zipf {self.zipf:g}"] if self.zipf else []
        parts += [f"one with {100 * self.largest:g} %"] if self.largest else []
        parts += [f"{self.n_days} days, {100 * self.of_day:g} % shared"] if self.n_days else []
        return ", ".join(parts)

    @property
    def sizes(self) -> npt.NDArray[np.float64] | None:
        """The share of the rows of each unit; None where units are equal."""
        if not self.zipf and not self.largest:
            return None
        sizes = np.arange(1.0, self.n_units + 1) ** -self.zipf
        sizes[1:] *= (1 - self.largest) / np.sum(sizes[1:]) if self.largest else 1.0
        sizes[0] = self.largest or sizes[0]
        shares: npt.NDArray[np.float64] = sizes / np.sum(sizes)
        return shares


class Contest(NamedTuple):
    """A strategy under a policy, on every so many-th data set."""

    policy: Policy
    every: int

    @property
    def name(self) -> str:
        """The strategy, and what it was asked beyond its defaults."""
        policy = self.policy
        extra = {"bca": policy.interval == "bca", "stratified": policy.resample == "stratified"}
        extra[f"{100 * policy.subsample:g} %"] = policy.strategy == "subsample_ttest"
        return " ".join(
            [policy.strategy_in_reports, *(word for word, told in extra.items() if told)]
        )


class Tally(NamedTuple):
    """What a contest came to in one setting."""

    contest: Contest
    setting: Setting
    promoted: list[bool]
    covered: list[bool]
    found: list[bool]


SETTINGS: Final = (
    Setting(500, 0.5),
    Setting(500, 0.1),
    Setting(2000, 0.02),
    Setting(2000, 0.2),
    Setting(5000, 0.1),
    Setting(5000, 0.1, correlation=0.5),
    Setting(5000, 0.1, correlation=0.99),
    Setting(5000, 0.1, step=0.5),
    Setting(5000, 0.1, weighted=True),
    Setting(6000, 0.1, n_units=200),
    Setting(6000, 0.1, n_units=30),
    Setting(20000, 0.005, sets=800),
    Setting(20000, 0.02, sets=800),
    Setting(50000, 0.02, sets=400),
)
DEPENDENT: Final = (
    Setting(6000, 0.1, n_units=200, zipf=1.2),
    Setting(6000, 0.1, n_units=200, largest=0.2),
    Setting(6000, 0.1, n_units=200, largest=0.5),
    Setting(6000, 0.1, n_units=2000, zipf=1.0),
    Setting(6000, 0.1, n_units=40, largest=0.2),
    Setting(6000, 0.1, n_units=30),
    *(
        Setting(8000, 0.1, n_units=2000, n_days=n_days, of_day=of_day)
        for n_days, of_day in (
            (7, 0.0), (7, 0.02), (7, 0.05), (7, 0.2), (14, 0.0), (14, 0.05), (28, 0.0), (28, 0.05),
            (28, 0.2),
        )
    ),
)  # fmt: skip
DEPENDENT_CONTESTS: Final = (
    *(Contest(Policy(metric=name), 1) for name in ("auroc", "auprc", "log_loss", "f1")),
    Contest(Policy(strategy="paired_bootstrap", n_resamples=300), 4),
)
CONTESTS: Final = (
    Contest(Policy(), 1),
    *(Contest(Policy(metric=name), 1) for name in METRICS if name != "auroc"),
    Contest(Policy(strategy="paired_bootstrap", n_resamples=300), 10),
    *(
        Contest(Policy(strategy="paired_bootstrap", metric=name, n_resamples=300), 20)
        for name in ("auprc", "log_loss")
    ),
    Contest(Policy(strategy="paired_bootstrap", interval="bca", n_resamples=300), 10),
    Contest(Policy(strategy="paired_bootstrap", resample="stratified", n_resamples=300), 10),
    Contest(Policy(strategy="nadeau_bengio"), 5),
    Contest(Policy(strategy="subsample_ttest"), 5),
    Contest(Policy(strategy="subsample_ttest", subsample=0.01), 5),
    Contest(Policy(strategy="disjoint_split"), 5),
    Contest(Policy(strategy="interval_overlap", n_resamples=200), 20),
)


def simulate(setting: Setting, rng: np.random.Generator, lift: float = 0.0) -> Rows:
    """One data set; with units, labels and errors of a unit go together."""
    n = setting.n_rows
    unit = np.arange(n) % setting.n_units if setting.n_units else None
    if setting.sizes is not None:
        unit = rng.choice(setting.n_units, n, p=setting.sizes)
    day = rng.integers(0, setting.n_days, n) if setting.n_days else None

    def normal(share: float) -> npt.NDArray[np.float64]:
        alone = rng.normal(size=n)
        if unit is None:
            return alone
        shared = rng.normal(size=setting.n_units)[unit]
        mixed: npt.NDArray[np.float64] = np.sqrt(share) * shared + np.sqrt(1 - share) * alone
        return mixed

    label = normal(0.1) > special.ndtri(1 - setting.prevalence)
    label[:2] = False, True
    common = np.sqrt(setting.correlation) * rng.normal(size=n)
    scores = {}
    for model, area in (("champion", AREA), ("challenger", AREA + lift)):
        separation = np.sqrt(2) * special.ndtri(area)
        own = normal(0.2)
        if day is not None:
            of_day = np.where(label, rng.normal(size=setting.n_days)[day], rng.normal(size=n))
            own = np.sqrt(setting.of_day) * of_day + np.sqrt(1 - setting.of_day) * own
        score = common + np.sqrt(1 - setting.correlation) * own + separation * label
        odds = separation * (score - separation / 2) + special.logit(setting.prevalence)
        if setting.step:
            odds = setting.step * np.round(odds / setting.step)
        scores[model] = special.expit(odds)
    weight = rng.exponential(size=n) + 0.1 if setting.weighted else None
    return check_rows(label, scores, weight=weight, unit=unit, period=day)


def compete(setting: Setting, contests: tuple[Contest, ...], sets: int, seed: int) -> list[Tally]:
    """Every contest on its data sets of this setting."""
    rng = np.random.default_rng(seed)
    tallies = [Tally(contest, setting, [], [], []) for contest in contests]
    for lift, times in ((0.0, sets), (LIFT, sets // 4)):
        for number in range(times):
            rows = simulate(setting, rng, lift)
            for tally in tallies:
                policy, every = tally.contest
                if number % every:
                    continue
                result = STRATEGIES[policy.strategy].run(rows, policy, policy.alpha, rng)
                (tally.found if lift else tally.promoted).append(result.says == "promote")
                if not lift:
                    interval = result.result
                    tally.covered.append(interval.ci_lower <= 0 <= interval.ci_upper)
    return tallies


def is_worse(hits: list[bool], nominal: float, *, more: bool) -> bool:
    """Whether hits are more (or fewer) than the nominal share, beyond accident."""
    known = stats.binom(len(hits), nominal)
    return bool((known.sf(sum(hits) - 1) if more else known.cdf(sum(hits))) < UNLIKELY)


def describe(tally: Tally) -> str:
    """A line of the table."""
    policy = tally.contest.policy
    often = "!" if is_worse(tally.promoted, policy.alpha, more=True) else " "
    narrow = "!" if is_worse(tally.covered, policy.confidence_level, more=False) else " "
    coverage = f"{100 * np.mean(tally.covered):9.1f}{narrow}"
    if policy.strategy in {"disjoint_split", "interval_overlap"}:
        coverage = f"{'-':>9} "
    return (
        f"{tally.contest.name:<28}{policy.metric:<20}{len(tally.promoted):>5}"
        f"{100 * np.mean(tally.promoted):>11.1f}{often}{coverage}{100 * np.mean(tally.found):>8.1f}"
    )


def summarise(tallies: list[Tally]) -> list[str]:
    """False promotions of every strategy over all settings, apart where positives are few."""
    groups: dict[tuple[str, bool], list[Tally]] = defaultdict(list)
    for tally in tallies:
        setting = tally.setting
        few = setting.n_rows * setting.prevalence < FEW
        groups[tally.contest.name, few].append(tally)
    lines = []
    for (name, few), group in groups.items():
        hits = [hit for tally in group for hit in tally.promoted]
        side = f"{FEW} positives {'fewer' if few else 'or more'}"
        lines.append(f"{name:<28}{side:<22}{100 * np.mean(hits):>6.1f} %  of {len(hits):>6} sets")
    return lines


@click.command()
@click.option("--quick", is_flag=True, help="A tenth of the data sets, and only the small ones.")
@click.option("--dependent", is_flag=True, help="Only settings in which rows depend on each other.")
@click.option("--seed", default=1, show_default=True, help="Of the simulation.")
def main(*, quick: bool, dependent: bool, seed: int) -> None:
    """Simulate champions and challengers and print what every strategy made of them."""
    tallies = []
    every = [(setting, CONTESTS) for setting in SETTINGS]
    every += [(setting, DEPENDENT_CONTESTS) for setting in DEPENDENT]
    for number, (setting, contests) in enumerate(every):
        if (quick and setting.n_rows > 6000) or (dependent and setting not in DEPENDENT):
            continue
        sets = setting.sets // 10 if quick else setting.sets
        found = compete(setting, contests, sets, seed + number)
        tallies += found
        click.echo(f"\n{setting.name}")
        click.echo(
            f"{'strategy':<28}{'metric':<20}{'sets':>5}{'promoted %':>11}{'covered %':>11}"
            f"{'power %':>8}"
        )
        for tally in found:
            click.echo(describe(tally))
    click.echo("\nFalse promotions at alpha 5 %")
    for line in summarise(tallies):
        click.echo(line)


if __name__ == "__main__":
    main()
