"""The usual metrics of both models on the same rows, with the interval of their difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from retraining.statistics.comparing import compare_rows
from retraining.statistics.metrics import METRICS

if TYPE_CHECKING:
    from retraining.statistics.rows import Rows

SHOWN: Final = ("auroc", "auprc", "log_loss", "brier", "f1")  # those that need no parameter


class Compared(NamedTuple):
    """One metric of both models.

    Attributes:
        name: Of the metric.
        champion: Its value for the champion.
        challenger: Its value for the challenger.
        effect_size: Their difference; positive favours the challenger.
        ci_lower: Lower end of its interval.
        ci_upper: Upper end.
    """

    name: str
    champion: float
    challenger: float
    effect_size: float
    ci_lower: float
    ci_upper: float


def compare_metrics(rows: Rows, confidence_level: float) -> tuple[Compared, ...]:
    """Each metric in `SHOWN`, without those of probabilities where a score is outside [0, 1].

    Args:
        rows: With the scores of champion and challenger.
        confidence_level: Of the two-sided intervals.
    """
    compared = []
    for name in SHOWN:
        if all(rows.are_probabilities) or not METRICS[name].of_probabilities:
            result = compare_rows(rows, METRICS[name], confidence_level=confidence_level)
            ends = result.effect_size, result.ci_lower, result.ci_upper
            compared.append(Compared(name, result.champion, result.challenger, *ends))
    return tuple(compared)
