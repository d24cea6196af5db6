"""What became of every row that was read."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict

# The fields of an account that no split used, as they are read in a sentence.
_UNUSED: Final = {
    "older": "older than train",
    "gaps": "in gaps",
    "newer": "newer than the holdout",
    "known_positives": "of keys with a known positive",
    "unlabelled": "without a known label",
}


class Coverage(BaseModel):
    """For how much of the holdout's window the rows whose label is known speak.

    Attributes:
        rows: Their share of all rows.
        weight: Their share by weight: of the weights of all rows, or of their number if rows whose
            label is not known have no weight; None if there are no weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: float
    weight: float | None

    def explain(self) -> str:
        """Both shares in words."""
        weighted = "" if self.weight is None else f" ({self.weight:.1%} by weight)"
        return (
            f"the labels of {self.rows:.1%} of the rows of the holdout's time are known{weighted}"
        )

    @property
    def shares(self) -> dict[str, float]:
        """Both shares, as metrics of a run."""
        weight = {} if self.weight is None else {"holdout_labelled_weight_share": self.weight}
        return {"holdout_labelled_share": self.rows, **weight}


class Account(BaseModel):
    """Numbers of rows: `read + earlier` is the sum of all others.

    Attributes:
        read: Read from raw files for this version.
        earlier: Valid rows that an earlier version had read.
        rejected: In quarantine.
        older: From before train (or whatever window is the earliest).
        gaps: Between the windows.
        newer: From after the holdout: their labels are not all known yet. If the split is not by
            time, from after `as_of` without the label's delay.
        known_positives: In the holdout's window, but their key has a positive that was known.
        unlabelled: In a window, but their label is not known.
        train: In train.
        validation: In validation.
        holdout: In the holdout.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    read: int
    earlier: int
    rejected: int
    older: int
    gaps: int
    newer: int
    known_positives: int
    unlabelled: int
    train: int
    validation: int
    holdout: int

    @property
    def unused(self) -> dict[str, int]:
        """Valid rows that are in no split, by reason; reasons without rows are left out."""
        counts = {text: getattr(self, field) for field, text in _UNUSED.items()}
        return {text: count for text, count in counts.items() if count}

    @property
    def counts(self) -> dict[str, int]:
        """Rows of earlier runs, and valid rows in no split by reason, as metrics of a run."""
        return {f"rows_{field}": getattr(self, field) for field in ("earlier", *_UNUSED)}

    def explain(self) -> str:
        """What was read, and which rows are in no split."""
        earlier = f" and {self.earlier:,} of earlier runs" if self.earlier else ""
        unused = self.unused
        reasons = ", ".join(f"{count:,} {text}" for text, count in unused.items())
        total = f"{sum(unused.values()):,} in no split{f' ({reasons})' if reasons else ''}"
        return f"{self.read:,} rows read{earlier}: {self.rejected:,} quarantined, {total}"
