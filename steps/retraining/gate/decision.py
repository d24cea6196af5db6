"""The gate: it decides whether a challenger replaces the champion, and says why."""

from __future__ import annotations

import dataclasses
import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from retraining.gate import campaign, guardrails, power, selftest
from retraining.gate.campaign_plan import plan_rules
from retraining.gate.reasons import explain_verdict
from retraining.gate.slices import compare_slices
from retraining.gate.strategies import STRATEGIES, UNSOUND, ask_all, explain_unsound
from retraining.gate.strategy_result import apply_rule
from retraining.gate.support import judge_support
from retraining.gate.verdict import UNDECIDABLE, CrossCheck, Guardrail, Maturity, Verdict
from retraining.statistics import bootstrap, comparing, metrics
from retraining.statistics.checks import check_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from retraining.gate.campaign import Campaign, Standing
    from retraining.gate.campaign_plan import PlannedRule
    from retraining.gate.fields import Outcome
    from retraining.gate.looks import Look
    from retraining.gate.policy import Policy
    from retraining.gate.spending import Spending
    from retraining.gate.strategy_result import StrategyResult
    from retraining.statistics.inference import PairedResult
    from retraining.statistics.rows import Floats, Rows

NOTHING: Final[Mapping[str, Rows]] = MappingProxyType({})
NOT_CHECKED: Final = (None, np.empty(0))


class Evidence(NamedTuple):
    """Rows that both models scored, and the parts of them that are examined separately.

    Attributes:
        rows: Single rows, or cells of many.
        slices: Rows of each slice by its name.
        maturities: Rows whose labels had at least this many days beyond the delay, by the days.
    """

    rows: Rows
    slices: Mapping[str, Rows] = NOTHING
    maturities: Mapping[int, Rows] = MappingProxyType({})


class Decision(NamedTuple):
    """A verdict, and the data that are kept with it.

    Attributes:
        verdict: The decision and its reasons.
        effects: The effect in every resample of the cross-check; empty where there was none.
        tables: Columns of the strategy to keep, by file name.
        measured: Numbers of the strategy to keep, by name.
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
    period: npt.ArrayLike | None = None,
    rng: np.random.Generator | None = None,
) -> Verdict:
    """Decide by a paired test on rows that neither model has seen: `judge` on arrays, in brief.

    Args:
        label: 0 or 1, shape (n,).
        champion: Scores of the champion, shape (n,).
        challenger: Scores of the challenger on the same rows, shape (n,).
        policy: The conditions of a promotion.
        weight: Non-negative, shape (n,).
        unit: The unit that each row belongs to, shape (n,), or (n, 2) for two kinds of units; None
            takes rows as independent.
        period: The period of each row, for example its day, shape (n,): rows of one period may
            depend on each other, whatever their unit.
        rng: For everything that is drawn; None takes a fresh generator.

    Raises:
        RetrainingError: The rows do not pass `retraining.statistics.checks.check_rows`.
    """
    rows = check_rows(
        label,
        {"champion": champion, "challenger": challenger},
        weight=weight,
        unit=unit,
        period=period,
        of_probabilities=metrics.METRICS[policy.metric].of_probabilities,
    )
    return judge(Evidence(rows), policy, rng=rng, in_full=False).verdict


def judge(
    evidence: Evidence,
    policy: Policy,
    *,
    ledger: Spending | None = None,
    test_alpha: float | None = None,
    standing: Standing | None = None,
    rng: np.random.Generator | None = None,
    in_full: bool = True,
) -> Decision:
    """Decide on checked rows: the strategy first, then every guardrail, then the self-test.

    A promotion needs the strategy and every guardrail. The champion is kept only on evidence,
    never because rows are too few. Everything else is inconclusive.

    Args:
        evidence: The rows.
        policy: The conditions of a promotion.
        ledger: The alpha that earlier tests have left; None where none is kept.
        test_alpha: Alpha of the test itself; None takes what the ledger left, else the policy's.
        standing: Of the campaign whose next look this is, on all rows so far; its alpha counts
            then. None judges once.
        rng: For everything that is drawn; None takes a fresh generator.
        in_full: Whether to run the bootstrap and the other strategies too; they only inform.
    """
    strategy_rng, check_rng, self_rng, opinion_rng = (rng or np.random.default_rng()).spawn(4)
    if test_alpha is None:
        test_alpha = policy.alpha if ledger is None else ledger.alpha
    strategy = STRATEGIES[policy.strategy]
    strategy_result = strategy.run(evidence.rows, policy, test_alpha, strategy_rng)
    look = None
    if standing is not None:
        look = campaign.judge_look(standing, policy, strategy_result.result)
        test_alpha = look.alpha
        strategy_result = apply_rule(
            strategy_result.result._replace(ci_lower=look.ends[0], ci_upper=look.ends[1]),
            test_alpha=test_alpha,
            min_effect_size=policy.min_effect_size,
        )
    # The ledger limits promotions only: a smaller alpha would make harm harder to detect, so
    # slices and guardrails keep the policy's alpha.
    slices = compare_slices(evidence.slices, policy)
    checks = (
        *guardrails.check(evidence.rows, slices, strategy_result.result, policy),
        *judge_support(evidence.rows, strategy_result, policy, test_alpha),
        selftest.self_test(evidence.rows, policy, test_alpha, self_rng),
    )
    cross_check, effects = _cross_check(evidence, policy, check_rng) if in_full else NOT_CHECKED
    outcome = _outcome(strategy_result, policy, checks)
    stands: Campaign | None = None
    looks: tuple[Look, ...] = ()
    if standing is not None and look is not None:
        stands, looks = campaign.conclude(standing, look, policy, outcome)
    figures = _figures(evidence, policy, test_alpha, strategy_result, checks)
    verdict = Verdict(
        verdict=outcome,
        reasons=(),
        **(figures | _of_campaign(stands, looks, figures, policy)),
        cross_check=cross_check,
        guardrails=checks,
        slices=slices,
        opinions=ask_all(evidence.rows, policy, test_alpha, opinion_rng) if in_full else (),
        maturities=_compare_maturities(evidence.maturities, policy),
        ledger=ledger,
        campaign=stands,
        looks=looks,
        plan=_plan(strategy_result.result, looks, policy) if in_full else (),
    )
    reasons = explain_verdict(verdict, unsound=explain_unsound(policy.strategy, strategy_result))
    explained = dataclasses.replace(verdict, reasons=reasons)
    return Decision(explained, effects, strategy_result.tables, strategy_result.measured)


def _outcome(
    strategy_result: StrategyResult, policy: Policy, checks: tuple[Guardrail, ...]
) -> Outcome:
    if policy.strategy in UNSOUND:
        return "inconclusive"
    if strategy_result.says == "promote":
        return "promote" if guardrails.promotable(checks) else "inconclusive"
    failed = {check.name for check in checks if check.status == "failed"}
    decidable = not failed & set(UNDECIDABLE)
    return strategy_result.says if decidable else "inconclusive"


def _figures(
    evidence: Evidence,
    policy: Policy,
    test_alpha: float,
    strategy_result: StrategyResult,
    checks: tuple[Guardrail, ...],
) -> dict[str, Any]:
    """The fields of a verdict from the policy and the result, and what such rows can detect."""
    settings = ("metric", "min_effect_size", "confidence_level", "power", "minimum_positives")
    rows = evidence.rows
    missing = power.shortfalls(rows, policy.minimum_positives)
    needed: power.Needed | None = power.Needed(0, 0)
    if not missing and any(c.name in UNDECIDABLE and c.status == "failed" for c in checks):
        needed = None  # more rows alone are no remedy, or nobody knows how many
    elif strategy_result.says == "inconclusive" or missing:
        needed = power.rows_still_needed(strategy_result.result, policy, missing, alpha=test_alpha)
    return {
        "strategy": policy.strategy_in_reports,
        **{name: getattr(policy, name) for name in settings},
        "alpha": test_alpha,
        **strategy_result.result._asdict(),
        "minimum_detectable_effect": power.minimum_detectable_effect(
            strategy_result.result.standard_error,
            alpha=test_alpha,
            power=policy.power,
            min_effect_size=policy.min_effect_size,
            degrees=strategy_result.result.degrees_of_freedom,
        ),
        "n_units": rows.n_units,
        "period": policy.period if rows.n_periods else None,
        "n_periods": rows.n_periods,
        "rows_still_needed": needed and needed.rows,
        "positives_still_needed": needed and needed.positives,
        "periods_still_needed": needed and needed.periods(rows),
    }


def _of_campaign(
    stands: Campaign | None, looks: tuple[Look, ...], figures: dict[str, Any], policy: Policy
) -> dict[str, Any]:
    """The figures that mean another thing of a campaign than of a single test."""
    if stands is None:
        return {}
    more, detectable = stands.looks_still_needed, campaign.detectable_effect(looks, policy.power)
    needed = {
        name: None if more is None or total is None else math.ceil(total * more / stands.look)
        for name, total in (
            ("rows_still_needed", figures["n_rows"]),
            ("positives_still_needed", figures["n_positives"]),
            ("periods_still_needed", figures["n_periods"]),
        )
    }
    return {"minimum_detectable_effect": policy.min_effect_size + detectable, **needed}


def _plan(result: PairedResult, looks: tuple[Look, ...], policy: Policy) -> tuple[PlannedRule, ...]:
    """What tests would find with as many rows as a look has had on average."""
    n_made = max(1, sum(look.made for look in looks))
    error = result.standard_error * math.sqrt(n_made)
    return plan_rules(error, round(result.n_rows / n_made), policy)


def _cross_check(
    evidence: Evidence, policy: Policy, rng: np.random.Generator
) -> tuple[CrossCheck | None, Floats]:
    """The bootstrap of the same effect, with fewer resamples, or none, where rows are many."""
    rows, metric = evidence.rows, policy.chosen_metric
    if rows.are_dependent_cells:
        return NOT_CHECKED
    n_resamples = bootstrap.affordable(rows, metric, policy.n_resamples)
    if n_resamples < comparing.MINIMUM_RESAMPLES:
        return NOT_CHECKED
    effects = bootstrap.replicates(
        rows, metric, n_resamples=n_resamples, rng=rng, resample=policy.resample
    )
    result = comparing.of_effects(
        rows, metric, effects, confidence_level=policy.confidence_level, interval=policy.interval
    )
    shown = {field.name: getattr(result, field.name) for field in dataclasses.fields(CrossCheck)}
    return CrossCheck(**shown), effects


def _compare_maturities(maturities: Mapping[int, Rows], policy: Policy) -> tuple[Maturity, ...]:
    compared = []
    for extra_days, rows in maturities.items():
        result = comparing.compare_rows(
            rows, policy.chosen_metric, confidence_level=policy.confidence_level
        )
        ends = result.effect_size, result.ci_lower, result.ci_upper
        compared.append(Maturity(extra_days, result.n_rows, result.n_positives, *ends))
    return tuple(compared)
