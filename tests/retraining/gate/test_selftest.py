"""The self-test passes for a right comparison, by every metric, and catches wrong ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from retraining.gate import selftest
from retraining.gate.policy import Policy
from retraining.gate.selftest import self_test
from retraining.statistics.checks import check_rows
from retraining.statistics.comparing import bootstrap_rows, compare_rows
from retraining.statistics.metrics import METRICS, Metric

if TYPE_CHECKING:
    from collections.abc import Callable

    from retraining.gate.verdict import Guardrail
    from retraining.statistics.inference import PairedResult
    from retraining.statistics.rows import Rows

    Compare = Callable[..., PairedResult]


def scored(n_rows: int = 1000, every: int = 10, seed: int = 0, unit: object = None) -> Rows:
    """Every n-th row positive; probabilities of an ordinary champion, and random numbers."""
    rng = np.random.default_rng(seed)
    label = np.arange(n_rows) % every == 0
    logit = rng.normal(size=n_rows) + 1.2 * label - math.log(every)
    scores = {"champion": 1 / (1 + np.exp(-logit)), "challenger": rng.random(n_rows)}
    return check_rows(label, scores, unit=unit)  # type: ignore[arg-type]


def asked(rows: Rows, metric: str = "auroc") -> Guardrail:
    return self_test(rows, Policy(metric=metric), 0.05, np.random.default_rng(1))


@pytest.fixture
def compare_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[Compare], None]:
    """Replaces the comparison that is tested."""
    return lambda compare: monkeypatch.setattr(selftest, "compare_rows", compare)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("champion", ["ordinary", "constant", "perfect", "inverted", "timid"])
def test_a_right_comparison_passes_whatever_the_champion(metric: str, champion: str) -> None:
    """A timid champion predicts no positives: by f1 it could not get worse."""
    rows = scored()
    score = {
        "ordinary": rows.scores[0],
        "constant": np.full(1000, 0.1),
        "perfect": rows.label.astype(np.float64),
        "inverted": 1.0 - rows.label,
        "timid": rows.scores[0] / 1000,
    }[champion]
    found = asked(rows._replace(scores=(score, rows.scores[1])), metric)
    assert found.status == "passed", found.sentence
    assert found.sentence.startswith("On these rows ")
    assert "30%" in found.sentence


@pytest.mark.parametrize("metric", METRICS)
def test_a_right_comparison_passes_with_few_positives_units_weights_and_cells(metric: str) -> None:
    rare = scored(n_rows=50_000, every=1000)
    units = scored(unit=np.arange(1000) % 37)
    weights = scored()._replace(weight=np.linspace(0.1, 3.0, 1000))
    size = np.where(np.arange(1000) < 20, 500.0, 2.0)
    cells = scored()._replace(weight=3 * size, square=9 * size, size=size)
    for rows in (rare, units, weights, cells):
        found = asked(rows, metric)
        assert found.status == "passed", found.sentence


def test_scores_of_any_scale_have_something_below_and_above_them() -> None:
    rows = scored()
    wide = rows._replace(scores=(1e308 * (2 * rows.scores[0] - 1), rows.scores[1]))
    assert asked(wide).status == "passed"


def test_a_bootstrap_passes_too(compare_by: Callable[[Compare], None]) -> None:
    def compare(rows: Rows, metric: Metric, *, confidence_level: float) -> PairedResult:
        rng = np.random.default_rng(2)
        options = {"n_resamples": 200, "rng": rng, "confidence_level": confidence_level}
        return bootstrap_rows(rows, metric, **options)  # type: ignore[arg-type]

    compare_by(compare)
    assert asked(scored()).status == "passed"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda r: r._replace(pvalue=0.0), "itself has effect 0, p-value 0;"),
        (lambda r: r._replace(effect_size=r.effect_size + 1e-9), "has effect 1e-09, p-value 1."),
        (lambda r: r._replace(pvalue=1 - r.pvalue), "built to be worse does not lose"),
        (
            lambda r: r._replace(ci_lower=-r.ci_upper, ci_upper=-r.ci_lower),
            "built to be better does not win",
        ),
        (lambda r: r._replace(ci_lower=-1.0, ci_upper=1.0), "built to be better does not win"),
        (lambda r: r._replace(pvalue=0.5), "built to be better does not win"),
        (lambda r: r._replace(effect_size=math.nan), "has effect unknown, p-value 1"),
        (
            lambda r: r._replace(ci_lower=math.nan, ci_upper=math.nan),
            "built to be better does not win",
        ),
    ],
)
def test_a_wrong_comparison_fails(
    change: Callable[[PairedResult], PairedResult],
    found: str,
    compare_by: Callable[[Compare], None],
) -> None:
    def compare(rows: Rows, metric: Metric, *, confidence_level: float) -> PairedResult:
        return change(compare_rows(rows, metric, confidence_level=confidence_level))

    compare_by(compare)
    guardrail = asked(scored())
    assert guardrail.status == "failed"
    assert guardrail.sentence.startswith("On these rows ")
    assert found in guardrail.sentence


def test_a_comparison_that_takes_the_models_for_each_other_fails(
    compare_by: Callable[[Compare], None],
) -> None:
    def compare(rows: Rows, metric: Metric, *, confidence_level: float) -> PairedResult:
        turned = rows._replace(scores=rows.scores[::-1])
        return compare_rows(turned, metric, confidence_level=confidence_level)

    compare_by(compare)
    sentence = asked(scored()).sentence
    assert "built to be better does not win" in sentence
    assert "built to be worse does not lose" in sentence


def test_too_few_rows_cannot_answer() -> None:
    assert asked(scored(n_rows=490)).status == "unknown"
    assert asked(scored(n_rows=500)).status == "passed"
    assert asked(scored(unit=np.arange(1000) % 20)).status == "unknown"


def test_many_rows_are_thinned_in_each_class_and_the_sentence_says_so(
    monkeypatch: pytest.MonkeyPatch, compare_by: Callable[[Compare], None]
) -> None:
    seen = []

    def compare(rows: Rows, metric: Metric, *, confidence_level: float) -> PairedResult:
        seen.append((rows.n_rows, rows.n_positives))
        return compare_rows(rows, metric, confidence_level=confidence_level)

    monkeypatch.setattr(selftest, "MAXIMUM_ROWS", 1000)
    compare_by(compare)
    found = asked(scored(n_rows=2400))
    assert seen == [(800, 80)] * 3
    assert found.sentence.startswith("On 800 of 2,400 rows ")


def test_the_answer_repeats_with_its_generator() -> None:
    assert asked(scored()) == asked(scored())


def test_uneven_periods_do_not_make_the_gate_wrong() -> None:
    rows = scored(4000, every=4)
    assert asked(rows._replace(period=(np.arange(4000) % 8 == 0).astype(int))).status == "passed"
