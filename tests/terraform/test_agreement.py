"""Terraform sets what the DAGs read: variables, settings and connections."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.stack.process import StackError
from tests.stack.scheduler import find_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.terraform.conftest import Machine, Plan

ROOT = Path(__file__).resolve().parents[2]

# Read by the DAGs, but left to the user; the docs of the DAGs describe them.
OPEN = {
    "retraining_spark_master",  # set where steps run on the master of a permanent cluster
    "retraining_version",  # set where the project is a git URL with a commit
    "retraining_predict_input",
    "retraining_predict_history",
}


def calls() -> Iterator[ast.Call]:
    """All calls in the DAGs."""
    for path in (ROOT / "dags").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield node


def read_variables() -> set[str]:
    """Airflow Variables that the DAGs read."""
    return {
        f"retraining_{call.args[0].value!s}"
        for call in calls()
        if isinstance(call.func, ast.Name)
        and call.func.id == "variable"
        and isinstance(call.args[0], ast.Constant)
    }


def read_settings() -> set[str]:
    """Options of the section `[retraining]` that the DAGs read."""
    return {
        str(call.args[1].value)
        for call in calls()
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in ("get", "getjson")
        and len(call.args) > 1
        and isinstance(call.args[0], ast.Constant)
        and call.args[0].value == "retraining"
        and isinstance(call.args[1], ast.Constant)
    }


def output(plan: Plan, name: str) -> Any:  # noqa: ANN401
    return plan.whole["planned_values"]["outputs"][name]["value"]


def lockbox(plan: Plan) -> dict[str, str]:
    """Entries for Airflow's Lockbox backend, by the name of the secret."""
    versions = {
        values["key_1"]: values.get("text_value_1", "")
        for address, values in plan.resources("yandex_lockbox_secret_version_hashed").items()
        if address.startswith("yandex_lockbox_secret_version_hashed.airflow")
    }
    secrets = {
        values["name"]
        for address, values in plan.resources("yandex_lockbox_secret").items()
        if address.startswith("yandex_lockbox_secret.airflow")
    }
    assert versions.keys() == secrets
    return versions


def test_every_variable_that_the_dags_read_is_set_or_left_to_the_user(plan: Plan) -> None:
    values = set(output(plan, "airflow_variables"))
    assert values == read_variables() - OPEN
    assert {f"airflow/variables/{name}" for name in values} <= lockbox(plan).keys()


def test_every_setting_is_one_that_the_dags_read(make_plan: Callable[[str], Plan]) -> None:
    read = read_settings()
    assert set(output(make_plan("host"), "airflow_settings")) <= read
    # With a transient cluster, the value contains ids, which the plan does not know.
    text = (ROOT / "terraform/airflow.tf").read_text()
    block = text.partition("airflow_settings = merge(")[2].partition("\n  )\n")[0]
    # The machine of the steps has the keys of the store.
    assert set(re.findall(r"^\s+(\w+)\s+= ", block, re.M)) == read - {"s3_conn_id"}


def test_the_connections_have_the_names_of_the_settings(plan: Plan) -> None:
    written = {
        name.removeprefix("airflow/connections/")
        for name in lockbox(plan)
        if name.startswith("airflow/connections/")
    }
    assert written == {"retraining_ssh", "retraining_mlflow"}
    if plan.spark != "transient":
        settings = output(plan, "airflow_settings")
        assert {settings["ssh_conn_id"], settings["mlflow_conn_id"]} == written


def test_the_connection_leads_to_the_server(
    make_plan: Callable[[str], Plan], machines: dict[str, Machine]
) -> None:
    connection = json.loads(lockbox(make_plan("host"))["airflow/connections/retraining_mlflow"])
    uri = f"{connection['schema']}://{connection['host']}"
    assert uri == output(make_plan("host"), "mlflow_tracking_uri")
    script = machines["steps"].files["/usr/local/sbin/prepare-steps"]
    assert f"MLFLOW_TRACKING_URI={uri}\n" in script
    assert f"MLFLOW_TRACKING_USERNAME={connection['login']}\n" in script
    user = (ROOT / "terraform/machines/mlflow/make_user.py").read_text()
    assert f'USER = "{connection["login"]}"' in user
    assert f'SERVER = "{connection["host"]}"' in (ROOT / "terraform/new-secrets").read_text()


def test_the_paths_of_the_dags_exist_on_the_machine(
    make_plan: Callable[[str], Plan], machines: dict[str, Machine]
) -> None:
    values = output(make_plan("host"), "airflow_variables")
    script = machines["steps"].files["/usr/local/sbin/prepare-steps"]
    assert f"install -D -m 0644 /dev/stdin '{values['retraining_profile']}'" in script
    assert (
        f"uv venv --quiet --clear --python 3.11 {Path(values['retraining_bin']).parent}\n" in script
    )
    folder = Path(values["retraining_project"]).parent
    assert f"fetch_project.py ${{SOURCE_BUCKET}} {folder}\n" in script
    connection = json.loads(lockbox(make_plan("host"))["airflow/connections/retraining_ssh"])
    assert f"useradd --create-home --shell /bin/bash {connection['login']}\n" in script
    assert f"Match User {connection['login']}\n" in script


def test_all_use_the_same_buckets(plan: Plan) -> None:
    buckets = output(plan, "buckets")
    for name in ("retraining_input", "retraining_data_root"):
        uri = output(plan, "airflow_variables")[name]
        assert uri.startswith(f"s3a://{buckets['data']}/")
    (airflow,) = plan.resources("yandex_airflow_cluster").values()
    assert airflow["code_sync"]["s3"]["bucket"] == buckets["dags"]
    machines = plan.machines
    assert f"_DESTINATION=s3://{buckets['artifacts']}/" in machines["mlflow"].text
    assert f"SOURCE_BUCKET={buckets['source']}\n" in machines["steps"].text
    for prepared in plan.resources("yandex_storage_object").values():
        assert prepared["bucket"] == buckets["source"]
    for cluster in plan.resources("yandex_dataproc_cluster").values():
        assert cluster["bucket"] == buckets["logs"]
        (action,) = cluster["cluster_config"][0]["hadoop"][0]["initialization_action"]
        assert action["uri"] == f"s3a://{buckets['source']}/prepare-steps.sh"


def ask_airflow(program: str, **environment: str) -> Any:  # noqa: ANN401
    """The JSON that a program prints in the environment that has Airflow."""
    try:
        python = find_program().with_name("python")
    except StackError as error:
        pytest.skip(str(error))
    environment |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "dags")}
    done = subprocess.run([python, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_transient_cluster_has_the_arguments_of_the_operator(tmp_path: Path) -> None:
    text = (ROOT / "terraform/dataproc.tf").read_text()
    block = text.partition("transient_cluster = {\n")[2].partition("\n  }\n")[0]
    named = set(re.findall(r"^    (\w+)\s+= ", block, re.M))
    assert len(named) > 15
    known = ask_airflow(
        """
import inspect, json
from airflow.providers.yandex.operators.dataproc import DataprocCreateClusterOperator
print(json.dumps(list(inspect.signature(DataprocCreateClusterOperator.__init__).parameters)))
""",
        AIRFLOW_HOME=str(tmp_path),
    )
    assert named <= set(known)


def test_airflow_understands_both_connections(
    make_plan: Callable[[str], Plan], tmp_path: Path
) -> None:
    """As the Lockbox backend returns them, with keys of new-secrets."""
    with (tmp_path / "secrets.json").open("w") as file:
        subprocess.run([sys.executable, ROOT / "terraform/new-secrets"], stdout=file, check=True)
    generated = json.loads((tmp_path / "secrets.json").read_text())
    written = lockbox(make_plan("host"))
    ssh = json.loads(written["airflow/connections/retraining_ssh"])
    ssh["extra"] = {
        "private_key": generated["secrets"]["ssh_private_key"],
        "host_key": generated["public_keys"]["ssh_host"],
    }
    values = ask_airflow(
        """
import json
from airflow.sdk import BaseHook
from airflow.providers.ssh.hooks.ssh import SSHHook
import mlflow_server
hook = SSHHook("retraining_ssh")
print(json.dumps({
    "server": mlflow_server.server(BaseHook.get_connection("retraining_mlflow")),
    "login": f"{hook.username}@{hook.remote_host}:{hook.port}",
    "key": hook.pkey.get_name(),
    "host_key": f"{hook.host_key.get_name()} {hook.host_key.get_base64()}",
    "unchecked": hook.no_host_key_check,
}))
""",
        AIRFLOW_HOME=str(tmp_path),
        AIRFLOW_CONN_RETRAINING_MLFLOW=written["airflow/connections/retraining_mlflow"],
        AIRFLOW_CONN_RETRAINING_SSH=json.dumps(ssh),
    )
    server = values["server"]
    assert (
        server["MLFLOW_TRACKING_URI"] == f"{output(make_plan('host'), 'mlflow_tracking_uri')}:443"
    )
    assert server["MLFLOW_TRACKING_USERNAME"] == "retraining"
    assert values["login"] == "retraining@steps.ru-central1.internal:22"
    assert values["key"] == "ssh-ed25519"
    assert generated["public_keys"]["ssh_host"].startswith(values["host_key"])
    assert not values["unchecked"]
