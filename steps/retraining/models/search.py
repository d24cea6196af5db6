"""Hyperparameter search: hyperopt proposes, several Spark ML fits run at once on the driver.

hyperopt's own SparkTrials cannot train Spark ML models (workers have no Spark context) and its
`fmin` runs one trial after the other. So trials are asked for in batches and told in batches:
within a batch they run in threads; what is proposed depends on the seed and on the trials of
earlier batches, never on which fit happened to finish first. Hence a search can be repeated, and
an interrupted one goes on: a proposal that already has a finished run is not fitted again.
"""

from __future__ import annotations

import logging
import math
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from hyperopt import JOB_STATE_DONE, JOB_STATE_ERROR, STATUS_FAIL, STATUS_OK, Trials, hp, tpe
from hyperopt import space_eval as evaluate_space
from hyperopt.base import Domain
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from retraining.errors import RetrainingError
from retraining.progress import track
from retraining.statistics.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retraining.description.sections import Search, Space

_LOG = logging.getLogger(__name__)

# hyperopt's default of 20 would make a search of a dozen trials a random one.
_SUGGEST = partial(tpe.suggest, n_startup_jobs=5)


class Candidate(NamedTuple):
    """What a trial fits."""

    number: int
    estimator: str
    parameters: dict[str, Any]


class Outcome(NamedTuple):
    """What came of a trial: metrics on validation, or the reason why there are none."""

    candidate: Candidate
    metrics: Mapping[str, float]
    failure: str = ""


def run(
    search: Search,
    trial: Callable[[Candidate], Mapping[str, float]],
    *,
    seed: int,
) -> list[Outcome]:
    """Search and return the outcomes in the order of their numbers.

    Stops after `search.trials`, after `search.early_stop` trials without progress, or when
    `search.time_limit` seconds have passed at the end of a batch, whichever comes first.

    Args:
        search: Spaces, limits and the metric that decides.
        trial: Fits a candidate and returns its metrics. It is called from several threads.
        seed: Decides every proposal, together with the outcomes of earlier batches.

    Raises:
        RetrainingError: If there is nothing to search, or every trial failed.
    """
    if not search.estimators:
        raise RetrainingError("search.estimators is empty", "name an estimator and its spaces")
    proposals = _Proposals(search, seed)
    outcomes: list[Outcome] = []
    started = time.monotonic()
    pool = ThreadPoolExecutor(search.parallelism)
    try:
        with track("search", search.trials, "trials") as advance:
            while len(outcomes) < search.trials and not _stalled(outcomes, search):
                if outcomes and 0 < search.time_limit < time.monotonic() - started:
                    _LOG.info(f"time limit of {search.time_limit:g} s reached")
                    break
                size = min(search.parallelism, search.trials - len(outcomes))
                batch = proposals.ask(size)
                for outcome in pool.map(_guard(trial, search.metric), batch):
                    outcomes.append(outcome)
                    _LOG.info(_line(outcome, outcomes, search))
                    advance(1)
                proposals.tell(outcomes[-size:])
    finally:
        # Nothing runs any more but after an interruption. Then to wait would be to finish the fits;
        # they end when their Spark session is stopped.
        pool.shutdown(wait=False, cancel_futures=True)
    if all(outcome.failure for outcome in outcomes):
        raise RetrainingError(
            f"all {len(outcomes)} trials failed, the last with: {outcomes[-1].failure}",
            "mend search.estimators in the description",
        )
    return outcomes


def best(outcomes: list[Outcome], metric: str) -> Outcome:
    """The outcome with the best metric; of equals the first."""
    return min((o for o in outcomes if not o.failure), key=lambda o: _loss(o, metric))


class _Proposals:
    """hyperopt's TPE behind ask and tell."""

    def __init__(self, search: Search, seed: int) -> None:
        self._metric = search.metric
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
            # TPE proposes one point a call, so every number has a seed of its own.
            seed = int(np.random.default_rng([self._seed, number]).integers(2**31 - 1))
            (document,) = _SUGGEST([number], self._domain, self._trials, seed)
            self._trials.insert_trial_docs([document])
            point = {key: value[0] for key, value in document["misc"]["vals"].items() if value}
            values = dict(evaluate_space(self._space, point))
            name = values.pop("estimator")
            parameters = {key: _plain(value) for key, value in sorted(values.items())}
            candidates.append(Candidate(number, name, parameters))
        # Only now, so that the trials of a batch do not see each other.
        self._trials.refresh()
        return candidates

    def tell(self, outcomes: list[Outcome]) -> None:
        documents = {document["tid"]: document for document in self._trials.trials}
        for outcome in outcomes:
            document = documents[outcome.candidate.number]
            failed = bool(outcome.failure)
            document["state"] = JOB_STATE_ERROR if failed else JOB_STATE_DONE
            document["result"] = (
                {"status": STATUS_FAIL}
                if failed
                else {"status": STATUS_OK, "loss": _loss(outcome, self._metric)}
            )
        self._trials.refresh()


def _loss(outcome: Outcome, metric: str) -> float:
    value = outcome.metrics[metric]
    return -value if METRICS[metric].greater_is_better else value


def _expression(label: str, space: Space) -> Any:  # noqa: ANN401 (hyperopt's graph)
    if space.choice is not None:
        return hp.choice(label, list(space.choice))
    if space.uniform is not None:
        return hp.uniform(label, *space.uniform)
    if space.quniform is not None:
        return hp.quniform(label, *space.quniform)
    if space.loguniform is not None:
        return hp.loguniform(label, *np.log(space.loguniform))
    return hp.randint(label, *(space.randint or ()))


def _plain(value: object) -> object:
    """A Python number instead of numpy's; a whole float, as quniform draws it, is an integer."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _guard(
    trial: Callable[[Candidate], Mapping[str, float]], metric: str
) -> Callable[[Candidate], Outcome]:
    def guarded(candidate: Candidate) -> Outcome:
        try:
            metrics = trial(candidate)
        except (RetrainingError, PySparkException, Py4JError) as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            return Outcome(candidate, {}, reason[0])
        if not math.isfinite(metrics[metric]):  # NaN would never lose against a number
            return Outcome(candidate, {}, f"{metric} is {metrics[metric]}")
        return Outcome(candidate, metrics)

    return guarded


def _stalled(outcomes: list[Outcome], search: Search) -> bool:
    if not search.early_stop or all(outcome.failure for outcome in outcomes):
        return False
    return len(outcomes) - 1 - outcomes.index(best(outcomes, search.metric)) >= search.early_stop


def _line(outcome: Outcome, outcomes: list[Outcome], search: Search) -> str:
    number, name, _ = outcome.candidate
    head = f"trial {number + 1}/{search.trials} {name}"
    if outcome.failure:
        return f"{head}: failed: {outcome.failure}"
    leader = best(outcomes, search.metric)
    return (
        f"{head}: {search.metric} {outcome.metrics[search.metric]:.5f}, "
        f"best {leader.metrics[search.metric]:.5f} (trial {leader.candidate.number + 1})"
    )
