"""Rows that two models have scored, drawn at random.

Both models see the same signal and share most of their noise, as a champion and its challenger do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from retraining.statistics.checks import check_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from retraining.statistics.rows import Bools, Codes, Floats, Rows


SEPARATION: Final = 1.19  # of the classes by a model whose area under the ROC curve is 0.80


def draw_scores(
    label: Bools,
    rng: np.random.Generator,
    *,
    lift: float = 0.0,
    separation: float = 1.2,
    noise: float = 0.5,
) -> tuple[Floats, Floats]:
    """Scores of champion and challenger, on any scale, shape (n,).

    Args:
        label: Shape (n,).
        rng: Of the noise.
        lift: By how much further the challenger separates the classes.
        separation: Of the classes by the champion, in standard deviations of the shared noise.
        noise: Of either model alone, in the same unit.
    """
    common = rng.normal(size=label.size) + separation * label
    champion, challenger = (
        common + noise * rng.normal(size=label.size) + gain * label for gain in (0.0, lift)
    )
    return champion, challenger


def draw_probabilities(n_rows: int, seed: int, lift: float = 0.0) -> tuple[Codes, Floats, Floats]:
    """Labels, of which a third are positive, and probabilities by champion and challenger."""
    rng = np.random.default_rng(seed)
    label = rng.random(n_rows) < 1 / 3
    champion, challenger = (
        1 / (1 + np.exp(1 - score)) for score in draw_scores(label, rng, lift=lift)
    )
    return label.astype(np.intp), champion, challenger


def draw_rows(
    n_rows: int = 2000, *, lift: float = 0.0, seed: int = 1, unit: npt.ArrayLike | None = None
) -> Rows:
    """What `draw_probabilities` draws, as checked rows."""
    label, champion, challenger = draw_probabilities(n_rows, seed, lift)
    return check_rows(label, {"champion": champion, "challenger": challenger}, unit=unit)


def draw_dependent(
    n_rows: int,
    rng: np.random.Generator,
    *,
    n_units: int = 0,
    sizes: Floats | None = None,
    of_unit: float = 0.2,
    n_periods: int = 0,
    of_period: float = 0.0,
    lift: float = 0.0,
    prevalence: float = 0.1,
) -> Rows:
    """Rows whose models err alike within a unit, and on the positives of a period.

    Args:
        n_rows: Number of rows.
        rng: Of everything.
        n_units: Equal units; 0 for none, unless there are sizes.
        sizes: The share of the rows of each unit, shape (n_units,).
        of_unit: Share of each model's own noise that the rows of a unit have in common.
        n_periods: Periods that every row falls into with the same probability; 0 for none.
        of_period: Share of each model's own noise that the positives of a period have in common.
        lift: By how much further the challenger separates the classes.
        prevalence: Of positives, which have nothing to do with units and periods.
    """
    n_units = n_units if sizes is None else sizes.size
    unit = rng.choice(n_units, n_rows, p=sizes) if n_units else None
    period = rng.integers(0, n_periods, n_rows) if n_periods else None
    label = rng.random(n_rows) < prevalence
    label[:2] = False, True
    common = np.sqrt(0.9) * rng.normal(size=n_rows)
    scores = {}
    for model, gain in (("champion", 0.0), ("challenger", lift)):
        own = np.sqrt(1 - of_period) * rng.normal(size=n_rows)
        if unit is not None:
            own = np.sqrt(of_unit) * rng.normal(size=n_units)[unit] + np.sqrt(1 - of_unit) * own
        if period is not None:
            own += np.sqrt(of_period) * np.where(label, rng.normal(size=n_periods)[period], 0.0)
        score = common + np.sqrt(0.1) * own + (SEPARATION + gain) * label
        scores[model] = 1 / (1 + np.exp(2.5 - score))
    return check_rows(label, scores, unit=unit, period=period)
