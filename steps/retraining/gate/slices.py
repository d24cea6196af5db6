"""Whether the challenger is worse in any slice of the rows.

Each slice is tested one-sided for "worse by more than the margin". Among twenty slices one such
test in twenty fails by chance alone, so p-values are adjusted by Holm (1979): the probability of
any false alarm among all slices stays below alpha.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from retraining.gate.power import shortfalls
from retraining.gate.verdict import Slice
from retraining.statistics.inference import PairedResult, holm, shortfall_pvalue
from retraining.statistics.paired import compare_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retraining.gate.policy import Policy
    from retraining.statistics.metrics import Metric
    from retraining.statistics.rows import Rows


def compare_slices(slices: Mapping[str, Rows], policy: Policy) -> tuple[Slice, ...]:
    """Whether the challenger is shown to be worse in a slice by more than the policy's margin.

    A slice that does not meet the minimums that all rows must meet, or whose standard error
    cannot be estimated, is "too_small" and takes no part in the adjustment.
    """
    metric = policy.chosen_metric
    compared = [_compare(rows, metric, policy) for rows in slices.values()]
    judged = [pvalue for _, pvalue in compared if not math.isnan(pvalue)]
    adjusted = iter(holm(judged).tolist())
    return tuple(
        _describe(name, rows, result, math.nan if math.isnan(pvalue) else next(adjusted), policy)
        for (name, rows), (result, pvalue) in zip(slices.items(), compared, strict=True)
    )


def _compare(rows: Rows, metric: Metric, policy: Policy) -> tuple[PairedResult | None, float]:
    """The comparison, None in a slice that is too small, and the unadjusted p-value or NaN."""
    if shortfalls(rows, policy.minimum_positives):
        return None, math.nan
    result = compare_rows(rows, metric, confidence_level=policy.confidence_level)
    return result, shortfall_pvalue(result, -policy.slice_margin)


def _describe(
    name: str, rows: Rows, result: PairedResult | None, pvalue: float, policy: Policy
) -> Slice:
    if result is None or math.isnan(pvalue):
        unknown = (math.nan,) * 6
        return Slice(name, rows.n_rows, rows.n_positives, *unknown, status="too_small")
    return Slice(
        name=name,
        n_rows=rows.n_rows,
        n_positives=rows.n_positives,
        champion=result.champion,
        challenger=result.challenger,
        effect_size=result.effect_size,
        ci_lower=result.ci_lower,
        ci_upper=result.ci_upper,
        pvalue=pvalue,
        status="worse" if pvalue < policy.alpha else "not_worse",
    )
