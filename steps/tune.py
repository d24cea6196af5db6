"""Search for a better model, and let the best one wait as challenger.

Reads the splits `train` and `validation` of a prepared data set; selects on validation only.
Every trial is a child run. The best is fitted again, logged, registered and gets the alias
`challenger`. An interrupted search goes on where it stopped when it runs again in its cycle.

    mlflow run . -e tune
    python steps/tune.py --trials 20 --parallelism 4 --trials-experiment fraud-trials
    spark-submit steps/tune.py --time-limit 1800
"""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING

import click
import mlflow

from retraining.cli import options
from retraining.cli.command import StepCommand, examples
from retraining.description import reading
from retraining.models import search, training
from retraining.models.trials import EncodedRows, Trials
from retraining.spark.session import open_session
from retraining.tracking import checkout, inputs, lineage, registry
from retraining.tracking.checkout import ROOT

if TYPE_CHECKING:
    from retraining.description.document import Description
    from retraining.tracking.inputs import PreparedData

_LOG = logging.getLogger("retraining.tune")


@click.command(cls=StepCommand, epilog=examples(__doc__))
@options.data
@options.description_override
@options.model_name
@options.register
@options.option(
    "--trials",
    "Number of trials. Default: search.trials of the description.",
    type=click.IntRange(min=1),
)
@options.option(
    "--parallelism",
    "Trials that run at the same time. Default: search.parallelism of the description.",
    type=click.IntRange(min=1),
)
@options.option(
    "--early-stop",
    "Stop after this many trials without improvement; 0: never. "
    "Default: search.early_stop of the description.",
    type=click.IntRange(min=0),
)
@options.option(
    "--time-limit",
    "Start no trial after this many seconds; 0: no limit. "
    "Default: search.time_limit of the description.",
    type=click.IntRange(min=0),
)
@options.option(
    "--trials-experiment",
    "Name of the experiment for the trials. Default: the experiment of the run.",
)
@options.seed
@options.pipeline_id
@options.spark_master
def tune(**parameters: object) -> None:
    """Search hyperparameters and register the best model as challenger."""
    with lineage.open_step("tune", parameters) as run:
        find_challenger(run, **parameters)  # type: ignore[arg-type]
        click.echo(f"tune: {run.summary}")


def find_challenger(
    run: lineage.StepRun,
    *,
    data: str | None,
    dataset: str | None,
    model_name: str | None,
    register: bool,
    trials_experiment: str | None,
    seed: int,
    spark_master: str | None,
    **limits: object,
) -> None:
    """Search, fit the best again, log and register it; the result goes to `run.summary`."""
    prepared = inputs.find_data(run, data)
    run.pin(register="false")
    if run.reuse({"data": prepared.uri, "description": inputs.digest_told(dataset)}):
        return
    with open_session("tune", spark_master, [prepared.uri]) as spark:
        manifest = prepared.read(spark)
        description = _limited(inputs.describe(dataset, manifest), limits)
        run.keep_description(description)
        training.use_data(run, manifest, description, "train", "validation")
        with training.open_rows(spark, manifest, description) as rows:
            encoded = EncodedRows(rows, description, description.search.estimators)
            key = _search_key(description, prepared, seed)
            trials = Trials(run, encoded, seed, key, trials_experiment)
            outcomes = search.run(description.search, trials, seed=seed)
            best = search.best(outcomes, description.search.metric)
            _LOG.info(f"tune: fitting {best.candidate.estimator} again")
            model = encoded.fit(best.candidate, seed)
            encoded.release()
            uri, metrics = training.finish(model, rows, description, manifest, prepared)
    failed = sum(bool(outcome.failure) for outcome in outcomes)
    mlflow.log_metrics({"trials": len(outcomes), "trials_failed": failed})
    # A limit of time would stop a repetition elsewhere.
    run.pin(trials=str(len(outcomes)), time_limit="0", early_stop="0")
    run.summary = (
        f"{best.candidate.estimator} {best.candidate.parameters}, best of {len(outcomes)} trials "
        f"({failed} failed), auroc {metrics['auroc']:.4f}, "
        f"auprc {metrics['auprc']:.4f} on validation"
    )
    if register:
        name = model_name or description.name
        registry.challenge(training.register(name, uri, run, manifest, description))
        run.summary += " is challenger"


def _limited(description: Description, limits: dict[str, object]) -> Description:
    told = {
        key: value
        for key, value in limits.items()
        if value is not None and key in type(description.search).model_fields
    }
    mapping = description.to_mapping()
    mapping["search"] = {**mapping["search"], **told}
    return reading.from_mapping(mapping, where="search")


def _search_key(description: Description, prepared: PreparedData, seed: int) -> str:
    # A trial depends on everything but the search that proposed it.
    rest = {key: value for key, value in description.to_mapping().items() if key != "search"}
    same = f"{json.dumps(rest)} {prepared.uri} {seed} {checkout.digest(ROOT)}"
    return hashlib.sha256(same.encode()).hexdigest()[:16]


if __name__ == "__main__":
    tune()
