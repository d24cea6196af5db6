"""What earlier systems would have decided: rules whose error is not what they say it is.

Kept as they were, so that their answer can be seen beside that of a valid test. They take rows as
independent, and none of them compares the two models on the same rows.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import special, stats

from retraining.gate.finding import Finding, refuse_cells
from retraining.gate.wording import number
from retraining.statistics.inference import PairedResult, half_width
from retraining.statistics.losses import THRESHOLD, prepare_mean
from retraining.statistics.metrics import METRICS
from retraining.statistics.subsampling import subsamples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retraining.gate.policy import Policy
    from retraining.statistics.losses import Evaluate
    from retraining.statistics.rows import Bools, Floats, Rows

REQUIRED_GAIN: Final = 0.02  # of the area under the ROC curve, by disjoint_split


def subsample_ttest(rows: Rows, policy: Policy, rng: np.random.Generator) -> Finding:
    """Student's t-test between the metrics of two models on subsamples, as if these were new rows.

    Each model is measured on draws of its own, without replacement. The subsamples overlap, so
    that the p-value shrinks with their number and says nothing of rows not seen. The normality of
    both lists is tested by Shapiro and Wilk, and not used.
    """
    refuse_cells(rows, "subsample_ttest")
    metric = policy.chosen_metric
    rows = rows._replace(unit=None)
    lists = []
    for score in rows.scores:
        model = metric.prepare(rows.label, score)
        draws = subsamples(rows, policy.subsample, policy.n_subsamples, rng)
        with np.errstate(invalid="ignore", divide="ignore"):
            values = np.array([float(model(weight)) for weight in draws])
        lists.append(values[~np.isnan(values)])
    init, tuned = lists
    result = _student(rows, init, tuned, policy, 1 if metric.greater_is_better else -1)
    promotes = result.pvalue < policy.alpha and result.effect_size > 0
    measured = {"pvalue_ttest": result.pvalue}
    for name, values in (("init", init), ("tuned", tuned)):
        measured[f"stat_shapiro_{name}"], measured[f"p_shapiro_{name}"] = _shapiro(values)
    return Finding(
        result,
        "promote" if promotes else "keep_champion",
        f"Its t-test has the p-value {number(result.pvalue)} and a mean gain of "
        f"{number(result.effect_size)}, at alpha {number(policy.alpha)}.",
        {"scores_init.csv": {metric.name: init}, "scores_tuned.csv": {metric.name: tuned}},
        measured,
    )


def disjoint_split(rows: Rows, policy: Policy, rng: np.random.Generator) -> Finding:  # noqa: ARG001
    """Each model is measured on a half of its own, and a gain above `REQUIRED_GAIN` promotes."""
    refuse_cells(rows, "disjoint_split")
    half = np.zeros(rows.label.size)
    half[rng.permutation(half.size)[: half.size // 2]] = 1
    measured: dict[str, float] = {"ab_traffic_split": 0.5}
    for model, score, inside in zip(
        ("champion", "challenger"), rows.scores, (half, 1 - half), strict=True
    ):
        with np.errstate(invalid="ignore", divide="ignore"):
            for name, evaluate in _votes(rows.label, score).items():
                measured[f"{model}_{name}"] = float(evaluate(rows.weight * inside))
        measured[f"{model}_sample_size"] = float(np.sum(inside))
    for name in ("auc", "accuracy", "f1"):
        if f"champion_{name}" in measured and f"challenger_{name}" in measured:
            change = measured[f"challenger_{name}"] - measured[f"champion_{name}"]
            measured[f"{name}_improvement"] = change
    gain = measured["auc_improvement"]
    return Finding(
        _without_error(rows, measured["champion_auc"], measured["challenger_auc"]),
        "promote" if gain > REQUIRED_GAIN else "keep_champion",
        f"The gain between its halves is {number(gain)}, and it asks for more than "
        f"{REQUIRED_GAIN:g}.",
        measured=measured,
    )


def interval_overlap(rows: Rows, policy: Policy, rng: np.random.Generator) -> Finding:
    """Each model has a bootstrap of its own; intervals that do not overlap win a vote.

    Votes are of AUROC and, where all scores are probabilities, of accuracy and F1 at `THRESHOLD`.
    """
    refuse_cells(rows, "interval_overlap")
    shares = ((1 - policy.confidence_level) / 2, (1 + policy.confidence_level) / 2)
    old, new = (
        {
            name: np.nanquantile(values, shares)
            for name, values in _bootstrap(rows, score, policy.n_resamples, rng).items()
        }
        for score in rows.scores
    )
    names = old.keys() & new.keys()
    wins = sum(bool(new[name][0] > old[name][1]) for name in names)
    losses = sum(bool(new[name][1] < old[name][0]) for name in names)
    first, second = (
        float(METRICS["auroc"].prepare(rows.label, score)(rows.weight)) for score in rows.scores
    )
    return Finding(
        _without_error(rows, first, second),
        "promote" if wins > losses else "keep_champion",
        f"Of its {len(names)} pairs of intervals {wins} lie apart in favour of the challenger "
        f"and {losses} in favour of the champion.",
        measured={
            "improvements": float(wins),
            "deteriorations": float(losses),
            "inconclusive": float(len(names) - wins - losses),
        },
    )


def _student(rows: Rows, init: Floats, tuned: Floats, policy: Policy, sign: int) -> PairedResult:
    """Of two lists as independent samples of equal variance, two-sided."""
    old, new = (float(np.mean(values)) if values.size else math.nan for values in (init, tuned))
    degrees = float(init.size + tuned.size - 2)
    if min(init.size, tuned.size) < 2:
        return _without_error(rows, old, new, sign)
    squares = np.var(init) * init.size + np.var(tuned) * tuned.size
    error = math.sqrt(squares / degrees * (1 / init.size + 1 / tuned.size))
    effect = sign * (new - old)
    ratio = abs(effect) / error if error > 0 else math.copysign(math.inf, abs(effect))
    reach = half_width(error, policy.confidence_level, degrees)
    pvalue = 2 * float(special.stdtr(degrees, -ratio)) if effect else 1.0
    return _without_error(rows, old, new, sign)._replace(
        standard_error=error, ci_lower=effect - reach, ci_upper=effect + reach, pvalue=pvalue
    )


def _shapiro(values: Floats) -> tuple[float, float]:
    """Statistic and p-value; of fewer than three values there is none."""
    if values.size < 3:
        return math.nan, math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that are all equal, and of more than 5,000
        statistic, pvalue = stats.shapiro(values)
    return float(statistic), float(pvalue)


def _votes(label: Bools, score: Floats) -> Mapping[str, Evaluate]:
    """What is voted on, by the names that were logged."""
    votes = {"auc": METRICS["auroc"].prepare(label, score)}
    if np.min(score) >= 0 and np.max(score) <= 1:
        right = ((score > THRESHOLD) == label).astype(np.float64)
        votes |= {"accuracy": prepare_mean(right), "f1": METRICS["f1"].prepare(label, score)}
    return votes


def _bootstrap(
    rows: Rows, score: Floats, n_resamples: int, rng: np.random.Generator
) -> Mapping[str, Floats]:
    votes = _votes(rows.label, score)
    found: dict[str, list[float]] = {name: [] for name in votes}
    n = rows.label.size
    with np.errstate(invalid="ignore", divide="ignore"):
        for _ in range(n_resamples):
            weight = rows.weight * np.bincount(rng.integers(0, n, n), minlength=n)
            for name, evaluate in votes.items():
                found[name].append(float(evaluate(weight)))
    return {name: np.array(values) for name, values in found.items()}


def _without_error(rows: Rows, old: float, new: float, sign: int = 1) -> PairedResult:
    effect, nan = sign * (new - old), math.nan
    return PairedResult(effect, old, new, nan, nan, nan, nan, rows.n_rows, rows.n_positives)
