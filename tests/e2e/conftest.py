"""A clone of the project for the tests of a module, and a finished chain for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.projects import FirstChain, Runner, clone, runner

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone for the tests of a module."""
    return clone(tmp_path_factory.mktemp("project") / "retraining")


@pytest.fixture(scope="module")
def mlflow_run(project: Path) -> Runner:
    """A runner of the module's clone."""
    return runner(project)


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> FirstChain:
    """A finished chain on this machine; others follow in its store, of the same raw files."""
    folder = clone(tmp_path_factory.mktemp("first") / "retraining")
    run = runner(folder)
    run("simulate", customers=500, terminals=300)
    chain = FirstChain(folder, run, folder / "data" / "raw" / "fraud")
    # No Python can be started by Spark: the library has no use for one on executors.
    told = chain.parameters("first") | {"data_root": folder / "data" / "first", "trials": 2}
    run("main", input=chain.raw, variables={"PYSPARK_PYTHON": "/no/python"}, **told)
    return chain
