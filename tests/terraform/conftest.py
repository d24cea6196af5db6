"""Plans of terraform/, without an account: one for each place where Spark may run."""

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
        """Values of resources by address, of one kind or of all; unknown values are absent."""
        root = self.whole["planned_values"]["root_module"]
        modules = [root, *root["child_modules"]]
        return {
            each["address"]: each["values"]
            for module in modules
            for each in module["resources"]
            if kind in ("", each["type"])
        }

    @property
    def configured(self) -> dict[str, dict[str, Any]]:
        """Configuration of each resource and module, by its address without an index."""
        root = self.whole["configuration"]["root_module"]
        return {each["address"]: each for each in root["resources"]} | {
            f"module.{name}": call for name, call in root["module_calls"].items()
        }

    def references(self, address: str, attribute: str) -> set[str]:
        """What a resource or module names in one of its arguments."""
        return set(self.configured[address]["expressions"][attribute].get("references", ()))

    @property
    def machines(self) -> dict[str, Machine]:
        """User-data by name of the module."""
        return {
            address.split(".")[1]: Machine(values["metadata"]["user-data"])
            for address, values in self.resources("yandex_compute_instance").items()
        }


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
        pytest.skip("TERRAFORM_CHECK is not set: set it to a check that needs no provider registry")
    return Path(program)


@pytest.fixture(scope="session")
def make_plan(check: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Plan]:
    """Make a plan once for each value of `spark` and each text of other variables."""
    plans: dict[tuple[str, str], Plan] = {}

    def make(spark: str, more: str = "") -> Plan:
        if (spark, more) not in plans:
            copy = tmp_path_factory.mktemp(spark) / "terraform"
            shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("tests", ".terraform*"))
            (copy / "with.tfvars.example").write_text(f'spark = "{spark}"\n{more}\n')
            out = copy.parent / "plan.json"
            done = subprocess.run([check, copy, out], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
            plans[spark, more] = Plan(spark, json.loads(out.read_text()))
        return plans[spark, more]

    return make


@pytest.fixture(scope="session", params=["host", "dataproc", "transient", "managed"])
def plan(request: pytest.FixtureRequest, make_plan: Callable[[str], Plan]) -> Plan:
    """Each plan in turn."""
    return make_plan(request.param)


@pytest.fixture(scope="session")
def machines(make_plan: Callable[[str], Plan]) -> dict[str, Machine]:
    """User-data of both machines."""
    return make_plan("host").machines
