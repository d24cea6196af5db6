"""A step of the project as a task: one `mlflow run`, on the worker or over SSH.

The section `[retraining]` of Airflow's configuration, read when a DAG is parsed, decides where the
steps run. The Airflow Variables `retraining_*`, read when a task runs, hold the project, the data
and the Spark master.
"""

from __future__ import annotations

import re
import shlex
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.ssh.operators.ssh import SSHOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import BaseOperator, Variable, conf

import mlflow_server

if TYPE_CHECKING:
    from datetime import timedelta

FIND_MASTER = "find_master"  # task of a transient cluster that pushes the host where steps run

_SSH = conf.get("retraining", "ssh_conn_id", fallback="")
_CLUSTER = conf.get("retraining", "dataproc_conn_id", fallback="")
_ROOT = Path(__file__).resolve().parent.parent

Parameters = Callable[[Mapping[str, Any]], Mapping[str, object]]


@dataclass(frozen=True)
class MlflowRun:
    """The `mlflow run` of one entry point, as a script for a shell.

    Attributes:
        entry_point: Of MLproject.
        parameters: Returns its parameters, given the context of the task; empty ones are left out.
        experiment: Param of the DAG that names the experiment; if empty, the environment decides.
        spark_master: Default of the Variable `retraining_spark_master`.
    """

    entry_point: str
    parameters: Parameters
    experiment: str = ""
    spark_master: str = ""

    def words(self, context: Mapping[str, Any]) -> list[str]:
        """The command line in the context of a task, unquoted."""
        experiment = context["params"][self.experiment] if self.experiment else ""
        parameters = {
            "pipeline_id": cycle_id(context["run_id"]),
            "spark_master": variable("spark_master", self.spark_master),
            **self.parameters(context),
        }
        words = ["mlflow", "run", variable("project", str(_ROOT)), "-e", self.entry_point]
        for flag, value in (
            ("-v", variable("version")),
            ("--env-manager", variable("env_manager", "uv")),
            ("--experiment-name", experiment),
        ):
            words += [flag, value] if value else []
        for name, value in parameters.items():
            if value not in (None, ""):
                text = str(value).lower() if isinstance(value, bool) else str(value)
                words += ["-P", f"{name}={text}"]
        return words

    def script(self, context: Mapping[str, Any]) -> str:
        """The command line for a shell, after what has to be set for it."""
        folder = variable("bin")
        return "\n".join(
            [
                f'export PATH={shlex.quote(folder)}:"$PATH"' if folder else "",
                ': "${MLFLOW_TRACKING_URI:?must say where the MLflow server is}"',
                # Links after the line that has the id of the run would hide it from XCom.
                "export MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT=true",
                # Airflow's socket on standard input would make bash read ~/.bashrc, and its PATH.
                f"exec {shlex.join(self.words(context))} </dev/null",
            ]
        )


class LocalStep(BashOperator):
    """Runs a step on the worker and pushes the id of its run."""

    template_fields = ()

    def __init__(self, *, mlflow_run: MlflowRun, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(bash_command="", output_processor=run_id, **kwargs)
        self.mlflow_run = mlflow_run

    def get_env(self, context: Any) -> dict[str, str]:  # noqa: ANN401 (Airflow's signature)
        """The environment of the worker, with the connections in place of its own settings."""
        return mlflow_server.with_connections(super().get_env(context))

    def execute(self, context: Any) -> str:  # noqa: ANN401 (Airflow's signature)
        """Run the command."""
        self.bash_command = self.mlflow_run.script(context)
        return str(super().execute(context))


class RemoteStep(SSHOperator):
    """Runs a step over SSH and pushes the id of its run.

    The host is that of the connection, or the one that the task `find_master` has pushed.
    """

    template_fields = ()

    def __init__(
        self,
        *,
        mlflow_run: MlflowRun,
        on_cluster: bool,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.mlflow_run = mlflow_run
        self.on_cluster = on_cluster

    def execute(self, context: Any = None) -> str:  # noqa: ANN401 (Airflow's signature)
        """Run the command."""
        if self.on_cluster:
            self.remote_host = context["ti"].xcom_pull(FIND_MASTER)
        profile = variable("profile")
        self.command = "\n".join(
            [
                f". {shlex.quote(profile)}" if profile else "",
                # With it set, the shell of `mlflow run` would read ~/.bashrc, as above.
                "unset SSH_CLIENT",
                self.mlflow_run.script(context),
            ]
        )
        return run_id(b64decode(super().execute(context)).decode(errors="replace"))


def variable(name: str, default: str = "") -> str:
    """The Airflow Variable `retraining_<name>`."""
    return str(Variable.get(f"retraining_{name}", default=default))


def params(*names: str) -> Parameters:
    """Parameters of an entry point that are Params of the DAG under the same name."""
    return lambda context: {name: context["params"][name] for name in names}


def step(
    entry_point: str,
    doc: str,
    *,
    timeout: timedelta,
    parameters: Parameters,
    experiment: str = "",
    on_cluster: bool = False,
) -> BaseOperator:
    """A task that runs one entry point of MLproject and pushes the id of its MLflow run.

    Args:
        entry_point: Of MLproject; also the id of the task.
        doc: Description for the page of the task.
        timeout: Longest duration of one try.
        parameters: Returns its parameters, given the context of the task.
        experiment: Param of the DAG that names the experiment; if empty, the environment decides.
        on_cluster: Whether it runs on the cluster that the DAG run creates, if one is configured.
    """
    on_cluster = on_cluster and bool(_CLUSTER)
    run = MlflowRun(entry_point, parameters, experiment, "yarn" if on_cluster else "")
    common: dict[str, Any] = {
        "task_id": entry_point,
        "doc_md": doc,
        "execution_timeout": timeout,
        "mlflow_run": run,
    }
    if not _SSH:
        return LocalStep(**common)
    return RemoteStep(
        on_cluster=on_cluster,
        ssh_conn_id=_SSH,
        get_pty=True,  # so that the step ends when the connection does
        conn_timeout=30,
        cmd_timeout=int(timeout.total_seconds()),
        **common,
    )


def run_id(output: str) -> str:
    """The id of the run, from the last line that `mlflow run` prints."""
    return str(re.findall(r"Run \(ID '(\w+)'\) succeeded", output)[-1])


def cycle_id(airflow_run_id: str) -> str:
    """The cycle of a DAG run, the same in every try: its id in the characters of a name."""
    return re.sub(r"[^\w.+-]|^\W", "_", airflow_run_id)
