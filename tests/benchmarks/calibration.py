"""How often every strategy promotes a challenger that is no better, and finds one that is.

Champion and challenger are simulated, so that the truth is known: their scores are normal in both
classes (an area under the ROC curve of 0.80) and become right probabilities. Equal models give the
rates of false promotions and of champions kept, and the coverage; for the power the challenger's
area is larger by `LIFT`. There are three groups of settings:

- `independent`: few or many rows, few or many positives, models that agree or not, ties, weights,
  wrong labels, and equal units.
- `dependent`: units are unequal (Zipf's law, or one with much of the rows, or of the positives),
  and the positives of a day, or of a terminal that customers share, have some of each model's error
  in common.
- `misses`: one model misses a few positives completely and ranks all else right; the other is an
  ordinary one of the same area. They are judged by the whole gate.

    python tests/benchmarks/calibration.py                     # about an hour of one core
    python tests/benchmarks/calibration.py --group dependent
    python tests/benchmarks/calibration.py --quick             # about one minute

"!" marks what an exact binomial test says is no accident (one in a thousand): promotions more
often than alpha, coverage below the confidence level; for the whole gate promotions more often than
1.5 times alpha, and champions kept more often than 1.5 times half of what the confidence level
leaves.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads wait more than these sums take

import click
import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "steps"))

from retraining.gate.decision import Evidence, judge
from retraining.gate.policy import Policy
from retraining.gate.strategies import STRATEGIES
from retraining.statistics.metrics import METRICS
from tests.benchmarks.laws import (
    FEW,
    LIFT,
    Law,
    Setting,
    draw_misses,
    draw_plain,
    draw_sized,
    draw_wave,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

UNLIKELY: Final = 0.001


class Contest(NamedTuple):
    """A strategy under a policy, on every so many-th data set."""

    policy: Policy
    every: int
    whole_gate: bool = False

    @property
    def name(self) -> str:
        """The strategy, and what it was asked beyond its defaults."""
        policy = self.policy
        extra = {"bca": policy.interval == "bca", "stratified": policy.resample == "stratified"}
        extra["gate"] = self.whole_gate
        extra[f"{100 * policy.subsample:g} %"] = policy.strategy == "subsample_ttest"
        return " ".join(
            [policy.strategy_in_reports, *(word for word, told in extra.items() if told)]
        )


class Tally(NamedTuple):
    """What a contest came to in one setting."""

    contest: Contest
    setting: Setting | Law
    promoted: list[bool]
    kept: list[bool]
    covered: list[bool]
    found: list[bool]


INDEPENDENT: Final[Sequence[Setting | Law]] = (
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
    Setting(110000, 0.001, sets=200),
    Setting(5000, 0.1, area=0.995, has_power=False),
    Setting(5000, 0.1, correlation=0.999),
    Setting(6000, 0.1, n_units=25),
    Law("5 % wrong labels", partial(draw_plain, kind="labels")),
    Law("90 % of the scores are 0", partial(draw_plain, kind="zeros")),
    Law("a copy but for 1 % of the rows", partial(draw_plain, kind="copy"), has_power=False),
)
DEPENDENT: Final[Sequence[Setting | Law]] = (
    Setting(6000, 0.1, n_units=200, zipf=1.2),
    Setting(6000, 0.1, n_units=200, largest=0.2),
    Setting(6000, 0.1, n_units=200, largest=0.5),
    Setting(6000, 0.1, n_units=2000, zipf=1.0),
    Setting(6000, 0.1, n_units=40, largest=0.2),
    Setting(6000, 0.1, n_units=30),
    Setting(20000, 0.1, n_units=60, of_unit=0.4, sets=1000),
    Law("35 of 2000 units have positives, one 60 of 162", partial(draw_wave, largest=60)),
    Law("35 of 2000 units have positives, geometric", partial(draw_wave, largest=0)),
    Law("300 lognormal units, more positives in larger ones", draw_sized),
    *(
        Setting(8000, 0.1, n_units=2000, n_days=n_days, of_day=of_day)
        for n_days, of_day in (
            (7, 0.0), (7, 0.02), (7, 0.05), (7, 0.2), (14, 0.0), (14, 0.05), (28, 0.0), (28, 0.05),
            (28, 0.2),
        )
    ),
    Setting(8000, 0.1, n_units=2000, n_days=7, uneven=0.5),
    *(
        Setting(8000, 0.1, n_units=2000, n_terminals=n, of_terminal=share, two_units=two)
        for n, share in ((100, 0.2), (500, 0.2), (40, 0.1))
        for two in (False, True)
    ),
)  # fmt: skip
MISSES: Final[Sequence[Setting | Law]] = tuple(
    Law(
        f"{'champion' if exchanged else 'challenger'} misses {100 * share:g} % of {positives}",
        partial(draw_misses, positives=positives, share=share, exchanged=exchanged),
        has_power=False,
    )
    for exchanged in (False, True)
    for share, positives in ((0.01, 120), (0.02, 120), (0.05, 120), (0.05, 400), (0.1, 120),
                             (0.2, 120))
)  # fmt: skip
DEPENDENT_CONTESTS: Final = (
    *(Contest(Policy(metric=name), 1) for name in ("auroc", "auprc", "log_loss", "f1")),
    Contest(Policy(strategy="paired_bootstrap", n_resamples=300), 4),
)
INDEPENDENT_CONTESTS: Final = (
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


GROUPS: Final[dict[str, tuple[Sequence[Setting | Law], tuple[Contest, ...]]]] = {
    "independent": (INDEPENDENT, INDEPENDENT_CONTESTS),
    "dependent": (DEPENDENT, DEPENDENT_CONTESTS),
    "misses": (MISSES, (Contest(Policy(), 1), Contest(Policy(), 1, whole_gate=True))),
}


def compete(
    setting: Setting | Law, contests: tuple[Contest, ...], sets: int, seed: int
) -> list[Tally]:
    """Every contest on its data sets of this setting."""
    rng = np.random.default_rng(seed)
    tallies = [Tally(contest, setting, [], [], [], []) for contest in contests]
    for lift, times in ((0.0, sets), (LIFT, sets // 4 if setting.has_power else 0)):
        for number in range(times):
            rows = setting.draw(rng, lift)
            for tally in tallies:
                policy, every, whole_gate = tally.contest
                if number % every:
                    continue
                result = STRATEGIES[policy.strategy].run(rows, policy, policy.alpha, rng)
                interval, says = result.result, result.says
                if whole_gate:
                    says = judge(Evidence(rows), policy, rng=rng, in_full=False).verdict.verdict
                (tally.found if lift else tally.promoted).append(says == "promote")
                if not lift:
                    tally.kept.append(says == "keep_champion")
                    tally.covered.append(interval.ci_lower <= 0 <= interval.ci_upper)
    return tallies


def is_worse(hits: list[bool], nominal: float, *, more: bool) -> bool:
    """Whether hits are more (or fewer) than the nominal share, beyond accident."""
    known = stats.binom(len(hits), nominal)
    return bool((known.sf(sum(hits) - 1) if more else known.cdf(sum(hits))) < UNLIKELY)


def describe(tally: Tally) -> str:
    """A line of the table."""
    policy, _, whole_gate = tally.contest
    allowed = 1.5 if whole_gate else 1.0  # guardrails are not exact
    often = "!" if is_worse(tally.promoted, allowed * policy.alpha, more=True) else " "
    nominal = allowed * (1 - policy.confidence_level) / 2
    kept = "!" if whole_gate and is_worse(tally.kept, nominal, more=True) else " "
    narrow = "!" if is_worse(tally.covered, policy.confidence_level, more=False) else " "
    coverage = f"{100 * np.mean(tally.covered):9.1f}{narrow}"
    if policy.strategy in {"disjoint_split", "interval_overlap"} or whole_gate:
        coverage = f"{'-':>9} "
    power = f"{100 * np.mean(tally.found):8.1f}" if tally.found else f"{'-':>8}"
    return (
        f"{tally.contest.name:<28}{policy.metric:<20}{len(tally.promoted):>5}"
        f"{100 * np.mean(tally.promoted):>11.1f}{often}{100 * np.mean(tally.kept):>6.1f}{kept}"
        f"{coverage}{power}"
    )


def summarise(tallies: list[Tally]) -> list[str]:
    """False promotions of every strategy over all settings, apart where positives are few."""
    groups: dict[tuple[str, bool], list[Tally]] = defaultdict(list)
    for tally in tallies:
        groups[tally.contest.name, tally.setting.few].append(tally)
    lines = []
    for (name, few), group in groups.items():
        hits = [hit for tally in group for hit in tally.promoted]
        side = f"{FEW} positives {'fewer' if few else 'or more'}"
        lines.append(f"{name:<28}{side:<22}{100 * np.mean(hits):>6.1f} %  of {len(hits):>6} sets")
    return lines


@click.command()
@click.option("--quick", is_flag=True, help="A tenth of the data sets, and only the small ones.")
@click.option("--group", type=click.Choice(list(GROUPS)), help="Only one group of settings.")
@click.option("--seed", default=1, show_default=True, help="Of the simulation.")
def main(*, quick: bool, group: str | None, seed: int) -> None:
    """Simulate champions and challengers and print what every strategy made of them."""
    tallies = []
    chosen = [GROUPS[group]] if group else GROUPS.values()
    every = [(setting, contests) for settings, contests in chosen for setting in settings]
    for number, (setting, contests) in enumerate(every):
        if quick and getattr(setting, "n_rows", 0) > 6000:
            continue
        found = compete(
            setting, contests, setting.sets // 10 if quick else setting.sets, seed + number
        )
        tallies += found
        click.echo(f"\n{setting.name}")
        click.echo(
            f"{'strategy':<28}{'metric':<20}{'sets':>5}{'promoted %':>11}{'kept %':>8}"
            f"{'covered %':>10}{'power %':>9}"
        )
        for tally in found:
            click.echo(describe(tally))
    click.echo("\nFalse promotions at alpha 5 %")
    for line in summarise(tallies):
        click.echo(line)


if __name__ == "__main__":
    main()
