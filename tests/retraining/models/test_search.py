"""The search: what is proposed, when it stops, and what a failed trial does."""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pyspark.errors import PySparkException

from retraining.description.search import Search
from retraining.errors import RetrainingError
from retraining.models import search
from retraining.models.search import Candidate, TrialResult
from retraining.tracking.checkout import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SPACES: dict[str, Any] = {
    "RandomForestClassifier": {
        "numTrees": {"quniform": [20, 100, 10]},
        "maxDepth": {"randint": [3, 9]},
        "impurity": {"choice": ["gini", "entropy"]},
        "subsamplingRate": {"uniform": [0.5, 1.0]},
    },
    "LogisticRegression": {"regParam": {"loguniform": [0.001, 0.1]}},
}


def limits(**settings: Any) -> Search:  # noqa: ANN401 (whatever YAML may hold)
    return Search.model_validate({"trials": 6, "estimators": SPACES} | settings)


def value(candidate: Candidate) -> dict[str, float]:
    """A metric that depends on the candidate alone: many trees and weak regularisation win."""
    parameters = candidate.parameters
    score = parameters.get("numTrees", 0) / 100 + parameters.get("regParam", 0)
    return {"auroc": score, "log_loss": score}


def run(settings: Search, trial: Callable[[Candidate], Mapping[str, float]] = value) -> list[Any]:
    return search.run(settings, trial, seed=7)


@pytest.mark.parametrize("parallelism", [1, 3])
def test_proposals_do_not_depend_on_which_fit_finishes_first(parallelism: int) -> None:
    """More than 20 trials: from there on TPE learns from the ones before."""

    def hesitate(seed: int) -> Callable[[Candidate], dict[str, float]]:
        chance = np.random.default_rng(seed)

        def trial(candidate: Candidate) -> dict[str, float]:
            time.sleep(chance.uniform(0, 0.02))
            return value(candidate)

        return trial

    settings = limits(trials=30, parallelism=parallelism)
    first, second = (run(settings, hesitate(seed)) for seed in (1, 2))

    assert first == second
    assert [result.candidate.number for result in first] == list(range(30))


def test_proposals_follow_the_seed() -> None:
    settings = limits()
    seven = run(settings)
    eight = search.run(settings, value, seed=8)

    assert [o.candidate for o in seven] != [o.candidate for o in eight]


def test_proposals_learn_from_outcomes() -> None:
    settings = limits(trials=40)
    liked = run(settings)
    disliked = run(settings, lambda c: {k: -v for k, v in value(c).items()})

    assert [o.candidate for o in liked[:6]] == [o.candidate for o in disliked[:6]]
    assert [o.candidate for o in liked[6:]] != [o.candidate for o in disliked[6:]]
    assert sum(v.metrics["auroc"] for v in liked[6:]) > sum(
        -v.metrics["auroc"] for v in disliked[6:]
    )


def test_proposals_differ_within_a_batch() -> None:
    results = run(limits(trials=4, parallelism=4))

    assert len({str(o.candidate.parameters) for o in results}) == 4


def test_proposals_lie_in_their_spaces_with_plain_types() -> None:
    results = run(limits(trials=60))
    forests = [o.candidate.parameters for o in results if o.candidate.estimator[0] == "R"]
    linear = [o.candidate.parameters for o in results if o.candidate.estimator[0] == "L"]

    assert len(forests) > 5
    assert len(linear) > 5
    for parameters in forests:
        assert set(parameters) == set(SPACES["RandomForestClassifier"])
        assert type(parameters["numTrees"]) is int
        assert parameters["numTrees"] in range(20, 101, 10)
        assert type(parameters["maxDepth"]) is int
        assert parameters["maxDepth"] in range(3, 9)
        assert parameters["impurity"] in ("gini", "entropy")
        assert type(parameters["subsamplingRate"]) is float
        assert 0.5 <= parameters["subsamplingRate"] <= 1.0
    for parameters in linear:
        assert type(parameters["regParam"]) is float
        assert 0.001 <= parameters["regParam"] <= 0.1
    assert {parameters["maxDepth"] for parameters in forests} == set(range(3, 9))


@pytest.mark.parametrize(
    ("space", "values"),
    [
        ([1, 20, 8], [1, 9, 17]),
        ([3, 10, 4], [3, 7]),
        ([0.05, 0.3, 0.1], [0.05, 0.15, 0.25]),
        ([0.1, 0.3, 0.1], [0.1, 0.2, 0.3]),
        ([0, 1, 0.5], [0, 0.5, 1]),
    ],
)
def test_quniform_proposes_all_its_steps_and_nothing_else(
    space: list[float], values: list[float]
) -> None:
    spaces = {"LogisticRegression": {"regParam": {"quniform": space}}}
    results = run(limits(trials=40, estimators=spaces), lambda c: {"auroc": 0.5})

    drawn = {o.candidate.parameters["regParam"] for o in results}
    assert sorted(drawn) == values
    assert {type(value) for value in drawn if value == int(value)} <= {int}


def test_choice_keeps_the_value_that_is_described() -> None:
    spaces = {"LogisticRegression": {"elasticNetParam": {"choice": [0.0, 0.5]}, "fitIntercept": {
        "choice": [True, False]}, "family": {"choice": ["auto"]}}}  # fmt: skip
    results = run(limits(trials=20, estimators=spaces), lambda c: {"auroc": 0.5})

    drawn = [o.candidate.parameters for o in results]
    assert {p["elasticNetParam"] for p in drawn} == {0, 0.5}
    assert {p["fitIntercept"] for p in drawn} == {True, False}
    assert all(type(p["fitIntercept"]) is bool for p in drawn)
    assert {p["family"] for p in drawn} == {"auto"}


@pytest.mark.parametrize(
    "error",
    [
        RetrainingError("maxBins 2 is too small", "raise it"),
        PySparkException("maxBins 2 is too small\n\tat org.apache.spark"),
    ],
)
def test_failed_trial_is_survived_and_recorded(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def trial(candidate: Candidate) -> dict[str, float]:
        if candidate.number in (0, 3):
            raise error
        return value(candidate)

    caplog.set_level(logging.INFO, "retraining")
    results = search.run(limits(), trial, seed=7)

    failed = {o.candidate.number: o.failure for o in results if o.failure}
    assert failed.keys() == {0, 3}
    assert failed[3].startswith("maxBins 2 is too small")
    assert "\n" not in failed[3]
    assert len(results) == len(caplog.messages) == 6
    assert ": failed: maxBins 2 is too small" in caplog.messages[0]
    assert search.best(results, "auroc").candidate.number not in (0, 3)


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_trial_without_a_number_never_wins(score: float) -> None:
    def trial(candidate: Candidate) -> dict[str, float]:
        return {"auroc": score} if candidate.number == 0 else value(candidate)

    results = run(limits(), trial)

    assert results[0].failure == f"auroc is {score}"
    assert search.best(results, "auroc").candidate.number > 0


def test_all_trials_failed() -> None:
    def trial(candidate: Candidate) -> dict[str, float]:
        raise RetrainingError(f"no luck with {candidate.number}", "try again")

    with pytest.raises(RetrainingError, match="all 6 trials failed, the last with: no luck with 5"):
        run(limits(early_stop=2), trial)


def test_error_of_the_program_is_not_survived() -> None:
    def trial(candidate: Candidate) -> dict[str, float]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(limits(), trial)


def test_nothing_to_search() -> None:
    with pytest.raises(RetrainingError, match=r"search\.estimators is empty"):
        run(limits(estimators={}))


@pytest.mark.parametrize(("parallelism", "n_trials"), [(1, 6), (2, 6), (4, 8)])
def test_early_stop_counts_trials_since_the_best(parallelism: int, n_trials: int) -> None:
    """Trial 2 (of 0, 1, 2, ...) is the best; a batch that runs is finished."""

    def trial(candidate: Candidate) -> dict[str, float]:
        return {"auroc": 0.9 if candidate.number == 2 else 0.5}

    settings = limits(trials=30, parallelism=parallelism, early_stop=3)
    assert len(run(settings, trial)) == n_trials


def test_early_stop_is_not_progress_of_equals() -> None:
    settings = limits(trials=30, parallelism=1, early_stop=3)

    assert len(run(settings, lambda candidate: {"auroc": 0.5})) == 4


def test_time_limit_stops_after_a_batch(caplog: pytest.LogCaptureFixture) -> None:
    def trial(candidate: Candidate) -> dict[str, float]:
        time.sleep(0.2)
        return value(candidate)

    caplog.set_level(logging.INFO, "retraining")
    settings = limits(trials=30, parallelism=2, time_limit=0.3)
    results = search.run(settings, trial, seed=7)

    assert len(results) == 4
    assert caplog.messages[-1] == "time limit of 0.3 s reached"


def test_time_limit_lets_one_batch_run() -> None:
    def trial(candidate: Candidate) -> dict[str, float]:
        time.sleep(0.01)
        return value(candidate)

    assert len(run(limits(time_limit=0.001), trial)) == 2


def test_losses_are_minimised() -> None:
    settings = limits(trials=40, metric="log_loss")
    results = run(settings)
    losses = [o.metrics["log_loss"] for o in results]

    best = search.best(results, "log_loss")
    assert best.metrics["log_loss"] == min(losses)
    assert sum(losses[5:]) / 35 < sum(losses[:5]) / 5
    assert search.best(results, "auroc").metrics["auroc"] == max(losses)


def test_best_of_equals_is_the_first() -> None:
    results = [
        TrialResult(Candidate(0, "A", {}), {}, "failed"),
        TrialResult(Candidate(1, "A", {}), {"f1": 0.5}),
        TrialResult(Candidate(2, "A", {}), {"f1": 0.5}),
    ]

    assert search.best(results, "f1").candidate.number == 1


def test_trials_run_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=10)

    def trial(candidate: Candidate) -> dict[str, float]:
        meeting.wait()
        return value(candidate)

    assert len(run(limits(parallelism=2), trial)) == 6


def test_interruption_does_not_wait_for_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def trial(candidate: Candidate) -> dict[str, float]:
        if candidate.number:
            release.wait(20)
        return value(candidate)

    def interrupt(_line: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(search._LOG, "info", interrupt)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(limits(), trial)
    release.set()

    assert time.monotonic() - started < 10


def test_progress_names_the_trial_and_the_best(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "retraining")
    scores = iter([0.5, 0.75, 0.625])
    settings = limits(trials=3, parallelism=1)
    search.run(settings, lambda c: {"auroc": next(scores)}, seed=7)

    lines = caplog.messages
    assert [line.split(": ")[1] for line in lines] == [
        "auroc 0.50000, best 0.50000 (trial 1)",
        "auroc 0.75000, best 0.75000 (trial 2)",
        "auroc 0.62500, best 0.75000 (trial 2)",
    ]
    assert lines[0].startswith(("trial 1/3 LogisticRegression", "trial 1/3 RandomForest"))


STUCK = """
import os
import signal
import threading
from retraining.description.search import Search
from retraining.models import search

def wait(candidate):
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait()

spaces = {"LogisticRegression": {"regParam": {"loguniform": [0.001, 0.1]}}}
search.run(Search.model_validate({"trials": 2, "estimators": spaces}), wait, seed=7)
"""


def test_a_fit_that_never_ends_does_not_keep_an_interrupted_process() -> None:
    """As one that waits for a stage of a session that was stopped meanwhile."""
    done = subprocess.run(
        [sys.executable, "-c", STUCK],
        env=os.environ | {"PYTHONPATH": str(ROOT / "steps")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "KeyboardInterrupt" in done.stderr
