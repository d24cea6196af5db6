"""Turn raw files into a data set: validated rows, features, and splits that share no row.

Reads csv, txt or parquet files as the data set description says. Rejected rows go to quarantine,
each with its reason. If an earlier run prepared the older days, only new days are processed. The
data set is logged with the fingerprint of its content, a profile, pictures, and a page (data.html)
that shows its rows and columns, and names the features that may hold the label.

    mlflow run . --env-manager uv -e preprocess -P input=/data/raw -P dataset=fraud
    python steps/preprocess.py --input 's3a://bucket/raw/2026-*.txt' --as-of 2026-03-01
    spark-submit steps/preprocess.py --input drivers.parquet --dataset drivers
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from retraining.cli import options
from retraining.cli.command import StepCommand, examples, open_run
from retraining.tracking import tags
from retraining.tracking.descriptions import read_description
from retraining.tracking.result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pyspark.sql import SparkSession

    from retraining.data.manifest import Manifest
    from retraining.description.document import Description
    from retraining.tracking.lineage import StepRun
    from retraining.tracking.result import Reused

_LOG = logging.getLogger("retraining.preprocess")


@dataclass(frozen=True)
class Prepared(Result):
    """A data set that was written.

    Attributes:
        manifest: What it holds.
        root: The folder for data sets that it is in.
        leaks: Features that may hold the label itself.
    """

    manifest: Manifest
    root: str
    leaks: tuple[str, ...]

    @property
    def summary(self) -> str:
        """Rows of the splits, all other rows, and why all or only new files were read."""
        splits = ", ".join(
            f"{name} {split.n_rows:,} ({split.n_positives:,} positives)"
            for name, split in self.manifest.splits.items()
        )
        rejected = f"{self.manifest.quarantine.n_rows:,} rows quarantined"
        account = self.manifest.account
        rows = account.explain() if account else rejected
        return "; ".join([splits, rows, *self.manifest.remarks, self.manifest.why])

    @property
    def metrics(self) -> Mapping[str, float]:
        """Numbers of rows: read, rejected by reason, in the splits, in none of them by reason."""
        quarantine = self.manifest.quarantine
        counts: dict[str, float] = {
            "rows_read": self.manifest.n_rows_read,
            "quarantined": quarantine.n_rows,
        }
        for reason, count in quarantine.by_reason.items():
            counts[f"quarantined.{reason.replace(' ', '.')}"] = count
        if self.manifest.account:
            counts |= self.manifest.account.counts
        if self.manifest.coverage:
            counts |= self.manifest.coverage.shares
        for name, split in self.manifest.splits.items():
            counts |= {f"{name}_rows": split.n_rows, f"{name}_positives": split.n_positives}
        return counts

    @property
    def tags(self) -> Mapping[str, str]:
        """What later runs find the data set by, and the digests of its content."""
        splits = self.manifest.splits.items()
        return {
            tags.DATASET: self.manifest.name,
            tags.DATASET_URI: self.manifest.uri,
            tags.DATA_ROOT: self.root,
            tags.PREPARATION_DIGEST: self.manifest.preparation_digest,
            **({tags.LEAKS: ", ".join(self.leaks)} if self.leaks else {}),
            **{tags.FINGERPRINT + name: split.fingerprint for name, split in splits},
        }


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
def preprocess(
    *,
    input: str | None,  # noqa: A002 (the parameter's name)
    dataset: str,
    data_root: str | None,
    as_of: datetime | None,
    previous: str | None,
    pipeline_id: str | None,
    spark_master: str | None,
) -> None:
    """Validate raw rows, build features and split them without leakage."""
    description = read_description(dataset)
    with open_run(pipeline_id, begins_cycle=True) as run:
        prepared = prepare(
            run,
            source=input,
            description=description,
            data_root=data_root,
            as_of=as_of,
            previous=previous,
            spark_master=spark_master,
        )
        run.write(prepared)


def prepare(
    run: StepRun,
    *,
    source: str | None,
    description: Description,
    data_root: str | None,
    as_of: datetime | None,
    previous: str | None,
    spark_master: str | None,
) -> Prepared | Reused:
    """Prepare a data set and log what it looks like."""
    from retraining.data import preparation
    from retraining.data.files import sources
    from retraining.data.manifest import is_data_set
    from retraining.spark.session import open_session
    from retraining.tracking import inputs

    run.keep_description(description)
    root = inputs.data_root(data_root)
    source = source or inputs.raw_folder(data_root, description.name)
    listed = inputs.local_copy(source)
    with open_session("preprocess", spark_master, [*inputs.paths_in(listed), root]) as spark:
        files = sources.list_files(spark, listed)
        inputs.keep_files(run, "input", source, files)
        if reused := run.reuse(
            {"files": inputs.digest_of(files), "description": description.digest},
            is_there=lambda first: is_data_set(spark, first.data.tags[tags.DATASET_URI]),
        ):
            return reused
        manifest = preparation.prepare(
            spark,
            description,
            files=files,
            root=root,
            version=run.run_id,
            previous=inputs.find_previous(run, spark, description, root, previous),
            as_of=as_of,
        )
        run.pin(data_root=root)
        leaks = _log(spark, manifest, description)
    return Prepared(manifest, root, leaks)


def _log(spark: SparkSession, manifest: Manifest, description: Description) -> tuple[str, ...]:
    """Log manifest, profile, pictures and page; return the features that may hold the label."""
    import mlflow

    from retraining.data.manifest import read_split
    from retraining.data.profiling import portrait, profile
    from retraining.report.data_page import render
    from retraining.tracking import lineage

    mlflow.log_text(manifest.model_dump_json(indent=1), "manifest.json")
    days: dict[str, dict[str, tuple[int, int]]] = {}
    for name, split in manifest.splits.items():
        lineage.log_data(
            f"{description.name} {name}", split.uri, split.fingerprint, description, context=name
        )
        if description.event_time:
            days[name] = profile.count_classes(read_split(spark, manifest, name), description)
        else:
            days[name] = {name: (split.n_rows, split.n_positives)}
    shape = manifest.splits["train"].n_rows, manifest.splits["train"].n_positives
    train = profile.profile(read_split(spark, manifest, "train"), description, *shape)
    mlflow.log_text(json.dumps(train, indent=1), "profile.json")
    classes = {day: counts for split in days.values() for day, counts in split.items()}
    if description.event_time:
        classes = dict(sorted(classes.items()))
    mlflow.log_figure(profile.draw_classes(classes), "classes.png")
    rejected = manifest.quarantine.by_reason
    mlflow.log_figure(profile.draw_defects(train, rejected, manifest.n_rows_read), "defects.png")
    shown = portrait.show(manifest, description, train, days)
    mlflow.log_text(render(shown), "data.html")
    leaks = portrait.find_leaks(train)
    for name, leak in leaks.items():
        _LOG.warning(
            f"{name} may hold the label itself: its AUROC alone is {leak.auroc}. Put it in "
            "never_features, unless it is known before the label"
        )
    return tuple(leaks)


if __name__ == "__main__":
    preprocess()
