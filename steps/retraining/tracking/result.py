"""What a step made, as its run shows it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retraining.tracking import tags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities import Run


class Result(ABC):
    """What a step made: a frozen record that says what its run shows of it."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """One line, for the terminal and for the note of the run."""

    @property
    def details(self) -> str:
        """Markdown that follows the summary in the note."""
        return ""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Metrics of the run."""
        return {}

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags of the run."""
        return {}


@dataclass(frozen=True)
class Reused(Result):
    """The result of an earlier run of the same cycle that did the same: nothing is made again.

    Attributes:
        original: The earlier run.
    """

    original: Run

    @property
    def summary(self) -> str:
        """Which run, and why it could be reused."""
        return (
            f"reused run {self.original.info.run_id}: same parameters, inputs and code, "
            f"finished in {self.original.data.tags[tags.CYCLE_ID]}"
        )

    @property
    def metrics(self) -> Mapping[str, float]:
        """Metrics of the earlier run."""
        return self.original.data.metrics

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags of the earlier run, but for MLflow's own, and where they come from."""
        kept = {k: v for k, v in self.original.data.tags.items() if not k.startswith("mlflow.")}
        return {**kept, tags.REUSED_FROM: self.original.info.run_id}
