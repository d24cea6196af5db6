"""Whether a challenger is worse even on the rows on which it was selected: a test wastes alpha."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from retraining.comparison import evidence
from retraining.comparison.scores import score_validation
from retraining.gate.power import shortfalls
from retraining.gate.wording import number
from retraining.statistics.comparing import compare_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from retraining.data.manifest import Manifest
    from retraining.gate.policy import Policy
    from retraining.models.store import LoadedModel
    from retraining.statistics.inference import PairedResult


class Screening(NamedTuple):
    """The two models on the validation rows that neither was trained on.

    Attributes:
        metric: The metric of the policy.
        result: The comparison, which favours the challenger: it was selected on these rows.
    """

    metric: str
    result: PairedResult

    @property
    def is_worse(self) -> bool:
        """Whether the challenger is worse than the champion."""
        return self.result.effect_size < 0

    @property
    def numbers(self) -> dict[str, float]:
        """The comparison, as metrics by name."""
        names = ("champion", "challenger", "effect_size", "ci_lower", "ci_upper", "n_rows")
        return {f"validation_{name}": float(getattr(self.result, name)) for name in names}

    def explain(self) -> str:
        """Why a challenger that is worse is not tested, and how it would be, in sentences."""
        return (
            "The challenger is worse than the champion on the validation rows, on which it was "
            f"selected: {self.describe()}. It was not tested on the holdout, and no alpha was "
            "used; ab_test with worse_on_validation=test would test it."
        )

    def describe(self) -> str:
        """Both values, the interval of the difference, and on how many rows."""
        found = self.result
        return (
            f"{self.metric} {number(found.challenger)} of the challenger, "
            f"{number(found.champion)} of the champion, difference {number(found.effect_size)} "
            f"({number(found.ci_lower)} to {number(found.ci_upper)}) on {found.n_rows:,} rows"
        )


def screen(
    spark: SparkSession, pair: tuple[LoadedModel, LoadedModel], manifest: Manifest, policy: Policy
) -> Screening | None:
    """Compare champion and challenger on validation rows; None where the rows are too few.

    Raises:
        RetrainingError: If the training data of a model cannot be read, or scores are not valid.
    """
    table, columns = score_validation(spark, manifest, manifest.describe(), *pair)
    if table[columns.label].nunique() < 2:
        return None
    metric = policy.chosen_metric
    rows = evidence.check(table, columns, policy.period, of_probabilities=metric.of_probabilities)
    if shortfalls(rows, policy.minimum_positives):
        return None
    result = compare_rows(rows, metric, confidence_level=policy.confidence_level)
    return Screening(policy.metric, result)
