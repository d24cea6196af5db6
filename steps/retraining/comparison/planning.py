"""What tests would find on data such as these, before any of them is made."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import mlflow

from retraining.errors import RetrainingError
from retraining.gate.campaign_plan import plan_rules
from retraining.gate.wording import number
from retraining.statistics.comparing import compare_rows
from retraining.tracking.result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retraining.gate.campaign_plan import PlannedRule
    from retraining.gate.policy import Policy
    from retraining.statistics.rows import Rows

YEAR = 365


@dataclass(frozen=True)
class Plan(Result):
    """How soon each way of testing finds a gain; it says nothing of the effect of these models.

    Attributes:
        metric: In whose units gains are.
        rules: One for each way of testing and gain.
        standard_error: Of the effect on the rows of one look.
        n_rows: Rows of one look.
        n_periods: Periods of one look, for example days; None without.
        period: What a period is.
        days: Between two looks.
    """

    metric: str
    rules: tuple[PlannedRule, ...]
    standard_error: float
    n_rows: int
    n_periods: int | None
    period: str
    days: float

    @property
    def summary(self) -> str:
        """The rows and the rhythm that the plan is for."""
        during = f" of {self.n_periods} {self.period}s" if self.n_periods else ""
        return (
            f"plan for {self.n_rows:,} rows{during} every {self.days:.2g} days: the standard error "
            f"of {self.metric} is {number(self.standard_error)}"
        )

    @property
    def table(self) -> str:
        """A line for each gain and way of testing, as text."""
        lines = [f"{'true gain':>10}  {'rule':16}{'alpha':>9}{'found':>8}{'within':>12}  half by"]
        for rule in self.rules:
            half = f"{rule.half_found * self.days:.0f} days" if rule.half_found else "later"
            within = f"{rule.n_looks * self.days:.0f} days"
            lines.append(
                f"{number(rule.gain):>10}  {rule.rule.replace('_', '-'):16}"
                f"{number(rule.alpha):>9}{rule.found:8.0%}{within:>12}  {half}"
            )
        return "\n".join(lines)

    @property
    def details(self) -> str:
        """The table."""
        return f"```\n{self.table}\n```"

    @property
    def metrics(self) -> Mapping[str, float]:
        """The standard error and the rows."""
        return {"standard_error": self.standard_error, "n_rows": self.n_rows}


def plan(rows: Rows, policy: Policy) -> Plan:
    """The plan for looks at as many rows of the same kind, logged on the active run as plan.json.

    Raises:
        RetrainingError: The standard error cannot be estimated on these rows.
    """
    result = compare_rows(rows, policy.chosen_metric)
    rules = plan_rules(result.standard_error, result.n_rows, policy)
    if not rules or math.isnan(result.standard_error):
        raise RetrainingError(
            f"the standard error of {policy.metric} is {number(result.standard_error)} on "
            f"{result.n_rows:,} rows, {result.n_positives:,} of them positives",
            "take a longer holdout, or two models that differ",
        )
    mlflow.log_dict({"plan": [asdict(rule) for rule in rules]}, "plan.json")
    return Plan(
        policy.metric,
        rules,
        result.standard_error,
        result.n_rows,
        rows.n_periods,
        policy.period,
        YEAR / policy.tests_per_year,
    )
