"""The compiled bootstrap against the metric itself under the same weights, and against theory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from retraining.statistics import bootstrap, compiled
from retraining.statistics.bootstrap import auroc_effects
from retraining.statistics.metrics import METRICS
from retraining.statistics.paired import delong

if TYPE_CHECKING:
    from retraining.statistics.compiled import Packed
    from retraining.statistics.rows import Bools, Codes, Floats

PACKAGE = Path(bootstrap.__file__).parent


class Pair(NamedTuple):
    """Two models' scores of the same rows."""

    label: Bools
    champion: Floats
    challenger: Floats


def simulate(n_rows: int, *, digits: int = 9, prevalence: float = 0.3, seed: int = 0) -> Pair:
    rng = np.random.default_rng(seed)
    label = rng.random(n_rows) < prevalence
    common = rng.normal(size=n_rows) + label
    noise = rng.normal(scale=0.5, size=(2, n_rows))
    champion, challenger = np.round(common + noise, digits)
    return Pair(label, champion, challenger)


def pack(weights: Floats) -> Packed:
    """Weights of shape (LANES, n) as the kernels keep them."""
    lanes = weights.astype(np.uint8).T
    return np.ascontiguousarray(lanes[:, : compiled.LINE] | (lanes[:, compiled.LINE :] << 4))


def unpack(packed: Packed) -> Floats:
    return np.concatenate([packed & 15, packed >> 4], axis=1).T.astype(np.float64)


def drawn_weights(n_rows: int, seed: int) -> Packed:
    state = np.random.default_rng(seed).integers(2**64, size=(4, compiled.STREAMS), dtype=np.uint64)
    packed = np.zeros((n_rows, compiled.LINE), dtype=np.uint8)
    compiled.draw(state, packed.reshape(-1).view(np.uint64))
    return packed


def kernel_auroc(label: Bools, score: Floats, packed: Packed, unit: Codes | None = None) -> Floats:
    order = np.argsort(score)
    edges, tied = compiled.find_steps(label, score, order)
    places = order if unit is None else unit[order]
    wins, ones, zeros, _ = compiled.count_wins(packed, places, edges, tied)
    with np.errstate(invalid="ignore"):
        return wins / (2.0 * ones * zeros)


@settings(deadline=None, max_examples=200)
@given(
    rows=st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=60),
    seed=st.integers(0, 99),
)
def test_area_is_that_of_the_metric_under_the_same_weights(
    rows: list[tuple[bool, int]], seed: int
) -> None:
    label = np.array([row[0] for row in rows])
    score = np.array([row[1] for row in rows], dtype=np.float64)
    weights = np.random.default_rng(seed).integers(0, 8, size=(compiled.LANES, len(rows)))
    found = kernel_auroc(label, score, pack(weights.astype(np.float64)))
    whole = (weights[:, label].sum(axis=1) > 0) & (weights[:, ~label].sum(axis=1) > 0)
    assert np.array_equal(np.isnan(found), ~whole)
    if label.any() and not label.all():
        expected = METRICS["auroc"].evaluator(label, score)(weights[whole].astype(np.float64))
        np.testing.assert_allclose(found[whole], expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("digits", [9, 2, 1, 0])
@pytest.mark.parametrize("prevalence", [0.01, 0.5, 0.99])
def test_area_of_many_rows_is_that_of_the_metric(digits: int, prevalence: float) -> None:
    label, score, _ = simulate(5000, digits=digits, prevalence=prevalence)
    packed = drawn_weights(5000 + (-5000 % compiled.ROWS_A_DRAW), 1)[:5000]
    expected = METRICS["auroc"].evaluator(label, score)(unpack(packed))
    np.testing.assert_allclose(kernel_auroc(label, score, packed), expected, rtol=0, atol=1e-12)


def test_area_with_the_largest_weights_does_not_overflow() -> None:
    label = np.repeat([False, True, False, True], 1000)
    score = np.repeat([1.0, 1.0, 0.0, 2.0], 1000)
    packed = pack(np.full((compiled.LANES, 4000), 7.0))
    assert np.all(kernel_auroc(label, score, packed) == 7 / 8)


def test_rows_of_a_unit_share_its_weight() -> None:
    label, score, _ = simulate(900, digits=1)
    unit = np.random.default_rng(5).integers(0, 50, 900)
    packed = drawn_weights(56, 2)
    expected = METRICS["auroc"].evaluator(label, score)(unpack(packed)[:, unit])
    found = kernel_auroc(label, score, packed, unit)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_steps_hold_every_row_once_and_class_0_first() -> None:
    label, score, _ = simulate(500, digits=1)
    order = np.argsort(score)
    edges, tied = compiled.find_steps(label, score, order)
    assert np.array_equal(np.sort(order), np.arange(500))
    assert np.all(np.diff(score[order]) >= 0)
    assert edges[0] == 0
    assert edges[-1] == 500
    for k, is_tied in enumerate(tied):
        start, middle, end = edges[2 * k : 2 * k + 3]
        assert not label[order[start:middle]].any()
        assert label[order[middle:end]].all()
        values = np.unique(score[order[start:end]])
        assert (values.size == 1) >= is_tied
        shared = np.intersect1d(score[order[start:middle]], score[order[middle:end]])
        assert shared.size == is_tied


def test_bounds_give_mean_and_variance_one_and_are_those_of_poisson() -> None:
    above = np.array(compiled.TAILS) / 2**compiled.DIGITS
    odd = 2 * np.arange(above.size) + 1  # E[W^2] is the sum of (2k + 1) P(W > k)
    assert above.sum() == 1
    assert odd @ above == 2
    share = -np.diff(np.r_[1.0, above, 0.0])
    exact = stats.poisson.pmf(np.arange(8), 1)
    exact[7] = stats.poisson.sf(6, 1)
    assert np.abs(share - exact).max() < 4e-5


def test_weights_are_poisson_and_independent() -> None:
    weights = unpack(drawn_weights(16384, 3))
    n_weights = weights.size
    counts = np.bincount(weights.astype(np.intp).ravel(), minlength=8)
    expected = stats.poisson.pmf(np.arange(8), 1)
    expected[7] = stats.poisson.sf(6, 1)
    assert stats.chisquare(counts, expected * n_weights).pvalue > 1e-3
    # Fourth central moment of Poisson(1) is 4: the variance of a squared deviation is 3.
    assert abs(weights.mean() - 1) < 4 / np.sqrt(n_weights)
    assert abs(((weights - 1) ** 2).mean() - 1) < 4 * np.sqrt(3 / n_weights)
    lanes = np.asarray(np.corrcoef(weights))[np.triu_indices(compiled.LANES, 1)]
    assert abs(np.sum(lanes**2) * 16384 / lanes.size - 1) < 4 * np.sqrt(2 / lanes.size)
    for lag in range(1, 17):
        product = ((weights[:, lag:] - 1) * (weights[:, :-lag] - 1)).mean()
        assert abs(product) < 4 / np.sqrt(n_weights)


def test_poisson_weights_of_a_resample_sum_to_poisson() -> None:
    """The sum over rows would show a dependence of rows that pairs of them are too few to show."""
    totals = np.concatenate([unpack(drawn_weights(1024, seed)).sum(axis=1) for seed in range(40)])
    assert abs(totals.mean() - 1024) < 4 * np.sqrt(1024 / totals.size)
    assert abs(totals.var() / 1024 - 1) < 4 * np.sqrt(2 / totals.size)


@pytest.mark.parametrize("digits", [9, 0])
def test_standard_error_is_that_of_delong(digits: int) -> None:
    pair = simulate(4000, digits=digits, prevalence=0.2)
    rng = np.random.default_rng(11)
    effects = auroc_effects(*pair, unit=None, n_resamples=20_000, rng=rng)
    theory = delong(*pair)
    # The error of a standard deviation of 20,000 resamples is half a percent.
    assert np.std(effects) == pytest.approx(theory.standard_error, rel=0.02)
    assert np.mean(effects) == pytest.approx(
        theory.effect_size, abs=4 * theory.standard_error / np.sqrt(20_000) + 1e-5
    )


def test_standard_error_by_unit_is_that_of_the_sums_of_units() -> None:
    pair = simulate(4000, prevalence=0.2)
    unit = np.repeat(np.arange(500), 8)
    rng = np.random.default_rng(12)
    effects = auroc_effects(*pair, unit=unit, n_resamples=10_000, rng=rng)
    assert np.std(effects) == pytest.approx(delong(*pair, unit=unit).standard_error, rel=0.03)


@pytest.mark.parametrize("n_resamples", [1, 100, 128, 1000])
def test_equal_seeds_give_equal_effects_with_any_number_of_threads(
    monkeypatch: pytest.MonkeyPatch, n_resamples: int
) -> None:
    pair = simulate(700, digits=1)
    found = []
    for processors in (1, 2, 7):
        monkeypatch.setattr(bootstrap, "_processors", lambda count=processors: count)
        rng = np.random.default_rng(3)
        found.append(auroc_effects(*pair, unit=None, n_resamples=n_resamples, rng=rng))
    assert found[0].shape == (n_resamples,)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
    again = auroc_effects(*pair, unit=None, n_resamples=n_resamples, rng=rng)
    assert not np.array_equal(found[0], again)


def test_little_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = simulate(300)
    found = []
    for memory in (bootstrap.MEMORY, 1):
        monkeypatch.setattr(bootstrap, "MEMORY", memory)
        rng = np.random.default_rng(3)
        found.append(auroc_effects(*pair, unit=None, n_resamples=300, rng=rng))
    assert np.array_equal(found[0], found[1])


def test_exchanged_models_give_opposite_effects_and_equal_orders_none() -> None:
    label, champion, challenger = simulate(400, digits=1)

    def effects(first: Floats, second: Floats) -> Floats:
        rng = np.random.default_rng(4)
        return auroc_effects(label, first, second, unit=None, n_resamples=256, rng=rng)

    assert np.array_equal(effects(champion, challenger), -effects(challenger, champion))
    assert np.all(effects(champion, np.exp(champion)) == 0)


def test_resample_without_a_class_is_nan() -> None:
    label = np.array([True, False, False])
    score = np.array([0.2, 0.1, 0.3])
    rng = np.random.default_rng(6)
    effects = auroc_effects(label, score, -score, unit=None, n_resamples=10_000, rng=rng)
    lacking = 1 - (1 - np.exp(-1)) * (1 - np.exp(-2))
    assert np.isnan(effects).mean() == pytest.approx(lacking, abs=4 * 0.5 / 100)


@settings(deadline=None, max_examples=100)
@given(
    rows=st.lists(
        st.tuples(st.booleans(), st.integers(0, 9), st.integers(1, 5)), min_size=2, max_size=40
    )
)
def test_derivative_is_the_share_of_the_other_class_on_the_right_side(
    rows: list[tuple[bool, int, int]],
) -> None:
    label = np.array([row[0] for row in rows])
    if label.all() or not label.any():
        return
    score, mass = np.array([row[1:] for row in rows], dtype=np.float64).T
    area, influence = compiled.differentiate_auroc(label, mass, score, np.argsort(score))
    ahead = (score[label, None] > score[~label]) + 0.5 * (score[label, None] == score[~label])
    ones, zeros = mass[label], mass[~label]
    assert area == pytest.approx(ones @ ahead @ zeros / (ones.sum() * zeros.sum()), abs=1e-14)
    of_ones = (ahead @ zeros / zeros.sum() - area) / ones.sum()
    of_zeros = (ones @ ahead / ones.sum() - area) / zeros.sum()
    np.testing.assert_allclose(influence[label], of_ones, rtol=0, atol=1e-14)
    np.testing.assert_allclose(influence[~label], of_zeros, rtol=0, atol=1e-14)


def test_import_does_not_load_numba() -> None:
    code = "import sys, retraining.statistics.bootstrap; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parents[1])


@pytest.mark.parametrize("home", ["writable", "missing"])
def test_package_that_cannot_be_written_to_works_without_a_warning(
    tmp_path: Path, home: str
) -> None:
    """Machine code goes to the user's cache, or nowhere."""
    package = tmp_path / "steps" / "retraining" / PACKAGE.name
    package.mkdir(parents=True)
    for module in [*PACKAGE.glob("*.py"), *PACKAGE.parent.glob("*.py")]:
        shutil.copy(module, package.parent / module.relative_to(PACKAGE.parent))
    (package / "__pycache__").touch()  # a file, so that not even root can make the folder
    (tmp_path / "writable").mkdir()
    (tmp_path / "missing").touch()
    code = (
        "import numpy as np; from retraining.statistics.bootstrap import auroc_effects\n"
        "label = np.arange(50) % 3 == 0; score = np.arange(50.0)\n"
        "rng = np.random.default_rng(0)\n"
        "print(auroc_effects(label, score, -score, unit=None, n_resamples=9, rng=rng).size)\n"
    )
    keep = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    place = {"HOME": str(tmp_path / home), "XDG_CACHE_HOME": str(tmp_path / home / "cache")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=package.parents[1], env=keep | place, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "9\n", "")
    assert any((tmp_path / "writable").rglob("*.nbi")) == (home == "writable")
