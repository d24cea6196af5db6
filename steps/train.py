"""Fit the baseline that the data set description defines, and register it.

Reads the splits `train` and `validation` of a prepared data set. Logs the metrics on validation,
the parameters of the fitted stages and the model. Registers a version; the very first version of a
model becomes its champion. A model that has lost its champion gets none by this.

    mlflow run . --env-manager uv -e train
    python steps/train.py --data RUN_ID --model-name fraud
    spark-submit steps/train.py --register false
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from retraining.cli import options
from retraining.cli.command import StepCommand, examples, open_run
from retraining.tracking.descriptions import read_description

if TYPE_CHECKING:
    from retraining.description.document import Description
    from retraining.models.training import Fitted
    from retraining.tracking.lineage import StepRun
    from retraining.tracking.result import Reused

_LOG = logging.getLogger("retraining.train")


@click.command(cls=StepCommand, epilog=examples(__doc__))
@options.data
@options.description_override
@options.model_name
@options.register
@options.seed
@options.pipeline_id
@options.spark_master
def train(
    *,
    data: str | None,
    dataset: str | None,
    model_name: str | None,
    register: bool,
    seed: int,
    pipeline_id: str | None,
    spark_master: str | None,
) -> None:
    """Fit and register the baseline of a data set description."""
    description = read_description(dataset) if dataset else None
    with open_run(pipeline_id) as run:
        fitted = fit_baseline(
            run,
            data=data,
            description=description,
            model_name=model_name,
            register=register,
            seed=seed,
            spark_master=spark_master,
        )
        run.write(fitted)


def fit_baseline(
    run: StepRun,
    *,
    data: str | None,
    description: Description | None,
    model_name: str | None,
    register: bool,
    seed: int,
    spark_master: str | None,
) -> Fitted | Reused:
    """Fit the baseline on a prepared data set, evaluate it, log it and register it."""
    from retraining.models import pipelines, training
    from retraining.spark.session import open_session
    from retraining.tracking import champions, inputs

    prepared = inputs.find_data(run, data)
    run.pin(register="false")
    digest = description.digest if description else ""
    if reused := run.reuse({"data": prepared.uri, "description": digest}):
        return reused
    with open_session("train", spark_master, [prepared.uri]) as spark:
        manifest = prepared.read(spark)
        description = inputs.describe(description, manifest)
        registered = model_name or description.name
        if register:
            champions.refuse_vacancy(registered, run.attempt)
        run.keep_description(description)
        training.use_data(run, manifest, description, "train", "validation")
        name, parameters = description.estimator.name, description.estimator.parameters
        _LOG.info(f"{name} on {manifest.splits['train'].n_rows:,} rows")
        with training.open_rows(spark, manifest, description) as rows:
            classifier = pipelines.estimator(name, parameters, seed)
            model = pipelines.fit(rows.train, description, classifier)
            uri, metrics = training.finish(model, rows, description, manifest, prepared)
    version = None
    if register:
        version = training.register(registered, uri, run, manifest, description)
        champions.begin(version, run.attempt)
    return training.Fitted(name, uri, metrics, version, run.run_id)


if __name__ == "__main__":
    train()
