"""What earlier systems would have decided: rules whose error rate is not the one they claim.

They are kept so that their answers can be compared with that of a valid test. They assume
independent rows, and none of them compares the two models on the same rows. Files and numbers have
the names that those systems gave them.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import stats

from retraining.gate.strategy_result import StrategyResult, refuse_cells
from retraining.gate.wording import number
from retraining.statistics.dispersion import Dispersion
from retraining.statistics.inference import PairedResult, conclude, half_width
from retraining.statistics.losses import THRESHOLD, mean_evaluator
from retraining.statistics.metrics import METRICS
from retraining.statistics.subsampling import subsamples

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retraining.gate.policy import Policy
    from retraining.statistics.losses import Evaluate
    from retraining.statistics.rows import Floats, Rows

REQUIRED_GAIN: Final = 0.02  # of the area under the ROC curve, by disjoint_split
EARLIER_NAMES: Final = ("init", "tuned")  # of champion and challenger, by subsample_ttest


def subsample_ttest(
    rows: Rows, policy: Policy, test_alpha: float, rng: np.random.Generator
) -> StrategyResult:
    """Student's t-test between the metrics of two models on subsamples, as if they were new rows.

    Each model is measured on its own draws, without replacement. The subsamples overlap, so
    the p-value shrinks as their number grows and says nothing about unseen rows. The normality of
    both samples is tested by Shapiro and Wilk, but the result is not used.
    """
    refuse_cells(rows, "subsample_ttest")
    metric = policy.chosen_metric
    rows = rows._replace(unit=None)
    champion, challenger = (_subsampled(rows, score, policy, rng) for score in rows.scores)
    samples = dict(zip(EARLIER_NAMES, (champion, challenger), strict=True))
    sign = 1 if metric.greater_is_better else -1
    result = _compare_means(rows, champion, challenger, policy.confidence_level, sign)
    promotes = result.pvalue < test_alpha and result.effect_size > 0
    measured = {"pvalue_ttest": result.pvalue}
    for name, values in samples.items():
        measured[f"stat_shapiro_{name}"], measured[f"p_shapiro_{name}"] = _shapiro(values)
    return StrategyResult(
        result,
        "promote" if promotes else "keep_champion",
        f"Its t-test gives the p-value {number(result.pvalue)} for a mean gain of "
        f"{number(result.effect_size)}; this test's alpha is {number(test_alpha)}.",
        {f"scores_{name}.csv": {metric.name: values} for name, values in samples.items()},
        measured,
    )


def disjoint_split(
    rows: Rows,
    policy: Policy,  # noqa: ARG001
    test_alpha: float,  # noqa: ARG001
    rng: np.random.Generator,
) -> StrategyResult:
    """Each model is measured on its own half of the rows; a gain above `REQUIRED_GAIN` promotes."""
    refuse_cells(rows, "disjoint_split")
    half = np.zeros(rows.label.size)
    half[rng.permutation(half.size)[: half.size // 2]] = 1
    measured: dict[str, float] = {"ab_traffic_split": 0.5}
    for model, votes, inside in zip(
        ("champion", "challenger"), _votes(rows), (half, 1 - half), strict=True
    ):
        with np.errstate(invalid="ignore", divide="ignore"):
            for name, evaluate in votes.items():
                measured[f"{model}_{name}"] = float(evaluate(rows.weight * inside))
        measured[f"{model}_sample_size"] = float(np.sum(inside))
    for name in ("auc", "accuracy", "f1"):
        if f"champion_{name}" in measured and f"challenger_{name}" in measured:
            change = measured[f"challenger_{name}"] - measured[f"champion_{name}"]
            measured[f"{name}_improvement"] = change
    gain = measured["auc_improvement"]
    return StrategyResult(
        _without_error(rows, measured["champion_auc"], measured["challenger_auc"]),
        "promote" if gain > REQUIRED_GAIN else "keep_champion",
        f"The gain from one half of the rows to the other is {number(gain)}; the rule requires "
        f"more than {REQUIRED_GAIN:g}.",
        measured=measured,
    )


def interval_overlap(
    rows: Rows,
    policy: Policy,
    test_alpha: float,  # noqa: ARG001
    rng: np.random.Generator,
) -> StrategyResult:
    """Each model has its own bootstrap; every pair of intervals that do not overlap is a vote.

    The votes are by AUROC and, where all scores are probabilities, by accuracy and by F1 at
    `THRESHOLD`.
    """
    refuse_cells(rows, "interval_overlap")
    shares = ((1 - policy.confidence_level) / 2, (1 + policy.confidence_level) / 2)
    champion, challenger = (
        {
            name: np.nanquantile(values, shares)
            for name, values in _bootstrap(rows, votes, policy.n_resamples, rng).items()
        }
        for votes in _votes(rows)
    )
    names = champion.keys() & challenger.keys()
    wins = sum(bool(challenger[name][0] > champion[name][1]) for name in names)
    losses = sum(bool(challenger[name][1] < champion[name][0]) for name in names)
    area = METRICS["auroc"].evaluator
    values = [float(area(rows.label, score)(rows.weight)) for score in rows.scores]
    return StrategyResult(
        _without_error(rows, values[0], values[1]),
        "promote" if wins > losses else "keep_champion",
        f"Of {len(names)} pairs of intervals, {wins} do not overlap in favour of the challenger "
        f"and {losses} in favour of the champion.",
        measured={
            "improvements": float(wins),
            "deteriorations": float(losses),
            "inconclusive": float(len(names) - wins - losses),
        },
    )


def _subsampled(rows: Rows, score: Floats, policy: Policy, rng: np.random.Generator) -> Floats:
    """The metric in every subsample that has both classes."""
    evaluate = policy.chosen_metric.evaluator(rows.label, score)
    draws = subsamples(rows, policy.subsample, policy.n_subsamples, rng)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.array([float(evaluate(weight)) for weight in draws])
    defined: Floats = values[~np.isnan(values)]
    return defined


def _compare_means(
    rows: Rows, champion: Floats, challenger: Floats, confidence_level: float, sign: int
) -> PairedResult:
    """Student's t-test on two independent samples of equal variance, two-sided."""
    of_champion, of_challenger = (
        float(np.mean(v)) if v.size else math.nan for v in (champion, challenger)
    )
    if min(champion.size, challenger.size) < 2:
        return _without_error(rows, of_champion, of_challenger, sign)
    degrees = float(champion.size + challenger.size - 2)
    squares = np.var(champion) * champion.size + np.var(challenger) * challenger.size
    error = math.sqrt(squares / degrees * (1 / champion.size + 1 / challenger.size))
    effect = sign * (of_challenger - of_champion)
    reach = half_width(error, confidence_level, degrees)
    return conclude(
        rows,
        (of_champion, of_challenger),
        effect,
        error,
        (effect - reach, effect + reach),
        alternative="two-sided",
        dispersion=Dispersion(error**2, degrees),
    )


def _shapiro(values: Floats) -> tuple[float, float]:
    """Statistic and p-value; NaN for fewer than three values."""
    if values.size < 3:
        return math.nan, math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that are all equal, and of more than 5,000
        statistic, pvalue = stats.shapiro(values)
    return float(statistic), float(pvalue)


def _votes(rows: Rows) -> Iterator[Mapping[str, Evaluate]]:
    """The metrics that vote, model by model, under the names that were logged."""
    label = rows.label
    for score, probable in zip(rows.scores, rows.are_probabilities, strict=True):
        votes = {"auc": METRICS["auroc"].evaluator(label, score)}
        if probable:
            votes["accuracy"] = mean_evaluator(((score > THRESHOLD) == label).astype(np.float64))
            votes["f1"] = METRICS["f1"].evaluator(label, score)
        yield votes


def _bootstrap(
    rows: Rows, votes: Mapping[str, Evaluate], n_resamples: int, rng: np.random.Generator
) -> Mapping[str, Floats]:
    values: dict[str, list[float]] = {name: [] for name in votes}
    n = rows.label.size
    with np.errstate(invalid="ignore", divide="ignore"):
        for _ in range(n_resamples):
            weight = rows.weight * np.bincount(rng.integers(0, n, n), minlength=n)
            for name, evaluate in votes.items():
                values[name].append(float(evaluate(weight)))
    return {name: np.array(replicates) for name, replicates in values.items()}


def _without_error(rows: Rows, champion: float, challenger: float, sign: int = 1) -> PairedResult:
    effect, nan = sign * (challenger - champion), math.nan
    return PairedResult(
        effect, champion, challenger, nan, nan, nan, nan, rows.n_rows, rows.n_positives
    )
