"""Repeat a finished run from its commit, parameters and pinned inputs, and compare the two.

The commit is checked out into a folder of its own. The repetition is a new run in a cycle of its
own, tagged with the id of the original; it leaves the registry unchanged. The result is
`identical`, or a table of what differs. For a run of `main`, every step is repeated.

    mlflow run . --env-manager uv -e reproduce -P run_id=RUN_ID
    python steps/reproduce.py --run-id RUN_ID
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import click

from retraining.cli import options
from retraining.cli.command import StepCommand, examples, open_run
from retraining.tracking import tags

if TYPE_CHECKING:
    from retraining.tracking.lineage import StepRun
    from retraining.tracking.reproduction import Repetition

_LOG = logging.getLogger("retraining.reproduce")


@click.command(cls=StepCommand, epilog=examples(__doc__))
@options.option("--run-id", "Id of the run to repeat. Required.")
@options.pipeline_id
def reproduce(*, run_id: str | None, pipeline_id: str | None) -> None:
    """Repeat a run from what MLflow recorded of it, and compare."""
    if not run_id:
        raise click.BadParameter("is empty: give the id that MLflow shows", param_hint="run_id")
    with open_run(pipeline_id) as run:
        repetition = repeat(run, run_id=run_id)
        run.write(repetition)
        click.echo(repetition.table, nl=False)


def repeat(run: StepRun, *, run_id: str) -> Repetition:
    """Repeat one run, or every step of a chain, and compare each repetition with its original."""
    import mlflow

    from retraining.tracking import reproduction, runs

    given = runs.get_run(run_id, "run_id")
    originals = [reproduction.original_of(step) for step in reproduction.steps_of(given)]
    differences: list[reproduction.Difference] = []
    for original in originals:
        again = reproduction.repeat(original)
        found = reproduction.compare(original, again)
        outcome = reproduction.outcome_of(found)
        mlflow.MlflowClient().set_tag(again.info.run_id, tags.COMPARISON, outcome)
        _LOG.info(f"{original.data.tags[tags.STEP]} {original.info.run_id}: {outcome}")
        differences += found
    mlflow.log_text(json.dumps([d._asdict() for d in differences], indent=1), "comparison.json")
    run.use("run", run_id, run_id)
    names = tuple(original.data.tags[tags.STEP] for original in originals)
    return reproduction.Repetition(run_id, names, tuple(differences))


if __name__ == "__main__":
    reproduce()
