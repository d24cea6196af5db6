"""A cycle of a chain: what it was begun with, and the table that it ends with."""

from __future__ import annotations

import json
import math
import textwrap
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retraining.errors import RetrainingError
from retraining.tracking import outage, runs, tags, values
from retraining.tracking.result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow.entities import Run

    from retraining.tracking.lineage import StepRun

STEPS = ("preprocess", "train", "tune", "ab_test", "promote")  # of every cycle
WIDTH = 100  # of the table, in characters
_MAY_CHANGE = {"spark_master"}  # where a cycle runs is no part of it


@dataclass(frozen=True)
class Cycle(Result):
    """A cycle whose steps have all finished.

    Attributes:
        cycle_id: Its id.
        runs: The runs of its steps by entry point, in their order.
    """

    cycle_id: str
    runs: Mapping[str, Run]

    @property
    def table(self) -> str:
        """What was compared, what came out, and where to read more, as text."""
        test, moved = self.runs["ab_test"].data, self.runs["promote"].data
        was_tested = tags.SCORES_URI in test.tags
        rows = [("cycle", self.cycle_id)]
        rows += [(role, test.tags[tags.INPUT + role]) for role in ("champion", "challenger")]
        rows += _numbers(test.metrics) if was_tested else []
        if campaign := test.tags.get(tags.CAMPAIGN):
            rows += [("campaign", campaign)]
        rows += [
            ("verdict", test.tags[tags.VERDICT]),
            ("because", test.tags[tags.REASONS]),
            ("outcome", moved.tags[tags.SUMMARY]),
        ]
        if was_tested:
            rows += [("report", _link(self.runs["ab_test"], "report.html"))]
        seconds = [f"{step} {_seconds(run):.0f}" for step, run in self.runs.items()]
        rows += [("seconds", ", ".join(seconds))]
        rows += [(f"run {step}", _link(run)) for step, run in self.runs.items()]
        return _format(rows)

    @property
    def summary(self) -> str:
        """The verdict."""
        return f"verdict {self.runs['ab_test'].data.tags[tags.VERDICT]}"

    @property
    def details(self) -> str:
        """The table."""
        return f"```\n{self.table}\n```"

    @property
    def tags(self) -> Mapping[str, str]:
        """The verdict, and the runs of the steps."""
        steps = {step: run.info.run_id for step, run in self.runs.items()}
        verdict = self.runs["ab_test"].data.tags[tags.VERDICT]
        return {tags.VERDICT: verdict, tags.CHAIN_STEPS: json.dumps(steps)}


def remember(run: StepRun, parameters: Mapping[str, str]) -> None:
    """Keep on the run of a chain what the next one of its cycle goes on with."""
    values.set_tags(run.run_id, {tags.CHAIN_PARAMETERS: json.dumps(parameters)})


def remembered(
    cycle_id: str, stated: Mapping[str, str], defaults: Mapping[str, str]
) -> dict[str, str]:
    """The parameters that a chain goes on with: what is stated, and what its cycle remembers.

    Args:
        cycle_id: The cycle.
        stated: Parameters that the caller gave.
        defaults: Of those that have some.

    Raises:
        RetrainingError: If the caller contradicts what the cycle was begun with.
    """
    begun = (r for r in runs.chains(cycle_id) if tags.CHAIN_PARAMETERS in r.data.tags)
    newest = next(begun, None)
    if newest is None:
        return {**defaults, **stated}
    before = values.read_json(newest, tags.CHAIN_PARAMETERS)
    for name, value in stated.items():
        # Without an input, the days were simulated.
        known = before.get(name, "" if name == "input" else value)
        if known != value and name not in _MAY_CHANGE:
            raise RetrainingError(
                f"cycle {cycle_id} was begun with {name}={known or 'nothing'}, not {value}",
                f"leave {name} out to continue it, or begin another cycle without pipeline_id",
            )
    return {**before, **stated}


def _numbers(metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    # What cannot be estimated, such as an interval from one positive, is not logged.
    metric = defaultdict(lambda: math.nan, metrics)
    return [
        ("scores", f"{metric['champion']:.4f} -> {metric['challenger']:.4f}"),
        ("effect", f"{metric['effect_size']:+.4f}, p {metric['pvalue']:.4g}"),
        ("interval", f"[{metric['ci_lower']:+.4f}, {metric['ci_upper']:+.4f}]"),
        ("holdout", f"{metric['n_rows']:,.0f} rows, {metric['n_positives']:,.0f} positives"),
    ]


def _format(rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows) + 2
    lines = []
    for name, value in rows:
        # A path stays in one piece, so that it can be clicked.
        text = textwrap.wrap(value, WIDTH - width, break_long_words=False, break_on_hyphens=False)
        first, *more = text or [""]
        lines += [f"{name:<{width}}{first}", *(" " * width + line for line in more)]
    return "\n".join(lines)


def _seconds(run: Run) -> float:
    return float(run.info.end_time - run.info.start_time) / 1000


def _link(run: Run, artifact: str = "") -> str:
    """Where to look at a run, or at one of its artifacts: on the server if there is one."""
    uri = outage.address()
    if uri.startswith("http"):
        page = f"{uri}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
        return f"{page}/artifacts/{artifact}" if artifact else page
    return f"{run.info.artifact_uri}/{artifact}" if artifact else str(run.info.run_id)
