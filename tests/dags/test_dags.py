"""The checks of the DAGs, in the environment that has Airflow."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.stack.process import StackError
from tests.stack.scheduler import find_program, prepare_home

HERE = Path(__file__).parent


def test_the_checks_pass_where_airflow_is(tmp_path: Path) -> None:
    try:
        python = find_program().parent / "python"
    except StackError as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-c", HERE / "checks.ini"],
        cwd=HERE,
        # A check sees the DAGs as it has configured them, however soon after another.
        env=prepare_home(tmp_path) | {"AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
