"""A fixed grid of bins for scores: the same on every machine, whatever the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from pyspark.sql import functions as F

if TYPE_CHECKING:
    import numpy.typing as npt
    from pyspark.sql import Column

    from retraining.statistics.rows import Floats

REACH: Final = 32  # logits on either side; a probability nearer to 0 or 1 is in the last bin
FINE: Final = 12  # a fine bin is 2**-12 logits wide
COARSE: Final = 5  # a coarse bin is 2**-5 logits wide and holds 128 fine ones
STEP: Final = 2 ** (FINE - COARSE)
MIDDLE: Final = REACH * 2**FINE
TOP: Final = 2 * MIDDLE  # of a probability of 1; 0 has the bin 0
EVEN: Final = 8  # spreads around the center within which other scores are cut almost evenly


class Grid(NamedTuple):
    """How a score becomes a position, which bins cut evenly, each with its upper edge.

    Probabilities are cut by their logit: 0.5 is an edge, 0 and 1 have bins of their own, and rare
    events are told apart as well as common ones. Other scores are cut by the signed logarithm of
    their distance from `center`, so that no outlier widens the bins of the rest.

    Attributes:
        threshold: A score at which coarse bins are cut too.
        center: Of scores that are no probabilities; None for probabilities.
        spread: Of the same.
    """

    threshold: float
    center: float | None = None
    spread: float = 1.0

    def fine(self, score: Column) -> Column:
        """The bin, an integer from 0 to `TOP`, which grows with the score."""
        if self.center is None:
            # The bound keeps a score of 1, which has a bin of its own, from a division by zero.
            position = F.log(score / F.greatest(1 - score, F.lit(2.0**-60)))
        else:
            distance = (score - self.center) / self.spread
            position = F.signum(distance) * F.log1p(F.abs(distance) / EVEN) * float(EVEN)
        # A cast drops the fraction: counted from above, it leaves every edge to the bin below it.
        depth = F.lit(float(MIDDLE)) - position * float(2**FINE)
        inside = F.greatest(F.lit(float(STEP)), F.least(F.lit(float(TOP - 1)), depth))
        bin_ = F.lit(TOP) - inside.cast("int")
        if self.center is not None:
            return bin_
        return F.when(score <= 0, 0).when(score >= 1, TOP).otherwise(bin_)

    def coarse(self, score: Column, fine: Column) -> Column:
        """The coarse bin of a fine one, in two parts where the threshold lies in it."""
        joined = F.shiftright(fine + (STEP - 1), FINE - COARSE)
        return joined * 2 + (score > self.threshold).cast("int")

    def scores(self, coarse: npt.NDArray[np.int64]) -> Floats:
        """A score in the middle of each coarse bin."""
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
