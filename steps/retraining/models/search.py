"""Hyperparameter search: hyperopt proposes, several Spark ML fits run at once on the driver.

hyperopt's SparkTrials cannot train Spark ML models (workers have no Spark context), and its `fmin`
runs one trial at a time. So this module asks for proposals and reports results in batches; the
trials of a batch run in threads. Proposals depend on the seed and on the results of earlier
batches, never on which fit finished first. A search can therefore be repeated, and an interrupted
search can continue: a proposal that already has a finished run is not fitted again.
"""

from __future__ import annotations

import logging
import math
import time
from concurrent.futures import Future
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from hyperopt import JOB_STATE_DONE, JOB_STATE_ERROR, STATUS_FAIL, STATUS_OK, Trials, hp, tpe
from hyperopt import space_eval as evaluate_space
from hyperopt.base import Domain
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from retraining.errors import RetrainingError, reason
from retraining.progress import track
from retraining.statistics.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retraining.description.search import Search, Space

_LOG = logging.getLogger(__name__)

# With hyperopt's default of 20, a search of a dozen trials would be random.
_SUGGEST = partial(tpe.suggest, n_startup_jobs=5)


class Candidate(NamedTuple):
    """An estimator with its parameters, to be fitted by one trial."""

    number: int
    estimator: str
    parameters: dict[str, Any]


class TrialResult(NamedTuple):
    """Metrics of a trial on validation, or the reason why it failed."""

    candidate: Candidate
    metrics: Mapping[str, float]
    failure: str = ""


def run(
    search: Search,
    trial: Callable[[Candidate], Mapping[str, float]],
    *,
    seed: int,
) -> list[TrialResult]:
    """Search and return the results in the order of their numbers.

    The search stops after `search.trials` trials, after `search.early_stop` trials without
    improvement, or at the end of the batch in which `search.time_limit` (seconds) runs out,
    whichever comes first.

    Args:
        search: Search spaces, limits and the metric to optimise.
        trial: Fits a candidate and returns its metrics; called from several threads.
        seed: Determines the proposals, together with the results of earlier batches.

    Raises:
        RetrainingError: If there is nothing to search, or every trial failed.
    """
    if not search.estimators:
        raise RetrainingError("search.estimators is empty", "name an estimator and its spaces")
    proposals = _Proposals(search, seed)
    results: list[TrialResult] = []
    started = time.monotonic()
    with track("search", search.trials, "trials") as advance:
        while len(results) < search.trials and not _stalled(results, search):
            if results and 0 < search.time_limit < time.monotonic() - started:
                _LOG.info(f"time limit of {search.time_limit:g} s reached")
                break
            size = min(search.parallelism, search.trials - len(results))
            running = [_start(trial, candidate, search.metric) for candidate in proposals.ask(size)]
            for future in running:
                result = future.result()
                results.append(result)
                _LOG.info(_line(result, results, search))
                advance(1)
            proposals.tell(results[-size:])
    if all(result.failure for result in results):
        raise RetrainingError(
            f"all {len(results)} trials failed, the last with: {results[-1].failure}",
            "correct search.estimators in the description",
        )
    return results


def best(results: list[TrialResult], metric: str) -> TrialResult:
    """The result with the best metric; the first one if there are several."""
    return min((r for r in results if not r.failure), key=lambda r: _loss(r, metric))


class _Proposals:
    """hyperopt's TPE, with methods to ask for candidates and to tell it results."""

    def __init__(self, search: Search, seed: int) -> None:
        self._metric = search.metric
        self._spaces = search.estimators
        self._seed = seed
        self._space = hp.choice(
            "estimator",
            [
                {"estimator": name, **{k: _expression(f"{name}.{k}", v) for k, v in keys.items()}}
                for name, keys in search.estimators.items()
            ],
        )
        self._domain = Domain(lambda values: values, self._space)
        self._trials = Trials()

    def ask(self, size: int) -> list[Candidate]:
        candidates = []
        for number in self._trials.new_trial_ids(size):
            # TPE proposes one point per call, so every number needs a seed of its own.
            seed = int(np.random.default_rng([self._seed, number]).integers(2**31 - 1))
            (document,) = _SUGGEST([number], self._domain, self._trials, seed)
            self._trials.insert_trial_docs([document])
            point = {key: value[0] for key, value in document["misc"]["vals"].items() if value}
            values = dict(evaluate_space(self._space, point))
            name = values.pop("estimator")
            spaces = self._spaces[name]
            parameters = {k: _value(spaces[k], value) for k, value in sorted(values.items())}
            candidates.append(Candidate(number, name, parameters))
        # After the loop, so that the candidates of a batch do not depend on each other.
        self._trials.refresh()
        return candidates

    def tell(self, results: list[TrialResult]) -> None:
        documents = {document["tid"]: document for document in self._trials.trials}
        for result in results:
            document = documents[result.candidate.number]
            failed = bool(result.failure)
            document["state"] = JOB_STATE_ERROR if failed else JOB_STATE_DONE
            document["result"] = (
                {"status": STATUS_FAIL}
                if failed
                else {"status": STATUS_OK, "loss": _loss(result, self._metric)}
            )
        self._trials.refresh()


def _loss(result: TrialResult, metric: str) -> float:
    value = result.metrics[metric]
    return -value if METRICS[metric].greater_is_better else value


def _expression(label: str, space: Space) -> Any:  # noqa: ANN401 (hyperopt's graph)
    if space.choice is not None:
        return hp.choice(label, list(space.choice))
    if space.uniform is not None:
        return hp.uniform(label, *space.uniform)
    if space.quniform is not None:
        return hp.quniform(label, 0, space.n_steps, 1)  # hyperopt's would leave its bounds
    if space.loguniform is not None:
        return hp.loguniform(label, *np.log(space.loguniform))
    return hp.randint(label, *(space.randint or ()))


def _value(space: Space, drawn: object) -> object:
    """What was drawn of a space as a plain Python value; a whole float becomes an integer."""
    value: Any = drawn.item() if isinstance(drawn, np.generic) else drawn
    if space.quniform is not None:
        return space.at(int(value))
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _start(
    trial: Callable[[Candidate], Mapping[str, float]], candidate: Candidate, metric: str
) -> Future[TrialResult]:
    """Run a trial in a thread that the process does not wait for when it is interrupted.

    Most fits then end with the Spark session, but one that waits for what a stopped session
    computes never does; the threads of an executor would be waited for.
    """
    future: Future[TrialResult] = Future()

    def fit() -> None:
        try:
            future.set_result(_result(trial, candidate, metric))
        except BaseException as error:  # noqa: BLE001 (raised again by whoever waits for it)
            future.set_exception(error)

    Thread(target=fit, daemon=True).start()
    return future


def _result(
    trial: Callable[[Candidate], Mapping[str, float]], candidate: Candidate, metric: str
) -> TrialResult:
    try:
        metrics = trial(candidate)
    except (RetrainingError, PySparkException, Py4JError) as error:
        return TrialResult(candidate, {}, reason(error))
    if not math.isfinite(metrics[metric]):  # comparisons with NaN are false, so it could win
        return TrialResult(candidate, {}, f"{metric} is {metrics[metric]}")
    return TrialResult(candidate, metrics)


def _stalled(results: list[TrialResult], search: Search) -> bool:
    if not search.early_stop or all(result.failure for result in results):
        return False
    return len(results) - 1 - results.index(best(results, search.metric)) >= search.early_stop


def _line(result: TrialResult, results: list[TrialResult], search: Search) -> str:
    number, name, _ = result.candidate
    head = f"trial {number + 1}/{search.trials} {name}"
    if result.failure:
        return f"{head}: failed: {result.failure}"
    leader = best(results, search.metric)
    return (
        f"{head}: {search.metric} {result.metrics[search.metric]:.5f}, "
        f"best {leader.metrics[search.metric]:.5f} (trial {leader.candidate.number + 1})"
    )
