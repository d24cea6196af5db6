"""From raw files to a data set: validated rows, features, and splits that share no row.

Reads csv, txt or parquet as a data set description says. Bad rows go to quarantine with their
reason. Where an earlier run prepared the older days, only new days are processed. The data set is
logged with the fingerprint of its content, a profile and pictures.

    mlflow run . -e preprocess -P input=/data/raw -P dataset=fraud
    python steps/preprocess.py --input 's3a://bucket/raw/2026-*.txt' --as-of 2026-03-01
    spark-submit steps/preprocess.py --input drivers.parquet --dataset drivers
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import click
import mlflow

from retraining.cli import options
from retraining.cli.command import StepCommand, examples
from retraining.data import preparation, profile, sources
from retraining.data.manifest import is_data_set, read_manifest, read_split
from retraining.spark.session import open_session
from retraining.tracking import inputs, lineage, runs, tags

if TYPE_CHECKING:
    from datetime import datetime

    from pyspark.sql import SparkSession

    from retraining.data.manifest import Manifest
    from retraining.data.sources import RawFile
    from retraining.description.document import Description

_LOG = logging.getLogger("retraining.preprocess")


@click.command(cls=StepCommand, epilog=examples(__doc__))
@options.option(
    "--input",
    "Raw files: a file, folder, glob, comma-separated list, or a .json file with a list. "
    "Default: the folder that simulate writes to.",
)
@options.dataset
@options.data_root
@options.option(
    "--as-of",
    "Prepare the data as of this moment and ignore later rows. "
    "Default: the day after the newest row.",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
)
@options.option(
    "--previous",
    "Id of the preprocess run whose days are reused; none: process all days. "
    "Default: the newest run that fits.",
)
@options.pipeline_id_of_first_step
@options.spark_master
def preprocess(**parameters: object) -> None:
    """Validate raw rows, build features and split them without leakage."""
    with lineage.open_step("preprocess", parameters, begins_cycle=True) as run:
        prepare(run, **parameters)  # type: ignore[arg-type]
        click.echo(f"preprocess: {run.summary}")


def prepare(
    run: lineage.StepRun,
    *,
    input: str | None,  # noqa: A002 (the parameter's name)
    dataset: str,
    data_root: str | None,
    as_of: datetime | None,
    previous: str | None,
    spark_master: str | None,
    **_: object,
) -> None:
    """Prepare a data set and log it; the result goes to `run.summary`."""
    description = inputs.read_description(dataset)
    run.keep_description(description)
    root = inputs.data_root(data_root)
    source = input or str(inputs.raw_folder(data_root, description.name))
    listed = inputs.local_copy(source)
    with open_session("preprocess", spark_master, [*inputs.paths_in(listed), root]) as spark:
        files = sources.list_files(spark, listed)
        _keep_files(run, source, files)
        if run.reuse(
            {"files": inputs.digest_of(files), "description": description.digest},
            is_there=lambda made: is_data_set(spark, made.data.tags["dataset_uri"]),
        ):
            return
        manifest = preparation.prepare(
            spark,
            description,
            files=files,
            root=root,
            version=run.run_id,
            previous=_previous(run, spark, description, root, previous),
            as_of=as_of,
        )
        run.pin(data_root=root)
        mlflow.set_tags(
            {
                "dataset": description.name,
                "dataset_uri": manifest.uri,
                "data_root": root,
                "preparation_digest": description.preparation_digest,
            }
        )
        _log(spark, manifest, description)
    splits = ", ".join(
        f"{name} {split.n_rows:,} ({split.n_positives:,} positives)"
        for name, split in manifest.splits.items()
    )
    run.summary = f"{splits}; {manifest.quarantine.n_rows:,} rows quarantined; {manifest.why}"


def _keep_files(run: lineage.StepRun, source: str, files: tuple[RawFile, ...]) -> None:
    run.use("files", f"{source} ({len(files)} files)")
    mlflow.log_text(json.dumps([file.path for file in files], indent=1), "inputs.json")
    run.pin(input=f"runs:/{run.run_id}/inputs.json")


def _previous(
    run: lineage.StepRun,
    spark: SparkSession,
    description: Description,
    root: str,
    told: str | None,
) -> Manifest | None:
    """The data set whose rows can be taken over, recorded and pinned."""
    if told == "none":
        found = None
    elif told:
        found = runs.get_run(told, "previous")
    else:
        digest = description.preparation_digest
        found = runs.find(
            "preprocess", having={tags.PREPARATION_DIGEST: digest, tags.DATA_ROOT: root}
        )
    uri = inputs.folder_made_by(found, "previous") if found else ""
    if found is None or not (told or is_data_set(spark, uri)):
        run.pin(previous="none")
        return None
    run.pin(previous=found.info.run_id)
    run.use("previous", uri, found.info.run_id)
    return read_manifest(spark, uri)


def _log(spark: SparkSession, manifest: Manifest, description: Description) -> None:
    mlflow.log_text(manifest.model_dump_json(indent=1), "manifest.json")
    counts: dict[str, float] = {
        "rows_read": manifest.n_rows_read,
        "quarantined": manifest.quarantine.n_rows,
    }
    for reason, count in manifest.quarantine.by_reason.items():
        counts[f"quarantined.{reason.replace(' ', '.')}"] = count
    for name, split in manifest.splits.items():
        counts[f"{name}_rows"] = split.n_rows
        counts[f"{name}_positives"] = split.n_positives
        mlflow.set_tag(f"fingerprint.{name}", split.fingerprint)
        lineage.log_data(
            f"{description.name} {name}", split.uri, split.fingerprint, description, context=name
        )
    mlflow.log_metrics(counts)
    train = profile.profile(read_split(spark, manifest, "train"), description)
    mlflow.log_text(json.dumps(train, indent=1), "profile.json")
    mlflow.log_figure(profile.draw_classes(_classes(spark, manifest, description)), "classes.png")
    rejected = manifest.quarantine.by_reason
    mlflow.log_figure(profile.draw_defects(train, rejected, manifest.n_rows_read), "defects.png")


def _classes(
    spark: SparkSession, manifest: Manifest, description: Description
) -> dict[str, tuple[int, int]]:
    """Rows and positives of the splits: by day, or by split where rows have no time."""
    if description.event_time is None:
        return {name: (split.n_rows, split.n_positives) for name, split in manifest.splits.items()}
    counts: dict[str, tuple[int, int]] = {}
    for name in manifest.splits:
        rows = read_split(spark, manifest, name)
        counts |= profile.count_classes(rows, description)
    return dict(sorted(counts.items()))


if __name__ == "__main__":
    preprocess()
