"""The ways to decide between two models on the same rows, valid ones and those of earlier systems.

The false-promotion rates are those that `python tests/benchmarks/calibration.py` prints.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from retraining.gate import unsound
from retraining.gate.finding import Finding, judge, refuse_cells
from retraining.gate.verdict import FalsePromotionRate
from retraining.statistics import subsampling
from retraining.statistics.inference import degrees_of_freedom
from retraining.statistics.paired import bootstrap_rows, compare_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from retraining.gate.policy import Policy
    from retraining.gate.policy import Strategy as Name
    from retraining.statistics.rows import Rows


@dataclass(frozen=True)
class Strategy:
    """A way to decide.

    Attributes:
        name: In policies and verdicts.
        summary: One sentence.
        valid: Whether it promotes a challenger that is no better at most as often as alpha.
        false_promotion_rate: How often it does.
        metrics: That it serves; None for all.
        run: `run(rows, policy, rng)`; the rows passed `check_rows`, as the metric needs them.
    """

    name: Name
    summary: str
    valid: bool
    false_promotion_rate: FalsePromotionRate
    metrics: frozenset[str] | None
    run: Callable[[Rows, Policy, np.random.Generator], Finding]


def _linearised(rows: Rows, policy: Policy, rng: np.random.Generator) -> Finding:  # noqa: ARG001
    result = compare_rows(rows, policy.chosen_metric, confidence_level=policy.confidence_level)
    return judge(result, policy, degrees_of_freedom(rows.unit))


def _bootstrapped(rows: Rows, policy: Policy, rng: np.random.Generator) -> Finding:
    result = bootstrap_rows(
        rows,
        policy.chosen_metric,
        confidence_level=policy.confidence_level,
        n_resamples=policy.n_resamples,
        rng=rng,
        resample=policy.resample,
        interval=policy.interval,
    )
    return judge(result, policy, degrees_of_freedom(rows.unit))


def _subsampled(rows: Rows, policy: Policy, rng: np.random.Generator) -> Finding:
    refuse_cells(rows, "nadeau_bengio")
    result, degrees = subsampling.nadeau_bengio(
        rows,
        policy.chosen_metric,
        n_subsamples=policy.n_subsamples,
        share=policy.subsample,
        confidence_level=policy.confidence_level,
        rng=rng,
    )
    return judge(result, policy, degrees)


STRATEGIES: Final[Mapping[str, Strategy]] = MappingProxyType(
    {
        strategy.name: strategy
        for strategy in (
            Strategy(
                name="delong",
                summary="Paired test of DeLong on the areas under the ROC curve, in closed form.",
                valid=True,
                false_promotion_rate=FalsePromotionRate(0.051, 0.05),
                metrics=frozenset({"auroc"}),
                run=_linearised,
            ),
            Strategy(
                name="influence",
                summary="The same for any metric: every row's influence on the difference.",
                valid=True,
                false_promotion_rate=FalsePromotionRate(0.048, 0.05),
                metrics=None,
                run=_linearised,
            ),
            Strategy(
                name="paired_bootstrap",
                summary="Both models on the same resamples of the rows, or of whole units.",
                valid=True,
                false_promotion_rate=FalsePromotionRate(0.051, 0.05),
                metrics=None,
                run=_bootstrapped,
            ),
            Strategy(
                name="nadeau_bengio",
                summary="Both models on the same subsamples, corrected for their overlap.",
                valid=True,
                false_promotion_rate=FalsePromotionRate(0.05, 0.05),
                metrics=None,
                run=_subsampled,
            ),
            Strategy(
                name="subsample_ttest",
                summary="Student's t-test on subsamples, each model on its own.",
                valid=False,
                false_promotion_rate=FalsePromotionRate(
                    0.296, 0.05, "3.2% on subsamples of 1% of the rows"
                ),
                metrics=None,
                run=unsound.subsample_ttest,
            ),
            Strategy(
                name="disjoint_split",
                summary="Each model on half of the rows; a gain above 0.02 promotes.",
                valid=False,
                false_promotion_rate=FalsePromotionRate(0.186, None),
                metrics=frozenset({"auroc"}),
                run=unsound.disjoint_split,
            ),
            Strategy(
                name="interval_overlap",
                summary="Separate bootstrap intervals; metrics whose intervals lie apart vote.",
                valid=False,
                false_promotion_rate=FalsePromotionRate(0.0, None, "it misses nearly every gain"),
                metrics=frozenset({"auroc"}),
                run=unsound.interval_overlap,
            ),
        )
    }
)
