"""Write simulated card transactions in the raw format of the fraud data, one file per day.

The transactions follow the simulator of the fraud-detection handbook, with drift from month to
month and with the kinds of defects that real files have. The same seed gives the same bytes,
whether the days are written in one run or in several.

    mlflow run . --env-manager uv -e simulate
    python steps/simulate.py --output /tmp/raw --days 30 --customers 5000 --defects 0
    mlflow run . --env-manager uv -e simulate -P more=14
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retraining.cli import options
from retraining.cli.command import StepCommand, examples, open_run
from retraining.errors import RetrainingError
from retraining.tracking import tags
from retraining.tracking.result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from retraining.simulation.files import Simulation
    from retraining.tracking.lineage import StepRun
    from retraining.tracking.result import Reused

_count = partial(options.option, type=click.IntRange(min=1))
_factor = partial(options.option, type=click.FloatRange(min=0), default="1")
_PROCESS = ("seed", "customers", "terminals", "drift", "defects")


@dataclass(frozen=True)
class Days(Result):
    """Days that were written.

    Attributes:
        folder: Where they are.
        first: The first of them.
        count: Number of days.
        simulation: What they hold.
    """

    folder: Path
    first: date
    count: int
    simulation: Simulation

    @property
    def summary(self) -> str:
        """What was written, and where."""
        days, last = self.simulation, self.first + timedelta(days=self.count - 1)
        return (
            f"{days.n_rows:,} rows of {self.first} to {last} in {self.folder}, "
            f"{days.n_frauds / days.n_rows:.1%} fraud, "
            f"{sum(days.defects.values()):,} planted defects"
        )

    @property
    def metrics(self) -> Mapping[str, float]:
        """Numbers of rows and of planted defects."""
        days = self.simulation
        planted = {f"planted.{kind}": float(count) for kind, count in days.defects.items()}
        return {"rows": days.n_rows, "frauds": days.n_frauds, **planted}

    @property
    def tags(self) -> Mapping[str, str]:
        """Where the files are, and the digest of their content."""
        return {
            tags.OUTPUT: str(self.folder),
            f"{tags.FINGERPRINT}files": self.simulation.digest,
        }


@click.command(cls=StepCommand, epilog=examples(__doc__))
@options.option("--output", "Folder for the files. Default: DATA_ROOT/raw/fraud.")
@options.data_root
@options.option(
    "--start",
    "First day to write. Default: the day after the newest file, or 2019-08-22.",
    type=click.DateTime(["%Y-%m-%d"]),
)
@_count("--days", "Number of days to write to an empty folder.", default="91")
@_count("--more", "Number of days to add to a folder that has some.", default="7")
@_count("--customers", "Number of customers.", default="1500")
@_count("--terminals", "Number of terminals.", default="1000")
@_factor("--drift", "Strength of the drift from month to month; 0: none.")
@_factor("--defects", "Rate of planted defects, as a multiple of the usual rate; 0: none.")
@options.seed
@options.pipeline_id_of_first_step
def simulate(
    *,
    output: str | None,
    data_root: str | None,
    start: datetime | None,
    days: int,
    more: int,
    customers: int,
    terminals: int,
    drift: float,
    defects: float,
    seed: int,
    pipeline_id: str | None,
) -> None:
    """Write simulated transactions with planted defects, day by day."""
    with open_run(pipeline_id, begins_cycle=True) as run:
        written = add_days(
            run,
            output=output,
            data_root=data_root,
            start=start.date() if start else None,
            days=days,
            more=more,
            customers=customers,
            terminals=terminals,
            drift=drift,
            defects=defects,
            seed=seed,
        )
        run.write(written)


def add_days(
    run: StepRun,
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
) -> Days | Reused:
    """Write `days` days to an empty folder, or `more` days to one that has some."""
    from retraining.simulation import files
    from retraining.simulation.defects import Defects
    from retraining.tracking import inputs

    reused = run.reuse(
        {}, is_there=lambda first: files.last_day(Path(first.data.tags[tags.OUTPUT])) is not None
    )
    if reused:
        return reused
    folder = _path_of(output or inputs.raw_folder(data_root, "fraud"))
    newest = files.last_day(folder)
    if newest:
        _refuse_mixing(run, str(folder))
    first = start or (newest + timedelta(days=1) if newest else files.ORIGIN)
    count = more if newest and not start else days
    run.pin(output=str(folder), start=str(first), days=str(count))
    simulation = files.simulate(
        folder,
        start=first,
        days=count,
        seed=seed,
        n_customers=customers,
        n_terminals=terminals,
        drift=drift,
        defects=Defects().scaled(defects),
    )
    return Days(folder, first, count, simulation)


def _path_of(folder: str) -> Path:
    """The same path for a folder, however it was named; a URI is left for the writer to refuse."""
    return Path(folder) if "://" in folder else Path(folder).resolve()


def _refuse_mixing(run: StepRun, folder: str) -> None:
    """Days of one folder come from one process: same seed, same sizes, same drift."""
    from retraining.tracking import runs, values

    earlier = runs.find("simulate", having={tags.OUTPUT: folder})
    if earlier is None:
        return
    for name, before in values.read_parameters(earlier, _PROCESS).items():
        # As numbers: `mlflow run` logs them as they were typed, 1.0 or 1.
        if float(run.parameters[name]) != float(before):
            raise RetrainingError(
                f"{folder} was simulated with {name}={before}, not {run.parameters[name]}",
                f"keep {name}={before}, or name another output=",
            )


if __name__ == "__main__":
    simulate()
