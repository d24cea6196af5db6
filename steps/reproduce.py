"""Run a finished run again from its commit, parameters and pinned inputs, and compare the two.

The commit is checked out in a folder of its own. The repetition is a new run, tagged with the old
one, in a cycle of its own; it leaves the registry untouched. The answer is `identical`, or a
table of what differs. For a run of `main`, every step is repeated.

    mlflow run . -e reproduce -P run_id=RUN_ID
    python steps/reproduce.py --run-id RUN_ID
"""

from __future__ import annotations

import json
import logging
import tempfile
from typing import TYPE_CHECKING

import click
import mlflow
from mlflow.utils.mlflow_tags import MLFLOW_PROJECT_ENTRY_POINT

from retraining.cli import options
from retraining.cli.command import StepCommand, examples
from retraining.errors import RetrainingError
from retraining.tracking import children, lineage, reproduction, runs
from retraining.tracking.checkout import ROOT

if TYPE_CHECKING:
    from mlflow.entities import Run

_LOG = logging.getLogger("retraining.reproduce")


@click.command(cls=StepCommand, epilog=examples(__doc__))
@options.option("--run-id", "Id of the run to repeat. Required.")
@options.pipeline_id
def reproduce(**parameters: object) -> None:
    """Repeat a run from what MLflow recorded of it, and compare."""
    if not parameters["run_id"]:
        raise click.BadParameter(
            "is empty: give the id that the MLflow UI shows", param_hint="run_id"
        )
    with lineage.open_step("reproduce", parameters) as run:
        table = repeat(run, str(parameters["run_id"]))
        click.echo(f"{table}reproduce: {run.summary}")


def repeat(run: lineage.StepRun, run_id: str) -> str:
    """Repeat one run, or every step of a chain; the result goes to `run.summary`.

    Returns:
        A table of what differs; empty if nothing does.
    """
    given = runs.get_run(run_id, "run_id")
    _check_finished(given)
    steps = children.children(run_id) if given.data.tags["step"] == "main" else [given]
    originals = [_original(step) for step in steps]
    differences: list[reproduction.Difference] = []
    for original in originals:
        again = _again(original)
        found = reproduction.compare(original, again)
        result = f"{len(found)} differences" if found else "identical"
        mlflow.MlflowClient().set_tag(again.info.run_id, "result.comparison", result)
        _LOG.info(f"{original.data.tags['step']} {original.info.run_id}: {result}")
        differences += found
    mlflow.log_text(json.dumps([d._asdict() for d in differences], indent=1), "comparison.json")
    outcome = f"{len(differences)} differences" if differences else "identical"
    mlflow.set_tag("result.comparison", outcome)
    run.use("run", run_id, run_id)
    run.summary = f"{outcome}: {', '.join(r.data.tags['step'] for r in originals)} of run {run_id}"
    return reproduction.table(differences)


def _check_finished(run: Run) -> None:
    # The trials of a search have no entry point: their search is what can be repeated.
    if MLFLOW_PROJECT_ENTRY_POINT not in run.data.tags or run.info.status != "FINISHED":
        raise RetrainingError(
            f"run {run.info.run_id} is no finished step (status {run.info.status})",
            "give the id of a run that a step of this project finished",
        )


def _original(run: Run) -> Run:
    """The run itself or, if it reused another one, that one."""
    _check_finished(run)
    tags = run.data.tags
    if "reused_from" in tags:
        return _original(runs.get_run(tags["reused_from"], "reused_from"))
    if "mlflow.source.git.commit" not in tags or tags.get("code.dirty") != "false":
        raise RetrainingError(
            f"run {run.info.run_id} was made from uncommitted code",
            "commit, run the step, reproduce that",
        )
    return run


def _again(original: Run) -> Run:
    run_id, tags = original.info.run_id, original.data.tags
    step, commit = tags["step"], tags["mlflow.source.git.commit"]
    cycle_id = runs.new_cycle_id(f"{runs.REPRODUCTION}{run_id[:8]}-")
    with tempfile.TemporaryDirectory() as folder:
        _check_out(commit, folder)
        parameters = reproduction.parameters(original, folder) | {"pipeline_id": cycle_id}
        manager = reproduction.env_manager(folder, ROOT, tags.get("mlflow.project.env"))
        _LOG.info(f"reproduce: {step} of commit {commit[:7]}, run {run_id}")
        again = children.run(folder, step, parameters, env_manager=manager)
    mlflow.MlflowClient().set_tag(again.info.run_id, "reproduces", run_id)
    return again


def _check_out(commit: str, folder: str) -> None:
    try:
        import git
    except ImportError as error:
        raise RetrainingError("there is no git on this machine", "install it") from error
    try:
        clone = git.Repo.clone_from(str(ROOT), folder, no_checkout=True)
        clone.git.checkout(commit)
    except git.GitCommandError as error:
        raise RetrainingError(
            f"commit {commit} cannot be checked out from {ROOT}",
            "fetch it, or run reproduce from a clone that has it",
        ) from error


if __name__ == "__main__":
    reproduce()
