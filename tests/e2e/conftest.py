"""A finished chain for all tests that start steps as processes, and a JVM for such steps."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

from retraining.spark.gateway import shared_jvm
from tests.e2e.projects import FirstChain, clone, runner
from tests.small import small_description

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_DAYS, MORE_DAYS = 20, 6


@pytest.fixture(scope="module")
def warm_jvm() -> Iterator[None]:
    """One JVM for the steps of a module, where starting one is not what it tests."""
    with shared_jvm():
        yield


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> FirstChain:
    """A finished chain on this machine; others follow in its store, of the same raw files.

    Its windows and estimators are small: what the tests compare does not depend on size.
    """
    folder = tmp_path_factory.mktemp("first")
    project = clone(folder / "retraining")
    run = runner(project)
    dataset = folder / "small.yaml"
    dataset.write_text(yaml.safe_dump(small_description(), sort_keys=False))
    simulated, raw, more = folder / "simulated", folder / "raw", folder / "more"
    days = FIRST_DAYS + MORE_DAYS
    run("simulate", output=simulated, days=days, customers=300, terminals=500, defects=5)
    for copies in (raw, more):
        copies.mkdir()
    for number, path in enumerate(sorted(simulated.glob("*.txt"))):
        shutil.copy2(path, raw if number < FIRST_DAYS else more)
    # No Python can be started by Spark: the library has no use for one on executors.
    printed = run(
        "main",
        input=raw,
        dataset=dataset,
        data_root=folder / "data",
        trials=2,
        variables={"PYSPARK_PYTHON": "/no/python"},
        **FirstChain.parameters("first"),
    )
    return FirstChain(project, run, raw, more, dataset, folder / "data", printed)
