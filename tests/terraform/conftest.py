"""Plans of terraform/, made without an account: one for each place where Spark may run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).resolve().parents[2] / "terraform"


class Plan(NamedTuple):
    """A plan of the example's variables.

    Attributes:
        spark: Where Spark runs.
        whole: As `terraform show -json` prints it.
    """

    spark: str
    whole: dict[str, Any]

    def resources(self, kind: str = "") -> dict[str, dict[str, Any]]:
        """Values of resources by address, of all if no kind is told; what is unknown is absent."""
        made = self.whole["planned_values"]["root_module"]["resources"]
        return {each["address"]: each["values"] for each in made if each["type"].startswith(kind)}

    def references(self, kind: str, name: str, attribute: str) -> set[str]:
        """What the configuration of a resource names in one of its arguments."""
        for each in self.whole["configuration"]["root_module"]["resources"]:
            if (each["type"], each["name"]) == (kind, name):
                return set(each["expressions"][attribute].get("references", ()))
        raise KeyError(f"{kind}.{name}")


class Machine(NamedTuple):
    """What cloud-init gets to make a machine."""

    text: str

    @property
    def data(self) -> dict[str, Any]:
        """Its parts."""
        parts: dict[str, Any] = yaml.safe_load(self.text)
        return parts

    @property
    def files(self) -> dict[str, str]:
        """Content by path."""
        return {file["path"]: file["content"] for file in self.data["write_files"]}


@pytest.fixture(scope="session")
def check() -> Path:
    """The check that needs no provider registry."""
    program = os.environ.get("TERRAFORM_CHECK")
    if not program:
        pytest.skip("TERRAFORM_CHECK names no check that makes plans without a provider registry")
    return Path(program)


@pytest.fixture(scope="session")
def make_plan(check: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Plan]:
    """Make a plan once for each place of Spark."""
    made: dict[str, Plan] = {}

    def make(spark: str) -> Plan:
        if spark not in made:
            copy = tmp_path_factory.mktemp(spark) / "terraform"
            shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("tests", ".terraform*"))
            (copy / "with.tfvars.example").write_text(f'spark = "{spark}"\n')
            out = copy.parent / "plan.json"
            done = subprocess.run([check, copy, out], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
            made[spark] = Plan(spark, json.loads(out.read_text()))
        return made[spark]

    return make


@pytest.fixture(scope="session", params=["host", "dataproc", "transient", "managed"])
def plan(request: pytest.FixtureRequest, make_plan: Callable[[str], Plan]) -> Plan:
    """Each plan in turn."""
    return make_plan(request.param)


@pytest.fixture(scope="session")
def machines(make_plan: Callable[[str], Plan]) -> dict[str, Machine]:
    """User-data of both machines."""
    made = make_plan("host").resources("yandex_compute_instance")
    return {
        address.removeprefix("yandex_compute_instance."): Machine(values["metadata"]["user-data"])
        for address, values in made.items()
    }
