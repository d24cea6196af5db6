"""Run the whole chain: from raw files to a verdict, and to a promotion if the verdict says so.

Each step is a child run, started through `mlflow.projects`. Without an input, transactions are
simulated first; every further run adds some days and starts a new cycle against the champion that
the last one left. To continue an interrupted chain, its `pipeline_id` is enough: the cycle
remembers what it was begun with, and steps that have finished are not repeated.

    mlflow run . --env-manager uv
    mlflow run . --env-manager uv -P dataset=drivers -P input=drivers.parquet
    mlflow run . --env-manager uv -P pipeline_id=20260131-235959-1a2b3c
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from retraining.cli import options
from retraining.cli.command import StepCommand, examples, open_run
from retraining.errors import RetrainingError
from retraining.tracking.checkout import ROOT
from retraining.tracking.descriptions import SUFFIXES, read_description

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlflow.entities import Run

    from retraining.tracking.cycle import Cycle
    from retraining.tracking.lineage import StepRun

_LOG = logging.getLogger("retraining.chain")
_DEFAULTS = {"dataset": "fraud", "seed": "7"}


@click.command(cls=StepCommand, epilog=examples(__doc__))
@options.option("--input", "Raw files, as for preprocess. Default: simulate them first.")
@options.option(
    "--dataset",
    "Data set description: a name in steps/datasets, or the path of a YAML file. "
    "Default: that of the cycle, else fraud.",
)
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
    type=click.IntRange(1, 2**31 - 1),
)
@options.alpha
@options.option(
    "--seed",
    "Seed of every random choice. Default: that of the cycle, else 7.",
    type=click.IntRange(0, 2**31 - 1),
)
@options.pipeline_id_of_first_step
@options.spark_master
def main(
    *,
    input: str | None,  # noqa: A002 (the parameter's name)
    dataset: str | None,
    data_root: str | None,
    as_of: datetime | None,
    model_name: str | None,
    trials: int | None,
    alpha: float | None,
    seed: int | None,
    pipeline_id: str | None,
    spark_master: str | None,
) -> None:
    """Run the whole chain: (simulate,) preprocess, train, tune, ab_test, promote."""
    given: dict[str, object] = {
        "input": input,
        "dataset": dataset,
        "data_root": data_root,
        "as_of": as_of,
        "model_name": model_name,
        "trials": trials,
        "alpha": alpha,
        "seed": seed,
        "spark_master": spark_master,
    }
    if dataset:
        read_description(dataset)
    with open_run(pipeline_id, begins_cycle=True) as run:
        cycle = run_steps(run, parameters=given)
        run.write(cycle)
        click.echo(f"\n{cycle.table}")


def _check_input(given: Mapping[str, str]) -> None:
    name = read_description(given["dataset"]).name
    if "input" not in given and name != "fraud":
        raise RetrainingError(
            f"input is empty, but only the data set fraud can be simulated, not {name}",
            "say where the raw files are with input=",
        )


def run_steps(run: StepRun, *, parameters: Mapping[str, object]) -> Cycle:
    """Run the steps one after the other, each as a child run of this one.

    Args:
        run: The run of the chain.
        parameters: What the steps take over, by the names of their parameters; None: not given.
            What is not given is what the cycle was begun with.
    """
    import mlflow

    from retraining.spark.gateway import shared_jvm
    from retraining.tracking import cycle, inputs
    from retraining.tracking.lineage import as_text

    stated = {name: as_text(value) for name, value in parameters.items() if value is not None}
    # The steps run in the folder of the project, wherever this one was started.
    if "input" in stated:
        stated["input"] = inputs.absolute_source(stated["input"])
    if stated.get("dataset", "").endswith(SUFFIXES):
        stated["dataset"] = inputs.absolute(stated["dataset"])
    if "data_root" in stated:
        stated["data_root"] = inputs.data_root(stated["data_root"])
    given = cycle.remembered(run.cycle_id, stated, _DEFAULTS)
    _check_input(given)
    cycle.remember(run, given)
    given["pipeline_id"] = run.cycle_id
    runs = {}
    paths = [*inputs.paths_in(given.get("input")), inputs.data_root(given.get("data_root"))]
    with shared_jvm(given.get("spark_master"), paths):
        for step, taken in _steps(simulates="input" not in given).items():
            _LOG.info(f"== {step}")
            runs[step] = _run_step(step, {key: given[key] for key in taken if key in given})
    done = cycle.Cycle(run.cycle_id, runs)
    mlflow.log_text(done.table, "chain.txt")
    return done


def _steps(*, simulates: bool) -> dict[str, list[str]]:
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
    return {"simulate": ["data_root", "seed", "pipeline_id"], **steps} if simulates else steps


def _run_step(step: str, parameters: dict[str, str]) -> Run:
    from retraining.tracking import children, commands

    try:
        return children.run(str(ROOT), step, parameters)
    except RetrainingError as error:
        again = commands.show("main", {"pipeline_id": parameters["pipeline_id"]})
        raise RetrainingError(
            error.what, f"{error.remedy}. Fix it, then continue with `{again}`"
        ) from error


if __name__ == "__main__":
    main()
