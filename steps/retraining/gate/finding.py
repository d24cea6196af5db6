"""What a strategy finds on the rows of a comparison, and the rule by which valid ones decide."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from retraining.errors import RetrainingError
from retraining.gate.wording import number
from retraining.statistics.inference import PairedResult, excess_pvalue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retraining.gate.policy import Policy
    from retraining.gate.verdict import Outcome
    from retraining.statistics.rows import Floats, Rows


class Finding(NamedTuple):
    """What one strategy finds, guardrails apart.

    Attributes:
        result: Effect, interval and p-value as the strategy sees them, NaN where it has none; the
            p-value is that of an effect of at most the policy's min_effect_size.
        says: What the strategy by itself would decide.
        because: One sentence.
        tables: Columns of numbers by the file name that they are kept under.
        measured: Numbers by the names that earlier systems logged them under.
    """

    result: PairedResult
    says: Outcome
    because: str
    tables: Mapping[str, Mapping[str, Floats]] = MappingProxyType({})
    measured: Mapping[str, float] = MappingProxyType({})


def judge(result: PairedResult, policy: Policy, degrees: float) -> Finding:
    """Promote, keep the champion, or neither, by the p-value and the interval.

    Args:
        result: Of a comparison whose error is what it says.
        policy: Its alpha and min_effect_size count.
        degrees: Of freedom of the error.
    """
    least = policy.min_effect_size
    pvalue = excess_pvalue(result, least, degrees)
    result = result._replace(pvalue=pvalue)
    chance = f"The p-value {number(pvalue)} of an effect of at most {number(least)}"
    if pvalue < policy.alpha:
        return Finding(result, "promote", f"{chance} is below alpha {number(policy.alpha)}.")
    # Models that score every row alike have the interval [0, 0], which ends here too.
    if result.ci_upper <= least:
        because = f"The whole interval, up to {number(result.ci_upper)}, is not above"
        return Finding(result, "keep_champion", f"{because} {number(least)}.")
    because = f"{chance} is not below alpha {number(policy.alpha)}, and the interval reaches above."
    return Finding(result, "inconclusive", because)


def refuse_cells(rows: Rows, strategy: str) -> None:
    """Refuse rows that were put into cells, which cannot be drawn one by one.

    Raises:
        RetrainingError: They were.
    """
    if rows.size is not None:
        raise RetrainingError(
            f"strategy {strategy} draws single rows, and these were put into cells",
            "choose delong, influence or paired_bootstrap",
        )
