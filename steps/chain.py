"""The whole chain, from raw files to a verdict and what follows from it.

Each step is a child run of its own, made by `mlflow.projects`. Without an input, transactions are
simulated first; each further run then adds some days and goes through a second cycle against the
champion that the first one left. An interrupted chain goes on with its `pipeline_id`: what has
finished is not repeated.

    mlflow run .
    mlflow run . -P dataset=drivers -P input=drivers.parquet
    mlflow run . -P pipeline_id=20260131-235959-1a2b3c
"""

from __future__ import annotations

import logging
import math
import textwrap
from collections import defaultdict
from typing import TYPE_CHECKING

import click
import mlflow

from retraining.cli import options
from retraining.cli.command import StepCommand, examples
from retraining.errors import RetrainingError
from retraining.spark.gateway import shared_jvm
from retraining.tracking import children, inputs, lineage, outage
from retraining.tracking.checkout import ROOT

if TYPE_CHECKING:
    from mlflow.entities import Run

_LOG = logging.getLogger("retraining.chain")


@click.command(cls=StepCommand, epilog=examples(__doc__))
@options.option("--input", "Raw files, as for preprocess. Default: simulate them first.")
@options.dataset
@options.data_root
@options.option(
    "--as-of",
    "Prepare the data as of this moment, as for preprocess. Default: the day after the newest row.",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
)
@options.model_name
@options.option(
    "--trials",
    "Number of trials. Default: search.trials of the description.",
    type=click.IntRange(min=1),
)
@options.alpha
@options.seed
@options.pipeline_id_of_first_step
@options.spark_master
def main(**parameters: object) -> None:
    """Run the whole chain: (simulate,) preprocess, train, tune, ab_test, promote."""
    with lineage.open_step("main", parameters, begins_cycle=True) as run:
        told = {key: value for key, value in run.parameters.items() if value}
        description = inputs.read_description(run.parameters["dataset"])
        told["pipeline_id"] = run.cycle_id
        steps = _steps(told, description.name)
        runs = {}
        paths = [*inputs.paths_in(told.get("input")), inputs.data_root(told.get("data_root"))]
        with shared_jvm(told.get("spark_master"), paths):
            for step, taken in steps.items():
                _LOG.info(f"== {step}")
                runs[step] = _run_step(step, {key: told[key] for key in taken if key in told})
        table = summarise(run.cycle_id, runs)
        mlflow.log_text(table, "chain.txt")
        mlflow.set_tag("verdict", runs["ab_test"].data.tags["verdict"])
        run.summary = f"verdict {runs['ab_test'].data.tags['verdict']}\n\n```\n{table}\n```"
        click.echo(f"\n{table}")


def summarise(cycle_id: str, runs: dict[str, Run]) -> str:
    """One table of what happened: who was compared, what came out, where to read on."""
    test, moved = runs["ab_test"].data, runs["promote"].data
    # What cannot be estimated, as an interval from one positive, is no metric of the run.
    metric = defaultdict(lambda: math.nan, test.metrics)
    rows = [("cycle", cycle_id)]
    rows += [(role, test.tags[f"input.{role}"]) for role in ("champion", "challenger")]
    rows += [
        ("scores", f"{metric['champion']:.4f} -> {metric['challenger']:.4f}"),
        ("effect", f"{metric['effect_size']:+.4f}, p {metric['pvalue']:.4g}"),
        ("interval", f"[{metric['ci_lower']:+.4f}, {metric['ci_upper']:+.4f}]"),
        ("holdout", f"{metric['n_rows']:,.0f} rows, {metric['n_positives']:,.0f} positives"),
        ("verdict", test.tags["verdict"]),
        ("because", test.tags["verdict.reasons"]),
        ("outcome", moved.tags["result.summary"]),
        ("report", _link(runs["ab_test"], "report.html")),
    ]
    rows += [
        ("seconds", ", ".join(f"{step} {_seconds(run):.0f}" for step, run in runs.items())),
        *((f"run {step}", _link(run)) for step, run in runs.items()),
    ]
    width = max(len(name) for name, _ in rows) + 2
    lines = []
    for name, value in rows:
        # A path is not broken: it is there to be clicked.
        text = textwrap.wrap(value, 100 - width, break_long_words=False, break_on_hyphens=False)
        first, *more = text or [""]
        lines += [f"{name:<{width}}{first}", *(" " * width + line for line in more)]
    return "\n".join(lines)


def _steps(told: dict[str, str], name: str) -> dict[str, list[str]]:
    """The steps in order, each with the parameters that it takes over from the chain."""
    common = ["pipeline_id", "spark_master"]
    fits = ["model_name", "seed", *common]
    steps = {
        "preprocess": ["input", "dataset", "data_root", "as_of", *common],
        "train": fits,
        "tune": ["trials", *fits],
        "ab_test": ["alpha", *fits],
        "promote": common,
    }
    if "input" in told:
        return steps
    if name != "fraud":
        raise RetrainingError(
            f"input is empty, and only the data set fraud can be simulated, not {name}",
            "say where the raw files are with input=",
        )
    return {"simulate": ["data_root", "seed", "pipeline_id"], **steps}


def _run_step(step: str, parameters: dict[str, str]) -> Run:
    try:
        done = children.run(str(ROOT), step, parameters)
    except RetrainingError as error:
        cycle_id = parameters["pipeline_id"]
        raise RetrainingError(
            str(error), f"mend it, then go on with `mlflow run . -P pipeline_id={cycle_id}`"
        ) from error
    return done


def _seconds(run: Run) -> float:
    return float(run.info.end_time - run.info.start_time) / 1000


def _link(run: Run, artifact: str = "") -> str:
    """Where to look at a run, or at one of its artifacts: on the server if there is one."""
    uri = outage.address()
    if uri.startswith("http"):
        page = f"{uri}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
        return f"{page}/artifacts/{artifact}" if artifact else page
    return f"{run.info.artifact_uri}/{artifact}" if artifact else str(run.info.run_id)


if __name__ == "__main__":
    main()
