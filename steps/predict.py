"""Score rows with a registered model, whose own description says how its features are built.

Reads raw files, or rows that already hold every feature. Writes one parquet row for each of them:
key, score, prediction, model name, version and run id. Rows that are invalid, or lack a value of a
feature, go to quarantine, each with its reason: rows in = rows out + rows quarantined. If more are
rejected than `quarantine.max_share` of the model's description, nothing is written.

    mlflow run . --env-manager uv -e predict -P input=/data/new
    python steps/predict.py --input new.parquet --model models:/fraud/3 --output /data/scored
    spark-submit steps/predict.py --input today.txt --history '/data/raw/*.txt'
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from retraining.cli import options
from retraining.cli.command import StepCommand, examples, open_run
from retraining.progress import counted
from retraining.tracking import tags
from retraining.tracking.result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities.model_registry import ModelVersion

    from retraining.data.files.sources import RawFile
    from retraining.models.prediction import Prediction
    from retraining.tracking.lineage import StepRun
    from retraining.tracking.result import Reused

_LOG = logging.getLogger("retraining.predict")


@dataclass(frozen=True)
class Scored(Result):
    """Rows that a model scored.

    Attributes:
        model: URI of the model.
        prediction: What was written, and where.
    """

    model: str
    prediction: Prediction

    @property
    def summary(self) -> str:
        """How many rows, by which model, and where they are."""
        scores = self.prediction
        rejected = f" in {scores.quarantine_uri}" if scores.n_quarantined else ""
        return (
            f"{counted(scores.n_rows, 'row')} scored by {self.model}, {scores.n_positives:,} "
            f"predicted positive, {scores.n_quarantined:,} quarantined{rejected}; {scores.uri}"
        )

    @property
    def metrics(self) -> Mapping[str, float]:
        """Numbers of rows, of rejected ones also by reason."""
        scores = self.prediction
        counts = {
            "rows_read": scores.n_rows + scores.n_quarantined,
            "rows_scored": scores.n_rows,
            "quarantined": scores.n_quarantined,
            "predicted_positive": scores.n_positives,
        }
        reasons = scores.rejected.items()
        return counts | {f"quarantined.{why.replace(' ', '.')}": n for why, n in reasons}

    @property
    def tags(self) -> Mapping[str, str]:
        """Where the scores are, and the digest of their content."""
        return {
            tags.PREDICTIONS_URI: self.prediction.uri,
            f"{tags.FINGERPRINT}scores": self.prediction.fingerprint,
        }


@click.command(cls=StepCommand, epilog=examples(__doc__))
@options.option(
    "--input",
    "Raw files: a file, folder, glob, comma-separated list, or a .json file with a list. "
    "Default: the folder that simulate writes to.",
)
@options.option(
    "--history",
    "Earlier rows, which rolling features look back at; they are not scored: raw files, the id "
    "of the preprocess run that holds their days, or none. Default: the newest run that fits.",
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
def predict(
    *,
    input: str | None,  # noqa: A002 (the parameter's name)
    history: str | None,
    model: str | None,
    model_name: str | None,
    output: str | None,
    data_root: str | None,
    pipeline_id: str | None,
    spark_master: str | None,
) -> None:
    """Score raw rows with the champion."""
    with open_run(pipeline_id) as run:
        scored = score_rows(
            run,
            source=input,
            history=history,
            model=model,
            model_name=model_name,
            output=output,
            data_root=data_root,
            spark_master=spark_master,
        )
        run.write(scored)


def score_rows(
    run: StepRun,
    *,
    source: str | None,
    history: str | None,
    model: str | None,
    model_name: str | None,
    output: str | None,
    data_root: str | None,
    spark_master: str | None,
) -> Scored | Reused:
    """Read raw rows, build their features, score them and write the scores."""
    from retraining.data.files import sources
    from retraining.models import prediction, store
    from retraining.spark import storage
    from retraining.spark.session import open_session
    from retraining.tracking import inputs, registry

    version = _choose(model, model_name)
    uri = registry.uri_of(version)
    run.use("model", uri, version.run_id)
    run.pin(model=uri)
    root = inputs.data_root(data_root)
    listed = [inputs.local_copy(named) for named in (source, history) if named]
    paths = [path for named in listed for path in inputs.paths_in(named)]
    with open_session("predict", spark_master, [*paths, output, root]) as spark:
        registered = store.load(version, spark, root)
        name, features = registered.description.name, registered.description.features
        source = source or inputs.raw_folder(data_root, name)
        files = sources.list_files(spark, inputs.local_copy(source))
        inputs.keep_files(run, "input", source, files)
        earlier: tuple[RawFile, ...] = ()
        prepared = None
        if not prediction.hold_features(spark, files, registered.description):
            if history and history != "none" and not inputs.is_run_id(history):
                before = sources.list_files(spark, inputs.local_copy(history))
                earlier = tuple(file for file in before if file not in files)
                inputs.keep_files(run, "history", history, earlier)
            elif features.rolling:
                prepared = inputs.find_history(run, spark, registered.description, root, history)
            if features.rolling and not earlier and prepared is None:
                _LOG.info("rolling features see only the rows of input=")
        if reused := run.reuse(
            {
                "files": inputs.digest_of((*files, *earlier)),
                "history": prepared.uri if prepared else "",
                "model": uri,
            },
            is_there=lambda first: storage.exists(spark, first.data.tags[tags.PREDICTIONS_URI]),
        ):
            return reused
        _LOG.info(f"{uri} scores the rows of {counted(len(files), 'file')}")
        run.pin(output="", data_root=root)
        scores = prediction.predict(
            spark,
            registered,
            files=files,
            history=earlier,
            prepared=prepared,
            folder=output or f"{root}/{name}/predictions/{run.run_id}",
            run_id=run.run_id,
        )
    return Scored(uri, scores)


def _choose(model: str | None, model_name: str | None) -> ModelVersion:
    """The version that the caller named, else the champion of a model."""
    from retraining.tracking import inputs, registry

    if model:
        return registry.version_at(model)
    return registry.version_with(model_name or inputs.newest_model_name(), registry.CHAMPION)


if __name__ == "__main__":
    predict()
