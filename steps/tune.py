"""Search for a better model, and register the best one as challenger.

Reads the splits `train` and `validation` of a prepared data set; the model is selected on
validation only. Every trial is a child run. The best candidate is fitted again, logged, registered
and gets the alias `challenger`, unless the campaign of another version goes on: then it waits. An
interrupted search continues where it stopped if it is started again in its cycle.

    mlflow run . --env-manager uv -e tune
    python steps/tune.py --trials 20 --parallelism 4 --trials-experiment fraud-trials
    spark-submit steps/tune.py --time-limit 1800
"""

from __future__ import annotations

import json
import logging
from contextlib import closing
from typing import TYPE_CHECKING

import click

from retraining.cli import options
from retraining.cli.command import StepCommand, examples, open_run
from retraining.digests import digest
from retraining.tracking import checkout
from retraining.tracking.descriptions import read_description

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retraining.description.document import Description
    from retraining.models.training import Challenger
    from retraining.tracking.inputs import PreparedData
    from retraining.tracking.lineage import StepRun
    from retraining.tracking.result import Reused

_LOG = logging.getLogger("retraining.tune")


@click.command(cls=StepCommand, epilog=examples(__doc__))
@options.data
@options.description_override
@options.model_name
@options.register
@options.option(
    "--trials",
    "Number of trials. Default: search.trials of the description.",
    type=click.IntRange(1, 2**31 - 1),
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
def tune(
    *,
    data: str | None,
    dataset: str | None,
    model_name: str | None,
    register: bool,
    trials: int | None,
    parallelism: int | None,
    early_stop: int | None,
    time_limit: int | None,
    trials_experiment: str | None,
    seed: int,
    pipeline_id: str | None,
    spark_master: str | None,
) -> None:
    """Search hyperparameters and register the best model as challenger."""
    limits = {"trials": trials, "parallelism": parallelism}
    limits |= {"early_stop": early_stop, "time_limit": time_limit}
    description = read_description(dataset) if dataset else None
    with open_run(pipeline_id) as run:
        challenger = find_challenger(
            run,
            data=data,
            description=description,
            limits={name: limit for name, limit in limits.items() if limit is not None},
            model_name=model_name,
            register=register,
            trials_experiment=trials_experiment,
            seed=seed,
            spark_master=spark_master,
        )
        run.write(challenger)


def find_challenger(
    run: StepRun,
    *,
    data: str | None,
    description: Description | None,
    limits: Mapping[str, int],
    model_name: str | None,
    register: bool,
    trials_experiment: str | None,
    seed: int,
    spark_master: str | None,
) -> Challenger | Reused:
    """Search within limits, fit the best again, log it, and register it as challenger."""
    from retraining.comparison import lineup, standing
    from retraining.models import search, training
    from retraining.models.encoding import EncodedRows
    from retraining.models.trials import Trials
    from retraining.spark.session import open_session
    from retraining.tracking import inputs, registry

    prepared = inputs.find_data(run, data)
    run.pin(register="false")
    described = description.digest if description else ""
    if reused := run.reuse({"data": prepared.uri, "description": described}):
        return reused
    with open_session("tune", spark_master, [prepared.uri]) as spark:
        manifest = prepared.read(spark)
        description = _limited(inputs.describe(description, manifest), limits)
        registered = model_name or description.name
        if register:  # a challenger needs a champion
            champion = registry.version_with(registered, registry.CHAMPION)
        run.keep_description(description)
        training.use_data(run, manifest, description, "train", "validation")
        with training.open_rows(spark, manifest, description) as rows:
            with closing(EncodedRows(rows, description, description.search.estimators)) as encoded:
                key = _search_key(description, prepared, seed)
                with closing(Trials(run, encoded, seed, key, trials_experiment)) as trials:
                    results = search.run(description.search, trials, seed=seed)
                best = search.best(results, description.search.metric).candidate
                _LOG.info(f"fitting {best.estimator} again")
                model = encoded.fit(best, seed)
            uri, metrics = training.finish(model, rows, description, manifest, prepared)
            version = challenger = stands = None
            if register:
                version = training.register(registered, uri, run, manifest, description)
                about = (metrics, rows.validation, manifest, description)
                challenger = lineup.challenge(version, *about)
                stands = standing.compare(champion, *about)
    # A repetition makes the same trials, however long they take there.
    run.pin(trials=str(len(results)), time_limit="0", early_stop="0")
    fitted = training.Fitted(best.estimator, uri, metrics, version, run.run_id)
    failed = sum(bool(result.failure) for result in results)
    return training.Challenger(fitted, best, len(results), failed, challenger, stands)


def _limited(description: Description, limits: Mapping[str, int]) -> Description:
    from retraining.description import reading

    mapping = description.to_mapping()
    mapping["search"] |= limits
    return reading.from_mapping(mapping, where="search")


def _search_key(description: Description, prepared: PreparedData, seed: int) -> str:
    # A trial depends on everything except the search that proposed it.
    rest = {key: value for key, value in description.to_mapping().items() if key != "search"}
    code = checkout.digest(checkout.ROOT)
    return digest(f"{json.dumps(rest)} {prepared.uri} {seed} {code}")


if __name__ == "__main__":
    tune()
