"""Where the time of a chain goes, and of a step alone: cold, then warm.

Runs `mlflow run` in a copy of the project with an empty tracking store. Cold means an empty cache:
no archive of Spark's classes, no compiled code. The second chain is the next cycle, with a week of
new days. `overhead` is all but Spark's and the step's own work, as a share of Spark's.

    python tests/benchmarks/chain.py            # the default data: some minutes
    python tests/benchmarks/chain.py --quick    # few customers and trials

`mlflow run` is what MLflow takes around the processes of the steps, and the start of Python; `JVM`
is the start of a JVM and of Spark in it; `Spark` is all other waiting for the JVM; `trials` is
waiting for the threads that fit them; `MLflow` its calls in the steps; `rest` the steps' own
Python. `CPU` is of all processes: compare that where other work runs on the machine.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

import click

ROOT: Final = Path(__file__).resolve().parents[2]
PARTS: Final = ("mlflow run", "imports", "JVM", "Spark", "trials", "MLflow", "rest")
BECOME_REAPER: Final = 36


class Timed(NamedTuple):
    """Seconds of one `mlflow run`."""

    name: str
    wall: float
    cpu: float
    steps: dict[str, dict[str, float]]

    @property
    def total(self) -> dict[str, float]:
        """Of all steps, and of MLflow around them."""
        total = {part: sum(s.get(part, 0) for s in self.steps.values()) for part in PARTS}
        total["mlflow run"] += self.wall - sum(total.values())
        return total


def run(name: str, project: Path, cache: Path, entry_point: str, **parameters: object) -> Timed:
    """Time one `mlflow run`."""
    times = project.parent / "times.jsonl"
    times.unlink(missing_ok=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")} | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parent / "timed"),
        "RETRAINING_TIMES": str(times),
        "XDG_CACHE_HOME": str(cache),
    }
    given = [word for key, value in parameters.items() for word in ("-P", f"{key}={value}")]
    command = ["mlflow", "run", ".", "--env-manager", "local", "-e", entry_point, *given]
    before, started = _cpu(), time.monotonic()
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    wall = time.monotonic() - started
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    _wait_for_all()
    measured = [json.loads(line) for line in times.read_text().splitlines()]
    steps = {
        Path(m["argv"][0]).stem: m["seconds"] for m in measured if m["argv"][0].endswith(".py")
    }
    return Timed(name, wall, _cpu() - before, steps)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _wait_for_all() -> None:
    """Wait for the JVMs that have outlived their steps, so that their time counts."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def show(timed: Timed) -> None:
    """Print one line a step, and their sum."""
    click.echo(f"\n{timed.name}: {timed.wall:.1f} s, {timed.cpu:.0f} s of CPU")
    click.echo(f"{'':<12}" + "".join(f"{part:>12}" for part in PARTS))
    for step, seconds in {**timed.steps, "all": timed.total}.items():
        cells = "".join(f"{seconds.get(part, 0):>12.1f}" for part in PARTS)
        click.echo(f"{step:<12}{cells}")
    total = timed.total
    overhead = sum(total[part] for part in ("mlflow run", "imports", "JVM", "MLflow"))
    work = total["Spark"] + total["trials"]
    click.echo(f"overhead {overhead:.1f} s, {overhead / work:.0%} of Spark's work")


@click.command()
@click.option("--quick", is_flag=True, help="Few customers and trials.")
def main(*, quick: bool) -> None:
    """Time two chains and a step alone."""
    ctypes.CDLL(None).prctl(BECOME_REAPER, 1, 0, 0, 0)  # of JVMs whose step has ended
    with tempfile.TemporaryDirectory() as folder:
        project, cache = Path(folder, "retraining"), Path(folder, "cache")
        listed = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"]
        for name in subprocess.check_output(listed, text=True).splitlines():
            if (ROOT / name).is_file():
                (project / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, project / name)
        subprocess.check_call(["git", "init", "--quiet", str(project)])
        few: dict[str, object] = {"trials": 2} if quick else {}
        if quick:
            few["input"] = project / "data" / "raw" / "fraud"
        for name in ("main, cold", "main, warm"):
            if quick:
                run("simulate", project, cache, "simulate", customers=500, terminals=300)
            show(run(name, project, cache, "main", **few))
        alone = {"register": "false", "seed": 8}
        show(run("train alone, cold", project, Path(folder, "none"), "train", **alone))
        show(run("train alone, warm", project, cache, "train", **(alone | {"seed": 9})))


if __name__ == "__main__":
    main()
