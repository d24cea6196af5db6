"""The gate: whether a challenger replaces the champion, and why."""

from __future__ import annotations

import dataclasses
import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from retraining.gate import guardrails, power, selftest, slices
from retraining.gate.finding import Finding
from retraining.gate.finding import judge as judge_result
from retraining.gate.reasons import explain_verdict
from retraining.gate.strategies import STRATEGIES
from retraining.gate.verdict import Guardrail, Maturity, Opinion, Outcome, Spending, Verdict
from retraining.statistics import bootstrap, metrics, paired
from retraining.statistics.rows import Floats, Rows, check_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from retraining.gate.policy import Policy
    from retraining.statistics.inference import PairedResult

NOTHING: Final[Mapping[str, Rows]] = MappingProxyType({})
OPINION_ROWS: Final = 100_000  # all strategies together take some ten seconds on so many
NOT_CHECKED: Final = (None, np.empty(0))


class Evidence(NamedTuple):
    """Rows that both models scored, and the parts of them that are looked at apart.

    Attributes:
        rows: Single rows, or cells of many.
        slices: Rows of each slice by its name.
        maturities: Rows whose labels had so many days beyond the delay, by these days.
        measured: The effect as Spark measured it on all rows, where `rows` are cells of them.
        n_units: Units that the rows belong to, where `rows` do not tell.
        error_bound: By how much `measured` may be off because rows were put into cells; its
            interval reaches as much farther.
    """

    rows: Rows
    slices: Mapping[str, Rows] = NOTHING
    maturities: Mapping[int, Rows] = MappingProxyType({})
    measured: PairedResult | None = None
    n_units: int | None = None
    error_bound: float = 0.0


class Judgement(NamedTuple):
    """A verdict, and what is kept beside it.

    Attributes:
        verdict: The decision.
        effects: The effect in every resample of the cross-check; empty where there was none.
        tables: Columns by file name that the strategy wants kept.
        measured: Numbers by name that the strategy wants kept.
    """

    verdict: Verdict
    effects: Floats
    tables: Mapping[str, Mapping[str, Floats]]
    measured: Mapping[str, float]


def decide(
    label: npt.ArrayLike,
    champion: npt.ArrayLike,
    challenger: npt.ArrayLike,
    *,
    policy: Policy,
    weight: npt.ArrayLike | None = None,
    unit: npt.ArrayLike | None = None,
    rng: np.random.Generator | None = None,
) -> Verdict:
    """Decide by a paired test on rows that neither model has seen: `judge` on arrays, in brief.

    Args:
        label: 0 or 1, shape (n,).
        champion: Score of the champion, shape (n,).
        challenger: Score of the challenger on the same rows, shape (n,).
        policy: What must be shown.
        weight: Non-negative, shape (n,).
        unit: Whom a row belongs to, shape (n,); None takes rows as independent.
        rng: For everything that is drawn; None takes a fresh generator.

    Raises:
        RetrainingError: The rows do not pass `retraining.statistics.rows.check_rows`.
    """
    scores = {"champion": champion, "challenger": challenger}
    rows = check_rows(
        label,
        scores,
        weight=weight,
        unit=unit,
        of_probabilities=metrics.METRICS[policy.metric].of_probabilities,
    )
    return judge(Evidence(rows), policy, rng=rng, in_full=False).verdict


def judge(
    evidence: Evidence,
    policy: Policy,
    *,
    ledger: Spending | None = None,
    rng: np.random.Generator | None = None,
    in_full: bool = True,
) -> Judgement:
    """Decide on checked rows: the strategy's finding, then every guardrail, then the self-test.

    A promotion needs the finding and every guardrail; the champion is kept only on evidence, so
    not where the rows are fewer than the policy's minimum; all else is inconclusive.

    Args:
        evidence: The rows.
        policy: What must be shown.
        ledger: What earlier tests leave of alpha; None: the policy's alpha.
        rng: For everything that is drawn; None takes a fresh generator.
        in_full: Whether the bootstrap and the other strategies are asked too, which decides
            nothing.
    """
    strategy_rng, check_rng, self_rng, opinion_rng = (rng or np.random.default_rng()).spawn(4)
    told, policy = policy, dataclasses.replace(policy, alpha=ledger.alpha) if ledger else policy
    rows, metric = evidence.rows, policy.chosen_metric
    n_units = evidence.n_units or rows.n_units
    degrees = n_units - 1 if n_units else math.inf
    finding = _find(evidence, policy, degrees, strategy_rng)
    result = finding.result
    # What the ledger leaves is for promotions: a smaller alpha would make harm harder to find.
    judged = slices.judge(evidence.slices, metric, told)
    checks = (
        *guardrails.check(rows, judged, result, told),
        selftest.self_test(rows, metric, policy, self_rng),
    )
    outcome = _outcome(finding, policy, checks)
    missing = power.shortfalls(rows, policy)
    needed: power.Needed | None = power.Needed(0, 0)
    if finding.says == "inconclusive" or missing:
        needed = power.rows_still_needed(result, policy, missing, degrees)
    cross_check, effects = _cross_check(rows, policy, check_rng) if in_full else NOT_CHECKED
    verdict = Verdict(
        verdict=outcome,
        reasons=(),
        strategy=policy.strategy,
        metric=policy.metric,
        effect_size=result.effect_size,
        ci_lower=result.ci_lower,
        ci_upper=result.ci_upper,
        pvalue=result.pvalue,
        alpha=policy.alpha,
        n_rows=result.n_rows,
        n_positives=result.n_positives,
        minimum_detectable_effect=power.minimum_detectable_effect(
            result.standard_error, policy, degrees
        ),
        champion=result.champion,
        challenger=result.challenger,
        standard_error=result.standard_error,
        min_effect_size=policy.min_effect_size,
        n_units=n_units,
        rows_still_needed=needed.rows if needed else None,
        positives_still_needed=needed.positives if needed else None,
        confidence_level=policy.confidence_level,
        power=policy.power,
        minimum_positives=policy.minimum_positives,
        error_bound=evidence.error_bound,
        cross_check=cross_check,
        guardrails=checks,
        slices=judged,
        opinions=_opinions(rows, policy, opinion_rng) if in_full else (),
        maturities=_mature(evidence.maturities, policy),
        ledger=ledger,
    )
    strategy, invalid = STRATEGIES[policy.strategy], ""
    if not strategy.valid:
        invalid = (
            f"By {strategy.name}: {finding.because} That rule promotes "
            f"{strategy.false_promotion_rate.describe()}, so nothing is promoted on it."
        )
    reasons = explain_verdict(verdict, invalid=invalid)
    explained = dataclasses.replace(verdict, reasons=reasons)
    return Judgement(explained, effects, finding.tables, finding.measured)


def _find(evidence: Evidence, policy: Policy, degrees: float, rng: np.random.Generator) -> Finding:
    """What the strategy says; of cells, what Spark measured, at the least that they can hide."""
    measured = evidence.measured
    if measured is None or policy.strategy not in ("delong", "influence"):
        return STRATEGIES[policy.strategy].run(evidence.rows, policy, rng)
    least = measured._replace(effect_size=measured.effect_size - evidence.error_bound)
    finding = judge_result(least, policy, degrees)
    return finding._replace(
        result=finding.result._replace(effect_size=measured.effect_size),
    )


def _outcome(finding: Finding, policy: Policy, checks: tuple[Guardrail, ...]) -> Outcome:
    if finding.says == "promote":
        allowed = STRATEGIES[policy.strategy].valid and guardrails.promotable(checks)
        return "promote" if allowed else "inconclusive"
    failed = {check.name for check in checks if check.status == "failed"}
    decidable = not failed & {"minimum_positives", "self_test"}
    return finding.says if decidable else "inconclusive"


def _cross_check(
    rows: Rows, policy: Policy, rng: np.random.Generator
) -> tuple[PairedResult | None, Floats]:
    """The bootstrap of the same effect, with fewer resamples, or none, where rows are many."""
    metric = policy.chosen_metric
    n_resamples = bootstrap.affordable(rows, metric, policy.n_resamples)
    if n_resamples < paired.MINIMUM_RESAMPLES:
        return NOT_CHECKED
    effects = bootstrap.replicates(
        rows, metric, n_resamples=n_resamples, rng=rng, resample=policy.resample
    )
    result = paired.of_effects(
        rows, metric, effects, confidence_level=policy.confidence_level, interval=policy.interval
    )
    return result, effects


def _opinions(rows: Rows, policy: Policy, rng: np.random.Generator) -> tuple[Opinion, ...]:
    if rows.size is not None or rows.n_rows > OPINION_ROWS:
        return ()
    found = []
    for strategy, one in zip(STRATEGIES.values(), rng.spawn(len(STRATEGIES)), strict=True):
        if strategy.metrics is None or policy.metric in strategy.metrics:
            asked = dataclasses.replace(policy, strategy=strategy.name)
            finding = strategy.run(rows, asked, one)
            result = finding.result
            found.append(
                Opinion(
                    strategy=strategy.name,
                    says=finding.says,
                    because=finding.because,
                    effect_size=result.effect_size,
                    ci_lower=result.ci_lower,
                    ci_upper=result.ci_upper,
                    pvalue=result.pvalue,
                    valid=strategy.valid,
                    false_promotion_rate=strategy.false_promotion_rate,
                )
            )
    return tuple(found)


def _mature(maturities: Mapping[int, Rows], policy: Policy) -> tuple[Maturity, ...]:
    found = []
    for extra_days, rows in maturities.items():
        result = paired.compare_rows(
            rows, policy.chosen_metric, confidence_level=policy.confidence_level
        )
        ends = result.effect_size, result.ci_lower, result.ci_upper
        found.append(Maturity(extra_days, result.n_rows, result.n_positives, *ends))
    return tuple(found)
