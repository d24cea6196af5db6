"""The plans: closed to the world, encrypted, with secrets only in Lockbox."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.terraform.conftest import Plan

ROOT = Path(__file__).resolve().parents[2]
ADMIN = "203.0.113.7/32"  # of terraform.tfvars.example
NETWORK = ipaddress.IPv4Network("10.10.0.0/16")
AIRFLOW = "10.10.1.0/24"

# Open ports and the networks that may use them; None is a group, whose id no plan knows.
OPEN = {
    'in["mlflow_from_steps"]': (443, None),
    'in["mlflow_from_airflow"]': (443, AIRFLOW),
    'in["mlflow_ssh_from_steps"]': (22, None),
    'in["database_from_mlflow"]': (6432, None),
    'in["steps_from_airflow"]': (22, AIRFLOW),
    'in["steps_from_admin"]': (22, ADMIN),
}

# Resources that give roles; tests/roles.tftest.hcl reads these roles back.
ROLES = {
    "yandex_resourcemanager_folder_iam_member.this",
    "yandex_iam_service_account_iam_member.airflow_uses_spark",
    "yandex_lockbox_secret_iam_member.this",
    "yandex_kms_symmetric_key_iam_member.this",
    "yandex_storage_bucket_iam_binding.this",
}


def walk(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """All values of a tree, with their paths."""
    if isinstance(value, dict):
        for name, below in value.items():
            yield from walk(below, f"{path}.{name}")
    elif isinstance(value, list):
        for below in value:
            yield from walk(below, path)
    else:
        yield path, value


def test_only_the_host_of_the_steps_has_a_public_address(plan: Plan) -> None:
    public = {
        address
        for address, values in plan.resources().items()
        for path, value in walk(values)
        if path.endswith((".nat", ".assign_public_ip")) and value
    }
    assert public == {"module.steps.yandex_compute_instance.this"}
    assert not plan.resources("yandex_vpc_address")


def test_without_an_administrator_there_is_no_public_address(
    make_plan: Callable[..., Plan],
) -> None:
    machines = make_plan("host", "admin = null").resources("yandex_compute_instance").values()
    assert [machine["network_interface"][0]["nat"] for machine in machines] == [False, False]


def test_only_the_network_and_the_administrator_come_in(plan: Plan) -> None:
    incoming = {
        name.removeprefix("yandex_vpc_security_group_rule."): rule
        for name, rule in plan.resources("yandex_vpc_security_group_rule").items()
        if rule["direction"] == "ingress"
    }
    if plan.spark != "host":
        within = incoming.pop('cluster["ingress"]')
        assert within["predefined_target"] == "self_security_group"
    assert {
        name: (rule["port"], ", ".join(rule.get("v4_cidr_blocks") or ()) or None)
        for name, rule in incoming.items()
    } == OPEN
    for rule in incoming.values():
        assert not rule.get("v6_cidr_blocks")
        assert not rule.get("predefined_target")
    # All rules are separate resources; this test would not see a rule inside a group.
    for group in plan.resources("yandex_vpc_security_group").values():
        assert not group.get("ingress")
        assert not group.get("egress")
    assert not plan.resources("yandex_vpc_default_security_group")


def test_outgoing_traffic_is_only_web_and_time(plan: Plan) -> None:
    for name, rule in plan.resources("yandex_vpc_security_group_rule").items():
        if rule["direction"] == "egress" and not rule.get("predefined_target"):
            (block,) = rule["v4_cidr_blocks"]
            inside = ipaddress.IPv4Network(block).subnet_of(NETWORK)
            assert inside or (rule["protocol"], rule["port"]) in {
                ("TCP", 443),
                ("TCP", 80),
                ("UDP", 123),
            }, name


def test_roles_are_given_only_by_resources_that_the_role_tests_read(plan: Plan) -> None:
    giving = ("_iam_member", "_iam_binding", "_iam_policy", "_bucket_grant", "_bucket_policy")
    assert {name for name in plan.configured if name.split(".")[0].endswith(giving)} == ROLES
    text = (ROOT / "terraform/tests/roles.tftest.hcl").read_text()
    assert all(name in text for name in ROLES)


def test_every_machine_and_cluster_has_a_security_group(plan: Plan) -> None:
    groups = "yandex_vpc_security_group.this"
    where = {
        "yandex_airflow_cluster.this": "security_group_ids",
        "yandex_mdb_postgresql_cluster_v2.this": "security_group_ids",
        "yandex_dataproc_cluster.this": "security_group_ids",
        "yandex_spark_cluster.this": "network",
    }
    for name, attribute in where.items():
        assert groups in {each.split("[")[0] for each in plan.references(name, attribute)}
    for values in plan.resources("yandex_compute_instance").values():
        assert len(values["network_interface"]) == 1
        assert len(values["network_interface"][0]["security_group_ids"]) == 1


def test_machines_that_fetch_secrets_start_after_them(plan: Plan) -> None:
    for name, secret in {
        "module.mlflow": "mlflow",
        "module.steps": "steps",
        "yandex_dataproc_cluster.this": "steps",
    }.items():
        assert set(plan.configured[name]["depends_on"]) >= {
            "yandex_lockbox_secret_iam_member.this",
            "yandex_kms_symmetric_key_iam_member.this",
            "yandex_storage_bucket_iam_binding.this",
            "yandex_iam_service_account_static_access_key.this",
            f"yandex_lockbox_secret_version_hashed.{secret}",
            "yandex_vpc_security_group_rule.in",
            "yandex_vpc_security_group_rule.out",
        }, name


def test_the_server_knows_its_secrets_by_their_ids(plan: Plan) -> None:
    assert plan.references("module.mlflow", "settings") >= {
        "yandex_lockbox_secret.mlflow.id",
        'yandex_lockbox_secret.storage["mlflow"].id',
    }


def test_every_bucket_is_private_versioned_and_encrypted(plan: Plan) -> None:
    buckets = plan.resources("yandex_storage_bucket")
    assert len(buckets) == (5 if plan.spark in ("dataproc", "transient") else 4)
    for bucket in buckets.values():
        assert bucket["anonymous_access_flags"] == [
            {"config_read": False, "list": False, "read": False}
        ]
        assert not bucket.get("acl")
        assert not bucket.get("grant")
        assert not bucket["website"]
        assert bucket["versioning"] == [{"enabled": True}]
        rule = bucket["server_side_encryption_configuration"][0]["rule"][0]
        assert rule["apply_server_side_encryption_by_default"][0]["sse_algorithm"] == "aws:kms"
        assert any(
            rule["noncurrent_version_expiration"][0]["days"] >= 7
            for rule in bucket["lifecycle_rule"]
            if rule["noncurrent_version_expiration"]
        )


def test_data_are_protected_against_deletion(plan: Plan) -> None:
    for address, values in plan.resources().items():
        if "deletion_protection" in values:
            assert str(values["deletion_protection"]).lower() == "true", address
    for address, values in plan.resources("yandex_storage_bucket").items():
        assert values["force_destroy"] is False, address


def test_passwords_and_keys_are_only_in_lockbox(plan: Plan) -> None:
    secrets = plan.whole["variables"]["secrets"]["value"]
    places = {
        (address.split("[")[0], path.rpartition(".")[2])
        for address, values in plan.resources().items()
        for path, value in walk(values)
        if isinstance(value, str) and any(text in value for text in secrets.values())
    }
    versions = {
        (f"yandex_lockbox_secret_version_hashed.{name}", f"text_value_{number}")
        for name, last in {"airflow": 1, "mlflow": 5, "steps": 2}.items()
        for number in range(1, last + 1)
    }
    # The resource of Airflow offers no other way.
    assert places == versions | {("yandex_airflow_cluster.this", "admin_password")}


def test_no_output_contains_a_secret(plan: Plan) -> None:
    text = json.dumps(plan.whole["planned_values"]["outputs"])
    assert '"sensitive": true' not in text
    for secret in plan.whole["variables"]["secrets"]["value"].values():
        assert secret not in text


def test_keys_of_the_store_go_straight_into_lockbox(plan: Plan) -> None:
    keys = plan.resources("yandex_iam_service_account_static_access_key")
    assert {name.partition('"')[2].rstrip('"]') for name in keys} == {"mlflow", "steps"}
    for key in keys.values():
        assert len(key["output_to_lockbox"]) == 1


def test_the_password_of_the_database_is_not_stored(plan: Plan) -> None:
    (user,) = plan.resources("yandex_mdb_postgresql_user").values()
    assert not user.get("password")
    assert user["password_wo_version"] > 0


def test_machines_give_out_tokens_in_one_way_only(plan: Plan) -> None:
    for values in plan.resources("yandex_compute_instance").values():
        options = values["metadata_options"][0]
        assert (options["gce_http_endpoint"], options["gce_http_token"]) == (1, 1)
        assert (options["aws_v1_http_endpoint"], options["aws_v1_http_token"]) == (2, 2)
        assert values["metadata"]["serial-port-enable"] == "0"


def test_versions_are_those_of_the_project(plan: Plan) -> None:
    conda = yaml.safe_load((ROOT / "conda.yaml").read_text())
    pins = dict(
        line.split("==")
        for line in next(each["pip"] for each in conda["dependencies"] if isinstance(each, dict))
        if "==" in line
    )
    constraints = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    machines = dict(
        line.split("==")
        for line in (ROOT / "terraform/machines/requirements.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    assert machines["mlflow"] == pins["mlflow"]
    assert {name: machines[name] for name in machines.keys() & constraints.keys()} == {
        name: constraints[name] for name in machines.keys() & constraints.keys()
    }
    assert f"uv=={machines['uv']}" in (ROOT / "README.md").read_text()

    python, java = (
        next(each.split("=")[1] for each in conda["dependencies"] if each.startswith(f"{name}="))
        for name in ("python", "openjdk")
    )
    script = plan.machines["steps"].text
    assert f"uv=={machines['uv']}'" in script
    assert f"--python {python} " in script
    assert f"openjdk-{java}-jre-headless " in script
    assert f"JAVA_HOME=/usr/lib/jvm/java-{java}-" in script

    (airflow,) = plan.resources("yandex_airflow_cluster").values()
    for package in airflow["pip_packages"]:
        assert package in (ROOT / "dags/constraints.txt").read_text().splitlines()
    for cluster in plan.resources("yandex_spark_cluster").values():
        packages = dict(
            line.split("==") for line in cluster["config"]["dependencies"]["pip_packages"]
        )
        assert packages == {name: pin for name, pin in pins.items() if name != "pyspark"}
