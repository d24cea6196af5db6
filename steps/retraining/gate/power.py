"""What rows can decide: whether there are enough of them, and which effect they can detect."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import optimize, special

from retraining.statistics.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retraining.gate.policy import Policy
    from retraining.statistics.inference import PairedResult
    from retraining.statistics.rows import Bools, Rows

MINIMUM_UNITS: Final = 30  # of each class; with fewer, sums over units are far from normal
FARTHEST: Final = 1000  # times the rows at hand: the most that is forecast as needed
POINTS_A_DECADE: Final = 10


class Shortfall(NamedTuple):
    """A minimum that the rows do not meet.

    Attributes:
        sentence: What is missing.
        factor: How many times the rows at hand would meet the minimum.
    """

    sentence: str
    factor: float


class Needed(NamedTuple):
    """Further rows of the same kind.

    Attributes:
        rows: Their number.
        positives: The number of positives among them.
    """

    rows: int
    positives: int

    def periods(self, rows: Rows) -> int | None:
        """Further periods as long as those at hand; None where periods are not looked at."""
        return rows.n_periods and math.ceil(self.rows * rows.n_periods / rows.n_rows)


class Point(NamedTuple):
    """One point of a power curve.

    Attributes:
        rows: Number of rows.
        effect: The minimum detectable effect with that number of rows.
    """

    rows: int
    effect: float


def shortfalls(rows: Rows, minimum_positives: int) -> tuple[Shortfall, ...]:
    """The minimums that rows, or a slice of them, do not meet; empty if they are enough.

    Each class needs rows that are worth `minimum_positives` rows of equal weight, and
    `MINIMUM_UNITS` units where rows belong to units.
    """
    missing, of_class = [], rows.units_of_class
    for name, side in (("positives", rows.label), ("negatives", ~rows.label)):
        count = round(float(np.sum(rows.sizes[side])))
        worth = effective_rows(rows, side)
        if worth < minimum_positives:
            unequal = not math.isclose(worth, count, rel_tol=1e-6)
            sentence = (
                f"There are too few {name}: {count}"
                f"{f', worth {worth:.1f} rows of equal weight' if unequal else ''}, "
                f"and the policy requires {minimum_positives}."
            )
            missing.append(Shortfall(sentence, minimum_positives / worth if worth else np.inf))
        units = MINIMUM_UNITS if of_class is None else of_class[name == "positives"]
        if units < MINIMUM_UNITS:
            sentence = (
                f"The {name} belong to too few units: {units}, and at least {MINIMUM_UNITS} are "
                "needed."
            )
            missing.append(Shortfall(sentence, MINIMUM_UNITS / units if units else np.inf))
    return tuple(missing)


def effective_rows(rows: Rows, side: Bools) -> float:
    """Rows of equal weight that the rows of one side are worth: Kish (1965), (sum w)^2 / sum w^2.

    Equal weights give the number of rows, without the rounding of the sums.
    """
    squares = float(np.sum(rows.squares[side]))
    return round(float(np.sum(rows.weight[side])) ** 2 / squares, 6) if squares else 0.0


def minimum_detectable_effect(
    standard_error: float,
    *,
    alpha: float,
    power: float,
    min_effect_size: float = 0.0,
    degrees: float = math.inf,
) -> float:
    """The smallest true effect that is promoted with probability `power`.

    Args:
        standard_error: Of the effect.
        alpha: Of the one-sided test.
        power: Between 0.5 and 1.
        min_effect_size: The gain that a promotion must exceed.
        degrees: Degrees of freedom of Student's t; infinity for the normal.
    """
    return min_effect_size + standard_error * _reach(alpha, power, degrees)


def largest_gain(metric: str, champion: float) -> float:
    """The effect of a perfect challenger: what the range of the metric leaves above the champion.

    Args:
        metric: Name of a metric; losses and costs end at 0, all others at 1.
        champion: Its value of the champion.
    """
    return 1 - champion if METRICS[metric].greater_is_better else champion


def chance(effect: float, standard_error: float, alpha: float, degrees: float = math.inf) -> float:
    """Probability that a true effect is promoted if every guardrail passes.

    Args:
        effect: The true effect, less the policy's min_effect_size.
        standard_error: Of the effect.
        alpha: Of the one-sided test.
        degrees: Degrees of freedom of Student's t; infinity for the normal.
    """
    if standard_error == 0:
        return float(effect > 0)
    ratio = effect / standard_error
    return float(special.stdtr(degrees, ratio + float(special.stdtrit(degrees, alpha))))


def rows_still_needed(
    result: PairedResult,
    policy: Policy,
    missing: Sequence[Shortfall] = (),
    *,
    alpha: float,
) -> Needed | None:
    """Further rows with which a true effect as large as the observed one would be decided.

    The standard error falls with the root of the rows, of which there are more units and periods,
    while the effect stays. A gain is decided
    when it is promoted with probability `policy.power`; a loss when the upper end of its interval
    falls below min_effect_size with that probability.

    Args:
        result: The comparison on the rows at hand.
        policy: Its power, confidence_level and min_effect_size are used.
        missing: Minimums that must be met as well.
        alpha: Of this test: the policy's, or what the ledger left.

    Returns:
        None where the observed effect is so close to the required one that more than `FARTHEST`
        times the rows would be needed, or where its error is unknown.
    """
    distance = result.effect_size - policy.min_effect_size
    if distance == 0 or math.isnan(result.standard_error):
        return None
    tail = alpha if distance > 0 else (1 - policy.confidence_level) / 2
    least = max([1.0, *(shortfall.factor for shortfall in missing)])
    wanted = abs(distance) / result.standard_error if result.standard_error else math.inf

    def excess(factor: float) -> float:
        reach = _reach(tail, policy.power, result.degrees_of_freedom * factor)
        return wanted * math.sqrt(factor) - reach

    if not least <= FARTHEST or not excess(FARTHEST) >= 0:
        return None
    factor = least if excess(least) >= 0 else float(optimize.brentq(excess, least, FARTHEST))
    rows, positives = (
        max(1, math.ceil(count * (factor - 1))) for count in (result.n_rows, result.n_positives)
    )
    return Needed(rows, positives)


def curve(
    n_rows: int,
    standard_error: float,
    *,
    alpha: float,
    power: float,
    min_effect_size: float,
    degrees: float = math.inf,
) -> tuple[Point, ...]:
    """Minimum detectable effects from a tenth of the rows at hand to a hundred times their number.

    Args:
        n_rows: The rows at hand.
        standard_error: Of the effect on them.
        alpha: As in `minimum_detectable_effect`, like power, min_effect_size and degrees.
        power: Between 0.5 and 1.
        min_effect_size: The gain that a promotion must exceed.
        degrees: Of freedom of Student's t on the rows at hand; infinity for the normal.

    Returns:
        Ten points per decade, among them the rows at hand; none where the standard error is
        unknown.
    """
    if math.isnan(standard_error):
        return ()
    factors = (
        10 ** (step / POINTS_A_DECADE) for step in range(-POINTS_A_DECADE, 2 * POINTS_A_DECADE + 1)
    )
    return tuple(
        Point(
            max(1, round(n_rows * factor)),
            minimum_detectable_effect(
                standard_error / factor**0.5,
                alpha=alpha,
                power=power,
                min_effect_size=min_effect_size,
                degrees=degrees * factor,
            ),
        )
        for factor in factors
    )


def _reach(tail: float, power: float, degrees: float) -> float:
    """Standard errors between no effect and one that passes this tail with this power."""
    return float(special.stdtrit(degrees, power) - special.stdtrit(degrees, tail))
