"""Fit the baseline that the data set description states, and register it.

Reads the splits `train` and `validation` of a prepared data set. Logs the metrics on validation,
the parameters of the fitted stages and the model. Registers a version; the first version ever
becomes champion.

    mlflow run . -e train
    python steps/train.py --data RUN_ID --model-name fraud
    spark-submit steps/train.py --register false
"""

from __future__ import annotations

import logging

import click

from retraining.cli import options
from retraining.cli.command import StepCommand, examples
from retraining.models import pipelines, training
from retraining.spark.session import open_session
from retraining.tracking import inputs, lineage

_LOG = logging.getLogger("retraining.train")


@click.command(cls=StepCommand, epilog=examples(__doc__))
@options.data
@options.description_override
@options.model_name
@options.register
@options.seed
@options.pipeline_id
@options.spark_master
def train(**parameters: object) -> None:
    """Fit and register the baseline of a data set description."""
    with lineage.open_step("train", parameters) as run:
        fit_baseline(run, **parameters)  # type: ignore[arg-type]
        click.echo(f"train: {run.summary}")


def fit_baseline(
    run: lineage.StepRun,
    *,
    data: str | None,
    dataset: str | None,
    model_name: str | None,
    register: bool,
    seed: int,
    spark_master: str | None,
    **_: object,
) -> None:
    """Fit, evaluate, log and register; the result line goes to `run.summary`."""
    prepared = inputs.find_data(run, data)
    run.pin(register="false")
    if run.reuse({"data": prepared.uri, "description": inputs.digest_told(dataset)}):
        return
    with open_session("train", spark_master, [prepared.uri]) as spark:
        manifest = prepared.read(spark)
        description = inputs.describe(dataset, manifest)
        run.keep_description(description)
        training.use_data(run, manifest, description, "train", "validation")
        stated = description.estimator
        classifier = pipelines.estimator(stated.name, stated.parameters, seed)
        split = manifest.splits["train"]
        _LOG.info(f"train: {stated.name} on {split.n_rows:,} rows")
        with training.open_rows(spark, manifest, description) as rows:
            model = pipelines.fit(rows.train, description, classifier)
            uri, metrics = training.finish(model, rows, description, manifest, prepared)
    run.summary = (
        f"{stated.name}, auroc {metrics['auroc']:.4f}, auprc {metrics['auprc']:.4f} on validation"
    )
    if register:
        name = model_name or description.name
        training.register(name, uri, run, manifest, description)


if __name__ == "__main__":
    train()
