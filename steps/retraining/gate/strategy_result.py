"""The result of a strategy, and the rule by which valid strategies decide."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from retraining.errors import RetrainingError
from retraining.gate.wording import number
from retraining.statistics.inference import PairedResult, excess_pvalue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retraining.gate.fields import Outcome
    from retraining.statistics.rows import Floats, Rows


class StrategyResult(NamedTuple):
    """The conclusion of one strategy, before any guardrail.

    Attributes:
        result: Effect, interval and p-value by this strategy, NaN where it has none; the p-value
            is that of an effect of at most the policy's min_effect_size.
        says: The outcome by this strategy alone.
        because: One sentence.
        tables: Columns of numbers to keep, by file name.
        measured: Numbers by the names that earlier systems logged them under.
    """

    result: PairedResult
    says: Outcome
    because: str
    tables: Mapping[str, Mapping[str, Floats]] = MappingProxyType({})
    measured: Mapping[str, float] = MappingProxyType({})


def apply_rule(
    result: PairedResult, *, test_alpha: float, min_effect_size: float
) -> StrategyResult:
    """Promote, keep the champion, or neither, by the p-value and the interval.

    Args:
        result: Of a comparison whose standard error can be trusted.
        test_alpha: A p-value below it promotes.
        min_effect_size: An interval that ends at or below it keeps the champion.
    """
    pvalue = excess_pvalue(result, min_effect_size)
    result = result._replace(pvalue=pvalue)
    alpha, least = number(test_alpha), number(min_effect_size)
    test = f"The p-value {number(pvalue)} (for an effect of at most {least})"
    if pvalue < test_alpha:
        return StrategyResult(result, "promote", f"{test} is below this test's alpha of {alpha}.")
    # Models that give every row the same score have the interval [0, 0], which ends here too.
    if result.ci_upper <= min_effect_size:
        because = f"The interval ends at {number(result.ci_upper)}, not above {least}."
        return StrategyResult(result, "keep_champion", because)
    because = (
        f"{test} is not below this test's alpha of {alpha}, and the interval reaches above {least}."
    )
    return StrategyResult(result, "inconclusive", because)


def refuse_cells(rows: Rows, strategy: str) -> None:
    """Refuse cells of rows, because the rows in them cannot be drawn one by one.

    Raises:
        RetrainingError: The rows are cells.
    """
    if rows.are_cells:
        raise RetrainingError(
            f"strategy {strategy} draws single rows, and these were put into cells",
            "choose influence or paired_bootstrap",
        )
