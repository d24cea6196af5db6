"""terraform/ is well-formed, and its own tests pass."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "terraform"


@pytest.mark.slow
def test_the_check_passes_with_all_tests_of_the_folder(check: Path) -> None:
    done = subprocess.run([check, FOLDER], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = sum(
        len(re.findall(r"^run ", path.read_text(), re.MULTILINE))
        for path in (FOLDER / "tests").glob("*.tftest.hcl")
    )
    assert f"{runs} passed, 0 failed" in done.stdout


def test_terraform_itself_finds_nothing(tmp_path: Path) -> None:
    """If there is a terraform that can reach its registry."""
    terraform = shutil.which("terraform")
    if terraform is None:
        pytest.skip("terraform is not installed: install it")
    copy = tmp_path / "terraform"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
        return subprocess.run(
            [terraform, *arguments], cwd=copy, env=environment, capture_output=True, text=True
        )

    formatted = call("fmt", "-check", "-recursive")
    assert formatted.returncode == 0, formatted.stdout
    begun = call("init", "-backend=false", "-input=false", "-no-color")
    if begun.returncode:
        pytest.skip("the Terraform registry cannot be reached: allow access to it")
    valid = call("validate", "-no-color")
    assert valid.returncode == 0, valid.stdout + valid.stderr


def test_checkov_finds_nothing(tmp_path: Path) -> None:
    """An extra, because it knows few rules of this cloud; test_plan.py checks those that matter."""
    checkov = shutil.which("checkov")
    if checkov is None:
        pytest.skip("checkov is not installed: pipx install checkov")
    done = subprocess.run(
        [
            *(checkov, "--directory", FOLDER, "--framework", "terraform", "--skip-path", "tests"),
            *("--skip-download", "--output", "json"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout)["summary"]
    assert summary["parsing_errors"] == 0
    assert summary["passed"] > 10


def test_every_validation_of_a_variable_is_tested() -> None:
    text = "".join(path.read_text() for path in FOLDER.glob("*.tf"))
    blocks = re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', text, re.M | re.S)
    rules = {name: block.count("validation {") for name, block in blocks if "validation {" in block}
    runs = (FOLDER / "tests/refusals.tftest.hcl").read_text()
    seen = re.findall(r"var\.(\w+)", " ".join(re.findall(r"expect_failures = \[(.*)\]", runs)))
    assert {name: count for name, count in rules.items() if seen.count(name) < count} == {}


def test_new_secrets_match_the_variables(tmp_path: Path) -> None:
    if not (shutil.which("openssl") and shutil.which("ssh-keygen")):
        pytest.skip("openssl or ssh-keygen is missing: apt-get install openssl openssh-client")
    generated = tmp_path / "secrets.auto.tfvars.json"
    with generated.open("w") as file:
        subprocess.run([sys.executable, FOLDER / "new-secrets"], stdout=file, check=True)
    assert generated.stat().st_mode & 0o077 == 0

    variables = json.loads(generated.read_text())
    text = (FOLDER / "variables.tf").read_text()
    asked = set(re.findall(r"^    (\w+)\s+= string$", text, re.MULTILINE))
    assert set(variables["secrets"]) | set(variables["public_keys"]) == asked
    assert "example" not in generated.read_text()
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text(variables["secrets"]["ssh_private_key"])
    public = subprocess.run(
        ["ssh-keygen", "-y", "-f", key], check=True, capture_output=True, text=True
    ).stdout
    assert public.split()[:2] == variables["public_keys"]["ssh"].split()[:2]


def test_new_secrets_do_not_go_to_a_terminal() -> None:
    parent, child = pty.openpty()
    done = subprocess.run(
        [sys.executable, FOLDER / "new-secrets"], stdout=child, stderr=subprocess.PIPE, text=True
    )
    os.close(child)
    os.close(parent)
    assert done.returncode == 1
    assert "secrets.auto.tfvars.json" in done.stderr


def test_variables_and_outputs_are_described() -> None:
    for path in FOLDER.rglob("*.tf"):
        blocks = re.findall(
            r'^(variable|output) "(\w+)" \{\n(.*?)^\}', path.read_text(), re.M | re.S
        )
        for kind, name, block in blocks:
            assert "description" in block, f"{kind} {name}"
            assert kind == "output" or re.search(r"^  type\s+= ", block, re.M), f"type of {name}"


def test_the_readme_names_the_files() -> None:
    text = (FOLDER / "README.md").read_text()
    table = text.partition("| file | contents |")[2].partition("\n\n")[0]
    files = set(re.findall(r"`(\w+\.tf)`", table))
    assert {path.name for path in FOLDER.glob("*.tf")} - files == {
        *("versions.tf", "providers.tf", "backend.tf", "outputs.tf")
    }
    assert all((FOLDER / name).exists() for name in files)


def test_the_picture_matches_its_source() -> None:
    source, picture = (FOLDER / f"picture.{kind}" for kind in ("dot", "svg"))
    nodes = set(re.findall(r"<title>(\w+)</title>", picture.read_text()))
    words = re.sub(r'"[^"]*"|//.*', "", source.read_text())
    edges = set(re.findall(r"(\w+) -> (\w+)", words))
    assert {name for edge in edges for name in edge} <= nodes
    drawn = {
        tuple(each) for each in re.findall(r"<title>(\w+)&#45;&gt;(\w+)<", picture.read_text())
    }
    assert drawn == edges - {("postgres", "lockbox")}  # invisible, so that the note is on the right
    assert picture.stat().st_size < 200_000
