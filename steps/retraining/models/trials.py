"""The trials of a search as MLflow child runs, which a continued search takes over."""

from __future__ import annotations

import json
import logging
import textwrap
import time
from concurrent.futures import CancelledError
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

from retraining.errors import RetrainingError
from retraining.tracking import commands, outage, tags
from retraining.tracking.pages import every

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retraining.models.encoding import EncodedRows
    from retraining.models.search import Candidate
    from retraining.tracking.lineage import StepRun

_LOG = logging.getLogger(__name__)


class Trials:
    """Runs trials as child runs of the search, in its experiment or in a separate one.

    Args:
        run: The run of the search.
        rows: Rows to fit and evaluate on.
        seed: Seed of every fit.
        key: Digest of data, description, code and seed; only trials with the same key are taken
            over.
        experiment: Name of the experiment for the child runs; None for that of the search.
    """

    def __init__(
        self, run: StepRun, rows: EncodedRows, seed: int, key: str, experiment: str | None
    ) -> None:
        self._client = MlflowClient()
        self._run = run
        self._rows = rows
        self._seed = seed
        self._key = key
        self._experiment = self._experiment_id(experiment)
        self._finished = self._find_finished()
        self._open: set[str] = set()
        self._ending = Lock()
        self._closed = False

    def __call__(self, candidate: Candidate) -> Mapping[str, float]:
        """Return the metrics of a candidate, from its finished run if there is one.

        It is called from several threads and therefore uses the client: the fluent API has one
        active run per thread.
        """
        known = self._finished.get(_name(candidate))
        if known is not None:
            return known
        run_id = self._start(candidate)
        log = partial(self._client.log_batch, run_id)
        status, failure = "FAILED", ""
        started = time.monotonic()
        try:
            fitted = {"estimator": candidate.estimator, **candidate.parameters}
            log(params=[Param(k, str(v)) for k, v in fitted.items()])
            metrics = self._rows.evaluate(candidate, self._seed)
            now = int(time.time() * 1000)
            seconds = {"duration_seconds": time.monotonic() - started}
            log(metrics=[Metric(k, v, now, 0) for k, v in {**metrics, **seconds}.items()])
            status = "FINISHED"
        except Exception as error:
            if not outage.is_lost(error):
                said = str(error) or type(error).__name__
                failure = textwrap.shorten(said, 1000, placeholder=" [... the rest is in the log]")
            raise
        finally:
            self._end(run_id, status, failure)
        return metrics

    def close(self) -> None:
        """End the runs that are still open, which there are only where the search is broken off.

        A run that the server does not let it end stays RUNNING, which is logged.
        """
        self._closed = True
        if self._open:
            outage.hurry(retries=3)  # whatever asks a step to stop waits for some seconds only
        for run_id in tuple(self._open):
            try:
                self._end(run_id, "KILLED")
            except MlflowException:
                _LOG.info(f"trial {run_id} stays RUNNING: the tracking server does not answer")

    def _start(self, candidate: Candidate) -> str:
        about = {
            # The parent argument of start_run is ignored while MLFLOW_RUN_ID is set.
            MLFLOW_PARENT_RUN_ID: self._run.run_id,
            MLFLOW_RUN_NAME: f"trial-{candidate.number + 1:03d}",
            tags.STEP: "trial",
            MLFLOW_RUN_NOTE: self._note(candidate),
            tags.CYCLE_ID: self._run.cycle_id,
            tags.SEARCH_KEY: self._key,
            tags.CANDIDATE: _name(candidate),
        }
        run_id: str = self._client.create_run(self._experiment, tags=about).info.run_id
        self._open.add(run_id)
        if self._closed:  # meanwhile
            self._end(run_id, "KILLED")
            raise CancelledError
        return run_id

    def _end(self, run_id: str, status: str, failure: str = "") -> None:
        """End a run, unless another thread does: that of the trial, or the one that closes."""
        with self._ending:
            if run_id not in self._open:
                return
            self._open.remove(run_id)
        if self._closed and status == "FAILED":  # with the session of the search
            status, failure = "KILLED", ""
        if failure:
            self._client.set_tag(run_id, tags.FAILURE, failure)
        self._client.set_terminated(run_id, status)

    def _note(self, candidate: Candidate) -> str:
        run_id = self._run.run_id
        return (
            f"Trial {candidate.number + 1} of search {run_id}. Repeat the search with:\n\n"
            f"```\n{commands.show('reproduce', {'run_id': run_id})}\n```\n"
        )

    def _find_finished(self) -> dict[str, dict[str, float]]:
        found = every(
            self._client.search_runs,
            [self._experiment],
            f"tags.{tags.SEARCH_KEY} = '{self._key}' "
            f"and tags.{tags.CYCLE_ID} = '{self._run.cycle_id}' and attributes.status = 'FINISHED'",
            ViewType.ACTIVE_ONLY,
        )
        return {r.data.tags[tags.CANDIDATE]: dict(r.data.metrics) for r in found}

    def _experiment_id(self, name: str | None) -> str:
        if name is None:
            return str(self._client.get_run(self._run.run_id).info.experiment_id)
        found = self._client.get_experiment_by_name(name)
        if found is not None and found.lifecycle_stage != "active":
            raise RetrainingError(
                f"experiment {name!r} is deleted", "restore it, or name another experiment"
            )
        return str(found.experiment_id if found else self._client.create_experiment(name))


def _name(candidate: Candidate) -> str:
    number, estimator, parameters = candidate
    return f"{number} {estimator} {json.dumps(parameters, sort_keys=True)}"
