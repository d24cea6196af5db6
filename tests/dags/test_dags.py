"""The checks of the DAGs, in the environment that has Airflow."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.stack.process import StackError
from tests.stack.scheduler import find_program


def test_the_checks_pass_where_airflow_is() -> None:
    try:
        find_program()
    except StackError as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [Path(__file__).parent / "run"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout
