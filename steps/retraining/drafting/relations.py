"""How well a single column orders rows by their label: as a copy of it would, or by chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retraining.drafting.values import Facts

LEAK: Final = 0.95  # the AUROC of a single column above which it is suspected to hold the label
STRONG: Final = 0.85  # the one above which a feature is doubted
FEWEST_JUDGED: Final = 10  # rows of a class; of fewer, an AUROC is high by chance


def auroc(score: pd.Series, is_positive: pd.Series) -> float:
    """How well a number orders rows by their label: 0.5 is by chance; NaN without both classes."""
    known = score.notna() & is_positive.notna()
    positive = is_positive[known].astype(bool)
    n_positives, n_negatives = int(positive.sum()), int((~positive).sum())
    if not n_positives or not n_negatives:
        return float("nan")
    ranks = score[known].rank()[positive].sum()
    return float((ranks - n_positives * (n_positives + 1) / 2) / (n_positives * n_negatives))


def relation(fact: Facts, is_positive: pd.Series) -> float:
    """The AUROC of a single column, at least 0.5: of its values, or of their being missing.

    Categories are ordered by their share of positives in every second row, and judged by the rest.
    """
    positive = is_positive.astype(float)
    found = [auroc(fact.values.isna().astype(float), positive)]
    if fact.is_number or fact.is_time:
        numbers = (
            fact.values.astype("int64").where(fact.values.notna()) if fact.is_time else fact.values
        )
        found.append(auroc(numbers, positive))
        return _largest(found)
    even = pd.Series(np.arange(len(positive)) % 2 == 0, index=positive.index)
    texts = fact.values.fillna("")
    for fitted, judged in ((even, ~even), (~even, even)):
        shares = positive[fitted].groupby(texts[fitted]).mean()
        score = texts[judged].map(shares).fillna(positive[fitted].mean())
        found.append(auroc(score.astype(float), positive[judged]))
    return _largest([found[0], float(np.mean(found[1:]))])


def are_judged(is_positive: pd.Series) -> bool:
    """Whether there are enough rows of both classes for the AUROC of a column to tell anything."""
    counts = is_positive.value_counts()
    return len(counts) > 1 and int(counts.min()) >= FEWEST_JUDGED


def _largest(found: Sequence[float]) -> float:
    known = [max(value, 1 - value) for value in found if value == value]
    return max(known, default=0.5)
