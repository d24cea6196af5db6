"""Score rows with a model of the registry, features built as the model's own description says.

Reads raw files, or rows that already hold every feature. Writes one parquet row for each: key,
score, prediction, model name, version and run id; bad rows go to quarantine. Rows in = rows out +
rows quarantined.

    mlflow run . -e predict -P input=/data/new
    python steps/predict.py --input new.parquet --model models:/fraud/3 --output /data/scored
    spark-submit steps/predict.py --input today.txt --history '/data/raw/*.txt'
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import click
import mlflow

from retraining.cli import options
from retraining.cli.command import StepCommand, examples
from retraining.data import sources
from retraining.models import prediction, store
from retraining.spark import storage
from retraining.spark.session import open_session
from retraining.tracking import inputs, lineage, registry

if TYPE_CHECKING:
    from retraining.data.sources import RawFile

_LOG = logging.getLogger("retraining.predict")


@click.command(cls=StepCommand, epilog=examples(__doc__))
@options.option(
    "--input",
    "Raw files: a file, folder, glob, comma-separated list, or a .json file with a list. "
    "Default: the folder that simulate writes to.",
)
@options.option(
    "--history",
    "Raw files of earlier rows, which rolling features look back at; they are not scored. "
    "Default: none.",
)
@options.option("--model", "Model URI. Default: the champion.")
@options.option(
    "--model-name",
    "Name of the registered model whose champion scores. Default: the model that was registered "
    "last.",
    type=options.Name(),
)
@options.option(
    "--output",
    "Folder to write to; it must not exist. Default: DATA_ROOT/DESCRIPTION/predictions/RUN_ID.",
)
@options.data_root
@options.pipeline_id
@options.spark_master
def predict(**parameters: object) -> None:
    """Score raw rows with the champion."""
    with lineage.open_step("predict", parameters) as run:
        score_rows(run, **parameters)  # type: ignore[arg-type]
        click.echo(f"predict: {run.summary}")


def score_rows(
    run: lineage.StepRun,
    *,
    input: str | None,  # noqa: A002 (the parameter's name)
    history: str | None,
    model: str | None,
    model_name: str | None,
    output: str | None,
    data_root: str | None,
    spark_master: str | None,
    **_: object,
) -> None:
    """Read, build features, score and write; the result goes to `run.summary`."""
    name = model_name or (None if model else inputs.newest_model_name())
    exact = registry.exact_uri(model or f"models:/{name}@{registry.CHAMPION}")
    version = registry.version_at(exact)
    run.use("model", exact, version.run_id)
    run.pin(model=exact)
    root = inputs.data_root(data_root)
    told = [inputs.local_copy(source) for source in (input, history) if source]
    paths = [path for source in told for path in inputs.paths_in(source)]
    with open_session("predict", spark_master, [*paths, output, root]) as spark:
        registered = store.load(exact, spark, root)
        source = input or inputs.raw_folder(data_root, registered.description.name)
        files = sources.list_files(spark, inputs.local_copy(source))
        _keep_files(run, "input", source, files)
        earlier: tuple[RawFile, ...] = ()
        if history:
            listed = sources.list_files(spark, inputs.local_copy(history))
            earlier = tuple(file for file in listed if file not in files)
            _keep_files(run, "history", history, earlier)
        digest = inputs.digest_of((*files, *earlier))
        if run.reuse(
            {"files": digest, "model": exact},
            is_there=lambda made: storage.exists(spark, made.data.tags["predictions_uri"]),
        ):
            return
        if registered.description.features.rolling and not history:
            _LOG.info("predict: without history= rolling features see these rows alone")
        _LOG.info(f"predict: {exact} scores the rows of {len(files)} files")
        run.pin(output="", data_root=root)
        made = prediction.predict(
            spark,
            registered,
            files=files,
            history=earlier,
            folder=output or f"{root}/{registered.description.name}/predictions/{run.run_id}",
            run_id=run.run_id,
        )
    mlflow.log_metrics(
        {
            "rows_read": made.n_rows + made.n_quarantined,
            "rows_scored": made.n_rows,
            "quarantined": made.n_quarantined,
            "predicted_positive": made.n_positives,
        }
    )
    mlflow.set_tags({"predictions_uri": made.uri, "fingerprint.scores": made.fingerprint})
    run.summary = (
        f"{made.n_rows:,} rows scored by {exact}, {made.n_positives:,} predicted positive, "
        f"{made.n_quarantined:,} quarantined; {made.uri}"
    )


def _keep_files(
    run: lineage.StepRun, parameter: str, source: str, files: tuple[RawFile, ...]
) -> None:
    run.use(parameter, f"{source} ({len(files)} files)")
    mlflow.log_text(json.dumps([file.path for file in files], indent=1), f"{parameter}.json")
    run.pin(**{parameter: f"runs:/{run.run_id}/{parameter}.json"})


if __name__ == "__main__":
    predict()
