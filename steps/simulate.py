"""Write card transactions in the raw format of the fraud data, one file a day.

The process is that of the fraud-detection handbook, with the defects of real files mixed in and
drift from month to month. The same seed gives the same bytes, whether the days are written in one
go or one after the other.

    mlflow run . -e simulate
    python steps/simulate.py --output /tmp/raw --days 30 --customers 5000 --defects 0
    mlflow run . -e simulate -P more=14
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import click
import mlflow

from retraining.cli import options
from retraining.cli.command import StepCommand, examples
from retraining.errors import RetrainingError
from retraining.simulation.defects import Defects
from retraining.simulation.files import ORIGIN, last_day
from retraining.simulation.files import simulate as write_days
from retraining.tracking import inputs, lineage, runs, tags

_PROCESS = ("seed", "customers", "terminals", "drift", "defects")


@click.command(cls=StepCommand, epilog=examples(__doc__))
@options.option("--output", "Folder for the files. Default: DATA_ROOT/raw/fraud.")
@options.data_root
@options.option(
    "--start",
    "First day to write. Default: the day after the newest file, or 2019-08-22.",
    type=click.DateTime(["%Y-%m-%d"]),
)
@options.option(
    "--days",
    "Number of days to write to an empty folder.",
    type=click.IntRange(min=1),
    default="91",
)
@options.option(
    "--more",
    "Number of days to add to a folder that has some.",
    type=click.IntRange(min=1),
    default="7",
)
@options.option("--customers", "Number of customers.", type=click.IntRange(min=1), default="1500")
@options.option("--terminals", "Number of terminals.", type=click.IntRange(min=1), default="1000")
@options.option(
    "--drift",
    "Strength of the drift from month to month; 0: none.",
    type=click.FloatRange(min=0),
    default="1",
)
@options.option(
    "--defects",
    "Rate of planted defects, as a multiple of the usual rate; 0: none.",
    type=click.FloatRange(min=0),
    default="1",
)
@options.seed
@options.pipeline_id_of_first_step
def simulate(**parameters: object) -> None:
    """Write simulated transactions with planted defects, day by day."""
    with lineage.open_step("simulate", parameters, begins_cycle=True) as run:
        add_days(run, **parameters)  # type: ignore[arg-type]
        click.echo(f"simulate: {run.summary}")


def add_days(
    run: lineage.StepRun,
    *,
    output: str | None,
    data_root: str | None,
    start: date | None,
    days: int,
    more: int,
    customers: int,
    terminals: int,
    drift: float,
    defects: float,
    seed: int,
    **_: object,
) -> None:
    """Write the next days; the result goes to `run.summary`."""
    if run.reuse({}, is_there=lambda made: last_day(Path(made.data.tags["output"])) is not None):
        return
    folder = _path_of(output or inputs.raw_folder(data_root, "fraud"))
    _refuse_mixing(run, str(folder))
    newest = last_day(folder)
    first = start or (newest + timedelta(days=1) if newest else ORIGIN)
    first = date(first.year, first.month, first.day)
    count = more if newest and not start else days
    run.pin(output=str(folder), start=str(first), days=str(count))
    made = write_days(
        folder,
        start=first,
        days=count,
        seed=seed,
        n_customers=customers,
        n_terminals=terminals,
        drift=drift,
        defects=Defects().scaled(defects),
    )
    planted = {f"planted.{kind}": float(count) for kind, count in made.defects.items()}
    mlflow.log_metrics({"rows": made.n_rows, "frauds": made.n_frauds, **planted})
    mlflow.set_tags({"output": str(folder), "fingerprint.files": made.digest})
    last = first + timedelta(days=count - 1)
    run.summary = (
        f"{made.n_rows:,} rows of {first} to {last} in {folder}, "
        f"{made.n_frauds / made.n_rows:.1%} fraud, {sum(made.defects.values()):,} planted defects"
    )


def _path_of(folder: str) -> Path:
    """One name for a folder, however it was reached; another storage is refused by its address."""
    return Path(folder) if "://" in folder else Path(folder).resolve()


def _refuse_mixing(run: lineage.StepRun, folder: str) -> None:
    """Days of one folder come from one process: same seed, same sizes, same drift."""
    earlier = runs.find("simulate", having={tags.OUTPUT: folder})
    if earlier is None or last_day(Path(folder)) is None:
        return
    for name, before in runs.told_parameters(earlier, _PROCESS).items():
        # As numbers: `mlflow run` logs them as they were typed, 1.0 or 1.
        if float(run.parameters[name]) != float(before):
            raise RetrainingError(
                f"{folder} was simulated with {name}={before}, not {run.parameters[name]}",
                f"keep {name}={before}, or name another output=",
            )


if __name__ == "__main__":
    simulate()
