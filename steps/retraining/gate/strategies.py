"""Strategies that decide between two models on the same rows: valid ones and earlier systems'.

The false-promotion rates are those for 100 positives or more that
`python tests/benchmarks/calibration.py --group independent` prints.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from retraining.errors import RetrainingError
from retraining.gate import unsound
from retraining.gate.policy import AUROC_ALONE
from retraining.gate.strategy_result import StrategyResult, apply_rule, refuse_cells
from retraining.gate.verdict import FalsePromotionRate, Opinion
from retraining.statistics import subsampling
from retraining.statistics.comparing import bootstrap_rows, compare_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from retraining.gate.policy import Policy
    from retraining.gate.policy import Strategy as Name
    from retraining.statistics.inference import PairedResult
    from retraining.statistics.rows import Rows
OPINION_ROWS: Final = 100_000  # all strategies together take some ten seconds on this many


@dataclass(frozen=True)
class Strategy:
    """A way to decide.

    Attributes:
        name: In policies and verdicts.
        valid: Whether it promotes a challenger that is not better at most as often as alpha.
        false_promotion_rate: How often it promotes such a challenger.
        run: `run(rows, policy, test_alpha, rng)`; the rows passed `check_rows`, as the metric
            needs them, and a valid strategy promotes at a p-value below test_alpha.
    """

    name: Name
    valid: bool
    false_promotion_rate: FalsePromotionRate
    run: Callable[[Rows, Policy, float, np.random.Generator], StrategyResult]


def _influence(
    rows: Rows,
    policy: Policy,
    test_alpha: float,
    rng: np.random.Generator,  # noqa: ARG001
) -> StrategyResult:
    """The influence of every row on the difference, in closed form; for AUROC it is DeLong's."""
    result = compare_rows(rows, policy.chosen_metric, confidence_level=policy.confidence_level)
    return _decide(result, policy, test_alpha)


def _paired_bootstrap(
    rows: Rows, policy: Policy, test_alpha: float, rng: np.random.Generator
) -> StrategyResult:
    """Both models on the same resamples of the rows, or of whole units.

    Raises:
        RetrainingError: The rows are cells whose rows depend on each other.
    """
    if rows.are_dependent_cells:
        raise RetrainingError(
            f"strategy paired_bootstrap draws whole units, and these {rows.n_rows:,} rows were put "
            "into cells",
            "choose influence",
        )
    result = bootstrap_rows(
        rows,
        policy.chosen_metric,
        confidence_level=policy.confidence_level,
        n_resamples=policy.n_resamples,
        rng=rng,
        resample=policy.resample,
        interval=policy.interval,
    )
    return _decide(result, policy, test_alpha)


def _nadeau_bengio(
    rows: Rows, policy: Policy, test_alpha: float, rng: np.random.Generator
) -> StrategyResult:
    """Both models on the same subsamples, corrected for their overlap."""
    refuse_cells(rows, "nadeau_bengio")
    result = subsampling.nadeau_bengio(
        rows,
        policy.chosen_metric,
        n_subsamples=policy.n_subsamples,
        share=policy.subsample,
        confidence_level=policy.confidence_level,
        rng=rng,
    )
    return _decide(result, policy, test_alpha)


def _decide(result: PairedResult, policy: Policy, test_alpha: float) -> StrategyResult:
    return apply_rule(result, test_alpha=test_alpha, min_effect_size=policy.min_effect_size)


STRATEGIES: Final[Mapping[str, Strategy]] = MappingProxyType(
    {
        strategy.name: strategy
        for strategy in (
            Strategy(
                name="influence",
                valid=True,
                false_promotion_rate=FalsePromotionRate(
                    0.046, 0.05, "by auroc; 4.4% by other metrics"
                ),
                run=_influence,
            ),
            Strategy(
                name="paired_bootstrap",
                valid=True,
                false_promotion_rate=FalsePromotionRate(0.042, 0.05),
                run=_paired_bootstrap,
            ),
            Strategy(
                name="nadeau_bengio",
                valid=True,
                false_promotion_rate=FalsePromotionRate(0.042, 0.05),
                run=_nadeau_bengio,
            ),
            Strategy(
                name="subsample_ttest",
                valid=False,
                false_promotion_rate=FalsePromotionRate(
                    0.264, 0.05, "3.2% on subsamples of 1% of the rows"
                ),
                run=unsound.subsample_ttest,
            ),
            Strategy(
                name="disjoint_split",
                valid=False,
                false_promotion_rate=FalsePromotionRate(0.174, None),
                run=unsound.disjoint_split,
            ),
            Strategy(
                name="interval_overlap",
                valid=False,
                false_promotion_rate=FalsePromotionRate(0.0, None, "it misses almost every gain"),
                run=unsound.interval_overlap,
            ),
        )
    }
)
UNSOUND: Final = frozenset(name for name, strategy in STRATEGIES.items() if not strategy.valid)


def ask_all(
    rows: Rows, policy: Policy, test_alpha: float, rng: np.random.Generator
) -> tuple[Opinion, ...]:
    """The opinion of every strategy that serves the metric; empty for cells and too many rows."""
    if rows.are_cells or rows.n_rows > OPINION_ROWS:
        return ()
    # The first stream belonged to a strategy that is now part of influence. The others keep
    # theirs, so that a replay of an earlier test draws what that test drew.
    _, *streams = rng.spawn(1 + len(STRATEGIES))
    opinions = []
    for strategy, stream in zip(STRATEGIES.values(), streams, strict=True):
        if policy.metric == "auroc" or strategy.name not in AUROC_ALONE:
            asked = dataclasses.replace(policy, strategy=strategy.name)
            strategy_result = strategy.run(rows, asked, test_alpha, stream)
            opinions.append(
                Opinion(
                    strategy=asked.strategy_in_reports,
                    says=strategy_result.says,
                    because=strategy_result.because,
                    effect_size=strategy_result.result.effect_size,
                    ci_lower=strategy_result.result.ci_lower,
                    ci_upper=strategy_result.result.ci_upper,
                    pvalue=strategy_result.result.pvalue,
                    valid=strategy.valid,
                    false_promotion_rate=strategy.false_promotion_rate,
                )
            )
    return tuple(opinions)


def explain_unsound(name: Name, strategy_result: StrategyResult) -> str:
    """Why nothing is promoted on this strategy; empty for a valid one."""
    if name not in UNSOUND:
        return ""
    rate = STRATEGIES[name].false_promotion_rate.describe()
    because = strategy_result.because
    return f"{name}: {because} This rule promotes {rate}, so no promotion is based on it."
