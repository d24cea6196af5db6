"""Whether enough rows carry a result for the normal approximation, by metrics that can rest on few.

auroc. Where both models put nearly all positives on top, the difference rests on the few that one
of them misses. Chance decides how many of these are among the rows, and where there is none the
standard error knows of none: one of two models with the same area was promoted in up to 35 % of
simulated tests instead of 5 %. The influence values say how many equal rows carry the variance: of
independent sums u, (sum u^2)^2 / sum u^4, the number of equal ones whose squares vary as much.
Where these are few, and few of those that could carry it, a decision needs two things more: rows
against it that are worth `OPPONENTS` equal ones, and that it still holds once the skewness of the
sums is allowed for (Johnson 1978).

f1 rests on the rows that are predicted positive.

The statistic itself is not changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from retraining.gate.verdict import Guardrail
from retraining.gate.wording import number
from retraining.statistics.inference import tail_probability
from retraining.statistics.influence import acceleration, paired_influence
from retraining.statistics.losses import THRESHOLD

if TYPE_CHECKING:
    from retraining.gate.policy import Policy
    from retraining.gate.strategy_result import StrategyResult
    from retraining.statistics.inference import PairedResult
    from retraining.statistics.metrics import Metric
    from retraining.statistics.rows import Floats, Rows

CARRIERS: Final = 30  # with more, no simulated test was far from its error level
KURTOSIS: Final = 4  # near that of the normal, 3: few sums, but equal ones, are for Student's t
OPPONENTS: Final = 2  # enough for the error level; more costs power where both models are alike
PREDICTED: Final = 20  # predicted positives; with 3, equal models were promoted in 6 to 10 %


class Carriers(NamedTuple):
    """What carries a difference of two models.

    Attributes:
        all: Equal rows, or units, that carry the variance.
        against: Equal ones among those that favour the champion.
        in_favour: Equal ones among those that favour the challenger.
        skewness: Of the difference.
    """

    all: float
    against: float
    in_favour: float
    skewness: float


def judge_support(
    rows: Rows, found: StrategyResult, policy: Policy, test_alpha: float
) -> tuple[Guardrail, ...]:
    """A guardrail that fails where a decision would rest on too few rows; none by other metrics.

    Args:
        rows: With the scores of champion and challenger.
        found: What the strategy decided on them.
        policy: Its metric, min_effect_size and confidence_level are used.
        test_alpha: The alpha of this test.
    """
    if policy.metric == "f1":
        missing = lacks_predictions(rows)
        enough = f"Both models predict at least {PREDICTED} rows as positive."
        return (Guardrail("support", "failed" if missing else "passed", missing or enough),)
    decides = found.says != "inconclusive" and found.result.standard_error > 0
    if policy.metric != "auroc" or not decides:
        return ()
    return (_judge_carriers(rows, found, policy, test_alpha),)


def count_predictions(rows: Rows) -> tuple[int, int]:
    """The rows that champion and challenger predict as positive."""
    champion, challenger = (
        round(float(np.sum(rows.sizes[score > THRESHOLD]))) for score in rows.scores
    )
    return champion, challenger


def lacks_predictions(rows: Rows) -> str:
    """Why f1 cannot decide on these rows, as a sentence; empty if it can."""
    champion, challenger = count_predictions(rows)
    at = f"any row as positive at the threshold {number(THRESHOLD)}, so f1 cannot decide."
    if not champion and not challenger:
        return f"Neither model predicts {at}"
    if not champion or not challenger:
        return f"The {'challenger' if champion else 'champion'} does not predict {at}"
    if min(champion, challenger) >= PREDICTED:
        return ""
    return (
        f"The challenger predicts {challenger:,} rows as positive, the champion {champion:,}: f1 "
        f"cannot decide with fewer than {PREDICTED} of either."
    )


def find_carriers(rows: Rows, metric: Metric) -> Carriers:
    """How many equal rows, or units where rows have them, carry the difference, and on which side.

    Cells do not show the units of their rows, which are then taken as independent.

    A row favours the champion where its own term of the difference does, which is its influence
    value before the mean of its class is taken off.
    """
    champion, challenger, values = paired_influence(rows, metric)
    mean = challenger - champion
    own = values.copy()
    for side in (rows.label, ~rows.label):
        own[side] += mean * rows.weight[side] / np.sum(rows.weight[side])
    spreads = rows.spreads
    skewness = 6 * acceleration(rows, values)
    if rows.unit is not None:
        values, own = (np.bincount(rows.unit, terms).astype(np.float64) for terms in (values, own))
        spreads = np.ones(values.size)
    against, in_favour = own < 0, own > 0
    return Carriers(
        _equal_ones(values, spreads),
        _equal_ones(own[against], spreads[against]),
        _equal_ones(own[in_favour], spreads[in_favour]),
        skewness,
    )


def _equal_ones(values: Floats, spreads: Floats) -> float:
    """(sum u^2)^2 / sum u^4; a cell counts as 1 / spread equal rows."""
    fourth = float(values**4 @ spreads**3)
    return float(values**2 @ spreads) ** 2 / fourth if fourth else 0.0


def _judge_carriers(
    rows: Rows, found: StrategyResult, policy: Policy, test_alpha: float
) -> Guardrail:
    carriers = find_carriers(rows, policy.chosen_metric)
    what = "rows" if rows.unit is None else "units"
    carried = f"The difference rests on the equivalent of {carriers.all:.0f} equal {what}"
    of_class = (rows.n_rows - rows.n_positives, rows.n_positives)
    if rows.unit is not None and rows.units_of_class:
        of_class = rows.units_of_class
    if carriers.all >= min(CARRIERS, min(of_class) / KURTOSIS):
        return Guardrail("support", "passed", f"{carried}.")
    promoted = found.says == "promote"
    other = "champion" if promoted else "challenger"
    opponents = carriers.against if promoted else carriers.in_favour
    if opponents < OPPONENTS:
        sentence = (
            f"{carried}, and those that favour the {other} are worth {opponents:.1f} of them, "
            f"fewer than {OPPONENTS}: how many more there are among other rows is unknown."
        )
        return Guardrail("support", "failed", sentence)
    tail = test_alpha if promoted else (1 - policy.confidence_level) / 2
    pvalue = _pvalue_of_skewed(found.result, carriers.skewness, policy, promoted=promoted)
    if not pvalue < tail:
        sentence = (
            f"{carried} with a skewness of {number(carriers.skewness)}; allowing for that, the "
            f"p-value is {number(pvalue)}, not below {number(tail)}."
        )
        return Guardrail("support", "failed", sentence)
    sentence = f"{carried}, but enough of them favour the {other} for the error to be known."
    return Guardrail("support", "passed", sentence)


def _pvalue_of_skewed(
    result: PairedResult, skewness: float, policy: Policy, *, promoted: bool
) -> float:
    """One-sided, of Johnson's modified t: t + skewness / 6 (2 t^2 + 1)."""
    sign = 1 if promoted else -1
    t = sign * (result.effect_size - policy.min_effect_size) / result.standard_error
    modified = t + sign * skewness / 6 * (2 * t**2 + 1)
    return tail_probability(modified, 1.0, alternative="greater", degrees=result.degrees_of_freedom)
