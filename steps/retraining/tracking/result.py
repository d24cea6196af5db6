"""The result of a step, as its run shows it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retraining.tracking import tags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities import Run


class Result(ABC):
    """The result of a step: a frozen record that says what its run shows."""

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
    """The result of an earlier run of the same cycle that did the same, which is not repeated.

    Attributes:
        earlier: The earlier run.
    """

    earlier: Run

    @property
    def summary(self) -> str:
        """Which run is reused, and why."""
        return (
            f"reused run {self.earlier.info.run_id}: same parameters, inputs and code, "
            f"finished in {self.earlier.data.tags[tags.CYCLE_ID]}"
        )

    @property
    def metrics(self) -> Mapping[str, float]:
        """Metrics of the earlier run."""
        return self.earlier.data.metrics

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags of the earlier run, except those of MLflow itself, and its id."""
        kept = {k: v for k, v in self.earlier.data.tags.items() if not k.startswith("mlflow.")}
        return {**kept, tags.REUSED_FROM: self.earlier.info.run_id}
