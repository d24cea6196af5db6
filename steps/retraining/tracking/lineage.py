"""The run of a step: its parameters, its inputs, its result, and how to repeat it.

Parameters are logged as the caller gave them and as `mlflow run` logs them: quoted for the shell.
What they resolve to is recorded in tags and artifacts.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import shlex
from contextlib import contextmanager
from datetime import datetime, time
from importlib import metadata
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import mlflow
import pyspark
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.spark_dataset_source import SparkDatasetSource
from mlflow.entities import RunStatus
from mlflow.types import ColSpec, Schema
from mlflow.utils.mlflow_tags import (
    MLFLOW_GIT_COMMIT,
    MLFLOW_PROJECT_ENTRY_POINT,
    MLFLOW_RUN_NAME,
    MLFLOW_RUN_NOTE,
    MLFLOW_SOURCE_NAME,
)

from retraining.description import yaml12
from retraining.digests import digest
from retraining.tracking import checkout, commands, faults, outage, runs, stores, tags, values
from retraining.tracking.checkout import ROOT
from retraining.tracking.result import Reused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlflow import ActiveRun
    from mlflow.entities import Run

    from retraining.description.document import Description
    from retraining.errors import RetrainingError
    from retraining.tracking.result import Result

_LOG = logging.getLogger(__name__)

_MLFLOW_TYPES = {
    "string": "string",
    "int": "integer",
    "bigint": "long",
    "double": "double",
    "boolean": "boolean",
    "date": "datetime",
    "timestamp": "datetime",
}
# The cycle of a step and where it runs do not change its result.
_NOT_IDENTIFYING = {"pipeline_id", "spark_master"}


class StepRun:
    """The MLflow run of a step, and what the step records on it.

    Attributes:
        run_id: Id of the MLflow run.
        step: Entry point, as in MLproject.
        cycle_id: The cycle that the run belongs to.
        parameters: Parameters as text; "not given" is an empty string.
        summary: The result in one line; empty until a result is written.
        details: Markdown after the summary in the note.
        identity: Digest of entry point, parameters, inputs and code; empty until `reuse`.
    """

    def __init__(
        self, run_id: str, step: str, parameters: Mapping[str, str], cycle_id: str
    ) -> None:
        self.run_id = run_id
        self.step = step
        self.parameters = dict(parameters)
        self.cycle_id = cycle_id
        self.summary = ""
        self.details = ""
        self.identity = ""
        self._used: list[tuple[str, str]] = []
        self._pinned: dict[str, str] = {}

    @property
    def attempt(self) -> dict[str, str]:
        """Tags that only another attempt at the same work has, too."""
        return {tags.CYCLE_ID: self.cycle_id, tags.IDENTITY: self.identity}

    def use(self, name: str, value: str, run_id: str | None = None) -> None:
        """Record an input as tag `input.<name>` and in the note, with a link to its run."""
        values.set_tags(self.run_id, {tags.INPUT + name: value})
        shown = value
        if run_id:
            experiment = mlflow.get_run(run_id).info.experiment_id
            shown = f"[{value}](#/experiments/{experiment}/runs/{run_id})"
        self._used.append((name, shown))

    def pin(self, **parameters: str) -> None:
        """Set parameters with which a repetition reads exactly what this run read."""
        self._pinned |= parameters
        values.set_tags(self.run_id, {tags.PINNED: json.dumps(self._pinned, sort_keys=True)})

    def keep_description(self, description: Description) -> None:
        """Keep the description on the run and pin it, since its file may change."""
        text = yaml12.write(description.to_mapping())
        mlflow.log_text(text, "description.yaml")
        self.pin(dataset=f"runs:/{self.run_id}/description.yaml")

    def reuse(
        self, inputs: Mapping[str, str], *, is_there: Callable[[Run], bool] = lambda _: True
    ) -> Reused | None:
        """The result of an earlier run of this cycle that did the same; None if there is none.

        The same means: with the same entry point, parameters, inputs and code.

        Args:
            inputs: What identifies the inputs, by name.
            is_there: Whether the output of an earlier run still exists.
        """
        given = {k: v for k, v in self.parameters.items() if k not in _NOT_IDENTIFYING}
        same = [self.step, sorted(given.items()), sorted(inputs.items()), checkout.digest(ROOT)]
        identity = digest(json.dumps(same))
        self.identity = identity
        mlflow.set_tag(tags.IDENTITY, identity)
        earlier = runs.find(self.step, self.cycle_id, {tags.IDENTITY: identity})
        if earlier is None:
            return None
        if not is_there(earlier):
            _LOG.info(f"the output of run {earlier.info.run_id} is gone, so the step runs again")
            return None
        self._pinned = values.read_json(earlier, tags.PINNED)
        self._used.append(("all of", earlier.info.run_id))
        return Reused(earlier)

    def write(self, result: Result) -> None:
        """Record the result of the step as metrics, tags and note of the run."""
        mlflow.log_metrics(dict(result.metrics))
        values.set_tags(self.run_id, result.tags)
        self.summary, self.details = result.summary, result.details

    def note(self) -> str:
        """The note of the run in Markdown: its result, its inputs and how to repeat it."""
        used = "\n".join(f"- {name}: {shown}" for name, shown in self._used) or "- nothing"
        dirty = checkout.source(ROOT).dirty
        return (
            f"**{self.step}**: {self.summary}\n\n"
            + (f"{self.details}\n\n" if self.details else "")
            + f"Cycle `{self.cycle_id}`\n\n### Used\n{used}\n\n"
            "### Reproduce\n```\n"
            f"{commands.show('reproduce', {'run_id': self.run_id})}\n```\n"
            f"or, by hand:\n```\n{self._command()}\n```\n"
            + (
                "The code was not committed: this repeats the run only as far as it was.\n"
                if dirty
                else ""
            )
        )

    def _command(self) -> str:
        source = checkout.source(ROOT)
        tracking_uri = outage.address()
        # Not the current folder, which is temporary if the project is run by its git URL.
        folder = f"{PurePosixPath(source.url).stem}-{(source.commit or 'uncommitted')[:7]}"
        again = commands.show(self.step, {**self.parameters, **self._pinned}, project=folder)
        return (
            f"git clone {shlex.quote(source.url)} {folder}\n"
            f"git -C {folder} checkout {source.commit or '(no commit)'}\n"
            f"MLFLOW_TRACKING_URI={shlex.quote(tracking_uri)} {again}"
        )


def log_data(
    name: str, uri: str, fingerprint: str, description: Description, *, context: str
) -> None:
    """Show a data set on the active run, with the fingerprint of its rows as digest.

    `mlflow.data.from_spark` would hash the query plan and count rows through Python.
    """
    schema = Schema([ColSpec(_MLFLOW_TYPES[c.type], n) for n, c in description.columns.items()])
    source = SparkDatasetSource(path=uri)
    data = MetaDataset(source, name, fingerprint, schema)  # type: ignore[abstract]
    mlflow.log_input(data, context=context)


@contextmanager
def open_step(
    step: str,
    parameters: Mapping[str, object],
    cycle_id: str | None = None,
    *,
    begins_cycle: bool = False,
) -> Iterator[StepRun]:
    """Enter the run that `mlflow run` created for this step or, if there is none, a new run.

    Args:
        step: Entry point, as in MLproject.
        parameters: Parameters of the step, as parsed by click.
        cycle_id: The cycle that the caller named; None if the caller named none.
        begins_cycle: Whether the step starts a new cycle then; otherwise it joins the newest one.
    """
    given = {key: as_text(value) for key, value in parameters.items()}
    resumed = os.environ.get("MLFLOW_RUN_ID")
    stores.prepare()
    with (
        mlflow.start_run(run_id=resumed, run_name=None if resumed else step) as active,
        commands.used_environment(active.data.tags),
    ):
        try:
            values.log_parameters(active.info.run_id, given, logged=bool(resumed))
            chosen = cycle_id or (None if begins_cycle else runs.newest_cycle())
            run = StepRun(active.info.run_id, step, given, chosen or runs.new_cycle_id())
            mlflow.set_tags({MLFLOW_RUN_NAME: step, tags.STEP: step, **_circumstances(run)})
            # The name of a project that is run by its git URL is that URL, maybe with a token.
            if name := active.data.tags.get(MLFLOW_SOURCE_NAME):
                mlflow.set_tag(MLFLOW_SOURCE_NAME, checkout.without_credentials(name))
            mlflow.log_text(_environment(), "environment.txt")
            yield run
        except (KeyboardInterrupt, Exception) as error:
            if stop := _interruption(error):
                outage.hurry(retries=3)  # whatever asks a step to stop waits for some seconds only
                _end(active, RunStatus.KILLED)
                raise stop from None
            if outage.is_lost(error):
                _end(active, RunStatus.FAILED)
            elif expected := faults.fault(error):
                values.set_tags(active.info.run_id, _failure(expected))
            raise
        values.set_tags(run.run_id, {MLFLOW_RUN_NOTE: run.note(), tags.SUMMARY: run.summary})


def report_failure(run_id: str, step: str, error: RetrainingError) -> None:
    """Record why a step failed on the run that `mlflow run` created and the step did not enter."""
    outage.hurry(retries=3)  # the user is waiting for the error message
    try:
        values.set_tags(run_id, {tags.STEP: step, **_failure(error)})
    except mlflow.MlflowException:
        _LOG.info(f"run {run_id} does not show the reason: the tracking server does not answer")


def _failure(error: RetrainingError) -> dict[str, str]:
    return {tags.FAILURE: str(error), MLFLOW_RUN_NOTE: f"Failed: {error}"}


def _interruption(error: BaseException | None) -> KeyboardInterrupt | None:
    """The signal that led to an error: Spark receives it too, so cleaning up may fail."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error


def _end(active: ActiveRun, status: int) -> None:
    """End the run if the server still answers; a failure to do so does not hide the reason."""
    try:
        mlflow.end_run(RunStatus.to_string(status))
    except mlflow.MlflowException:
        _LOG.info(f"run {active.info.run_id} stays RUNNING: the tracking server does not answer")


def as_text(value: object) -> str:
    """A parameter as on the command line: booleans in lower case, None as an empty string."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        midnight = value.time() == time()
        return f"{value:%Y-%m-%d}" if midnight else value.isoformat(timespec="seconds")
    text = str(value)
    if isinstance(value, bool):
        return text.lower()
    return text.removesuffix(".0") if isinstance(value, float) else text


def _circumstances(run: StepRun) -> dict[str, str]:
    source = checkout.source(ROOT)
    commit = {MLFLOW_GIT_COMMIT: source.commit} if source.commit else {}
    return {
        tags.CYCLE_ID: run.cycle_id,
        tags.CODE_DIGEST: checkout.digest(ROOT),
        tags.CODE_DIRTY: tags.boolean(source.dirty),
        tags.PYTHON: platform.python_version(),
        tags.MLFLOW: metadata.version("mlflow"),
        tags.PYSPARK: pyspark.__version__,
        MLFLOW_PROJECT_ENTRY_POINT: run.step,
        **commit,
    }


def _environment() -> str:
    installed = {f"{d.metadata['Name']}=={d.version}" for d in metadata.distributions()}
    return "\n".join(sorted(installed, key=str.lower)) + "\n"
