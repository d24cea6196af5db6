"""The files of the machines: scripts, units, user-data."""

from __future__ import annotations

import json
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.terraform.cloud import open_cloud

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.terraform.conftest import Machine, Plan

MACHINES = Path(__file__).resolve().parents[2] / "terraform/machines"
HDFS = "/usr/local/lib/retraining/prepare_hdfs.sh"

# Stand-ins for the programs of a master. HDFS is a folder, and the first calls do not reach it.
PROGRAMS = {
    "runuser": 'echo "$2: ${*:6}" >> calls; shift 3; exec "$@"',
    "sleep": "",
    "hdfs": """
        if [ -s starting ]; then sed -i 1d starting; exit 1; fi
        words=("${@//hdfs:\\/\\//store}")
        case $2 in
            -mkdir) mkdir -p "${words[3]}" ;;
            -test) test -e "${words[3]}" ;;
            -put) cp "${words[3]}" "${words[4]}" ;;
        esac""",
    "uv": 'jars="${*: -2:1}/pyspark/jars"; mkdir -p "$jars"; echo "${*: -1}" > "$jars/spark.jar"',
}


def need(program: str, package: str) -> str:
    """The path of a program; without it a test is skipped."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed: apt-get install {package}")
    return path


def steps_script(machines: dict[str, Machine]) -> str:
    return machines["steps"].files["/usr/local/sbin/prepare-steps"]


def files_of(script: str) -> dict[str, str]:
    """Files that the script writes, by path."""
    written = re.findall(
        r"/dev/stdin '?([^\s']+)'? <<'END_OF_FILE'\n(.*?)\nEND_OF_FILE\n", script, re.S
    )
    return dict(written)


@pytest.mark.parametrize("administrator", ["", "admin = null"], ids=["administrator", "none"])
@pytest.mark.parametrize("name", ["mlflow", "steps"])
def test_cloud_init_accepts_the_user_data(
    make_plan: Callable[..., Plan], administrator: str, name: str, tmp_path: Path
) -> None:
    program = need("cloud-init", "cloud-init")
    text = make_plan("host", administrator).machines[name].text
    (tmp_path / "user-data").write_text(text)
    done = subprocess.run(
        [program, "schema", "--config-file", tmp_path / "user-data"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(text) < 200_000  # the metadata of a machine are limited


@pytest.mark.parametrize("name", ["mlflow", "steps"])
def test_user_data_holds_no_secret_and_no_id(machines: dict[str, Machine], name: str) -> None:
    """A plan shows it completely, so nothing in it is known only after an apply."""
    assert "PRIVATE KEY" not in machines[name].text
    assert "example-of-" not in machines[name].text  # the secrets of the example


def test_systemd_accepts_the_units(machines: dict[str, Machine], tmp_path: Path) -> None:
    program = need("systemd-analyze", "systemd")
    files = machines["mlflow"].files | files_of(steps_script(machines))
    units = {Path(path).name: text for path, text in files.items() if "/systemd/system/" in path}
    units.pop("key.conf")
    assert len(units) == 6
    for name, text in units.items():
        # The programs exist only on the other machine.
        here = re.sub(r"^(Exec\w+)=(/opt/\S+)", rf"\1={sys.executable}", text, flags=re.M)
        (tmp_path / name).write_text(here)
    done = subprocess.run(
        [program, "verify", "--recursive-errors=no", *(tmp_path / name for name in units)],
        capture_output=True,
        text=True,
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:/usr/lib/systemd/system"},
    )
    complaints = [
        line for line in done.stderr.splitlines() if str(tmp_path) in line or "nginx" in line
    ]
    assert not complaints, done.stderr


def test_the_server_runs_without_privileges(machines: dict[str, Machine]) -> None:
    unit = machines["mlflow"].files["/etc/systemd/system/mlflow.service"]
    assert re.findall(r"^User=(.*)$", unit, re.M) == ["mlflow"]
    assert "--host 127.0.0.1" in unit
    assert {user["name"] for user in machines["mlflow"].data["users"]} == {"mlflow", "admin"}


@pytest.mark.parametrize("spark", ["host", "dataproc"])
def test_shell_scripts_are_clean(
    make_plan: Callable[[str], Plan], machines: dict[str, Machine], spark: str, tmp_path: Path
) -> None:
    program = need("shellcheck", "shellcheck")
    if spark == "host":
        script = steps_script(machines)
    else:
        (written,) = make_plan(spark).resources("yandex_storage_object").values()
        script = written["content"]
        assert script == steps_script(machines)
    (tmp_path / "prepare").write_text(script)
    profile = files_of(script)["/etc/retraining/profile"]
    (tmp_path / "profile").write_text("#!/bin/sh\n" + profile)
    (tmp_path / "prepare_hdfs").write_text(files_of(script)[HDFS])
    (tmp_path / "runcmd").write_text("#!/bin/sh\n" + "\n".join(machines["mlflow"].data["runcmd"]))
    done = subprocess.run(
        [program, "--exclude=SC1091", *tmp_path.iterdir()], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_machines_of_a_cluster_get_what_the_host_gets(make_plan: Callable[[str], Plan]) -> None:
    (cluster,) = make_plan("dataproc").resources("yandex_dataproc_cluster").values()
    roles = [each["role"] for each in cluster["cluster_config"][0]["subcluster_spec"]]
    assert roles == ["MASTERNODE", "DATANODE"]


def test_nginx_accepts_the_proxy(machines: dict[str, Machine], tmp_path: Path) -> None:
    program = need("nginx", "nginx-light")
    need("openssl", "openssl")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=x", "-keyout", "tls.key", "-out", "tls.crt"),
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    site = machines["mlflow"].files["/usr/local/lib/retraining/nginx.conf"]
    for folder in ("/etc/mlflow", "/run/mlflow"):
        site = site.replace(folder, str(tmp_path))
    whole = f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\n{site}\n}}\n"
    (tmp_path / "nginx.conf").write_text(whole)
    done = subprocess.run(
        [program, "-t", "-q", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def render(
    environment: dict[str, str], templates: Path, settings: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, MACHINES / "render_secrets.py", templates],
        env=environment | {"SETTINGS_FILE": str(settings)},
        capture_output=True,
        text=True,
    )


def test_secrets_come_from_lockbox_by_the_token_of_the_machine(tmp_path: Path) -> None:
    me = pwd.getpwuid(os.getuid()).pw_name
    out = tmp_path / "run" / "environment"
    templates = tmp_path / "templates.json"
    text = "URI=postgresql://mlflow:$password@$host\n"
    template = {"path": str(out), "owner": me, "mode": "0400", "text": text}
    templates.write_text(json.dumps([template]))
    with open_cloud({"host": "db"}, {"e6q1": {"password": "very secret\n"}}) as environment:
        for _ in range(2):  # at every boot
            done = render(environment, templates, tmp_path / "none")
            assert done.returncode == 0, done.stderr
            assert out.read_text() == "URI=postgresql://mlflow:very secret@db\n"
            assert out.stat().st_mode & 0o777 == 0o400
    assert list(out.parent.iterdir()) == [out]


def test_a_cluster_reads_the_ids_of_secrets_from_a_file(tmp_path: Path) -> None:
    me = pwd.getpwuid(os.getuid()).pw_name
    settings, templates = tmp_path / "settings.json", tmp_path / "templates.json"
    settings.write_text(json.dumps({"secrets": ["e6q1"], "values": {"host": "other"}}))
    template = {"path": str(tmp_path / "out"), "owner": me, "mode": "0600", "text": "$host $word"}
    templates.write_text(json.dumps([template]))
    with open_cloud({"host": "db"}, {"e6q1": {"word": "w"}}) as environment:
        assert render(environment, templates, settings).returncode == 0
    assert (tmp_path / "out").read_text() == "other w"


@pytest.mark.parametrize("name", ["mlflow", "steps"])
def test_templates_use_exactly_the_entries_of_the_secrets(
    machines: dict[str, Machine], name: str
) -> None:
    files = machines["mlflow"].files if name == "mlflow" else files_of(steps_script(machines))
    path = "/etc/mlflow/templates.json" if name == "mlflow" else "/etc/retraining/templates.json"
    used = {
        each for file in json.loads(files[path]) for each in re.findall(r"\$(\w+)", file["text"])
    }
    text = (MACHINES.parent / "secrets.tf").read_text()
    version = text.partition(f'"yandex_lockbox_secret_version_hashed" "{name}"')[2].partition(
        "\n}"
    )[0]
    entries = set(re.findall(r'key_\d+\s+= "(\w+)"', version)) | {"access_key", "secret_key"}
    assert used - {"postgresql_host"} == entries


def test_the_profile_gives_a_step_its_environment(
    machines: dict[str, Machine], tmp_path: Path
) -> None:
    files = files_of(steps_script(machines))
    (tmp_path / "secrets").write_text("MLFLOW_TRACKING_PASSWORD=word\n")
    (tmp_path / "environment").write_text(files["/etc/retraining/environment"])
    profile = files["/etc/retraining/profile"]
    profile = profile.replace("/etc/retraining/environment", str(tmp_path / "environment"))
    profile = profile.replace("/run/retraining/environment", str(tmp_path / "secrets"))
    (tmp_path / "profile").write_text(profile)
    done = subprocess.run(
        ["bash", "-c", f". {shlex.quote(str(tmp_path / 'profile'))}; env"],
        env={"PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
    )
    environment = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert environment["MLFLOW_TRACKING_PASSWORD"] == "word"  # noqa: S105
    assert environment["MLFLOW_TRACKING_URI"] == "https://mlflow.ru-central1.internal"
    assert environment["PATH"] == "/opt/retraining/bin:/usr/bin:/bin"
    assert "PYSPARK_SUBMIT_ARGS" not in environment


def test_on_a_cluster_executors_have_its_workers_and_java(machines: dict[str, Machine]) -> None:
    cluster = files_of(steps_script(machines))["/etc/retraining/cluster"]
    (_, _, arguments) = cluster.partition("PYSPARK_SUBMIT_ARGS=")
    (text,) = shlex.split(arguments)
    words = shlex.split(text)
    assert words[-1] == "pyspark-shell"
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    assert settings["spark.executor.instances"] == "2"
    assert settings["spark.executor.cores"] == "3"
    assert settings["spark.executor.memory"] == "10g"
    assert settings["spark.executorEnv.JAVA_HOME"].startswith("/usr/lib/jvm/java-17")
    assert settings["spark.yarn.archive"].startswith("hdfs:///user/retraining/")


def prepare_hdfs(
    machines: dict[str, Machine], folder: Path, starting: int, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the last part of the script that prepares a machine, with stand-ins."""
    for name, text in PROGRAMS.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    (folder / "starting").write_text("failing\n" * starting)
    (folder / "calls").touch()
    script = steps_script(machines)
    (folder / "prepare_hdfs.sh").write_text(files_of(script)[HDFS])
    last = script.partition("systemctl restart ssh.service\n")[2]
    return subprocess.run(
        ["bash", "-euc", last.replace(HDFS, "prepare_hdfs.sh")],
        cwd=folder,
        env={"PATH": f"{folder}:{os.environ['PATH']}", "TMPDIR": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_master_puts_the_jars_of_spark_into_hdfs_once(
    machines: dict[str, Machine], tmp_path: Path
) -> None:
    done = prepare_hdfs(machines, tmp_path, starting=2, ROLE="masternode")
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    home = "hdfs:///user/retraining"
    assert calls[:4] == [
        *[f"hdfs: hdfs dfs -mkdir -p {home}"] * 3,
        f"hdfs: hdfs dfs -chown retraining {home}",
    ]
    cluster = files_of(steps_script(machines))["/etc/retraining/cluster"]
    archive = re.findall(r"spark\.yarn\.archive=(\S+)", cluster)[0]
    with zipfile.ZipFile(tmp_path / archive.replace("hdfs://", "store")) as jars:
        assert jars.namelist() == ["spark.jar"]
        version = jars.read("spark.jar").decode().strip()
    conda = yaml.safe_load((MACHINES.parents[1] / "conda.yaml").read_text())
    assert version in conda["dependencies"][-1]["pip"]

    (tmp_path / "calls").unlink()
    assert prepare_hdfs(machines, tmp_path, starting=0, ROLE="masternode").returncode == 0
    assert "put" not in (tmp_path / "calls").read_text()


def test_hdfs_is_not_waited_for_without_end(machines: dict[str, Machine], tmp_path: Path) -> None:
    done = prepare_hdfs(machines, tmp_path, starting=9, ROLE="masternode", SECONDS="601")
    assert done.returncode == 1
    assert done.stderr.startswith("HDFS has not accepted `hdfs dfs -mkdir -p hdfs:///user/")
    assert len(done.stderr.splitlines()) == 1


def test_the_host_of_the_steps_has_no_hdfs(machines: dict[str, Machine], tmp_path: Path) -> None:
    done = prepare_hdfs(machines, tmp_path, starting=0)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "calls").read_text()
