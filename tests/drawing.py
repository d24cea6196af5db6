"""Rows that two models have scored, drawn at random.

Both models see the same signal and share most of their noise, as a champion and its challenger do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from retraining.statistics.rows import Rows, check_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from retraining.statistics.rows import Bools, Codes, Floats


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
