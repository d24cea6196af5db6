"""A fixed grid of bins for scores, the same on every machine and for all data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from pyspark.sql import functions as F

if TYPE_CHECKING:
    import numpy.typing as npt
    from pyspark.sql import Column

    from retraining.statistics.rows import Floats

REACH: Final = 32  # logits on either side; more extreme probabilities are in the last bin
FINE: Final = 12  # a fine bin is 2**-12 logits wide
COARSE: Final = 5  # a coarse bin is 2**-5 logits wide and consists of 128 fine bins
STEP: Final = 2 ** (FINE - COARSE)
MIDDLE: Final = REACH * 2**FINE
TOP: Final = 2 * MIDDLE  # the bin of a probability of 1; that of 0 is bin 0
EVEN: Final = 8  # spreads around the center within which bins are almost equally wide


class Grid(NamedTuple):
    """Maps scores to positions, on which bins of equal width are laid; bins include the upper edge.

    Probabilities are mapped to their logit: 0.5 is an edge, 0 and 1 have bins of their own, and the
    scores of rare events are resolved as well as those of common ones. Other scores are mapped to
    the signed logarithm of their distance from `center`, so that outliers do not widen the bins of
    the rest.

    Attributes:
        threshold: A score at which the coarse bin that contains it is split.
        center: Center of scores that are not probabilities; None for probabilities.
        spread: Spread of such scores.
    """

    threshold: float
    center: float | None = None
    spread: float = 1.0

    def fine(self, score: Column) -> Column:
        """The fine bin of a score: an integer from 0 to `TOP` that grows with the score."""
        if self.center is None:
            # The bound avoids a division by zero for a score of 1, which has a bin of its own.
            position = F.log(score / F.greatest(1 - score, F.lit(2.0**-60)))
        else:
            distance = (score - self.center) / self.spread
            position = F.signum(distance) * F.log1p(F.abs(distance) / EVEN) * float(EVEN)
        # Casts round towards zero: counting from above puts every edge into the bin below it.
        depth = F.lit(float(MIDDLE)) - position * float(2**FINE)
        inside = F.greatest(F.lit(float(STEP)), F.least(F.lit(float(TOP - 1)), depth))
        bin_ = F.lit(TOP) - inside.cast("int")
        if self.center is not None:
            return bin_
        return F.when(score <= 0, 0).when(score >= 1, TOP).otherwise(bin_)

    def coarse(self, score: Column, fine: Column) -> Column:
        """The coarse bin of a fine bin; the one that contains the threshold is two bins."""
        joined = F.shiftright(fine + (STEP - 1), FINE - COARSE)
        return joined * 2 + (score > self.threshold).cast("int")

    def scores(self, coarse: npt.NDArray[np.int64]) -> Floats:
        """The score in the middle of each coarse bin."""
        bin_, above = np.divmod(coarse, 2)
        position = (bin_ - 0.5) / 2**COARSE - REACH
        if self.center is None:
            middle = 1 / (1 + np.exp(-position))
            middle = np.where(bin_ == 0, 0.0, np.where(bin_ == TOP // STEP, 1.0, middle))
        else:
            distance = np.sign(position) * EVEN * np.expm1(np.abs(position) / EVEN)
            middle = self.center + self.spread * distance
        beyond = np.nextafter(self.threshold, np.inf)
        cut = np.where(above, np.maximum(middle, beyond), np.minimum(middle, self.threshold))
        return np.asarray(cut, dtype=np.float64)
