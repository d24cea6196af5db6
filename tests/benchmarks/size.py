"""How a cycle grows with its rows: seconds, memory and bytes of each step, beside DuckDB.

    pip install duckdb
    python tests/benchmarks/size.py --rows 1e5 --rows 1e6 --rows 1e7

For each size, `simulate` writes 91 days of card transactions, and the steps run as processes, each
with a JVM of its own: `preprocess` of all days, `train`, `preprocess` of seven more days, `predict`
of the newest day. DuckDB, with as many threads as the machine has cores, reads the same files,
cleans them, drops duplicates, computes the same twelve windows, and writes one parquet file: what
`preprocess` takes is given as a multiple of that. Memory is the peak of what the JVM and Python
hold. `--skewed` gives a tenth of all rows to one terminal.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Event, Thread
from typing import Final, NamedTuple

import click

ROOT: Final = Path(__file__).resolve().parents[2]
DAYS: Final = 91
ROWS_OF_A_CUSTOMER: Final = 1.94 * DAYS
CUSTOMERS_OF_A_TERMINAL: Final = 11
SECONDS_BETWEEN_LOOKS: Final = 0.2
WINDOWS: Final = (1, 7, 30)

COLUMNS: Final = {
    "transaction_id": "BIGINT",
    "tx_datetime": "TIMESTAMP",
    "customer_id": "BIGINT",
    "terminal_id": "BIGINT",
    "tx_amount": "DOUBLE",
    "tx_time_seconds": "BIGINT",
    "tx_time_days": "BIGINT",
    "tx_fraud": "INT",
    "tx_fraud_scenario": "INT",
}
VALID: Final = """
    SELECT * FROM clean
    WHERE transaction_id >= 0 AND tx_datetime IS NOT NULL AND customer_id >= 0
      AND terminal_id >= 0 AND tx_amount > 0 AND tx_time_seconds >= 0 AND tx_time_days >= 0
      AND tx_fraud IN (0, 1)
    QUALIFY row_number() OVER (PARTITION BY transaction_id ORDER BY tx_datetime) = 1
"""


class Measured(NamedTuple):
    """What a step took: seconds, GiB of its JVM and of Python, and its last lines."""

    seconds: float
    jvm: float
    python: float
    printed: str


def run(folder: Path, step: str, **parameters: object) -> Measured:
    """Run a step as a process, and look at its memory meanwhile."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in parameters.items()]
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    over, peaks = Event(), {"java": 0.0, "python": 0.0}
    started = time.monotonic()
    with subprocess.Popen(
        [sys.executable, ROOT / "steps" / f"{step}.py", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        watcher = Thread(target=_watch, args=(process.pid, peaks, over))
        watcher.start()
        printed, _ = process.communicate()
        over.set()
        watcher.join()
    if process.returncode:
        raise SystemExit(printed)
    return Measured(time.monotonic() - started, peaks["java"], peaks["python"], printed)


def _watch(parent: int, peaks: dict[str, float], over: Event) -> None:
    while not over.wait(SECONDS_BETWEEN_LOOKS):
        for pid in _descendants(parent):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                program = Path(f"/proc/{pid}/exe").readlink().name
            except OSError:  # it has ended
                continue
            peak = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
            kind = "java" if program == "java" else "python"
            if peak:
                peaks[kind] = max(peaks[kind], int(peak[1]) / 2**20)


def _descendants(parent: int) -> list[int]:
    found, new = [], [parent]
    while new:
        pid = new.pop()
        found.append(pid)
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                new += map(int, children.read_text().split())
            except OSError:  # the thread has ended
                continue
    return found


def skew(folder: Path) -> None:
    """Give every tenth row to one terminal."""
    for path in folder.glob("*.txt"):
        header, *lines = path.read_text().splitlines()
        for number in range(0, len(lines), 10):
            fields = lines[number].split(",")
            if len(fields) == len(COLUMNS):
                fields[[*COLUMNS].index("terminal_id")] = "7"
                lines[number] = ",".join(fields)
        path.write_text("\n".join([header, *lines, ""]))


def in_duckdb(raw: Path, target: Path) -> float:
    """The seconds that DuckDB takes for the same rows."""
    import duckdb  # type: ignore[import-not-found,unused-ignore]  # only this needs it

    windows = ", ".join(
        f"{function} OVER (PARTITION BY {key} ORDER BY tx_datetime RANGE BETWEEN "
        f"INTERVAL {delay + days} DAYS PRECEDING AND INTERVAL {delay} DAYS PRECEDING) "
        f"AS {key}_{number}_{days}"
        for key, value, delay in (("customer_id", "tx_amount", 0), ("terminal_id", "tx_fraud", 7))
        for number, function in enumerate(("count(*)", f"avg({value})"))
        for days in WINDOWS
    )
    names = ", ".join(f"'{name}': 'VARCHAR'" for name in COLUMNS)
    typed = ", ".join(f"try_cast({name} AS {kind}) AS {name}" for name, kind in COLUMNS.items())
    write = f"COPY (SELECT *, {windows} FROM valid) TO '{target}' (FORMAT parquet)"  # noqa: S608
    started = time.monotonic()
    with duckdb.connect() as connection:
        connection.execute(f"SET threads = {os.cpu_count()}")
        connection.execute(
            f"CREATE TABLE raw AS FROM read_csv('{raw}/*.txt', header = false, skip = 1, "
            f"columns = {{{names}}}, ignore_errors = true, null_padding = true)"
        )
        connection.execute(f"CREATE TABLE clean AS SELECT {typed} FROM raw")  # noqa: S608
        connection.execute(f"CREATE TABLE valid AS {VALID}")
        connection.execute(write)
    return time.monotonic() - started


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure(rows: int, folder: Path, *, skewed: bool) -> None:
    """Print a line for each step of a cycle of about so many rows."""
    customers = max(50, round(rows / ROWS_OF_A_CUSTOMER))
    terminals = max(50, customers // CUSTOMERS_OF_A_TERMINAL)
    population = {"customers": customers, "terminals": terminals}
    raw, data = folder / "raw", folder / "data"
    run(folder, "simulate", output=raw, days=DAYS, **population)
    if skewed:
        skew(raw)
    alternative = in_duckdb(raw, folder / "duckdb.parquet")
    before = 0
    for name in ("preprocess", "train", "seven more days", "predict a day"):
        if name == "seven more days":
            run(folder, "simulate", output=raw, more=7, **population)
        if name == "train":
            took = run(folder, "train")
        elif name == "predict a day":
            newest = max(raw.glob("*.txt"))
            took = run(folder, "predict", input=newest, output=data / "scores")
        else:
            took = run(folder, "preprocess", input=raw, data_root=data)
        written = _bytes_in(data) if data.exists() else 0
        ratio = f"{took.seconds / alternative:>8.1f}" if name == "preprocess" else " " * 8
        click.echo(
            f"{rows:>12,} {name:<16} {took.seconds:>8.1f} {ratio} {took.jvm:>8.1f} "
            f"{took.python:>8.1f} {(written - before) / 2**20:>10,.0f}"
        )
        before = written
    click.echo(f"{'':>12} {'DuckDB':<16} {alternative:>8.1f}")


@click.command()
@click.option("--rows", multiple=True, type=float, default=(1e5, 1e6), show_default=True)
@click.option("--skewed", is_flag=True, help="A tenth of the rows are of one terminal.")
def main(*, rows: tuple[float, ...], skewed: bool) -> None:
    """Measure cycles of several sizes."""
    click.echo(
        f"{'rows':>12} {'':<16} {'seconds':>8} {'x DuckDB':>8} {'JVM GiB':>8} {'Python':>8} "
        f"{'MiB written':>10}"
    )
    for n_rows in rows:
        with tempfile.TemporaryDirectory() as folder:
            measure(int(n_rows), Path(folder), skewed=skewed)


if __name__ == "__main__":
    main()
