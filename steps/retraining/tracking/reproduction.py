"""Repeats a run, and compares it with the repetition."""

from __future__ import annotations

import filecmp
import logging
import math
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import mlflow
from mlflow.exceptions import ExecutionException
from mlflow.projects.utils import load_project
from mlflow.utils.mlflow_tags import (
    MLFLOW_GIT_COMMIT,
    MLFLOW_PROJECT_ENTRY_POINT,
    MLFLOW_PROJECT_ENV,
)

from retraining.errors import RetrainingError
from retraining.tracking import children, runs, tags, values
from retraining.tracking.checkout import ROOT
from retraining.tracking.cycle import STEPS
from retraining.tracking.result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlflow.entities import Run

_LOG = logging.getLogger(__name__)

# A cluster adds up partial sums in the order in which tasks finish, so the last digits of a metric
# may differ. Another model or other rows make a far larger difference.
RELATIVE_TOLERANCE = 1e-9

_COMPARED_TAGS = (tags.OUTCOME, tags.VERDICT)  # reasons also state what the ledger left


class Difference(NamedTuple):
    """One value that differs between a run and its repetition."""

    step: str
    kind: str
    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Repetition(Result):
    """A run that was repeated, and how the repetition differs.

    Attributes:
        run_id: Id of the run.
        steps: The steps that were repeated.
        differences: Empty if there are none.
    """

    run_id: str
    steps: tuple[str, ...]
    differences: tuple[Difference, ...]

    @property
    def table(self) -> str:
        """The differences as text, one per line; empty if there are none."""
        return "".join(
            f"{d.step}: {d.kind} {d.name}: {d.before} -> {d.after}\n" for d in self.differences
        )

    @property
    def summary(self) -> str:
        """The outcome, and what was repeated."""
        outcome, n_steps = outcome_of(self.differences), len(self.steps)
        counted = f"{n_steps} steps, " if n_steps > 1 else ""
        return f"{outcome}: {counted}{', '.join(self.steps)} of run {self.run_id}"

    @property
    def tags(self) -> Mapping[str, str]:
        """The outcome."""
        return {tags.COMPARISON: outcome_of(self.differences)}


def check_finished(run: Run) -> None:
    """Refuse a run that cannot be repeated.

    Raises:
        RetrainingError: If no step of a project has finished it.
    """
    if run.info.lifecycle_stage != "active":
        raise RetrainingError(
            f"run {run.info.run_id} is deleted", f"`mlflow runs restore --run-id {run.info.run_id}`"
        )
    # The trials of a search have no entry point: their search is what can be repeated. Runs of
    # other projects have no step.
    known = {MLFLOW_PROJECT_ENTRY_POINT, tags.STEP} <= set(run.data.tags)
    if not known or run.info.status != "FINISHED":
        raise RetrainingError(
            f"run {run.info.run_id} is not a finished step (status {run.info.status})",
            "give the id of a run that a step of this project finished",
        )


def steps_of(run: Run) -> list[Run]:
    """The runs to repeat: the run itself, or those of the steps of a chain.

    Raises:
        RetrainingError: If it is not the run of a step, or a chain has lost one of its steps.
    """
    check_finished(run)
    if run.data.tags[tags.STEP] != "main":
        return [run]
    found = children.children(run.info.run_id)
    # A chain of an earlier version does not name its runs.
    expected = values.read_json(run, tags.CHAIN_STEPS) or dict.fromkeys(STEPS, "")
    there = {r.info.run_id for r in found} | {r.data.tags.get(tags.STEP) for r in found}
    missing = [step for step, run_id in expected.items() if (run_id or step) not in there]
    if missing:
        raise RetrainingError(
            f"chain {run.info.run_id} has lost its runs of {', '.join(missing)}",
            "restore them (`mlflow runs restore --run-id ID`), or repeat a single step by its id",
        )
    return [r for r in found if r.info.run_id in expected.values()] or found


def original_of(run: Run) -> Run:
    """The run itself or, if it reuses an earlier run, that run.

    Raises:
        RetrainingError: If it cannot be repeated.
    """
    check_finished(run)
    run = runs.original_of(run)
    check_finished(run)
    carried = run.data.tags
    dirty = tags.is_true(carried, tags.CODE_DIRTY, absent=True)
    if dirty or MLFLOW_GIT_COMMIT not in carried:
        raise RetrainingError(
            f"run {run.info.run_id} was made from uncommitted code",
            "commit the code, run the step again, then reproduce that run",
        )
    return run


def repeat(original: Run) -> Run:
    """Run a step again from the commit of its run, as a child run in a cycle of its own."""
    run_id, carried = original.info.run_id, original.data.tags
    step, commit = carried[tags.STEP], carried[MLFLOW_GIT_COMMIT]
    cycle_id = runs.new_cycle_id(f"{runs.REPRODUCTION}{run_id[:8]}-")
    with tempfile.TemporaryDirectory() as folder:
        _check_out(commit, folder)
        given = parameters(original, folder) | {"pipeline_id": cycle_id}
        manager = env_manager(folder, ROOT, carried.get(MLFLOW_PROJECT_ENV))
        _LOG.info(f"{step} of commit {commit[:7]}, run {run_id}")
        repetition = children.run(folder, step, given, env_manager=manager)
    mlflow.MlflowClient().set_tag(repetition.info.run_id, tags.REPRODUCES, run_id)
    return repetition


def parameters(original: Run, folder: str) -> dict[str, str]:
    """The parameters of a repetition: those of the run, with its inputs pinned."""
    step = original.data.tags[tags.STEP]
    project = load_project(folder)  # type: ignore[no-untyped-call]
    try:
        accepted = project.get_entry_point(step).parameters
    except ExecutionException as error:
        commit = original.data.tags[MLFLOW_GIT_COMMIT]
        raise RetrainingError(
            f"commit {commit[:7]} has no step {step}, which run {original.info.run_id} is of",
            "run reproduce from a clone of the project that made the run",
        ) from error
    given = {k: v for k, v in values.read_parameters(original, accepted).items() if v}
    return given | values.read_json(original, tags.PINNED)


def env_manager(folder: str, root: Path, recorded: str | None) -> str:
    """`local` if the commit has the same environment as this checkout, else that of the run."""
    stated = ["conda.yaml", "constraints.txt"]
    same, _, _ = filecmp.cmpfiles(folder, root, stated, shallow=False)
    return "local" if same == stated else (recorded or "uv")


def compare(original: Run, repetition: Run) -> list[Difference]:
    """Compare parameters that were not pinned, fingerprints, outcomes and metrics.

    Metrics are the same within a relative tolerance of 1e-9; durations are not compared.
    """
    step = original.data.tags[tags.STEP]
    pinned = {"pipeline_id", *values.read_json(original, tags.PINNED)}
    found = []
    for kind, old, new in (
        ("parameter", original.data.params, repetition.data.params),
        ("tag", _compared_tags(original), _compared_tags(repetition)),
        ("metric", original.data.metrics, repetition.data.metrics),
    ):
        for name in sorted({*old, *new} - (pinned if kind == "parameter" else set())):
            before, after = old.get(name), new.get(name)
            if not name.startswith("duration") and not _same(before, after):
                found.append(Difference(step, kind, name, str(before), str(after)))
    return found


def outcome_of(differences: Sequence[Difference]) -> str:
    """`identical`, or the number of differences."""
    return f"{len(differences)} differences" if differences else "identical"


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


def _compared_tags(run: Run) -> dict[str, str]:
    return {
        name: value
        for name, value in run.data.tags.items()
        if name in _COMPARED_TAGS or name.startswith(tags.FINGERPRINT)
    }


def _same(before: object, after: object) -> bool:
    if isinstance(before, float) and isinstance(after, float):
        close = math.isclose(before, after, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-12)
        return close or (math.isnan(before) and math.isnan(after))
    return before == after
