"""The MLflow server as its machine runs it: secrets, unit, proxy and user, on a local PostgreSQL.

Programs, ports and folders are those of this machine; the command line is the unit's.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.stack.postgres import open_postgres
from tests.stack.process import StackError, free_port, listens, open_server
from tests.stack.scheduler import find_program
from tests.terraform.cloud import open_cloud

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stack.postgres import Postgres
    from tests.terraform.conftest import Machine, Plan

FOLDER = Path(__file__).resolve().parents[2] / "terraform"
NAME = "mlflow.ru-central1.internal"

# The server's name is the address of this machine.
RESOLVE = f"""
import socket
known = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: known(
    "127.0.0.1" if host == {NAME!r} else host, *rest, **more
)
"""
CLIENT = """
import mlflow
mlflow.set_experiment("retraining")
with mlflow.start_run() as run:
    mlflow.log_metric("auroc", 0.5)
    mlflow.log_text("hello", "note.txt")
client = mlflow.MlflowClient()
client.create_registered_model("fraud")
version = client.create_model_version("fraud", f"runs:/{run.info.run_id}/model", run.info.run_id)
client.set_registered_model_alias("fraud", "champion", version.version)
print(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/note.txt"))
"""
REVOKE = """
import sys
import mlflow
from mlflow.server import get_app_client
mlflow.set_tracking_uri(sys.argv[1])
experiment = mlflow.get_experiment_by_name("retraining").experiment_id
get_app_client("basic-auth", sys.argv[1]).revoke_user_permission(
    "retraining", "experiment", experiment
)
"""
LOOK_UP = """
import mlflow
mlflow.set_experiment("retraining")
with mlflow.start_run(tags={"verdict": "promote"}) as run:
    print(run.info.run_id)
"""


class Served(NamedTuple):
    """The server behind its proxy, and the secrets of new-secrets."""

    port: int
    secrets: dict[str, str]
    authority: Path
    artifacts: Path
    make_user: list[str]
    environment: dict[str, str]

    def status(self, path: str, **headers: str) -> int:
        """The status of a request without a login."""
        context = ssl.create_default_context(cafile=str(self.authority))
        context.check_hostname = False  # the name is asked for below; the chain is verified
        url = f"https://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, headers={"Host": NAME, **headers})
        if "Origin" in headers:
            request.method = "POST"
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def client(self, password: str, program: str = CLIENT) -> subprocess.CompletedProcess[str]:
        """Run a program of a step."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.artifacts.parent),
            "MLFLOW_TRACKING_URI": f"https://{NAME}:{self.port}",
            "MLFLOW_TRACKING_USERNAME": "retraining",
            "MLFLOW_TRACKING_PASSWORD": password,
            "MLFLOW_TRACKING_SERVER_CERT_PATH": str(self.authority),
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
            "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        }
        return subprocess.run(
            [sys.executable, "-c", RESOLVE + program],
            env=environment,
            capture_output=True,
            text=True,
        )


def variables(text: str) -> dict[str, str]:
    """The variables that systemd reads in an EnvironmentFile."""
    return dict(line.split("=", 1) for line in text.splitlines() if line and line[0] != "#")


class Here(NamedTuple):
    """Folders and ports of this machine in place of the server's."""

    folder: Path
    database: int
    backend: int
    front: int

    def __call__(self, text: str) -> str:
        """The text with these."""
        for there, here in {
            "/run/mlflow/": f"{self.folder}/run/",
            "/etc/mlflow/": f"{self.folder}/",
            ":6432/": f":{self.database}/",
            "--port 5000": f"--port {self.backend}",
            "127.0.0.1:5000": f"127.0.0.1:{self.backend}",
            "listen 443": f"listen 127.0.0.1:{self.front}",
        }.items():
            text = text.replace(there, here)
        return re.sub(r"\?sslmode=\S+", "?sslmode=disable", text)

    def command(self, unit: str) -> list[str]:
        """The command line of a unit, with this machine's program of that name."""
        (line,) = re.findall(r"^ExecStart=(.*)$", unit, re.M)
        program, *arguments = shlex.split(self(line))
        return [str(Path(sys.executable).parent / Path(program).name), *arguments]


@pytest.fixture(scope="module")
def served(
    machines: dict[str, Machine], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Everything on the machine that can run here."""
    nginx = shutil.which("nginx")
    if nginx is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    folder = tmp_path_factory.mktemp("machine")
    with (folder / "secrets.json").open("w") as file:
        subprocess.run([sys.executable, FOLDER / "new-secrets"], stdout=file, check=True)
    generated = json.loads((folder / "secrets.json").read_text())
    secrets, public = generated["secrets"], generated["public_keys"]
    (folder / "tls.crt").write_text(public["tls_certificate"])
    (folder / "authority.pem").write_text(public["tls_authority"])
    files = machines["mlflow"].files
    with ExitStack() as stack:
        try:
            postgres = stack.enter_context(open_postgres(folder / "postgres"))
        except StackError as error:
            pytest.skip(str(error))
        make_databases(postgres, secrets["postgresql_password"])
        here = Here(folder, postgres.port, free_port(), free_port())
        write_secrets(files, here, secrets)
        secret = {
            "PATH": os.environ["PATH"],
            **variables((folder / "run/environment").read_text()),
        }
        environment = {
            **variables(here(files["/etc/mlflow/environment"])),
            **secret,
            "MLFLOW_ARTIFACTS_DESTINATION": str(folder / "artifacts"),
        }
        command = here.command(files["/etc/systemd/system/mlflow.service"])
        stack.enter_context(
            open_server("mlflow", command, folder / "work", environment=environment)
        )
        write_proxy(files, here)
        command = [nginx, "-c", str(folder / "nginx.conf")]
        proxy = stack.enter_context(open_server("nginx", command, folder / "work"))
        proxy.wait_for(lambda: listens(here.front))
        _, script, url = here.command(files["/etc/systemd/system/mlflow-users.service"])
        (folder / "make_user.py").write_text(files[script])
        make_user = [sys.executable, str(folder / "make_user.py"), url]
        for _ in range(2):  # at every boot; the first time, the server is still starting
            subprocess.run(make_user, env=secret, check=True)
        authority, artifacts = folder / "authority.pem", folder / "artifacts"
        yield Served(here.front, secrets, authority, artifacts, make_user, secret)


def make_databases(postgres: Postgres, password: str) -> None:
    """The databases that Terraform creates, with their collation."""
    role = f"CREATE ROLE mlflow LOGIN PASSWORD '{password}'"
    postgres.call("psql", "--command", role, "postgres")
    for name in ("mlflow", "mlflow_users"):
        collation = "LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        statement = f"CREATE DATABASE {name} OWNER mlflow {collation}"
        postgres.call("psql", "--command", statement, "postgres")


def write_secrets(files: dict[str, str], here: Here, secrets: dict[str, str]) -> None:
    """Write the secrets as the unit does."""
    me = pwd.getpwuid(os.getuid()).pw_name
    templates = [
        {**each, "path": here(each["path"]), "owner": me, "text": here(each["text"])}
        for each in json.loads(files["/etc/mlflow/templates.json"])
    ]
    path = here.folder / "templates.json"
    path.write_text(json.dumps(templates))
    store = {"access_key": "unused", "secret_key": "unused"}
    with open_cloud({"postgresql_host": "127.0.0.1"}, {"m": secrets, "s": store}) as cloud:
        script = FOLDER / "machines/render_secrets.py"
        subprocess.run([sys.executable, script, path], env=cloud, check=True)


def write_proxy(files: dict[str, str], here: Here) -> None:
    """A configuration of nginx around the site of the machine, which writes to one folder alone."""
    folders = "".join(
        f"{kind}_temp_path {here.folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    site = here(files["/usr/local/lib/retraining/nginx.conf"])
    (here.folder / "nginx.conf").write_text(
        f"pid {here.folder}/nginx.pid;\ndaemon off;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{folders}{site}\n}}\n"
    )


@pytest.mark.slow
def test_a_step_logs_and_registers_without_keys_of_the_store(served: Served) -> None:
    done = served.client(served.secrets["mlflow_password"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("hello")
    assert [path.read_text() for path in served.artifacts.rglob("note.txt")] == ["hello"]


@pytest.mark.slow
def test_a_password_is_required(served: Served) -> None:
    assert served.status("/health") == 200
    assert served.status("/api/2.0/mlflow/experiments/get?experiment_id=0") == 401
    assert served.status("/") == 401
    refused = served.client("another")
    assert refused.returncode == 1
    assert "401" in refused.stderr


@pytest.mark.slow
def test_a_page_of_another_name_cannot_use_the_server(served: Served) -> None:
    """As a web page could whose name points at the address of the server."""
    search = "/ajax-api/2.0/mlflow/runs/search"
    assert served.status(search, Host="evil.example") == 403
    assert served.status(search, Origin="https://evil.example") == 403
    # Through the administrator's tunnel only the login is missing.
    assert served.status(search, Host="localhost:8443", Origin="https://localhost:8443") == 401
    assert served.status(search, Origin=f"https://{NAME}:8443") == 401


@pytest.mark.slow
def test_the_certificate_is_for_the_name_of_the_machine(served: Served) -> None:
    context = ssl.create_default_context(cafile=str(served.authority))
    with (
        socket.create_connection(("127.0.0.1", served.port)) as raw,
        context.wrap_socket(raw, server_hostname=NAME) as secured,
    ):
        assert secured.version() in ("TLSv1.2", "TLSv1.3")
    with (
        socket.create_connection(("127.0.0.1", served.port)) as raw,
        pytest.raises(ssl.SSLCertVerificationError, match="mismatch"),
    ):
        context.wrap_socket(raw, server_hostname="localhost")


@pytest.mark.slow
def test_the_next_boot_sets_the_password_and_a_permission_that_is_missing(served: Served) -> None:
    changed = served.environment | {"RETRAINING_PASSWORD": "another-password-of-the-user"}
    subprocess.run(served.make_user, env=changed, check=True)
    assert "RESOURCE_ALREADY_EXISTS" in served.client("another-password-of-the-user").stderr

    python, _, url = served.make_user
    login = {
        "MLFLOW_TRACKING_USERNAME": "admin",
        "MLFLOW_TRACKING_PASSWORD": served.secrets["mlflow_admin_password"],
    }
    subprocess.run([python, "-c", REVOKE, url], env=served.environment | login, check=True)
    assert "403" in served.client("another-password-of-the-user", LOOK_UP).stderr

    subprocess.run(served.make_user, env=served.environment, check=True)
    done = served.client(served.secrets["mlflow_password"], LOOK_UP)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_dag_reads_the_verdict_with_the_connection_that_terraform_writes(
    served: Served, make_plan: Callable[[str], Plan], tmp_path: Path
) -> None:
    """Airflow's workers have no file with the authority; the connection contains it."""
    try:
        python = find_program().with_name("python")
    except StackError as error:
        pytest.skip(str(error))
    secrets = make_plan("host").resources("yandex_lockbox_secret_version_hashed")
    written = "yandex_lockbox_secret_version_hashed.airflow"
    text = secrets[f'{written}["airflow/connections/retraining_mlflow"]']["text_value_1"]
    connection = json.loads(text)
    assert connection["extra"].keys() == {"ca"}
    connection["extra"] = {"ca": served.authority.read_text()}
    connection |= {"port": served.port, "password": served.secrets["mlflow_password"]}
    run_id = served.client(served.secrets["mlflow_password"], LOOK_UP).stdout.strip()
    program = f"{RESOLVE}\nimport mlflow_server\nprint(mlflow_server.tags_of({run_id!r}))"
    done = subprocess.run(
        [python, "-c", program],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(FOLDER.parent / "dags"),
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__RETRAINING__MLFLOW_CONN_ID": "retraining_mlflow",
            "AIRFLOW_CONN_RETRAINING_MLFLOW": json.dumps(connection),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "'verdict': 'promote'" in done.stdout
