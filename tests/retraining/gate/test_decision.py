"""Verdicts: which rule leads to which, and every number that goes with it."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from retraining.errors import RetrainingError
from retraining.gate.decision import Evidence, decide, judge
from retraining.gate.policy import Policy, Strategy
from retraining.gate.power import MINIMUM_UNITS
from retraining.gate.strategies import STRATEGIES
from retraining.gate.verdict import Verdict
from retraining.statistics.checks import check_rows
from retraining.statistics.dispersion import Dispersion
from retraining.statistics.metrics import METRICS
from retraining.statistics.paired import delong
from retraining.statistics.rows import Measured, Totals
from retraining.statistics.slicing import take
from tests.drawing import draw_scores
from tests.reading import numbers
from tests.samples import LEDGER

if TYPE_CHECKING:
    from retraining.statistics.rows import Codes, Floats, Rows

KEYS = [field.name for field in fields(Verdict)]
LENIENT = Policy(calibration_factor=1000.0, suspicious_gain=1.0)
Z = float(stats.norm.ppf(0.95) + stats.norm.ppf(0.8))


def scored(n: int = 2000, lift: float = 0.0, seed: int = 0) -> tuple[Codes, Floats, Floats]:
    """Every fifth row positive; the challenger separates the classes by `lift` more."""
    rng = np.random.default_rng(seed)
    label = (np.arange(n) % 5 == 0).astype(np.intp)
    champion, challenger = (
        1 / (1 + np.exp(-score)) for score in draw_scores(label == 1, rng, lift=lift, noise=0.4)
    )
    return label, champion, challenger


def checked(label: Codes, champion: Floats, challenger: Floats) -> Rows:
    return check_rows(label, {"champion": champion, "challenger": challenger})


def test_a_better_challenger_is_promoted() -> None:
    verdict = decide(*scored(lift=0.4), policy=Policy())
    assert verdict.verdict == "promote"
    assert verdict.pvalue < verdict.alpha
    assert verdict.rows_still_needed == 0
    assert "in favour of the challenger" in verdict.reasons[0]
    assert numbers(verdict.reasons[1])[-1] == "0.05"
    assert "below this test's alpha" in verdict.reasons[1]


def test_a_worse_challenger_is_not_promoted() -> None:
    verdict = decide(*scored(lift=-0.4), policy=Policy())
    assert verdict.verdict == "keep_champion"
    assert verdict.ci_upper <= 0
    assert "in favour of the champion" in verdict.reasons[0]
    assert numbers(verdict.reasons[1]) == ["0"]


def test_an_equal_challenger_is_inconclusive() -> None:
    verdict = decide(*scored(seed=3), policy=Policy())
    assert verdict.verdict == "inconclusive"
    assert verdict.ci_lower < 0 < verdict.ci_upper
    assert any("minimum detectable effect" in reason for reason in verdict.reasons)


def test_a_gain_below_the_required_one_keeps_the_champion() -> None:
    """Significantly above zero, significantly below what is required."""
    rows = scored(n=20_000, lift=0.15)
    assert decide(*rows, policy=Policy()).verdict == "promote"
    demanding = decide(*rows, policy=Policy(min_effect_size=0.1))
    assert demanding.verdict == "keep_champion"
    assert demanding.pvalue > 0.99


def test_pvalue_is_of_the_required_effect() -> None:
    rows = scored(lift=0.2)
    verdict = decide(*rows, policy=Policy(min_effect_size=0.004))
    expected = stats.norm.sf((verdict.effect_size - 0.004) / verdict.standard_error)
    assert verdict.pvalue == pytest.approx(expected, rel=1e-9)
    unit = np.arange(2000) // 20
    verdict = decide(*rows, policy=Policy(min_effect_size=0.004), unit=unit)
    expected = stats.t.sf((verdict.effect_size - 0.004) / verdict.standard_error, 99)
    assert verdict.pvalue == pytest.approx(expected, rel=1e-9)
    assert verdict.n_units == 100


def test_verdict_repeats_the_paired_result() -> None:
    rows = scored(lift=0.2)
    weight, unit = np.linspace(1, 2, 2000), np.arange(2000) // 10
    verdict = decide(*rows, policy=Policy(confidence_level=0.9), weight=weight, unit=unit)
    result = delong(*rows, weight=weight, unit=unit, confidence_level=0.9)
    for name in set(result._fields) - {"period_ratio"}:
        assert getattr(verdict, name) == pytest.approx(getattr(result, name), rel=1e-12)
    assert verdict.period_ratio is None


def test_minimum_detectable_effect_is_what_the_test_would_find() -> None:
    verdict = decide(*scored(), policy=Policy())
    assert verdict.minimum_detectable_effect == pytest.approx(Z * verdict.standard_error)
    above = decide(*scored(), policy=Policy(min_effect_size=0.01))
    assert above.minimum_detectable_effect == pytest.approx(0.01 + Z * verdict.standard_error)


def test_rows_still_needed_bring_the_detectable_effect_down_to_the_observed_one() -> None:
    verdict = decide(*scored(n=1000, lift=0.05, seed=2), policy=Policy())
    assert verdict.verdict == "inconclusive"
    assert verdict.rows_still_needed is not None
    assert verdict.effect_size > 0
    factor = (verdict.n_rows + verdict.rows_still_needed) / verdict.n_rows
    detectable = Z * verdict.standard_error / math.sqrt(factor)
    assert detectable == pytest.approx(verdict.effect_size, rel=1e-3)
    assert f"{verdict.rows_still_needed:,} more rows" in verdict.reasons[-1]


def test_rows_still_needed_are_unknown_for_no_effect_to_speak_of() -> None:
    """Half of the rows favour one model, half the other: the effect is exactly zero."""
    label, champion, challenger = scored(n=1000)
    both = np.tile(label, 2), np.r_[champion, challenger], np.r_[challenger, champion]
    verdict = decide(*both, policy=Policy())
    assert verdict.verdict == "inconclusive"
    assert verdict.effect_size == 0
    assert verdict.rows_still_needed is None
    assert "too close" in verdict.reasons[-1]


@pytest.mark.parametrize(("flipped", "named"), [(False, "positives"), (True, "negatives")])
def test_too_few_rows_of_a_class_decide_nothing(flipped: bool, named: str) -> None:  # noqa: FBT001
    label, champion, challenger = scored(n=400, lift=1.0)
    rows = (1 - label, -champion, -challenger) if flipped else (label, champion, challenger)
    verdict = decide(*rows, policy=LENIENT)
    assert verdict.verdict == "inconclusive"
    assert verdict.pvalue < 0.001
    assert numbers(verdict.reasons[1]) == ["80", "100"]
    assert named in verdict.reasons[1]
    assert "minimum detectable effect" in verdict.reasons[2]
    assert verdict.rows_still_needed == 100  # 500 rows hold 100 of the rarer class
    assert verdict.positives_still_needed == (80 if flipped else 20)
    assert decide(*rows, policy=replace(LENIENT, minimum_positives=80)).verdict == "promote"


def test_unequal_weights_count_for_what_they_are_worth() -> None:
    rows = scored(n=1000, lift=1.0)
    weight = np.where(np.arange(1000) < 50, 100.0, 0.01)
    verdict = decide(*rows, policy=LENIENT, weight=weight)
    assert verdict.verdict == "inconclusive"
    assert numbers(verdict.reasons[1])[:3] == ["200", "10.0", "100"]
    assert decide(*rows, policy=LENIENT, weight=np.full(1000, 7.0)).verdict == "promote"


def test_too_few_units_decide_nothing() -> None:
    rows = scored(lift=0.8)
    assert decide(*rows, policy=LENIENT, unit=np.arange(2000) % 29).verdict == "inconclusive"
    verdict = decide(*rows, policy=LENIENT, unit=np.arange(2000) % MINIMUM_UNITS)
    assert verdict.verdict == "inconclusive"  # every fifth row: positives in six of the units
    assert numbers(verdict.reasons[2])[:2] == ["6", "30"]
    assert verdict.rows_still_needed == 8000
    assert decide(*rows, policy=LENIENT, unit=np.arange(2000) // 40).verdict == "promote"


def statuses(verdict: Verdict) -> dict[str, str]:
    return {check.name: check.status for check in verdict.guardrails}


def sentences(verdict: Verdict) -> dict[str, str]:
    return {check.name: check.sentence for check in verdict.guardrails}


def test_a_gain_too_good_to_be_true_is_not_promoted() -> None:
    verdict = decide(*scored(lift=5.0), policy=replace(LENIENT, suspicious_gain=0.8))
    assert verdict.verdict == "inconclusive"
    assert statuses(verdict)["leak"] == "failed"
    assert verdict.pvalue < verdict.alpha
    assert verdict.rows_still_needed == 0
    assert "not promoted" in verdict.reasons[2]
    assert verdict.reasons[3] == sentences(verdict)["leak"]


def test_a_slice_that_gets_worse_stops_a_promotion() -> None:
    label, champion, challenger = scored(n=6000, lift=0.8)
    weekend = np.arange(6000) % 4 == 0
    challenger[weekend] = np.random.default_rng(1).permutation(challenger[weekend])
    rows = checked(label, champion, challenger)
    whole = judge(Evidence(rows), LENIENT, rng=np.random.default_rng(0)).verdict
    parts = take(rows, {"weekend": weekend})
    sliced = judge(Evidence(rows, parts), LENIENT, rng=np.random.default_rng(0)).verdict
    assert (whole.verdict, sliced.verdict) == ("promote", "inconclusive")
    assert [(part.name, part.status) for part in sliced.slices] == [
        ("weekend=false", "not_worse"),
        ("weekend=true", "worse"),
    ]
    assert sliced.reasons[3] == sentences(sliced)["slices"]
    assert "worse in weekend=true" in sliced.reasons[3]


@pytest.mark.parametrize(
    ("strategy", "rate"),
    [
        ("subsample_ttest", ["26.4%", "0.05", "3.2%", "1%"]),
        ("disjoint_split", ["17.4%"]),
        ("interval_overlap", ["0%"]),
    ],
)
def test_nothing_is_promoted_on_a_rule_that_is_not_valid(
    strategy: Strategy, rate: list[str]
) -> None:
    policy = replace(LENIENT, strategy=strategy)
    verdict = decide(*scored(n=20_000, lift=1.0), policy=policy, rng=np.random.default_rng(0))
    assert verdict.verdict == "inconclusive"
    (reason,) = (text for text in verdict.reasons if text.startswith(f"{strategy}: "))
    assert numbers(reason.partition("This rule promotes ")[2]) == rate
    in_full = judge(Evidence(checked(*scored(lift=1.0))), policy, rng=np.random.default_rng(0))
    (opinion,) = (one for one in in_full.verdict.opinions if one.strategy == strategy)
    assert (opinion.says, opinion.valid) == ("promote", False)


def test_the_ledger_decides_what_alpha_is_left() -> None:
    rows = checked(*scored(lift=0.1))
    spending = replace(LEDGER, alpha=0.00001)
    free = judge(Evidence(rows), LENIENT, rng=np.random.default_rng(0)).verdict
    bound = judge(Evidence(rows), LENIENT, ledger=spending, rng=np.random.default_rng(0)).verdict
    assert free.verdict == "promote"
    assert 0.00001 < free.pvalue < 0.05
    assert (bound.verdict, bound.alpha, bound.ledger) == ("inconclusive", 0.00001, spending)
    assert numbers(bound.reasons[1]) == ["4", "365", "0.1107", "0.2", "26", "1e-05", "1.3"]


def test_what_cells_can_hide_is_held_against_the_challenger() -> None:
    rows = checked(*scored(lift=0.2))
    exact = judge(Evidence(rows), LENIENT, rng=np.random.default_rng(0)).verdict
    spread = Dispersion(exact.standard_error**2, degrees=499.0, worth=500.0)
    known = Measured(exact.champion, exact.challenger, 0.004, spread)
    cells = rows._replace(
        square=rows.squares, size=rows.sizes, totals=Totals({"auroc": known}, 700, (700, 600))
    )
    careful = judge(Evidence(cells), LENIENT, rng=np.random.default_rng(0)).verdict
    reach = stats.t.isf(0.025, 499) * exact.standard_error + 0.004
    assert careful.ci_lower == pytest.approx(exact.effect_size - reach)
    assert careful.ci_upper == pytest.approx(exact.effect_size + reach)
    assert careful.effect_size == exact.effect_size
    expected = stats.t.sf((exact.effect_size - 0.004) / exact.standard_error, 499)
    assert careful.pvalue == pytest.approx(expected, rel=1e-9)
    assert (careful.error_bound, careful.n_units, careful.effective_units) == (0.004, 700, 500)


@given(seed=st.integers(0, 1000), strategy=st.sampled_from(["delong", "paired_bootstrap"]))
def test_identical_scores_never_promote(seed: int, strategy: str) -> None:
    rng = np.random.default_rng(seed)
    label, score = rng.integers(0, 2, 30), rng.integers(0, 9, 30)
    label[:4] = 0, 0, 1, 1
    policy = Policy(strategy=strategy, minimum_positives=2, n_resamples=100)  # type: ignore[arg-type]
    verdict = decide(label, score, score, policy=policy, weight=rng.random(30) + 0.1, rng=rng)
    assert verdict.verdict == "keep_champion"
    assert verdict.pvalue == 1.0
    assert "alike" in verdict.reasons[0]
    assert "interval" not in verdict.reasons[0]


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_bootstrap_promotes_and_keeps_by_every_metric(metric: str) -> None:
    label, champion, challenger = scored(n=4000, seed=1)
    worse = np.random.default_rng(0).permutation(champion)
    policy = Policy(
        metric=metric,
        strategy="paired_bootstrap",
        n_resamples=200,
        capacity=0.2,
        false_negative_cost=4,
        calibration_factor=1000.0,
    )
    rng = np.random.default_rng(5)
    better = decide(label, worse, challenger, policy=policy, rng=rng)
    assert (better.verdict, better.metric, better.strategy) == ("promote", metric, policy.strategy)
    assert better.effect_size > 0
    assert decide(label, challenger, worse, policy=policy, rng=rng).verdict == "keep_champion"


def test_bootstrap_repeats_with_its_generator() -> None:
    rows, policy = scored(n=600), Policy(strategy="paired_bootstrap", n_resamples=100)
    one, other = (decide(*rows, policy=policy, rng=np.random.default_rng(3)) for _ in range(2))
    assert one == other


def test_mapping_is_json_in_a_stable_order() -> None:
    label, *scores = scored()
    names = ("champion", "challenger")
    rows = check_rows(label, dict(zip(names, scores, strict=True)), unit=np.arange(2000) // 10)
    verdict = judge(Evidence(rows), Policy(), rng=np.random.default_rng(0)).verdict
    mapping = verdict.to_mapping()
    assert list(mapping) == KEYS
    read = json.loads(json.dumps(mapping, allow_nan=False))
    assert tuple(read.pop("reasons")) == verdict.reasons
    nested = {"cross_check", "guardrails", "slices", "opinions", "maturities", "ledger"}
    nested |= {"campaign", "looks", "plan"}
    assert all(read[name] == getattr(verdict, name) for name in read.keys() - nested)
    assert read["cross_check"]["n_rows"] == 2000
    assert next(check["name"] for check in read["guardrails"]) == "minimum_positives"
    named = [opinion["strategy"] for opinion in read["opinions"]]
    assert named == ["delong", *(name for name in STRATEGIES if name != "influence")]


def test_mapping_writes_null_for_what_is_unknown() -> None:
    """One unit with positives: no variance, so no interval, no p-value, no detectable effect."""
    label = [1, 1, 0, 0, 0, 0]
    unit = [0, 0, 1, 2, 3, 4]
    policy = Policy(minimum_positives=2)
    verdict = decide(label, [1, 3, 2, 1, 4, 5], [2, 3, 1, 4, 2, 1], policy=policy, unit=unit)
    mapping = verdict.to_mapping()
    json.dumps(mapping, allow_nan=False)
    unknown = ["ci_lower", "ci_upper", "pvalue", "minimum_detectable_effect", "standard_error"]
    unknown += ["period", "n_periods", "period_ratio", "degrees_of_freedom"]
    unknown += [f"{what}_still_needed" for what in ("rows", "positives", "periods")]
    unknown += ["cross_check", "ledger", "campaign"]
    assert [name for name in KEYS if mapping[name] is None] == unknown
    assert verdict.verdict == "inconclusive"
    assert "cannot be estimated" in verdict.reasons[-1]


def test_decide_refuses_rows_of_one_class() -> None:
    with pytest.raises(RetrainingError, match=r"^label has no positives"):
        decide([0, 0, 0], [1, 2, 3], [1, 2, 3], policy=Policy())


def test_verdict_is_frozen() -> None:
    verdict = decide(*scored(), policy=Policy())
    with pytest.raises(AttributeError):
        verdict.verdict = "promote"  # type: ignore[misc]
    assert isinstance(replace(verdict, verdict="promote"), Verdict)
