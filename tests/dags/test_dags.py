"""The checks of the DAGs, in the environment that has Airflow."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.stack.process import StackError
from tests.stack.scheduler import ROOT, find_program

if TYPE_CHECKING:
    from pathlib import Path


def test_the_checks_pass_where_airflow_is(tmp_path: Path) -> None:
    try:
        program = find_program()
    except StackError as error:
        pytest.skip(str(error))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW_", "MLFLOW_"))}
    environment = {
        **kept,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        # A check sees the DAGs as it has configured them, however soon after another.
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    ini = str(ROOT / "tests" / "dags" / "checks.ini")
    for command in (
        [str(program), "db", "migrate"],
        [str(program.parent / "python"), "-m", "pytest", "-q", "-c", ini],
    ):
        done = subprocess.run(
            command,
            cwd=ROOT / "tests" / "dags",
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
