"""Data sets of two models of which the truth is known, with rows that may depend on each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import special

from retraining.comparison.columns import ROLES
from retraining.statistics.checks import check_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from retraining.statistics.rows import Bools, Codes, Floats, Rows

AREA: Final = 0.8
LIFT: Final = 0.01  # of the area of a better challenger
OF_UNIT: Final = 0.2
FEW: Final = 100  # positives


class Setting(NamedTuple):
    """How a data set is made, where scores are normal in both classes."""

    n_rows: int
    prevalence: float
    correlation: float = 0.9  # of the two scores within a class
    area: float = AREA
    step: float = 0.0  # to which log odds are rounded; 0 leaves no ties
    weighted: bool = False
    n_units: int = 0
    zipf: float = 0.0  # the k-th unit has k ** -zipf times the rows of the first
    largest: float = 0.0  # share of the rows that one unit has
    of_unit: float = (
        OF_UNIT  # share of each model's own noise that the rows of a unit have in common
    )
    n_days: int = 0
    of_day: float = 0.0  # the same for the positives of a day
    uneven: float = 0.0  # how much the probit of a positive varies over the days
    n_terminals: int = 0  # in place of days
    of_terminal: float = 0.0
    two_units: bool = False  # terminals are a second unit; else they are the periods
    sets: int = 2000
    has_power: bool = True

    @property
    def few(self) -> bool:
        """Whether positives are few."""
        return self.n_rows * self.prevalence < FEW

    @property
    def name(self) -> str:
        """What sets it apart."""
        parts = [f"{self.n_rows} rows, {100 * self.prevalence:g} %"]
        parts += [f"r {self.correlation:g}"] if self.correlation != 0.9 else []
        parts += [f"area {self.area:g}"] if self.area != AREA else []
        parts += ["ties"] if self.step else []
        parts += ["weights"] if self.weighted else []
        parts += [f"{self.n_units} units"] if self.n_units else []
        parts += [f"{100 * self.of_unit:g} % shared"] if self.of_unit != OF_UNIT else []
        parts += [f"Zipf {self.zipf:g}"] if self.zipf else []
        parts += [f"one with {100 * self.largest:g} %"] if self.largest else []
        parts += [f"{self.n_days} days, {100 * self.of_day:g} % shared"] if self.n_days else []
        parts += ["uneven days"] if self.uneven else []
        kind = "as second unit" if self.two_units else "as period"
        shared = f"{100 * self.of_terminal:g} % shared"
        parts += [f"{self.n_terminals} terminals {kind}, {shared}"] if self.n_terminals else []
        return ", ".join(parts)

    @property
    def sizes(self) -> Floats | None:
        """The share of the rows of each unit; None where units are equal."""
        if not self.zipf and not self.largest:
            return None
        sizes = np.arange(1.0, self.n_units + 1) ** -self.zipf
        sizes[1:] *= (1 - self.largest) / np.sum(sizes[1:]) if self.largest else 1.0
        sizes[0] = self.largest or sizes[0]
        shares: Floats = sizes / np.sum(sizes)
        return shares

    def draw(self, rng: np.random.Generator, lift: float = 0.0) -> Rows:
        """One data set; with units, labels and errors of a unit go together."""
        n = self.n_rows
        unit = np.arange(n) % self.n_units if self.n_units else None
        if self.sizes is not None:
            unit = rng.choice(self.n_units, n, p=self.sizes)
        day = rng.integers(0, self.n_days, n) if self.n_days else None
        terminal = rng.integers(0, self.n_terminals, n) if self.n_terminals else None
        level = np.full(n, special.ndtri(1 - self.prevalence))
        if day is not None and self.uneven:
            level -= self.uneven * rng.normal(size=self.n_days)[day]
        label = with_common(0.1, unit, rng, n) > level
        label[:2] = False, True
        own = []
        for _ in range(2):
            noise = with_common(self.of_unit, unit, rng, n)
            for code, share in ((day, self.of_day), (terminal, self.of_terminal)):
                if code is not None:
                    shock = rng.normal(size=int(np.max(code)) + 1)[code]
                    shock = np.where(label, shock, rng.normal(size=n))
                    noise = np.sqrt(share) * shock + np.sqrt(1 - share) * noise
            own.append(noise)
        areas = self.area, self.area + lift
        scores = score(label, own, areas, self.correlation, self.prevalence, self.step, rng)
        weight = rng.exponential(size=n) + 0.1 if self.weighted else None
        kinds, period = unit, day if terminal is None or self.two_units else terminal
        if self.two_units:
            kinds = np.column_stack([np.asarray(unit), np.asarray(terminal)])
        return check_rows(label, scores, weight=weight, unit=kinds, period=period)


class Law(NamedTuple):
    """A data set of another kind."""

    name: str
    draw: Callable[[np.random.Generator, float], Rows]
    few: bool = False
    sets: int = 2000
    has_power: bool = True


def with_common(share: float, unit: Codes | None, rng: np.random.Generator, n_rows: int) -> Floats:
    """Normal noise of which rows of one unit have a share in common."""
    alone = rng.normal(size=n_rows)
    if unit is None:
        return alone
    common = rng.normal(size=int(np.max(unit)) + 1)[unit]
    mixed: Floats = np.sqrt(share) * common + np.sqrt(1 - share) * alone
    return mixed


def score(
    label: Bools,
    own: Sequence[Floats],
    areas: Sequence[float],
    correlation: float,
    prevalence: float,
    step: float,
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """Right probabilities of two models with these areas, and with these errors of their own."""
    common = np.sqrt(correlation) * rng.normal(size=label.size)
    scores = {}
    for role, area, noise in zip(ROLES, areas, own, strict=True):
        separation = np.sqrt(2) * special.ndtri(area)
        normal = common + np.sqrt(1 - correlation) * noise + separation * label
        odds = separation * (normal - separation / 2) + special.logit(prevalence)
        scores[role] = special.expit(step * np.round(odds / step) if step else odds)
    return scores


def draw_wave(rng: np.random.Generator, lift: float, *, largest: int) -> Rows:
    """Of 2,000 units 35 have positives, 162 in all; one of them has `largest`, if not 0.

    Else their numbers are geometric.
    """
    rest = 35 - bool(largest)
    of_unit = rng.multinomial(162 - largest - rest, rng.dirichlet(np.ones(rest))) + 1
    of_unit = np.r_[[largest] * bool(largest), of_unit].astype(int)
    unit = np.r_[np.repeat(np.arange(35), of_unit), rng.integers(0, 2000, 5838)]
    label = np.arange(6000) < 162
    own = [with_common(OF_UNIT, unit, rng, 6000) for _ in range(2)]
    scores = score(label, own, (AREA, AREA + lift), 0.9, 0.027, 0.0, rng)
    return check_rows(label, scores, unit=unit)


def draw_sized(rng: np.random.Generator, lift: float) -> Rows:
    """300 units of lognormal sizes; the larger one is, the more of its rows are positives."""
    sizes = rng.lognormal(size=300)
    unit = rng.choice(300, 6000, p=sizes / np.sum(sizes))
    odds = np.sqrt(sizes)
    prevalence = 0.1 * odds / np.average(odds, weights=sizes)
    label = rng.random(6000) < np.minimum(prevalence, 0.9)[unit]
    own = [with_common(OF_UNIT, unit, rng, 6000) for _ in range(2)]
    return check_rows(label, score(label, own, (AREA, AREA + lift), 0.9, 0.1, 0.0, rng), unit=unit)


def draw_plain(rng: np.random.Generator, lift: float, *, kind: str) -> Rows:
    """Independent rows of which a twentieth has the wrong label, or nine tenths score nothing.

    Or the challenger is a copy of the champion, but for a hundredth of the rows.
    """
    label = rng.random(5000) < 0.1
    own = [rng.normal(size=5000) for _ in range(2)]
    scores = score(label, own, (AREA, AREA + lift), 0.9, 0.1, 0.0, rng)
    if kind == "labels":
        label = label ^ (rng.random(5000) < 0.05)
    elif kind == "zeros":
        scores = {role: np.where(s > np.quantile(s, 0.9), s, 0.0) for role, s in scores.items()}
    else:
        changed = rng.random(5000) < 0.01
        champion, other = scores.values()
        scores = dict(zip(ROLES, (champion, np.where(changed, other, champion)), strict=True))
    return check_rows(label, scores)


def draw_misses(
    rng: np.random.Generator, _: float, *, positives: int, share: float, exchanged: bool
) -> Rows:
    """One model ranks a share of the positives at random and the others on top.

    It is the challenger, or `exchanged` the champion.
    """
    label = np.arange(10 * positives) < positives
    separation = np.sqrt(2) * special.ndtri(1 - share / 2)
    top = label & (rng.random(label.size) >= share)
    ordinary = special.expit(rng.normal(size=label.size) + separation * label)
    perfect = (rng.random(label.size) + top) / 2
    scores = (perfect, ordinary) if exchanged else (ordinary, perfect)
    return check_rows(label, dict(zip(ROLES, scores, strict=True)))
