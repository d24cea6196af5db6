"""Does the gate err as often as it says? Simulated comparisons whose truth is known.

Every share is tested against its nominal value with the exact binomial test; a right gate fails
one such test in a thousand seeds, and the seeds are fixed. Each also shows that it could fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from retraining.decision import Policy, Verdict, decide

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retraining.rows import Codes, Floats

    Comparison = tuple[Codes, Floats, Floats, Codes]

pytestmark = pytest.mark.slow

N_ROWS = 800
ROWS_A_UNIT = 10
SEPARATION = 1.2  # of the classes, in standard deviations: an AUROC of .80
NOISE = 0.45  # of either model beyond what both know
DELONG = Policy(confidence_level=0.9)
UNLIKELY = 0.001


def compare(rng: np.random.Generator, lift: float = 0.0, clustering: float = 0.0) -> Comparison:
    """Labels, probabilities of two models, and units; the models are equal without a lift.

    With clustering the rows of a unit tend to have one label, and each model is wrong about a
    unit as a whole.
    """
    unit = np.arange(N_ROWS) // ROWS_A_UNIT
    n_units = N_ROWS // ROWS_A_UNIT
    propensity = rng.normal(size=n_units)[unit] * clustering + rng.normal(size=N_ROWS)
    label = (propensity > 0.6 * np.sqrt(1 + clustering**2)).astype(np.intp)
    common = rng.normal(size=N_ROWS) + SEPARATION * label
    scores = []
    for gain in (0.0, lift):
        about_units = rng.normal(size=n_units)[unit] * clustering
        score = common + NOISE * (rng.normal(size=N_ROWS) + about_units) + gain * label
        scores.append(1 / (1 + np.exp(SEPARATION - score)))
    return label, scores[0], scores[1], unit


def verdicts(
    policy: Policy,
    times: int,
    seed: int,
    *,
    lift: float = 0.0,
    clustering: float = 0.0,
    by_unit: bool = False,
) -> Iterator[Verdict]:
    rng = np.random.default_rng(seed)
    for _ in range(times):
        label, champion, challenger, unit = compare(rng, lift, clustering)
        yield decide(
            label, champion, challenger, policy=policy, unit=unit if by_unit else None, rng=rng
        )


def agreement(found: list[bool], nominal: float) -> float:
    """Probability of a share at least this far from the nominal one, were that the truth."""
    return float(stats.binomtest(sum(found), len(found), nominal).pvalue)


def area(lift: float) -> float:
    """The population's AUROC: normal scores of equal variance in both classes."""
    return float(stats.norm.cdf((SEPARATION + lift) / np.sqrt(2 * (1 + NOISE**2))))


def bootstrap(metric: str) -> Policy:
    return Policy(metric=metric, strategy="paired_bootstrap", n_resamples=200, confidence_level=0.9)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_delong_promotes_an_equal_challenger_as_often_as_alpha(alpha: float) -> None:
    policy = Policy(alpha=alpha)
    promoted = [verdict.verdict == "promote" for verdict in verdicts(policy, 3000, seed=1)]
    assert agreement(promoted, alpha) > UNLIKELY
    assert agreement(promoted, 2 * alpha) < UNLIKELY


def test_delong_promotes_a_challenger_of_the_required_gain_as_often_as_alpha() -> None:
    policy = Policy(min_effect_size=area(0.1) - area(0.0))
    found = verdicts(policy, 3000, seed=2, lift=0.1)
    assert agreement([verdict.verdict == "promote" for verdict in found], 0.05) > UNLIKELY


@pytest.mark.parametrize("lift", [0.0, 0.2])
def test_delong_interval_covers_the_true_effect(lift: float) -> None:
    truth = area(lift) - area(0.0)
    found = verdicts(DELONG, 3000, seed=3, lift=lift)
    covered = [verdict.ci_lower <= truth <= verdict.ci_upper for verdict in found]
    assert agreement(covered, 0.9) > UNLIKELY
    assert agreement(covered, 0.95) < UNLIKELY


def test_minimum_detectable_effect_is_promoted_as_often_as_power() -> None:
    """The lift whose true effect is the minimum detectable effect of these rows."""
    detectable = np.mean([v.minimum_detectable_effect for v in verdicts(DELONG, 200, seed=4)])
    inside = stats.norm.ppf(area(0.0) + detectable) * np.sqrt(2 * (1 + NOISE**2))
    found = verdicts(DELONG, 1500, seed=5, lift=float(inside) - SEPARATION)
    share = np.mean([verdict.verdict == "promote" for verdict in found])
    assert share == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("metric", ["auroc", "auprc", "log_loss", "brier", "f1"])
def test_bootstrap_errs_as_often_as_it_says(metric: str) -> None:
    found = list(verdicts(bootstrap(metric), 700, seed=6))
    assert agreement([verdict.verdict == "promote" for verdict in found], 0.05) > UNLIKELY
    covered = [verdict.ci_lower <= 0 <= verdict.ci_upper for verdict in found]
    assert agreement(covered, 0.9) > UNLIKELY
    assert agreement(covered, 0.97) < UNLIKELY


@pytest.mark.parametrize(
    ("policy", "times"), [(DELONG, 2000), (bootstrap("auroc"), 700)], ids=["delong", "bootstrap"]
)
def test_units_keep_the_error_of_dependent_rows_at_alpha(policy: Policy, times: int) -> None:
    by_unit = list(verdicts(policy, times, seed=7, clustering=1.0, by_unit=True))
    assert agreement([verdict.verdict == "promote" for verdict in by_unit], 0.05) > UNLIKELY
    covered = [verdict.ci_lower <= 0 <= verdict.ci_upper for verdict in by_unit]
    assert agreement(covered, 0.9) > UNLIKELY
    by_row = list(verdicts(policy, times, seed=7, clustering=1.0))
    assert agreement([verdict.verdict == "promote" for verdict in by_row], 0.05) < UNLIKELY
    assert np.mean([verdict.verdict == "promote" for verdict in by_row]) > 0.1
