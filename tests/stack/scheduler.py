"""Airflow as in production: API server, scheduler with LocalExecutor and DAG processor."""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.stack.process import LOOPBACK, Server, StackError, free_port, open_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
USER = "admin"
ENDED = {"success", "failed"}  # states of a run that has nothing left to do


class Airflow:
    """A running Airflow and a client of its REST API.

    Attributes:
        url: Address of its pages.
        user: Who may log in there.
        password: Of that user, made anew for each folder.
        environment: Environment variables of all of its processes and of what tasks start.
        servers: API server, scheduler and DAG processor.
    """

    def __init__(
        self, url: str, password: str, environment: dict[str, str], servers: list[Server]
    ) -> None:
        self.url = url
        self.user = USER
        self.password = password
        self.environment = environment
        self.servers = servers
        self._token = ""

    def call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 (JSON)
        """The answer of the API to a request; `path` is what follows `/api/v2/`.

        Raises:
            StackError: If it refuses.
        """
        self._token = self._token or self._log_in()
        try:
            return self._send(method, f"/api/v2/{path}", body)
        except urllib.error.HTTPError as error:
            said = error.read().decode()
            raise StackError(f"{method} {path}: {error.code} {said}") from error

    def trigger(self, dag: str, **params: object) -> str:
        """Unpause a DAG as soon as it is known, start a run, and return its id."""
        self.unpause(dag)
        body = {"logical_date": None, "conf": params}
        return str(self.call("POST", f"dags/{dag}/dagRuns", body)["dag_run_id"])

    def unpause(self, dag: str, *, seconds: float = 120) -> None:
        """Unpause a DAG as soon as the DAG processor has read it."""
        self._until(lambda: dag in self.dags(), f"there is no DAG {dag}", seconds)
        self.call("PATCH", f"dags/{dag}", {"is_paused": False})

    def dags(self) -> list[str]:
        """Ids of the DAGs.

        Raises:
            StackError: If a file cannot be imported.
        """
        broken = self.call("GET", "importErrors")["import_errors"]
        if broken:
            raise StackError("\n".join(error["stack_trace"] for error in broken))
        return [dag["dag_id"] for dag in self.call("GET", "dags?exclude_stale=true")["dags"]]

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """Runs of a DAG, oldest first."""
        found = self.call("GET", f"dags/{dag}/dagRuns?order_by=run_after")["dag_runs"]
        return list(found)

    def wait(self, dag: str, run: str, *, seconds: float) -> str:
        """Wait for the end of a run, and return its state.

        Raises:
            StackError: If it takes longer, with the states of its tasks.
        """
        with suppress(StackError):
            self._until(lambda: self.state(dag, run) in ENDED, "", seconds)
        state = self.state(dag, run)
        if state not in ENDED:
            raise StackError(f"{run} is still {state}: {self.states(dag, run)}")
        return state

    def state(self, dag: str, run: str) -> str:
        """State of a run."""
        return str(self.call("GET", f"dags/{dag}/dagRuns/{_quoted(run)}")["state"])

    def states(self, dag: str, run: str) -> dict[str, str]:
        """States of the tasks of a run."""
        tasks = self.call("GET", f"dags/{dag}/dagRuns/{_quoted(run)}/taskInstances")
        return {task["task_id"]: str(task["state"]) for task in tasks["task_instances"]}

    def xcom(self, dag: str, run: str, task: str, key: str = "return_value") -> Any:  # noqa: ANN401
        """The value that a task has pushed."""
        path = f"dags/{dag}/dagRuns/{_quoted(run)}/taskInstances/{task}/xcomEntries/{key}"
        return self.call("GET", path)["value"]

    def clear(self, dag: str, run: str, *tasks: str) -> None:
        """Clear tasks of a run, whatever their state, so that they run again."""
        body = {
            "dag_run_id": run,
            "task_ids": list(tasks),
            "dry_run": False,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.call("POST", f"dags/{dag}/clearTaskInstances", body)

    def processes(self) -> list[int]:
        """All processes of this Airflow, including steps and their children."""
        mark = f"AIRFLOW_HOME={self.environment['AIRFLOW_HOME']}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # ended meanwhile
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found

    def is_up(self) -> bool:
        """Whether scheduler and DAG processor have sent a recent heartbeat."""
        health = self._health()
        return all(
            health.get(part, {}).get("status") == "healthy"
            for part in ("metadatabase", "scheduler", "dag_processor")
        )

    def answers(self) -> bool:
        """Whether the API server answers."""
        return bool(self._health())

    def _health(self) -> dict[str, Any]:
        try:
            return dict(self._send("GET", "/api/v2/monitor/health"))
        except OSError:
            return {}

    def _log_in(self) -> str:
        login = {"username": self.user, "password": self.password}
        return str(self._send("POST", "/auth/token", login)["access_token"])

    def _send(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 (JSON)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")

    def _until(self, is_so: Callable[[], bool], otherwise: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > deadline:
                raise StackError(f"{otherwise} after {seconds:.0f} s")
            time.sleep(1)


@contextmanager
def open_airflow(
    folder: Path, *, dags: Path, database_uri: str, environment: Mapping[str, str]
) -> Iterator[Airflow]:
    """Run Airflow; at the end its servers, and steps that still run, are ended.

    Args:
        folder: Its home: logs, passwords.
        dags: Folder of the DAGs.
        database_uri: Of its metadata.
        environment: All environment variables of its processes besides its own settings.

    Raises:
        StackError: If it is not installed, or does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    known = _secrets(folder)
    settings = {
        "CORE__DAGS_FOLDER": dags,
        "CORE__LOAD_EXAMPLES": False,
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": 4,
        "CORE__FERNET_KEY": known["fernet"],
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": folder / "passwords.json",
        "API__BASE_URL": url,
        "API__SECRET_KEY": known["session"],
        "API_AUTH__JWT_SECRET": known["tokens"],
        "DAG_PROCESSOR__REFRESH_INTERVAL": 10,
        # The files do not change, and reading one takes seconds of CPU.
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 300,
        "DATABASE__SQL_ALCHEMY_CONN": database_uri,
        "SCHEDULER__ENABLE_TRACEMALLOC": False,
        # A task that was killed with its scheduler is found, and tried again, in a minute or two
        # instead of ten.
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": 30,
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 60,
        "USAGE_DATA_COLLECTION__ENABLED": False,
    }
    told = {
        **environment,
        "AIRFLOW_HOME": str(folder),
        **{f"AIRFLOW__{key}": str(value) for key, value in settings.items()},
    }
    program = find_program()
    _migrate(program, told, folder)
    with ExitStack() as stack:

        def start(*words: str) -> Server:
            command: list[str | Path] = [program, *words]
            server = stack.enter_context(
                open_server(f"airflow-{words[0]}", command, folder, environment=told)
            )
            airflow.servers.append(server)
            return server

        airflow = Airflow(url, known["password"], told, [])
        stack.callback(_end_steps, airflow)
        api = start("api-server", "--host", LOOPBACK, "--port", str(port), "--workers", "1")
        api.wait_for(airflow.answers, seconds=180)
        scheduler = start("scheduler")
        start("dag-processor")
        scheduler.wait_for(airflow.is_up, seconds=180)
        yield airflow


def prepare_home(folder: Path) -> dict[str, str]:
    """Environment of an Airflow without servers, with its metadata in SQLite.

    Raises:
        StackError: If it is not installed, or the database cannot be created.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW_", "MLFLOW_"))}
    environment = {
        **kept,
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    _migrate(find_program(), environment, folder)
    return environment


def find_program() -> Path:
    """The `airflow` command; StackError if there is none."""
    home = Path(os.environ.get("AIRFLOW_ENVIRONMENT", ROOT / ".venv-airflow"))
    program = home / "bin" / "airflow"
    if not program.is_file():
        raise StackError(
            f"{program} is not there: install dags/requirements.txt with dags/constraints.txt in "
            "an environment of its own, and name it in AIRFLOW_ENVIRONMENT"
        )
    return program


def _secrets(folder: Path) -> dict[str, str]:
    """Password and keys; those of an earlier start stay valid."""
    path = folder / "secrets.json"
    if not path.exists():
        made = {name: secrets.token_urlsafe(24) for name in ("password", "session", "tokens")}
        made["fernet"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        path.touch(mode=0o600)
        path.write_text(json.dumps(made))
        passwords = folder / "passwords.json"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({USER: made["password"]}))
    return dict(json.loads(path.read_text()))


def _migrate(program: Path, environment: Mapping[str, str], folder: Path) -> None:
    done = subprocess.run(
        [program, "db", "migrate"],
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise StackError(f"airflow db migrate: {done.stdout[-2000:]}")


def _end_steps(airflow: Airflow) -> None:
    """Steps have process sessions of their own: ask them to end, then kill them."""
    for signal_, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
        for process in airflow.processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal_)
        deadline = time.monotonic() + seconds
        while airflow.processes() and time.monotonic() < deadline:
            time.sleep(0.2)


def _quoted(run: str) -> str:
    return urllib.parse.quote(run, safe="")
