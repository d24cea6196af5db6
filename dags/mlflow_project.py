"""What the DAGs share: a step of the project is one `mlflow run`, on the worker or over SSH.

Where steps run is the section `[retraining]` of Airflow's configuration, read when a DAG is parsed.
Which project, data and Spark they use are Airflow Variables `retraining_*`, read when a task runs.
"""

from __future__ import annotations

import logging
import re
import shlex
from base64 import b64decode
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.ssh.operators.ssh import SSHOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import Asset, BaseOperator, CronTriggerTimetable, Param, conf

import mlflow_server

CHAMPION = Asset(name="champion")
FIND_MASTER = "find_master"  # task of a transient cluster that pushes the host where steps run

_SSH = conf.get("retraining", "ssh_conn_id", fallback="")
_CLUSTER = conf.get("retraining", "dataproc_conn_id", fallback="")
_ROOT = Path(__file__).resolve().parent.parent

log = logging.getLogger(__name__)


class RemoteStep(SSHOperator):
    """An SSHOperator that pushes the id of the run, and not all that was printed."""

    def execute(self, context: Any = None) -> str:  # noqa: ANN401 (Airflow's signature)
        """Run the command."""
        return run_id(b64decode(super().execute(context)).decode(errors="replace"))


def variable(name: str, default: str = "") -> str:
    """A Jinja expression: the Airflow Variable `retraining_<name>`."""
    return f"var.value.get('retraining_{name}', {default!r})"


def step(
    entry_point: str,
    doc: str,
    *,
    timeout: timedelta,
    experiment: str = "''",
    on_cluster: bool = False,
    **told: str,
) -> BaseOperator:
    """A task that runs one entry point of MLproject and pushes the id of its MLflow run.

    Args:
        entry_point: Of MLproject; also the id of the task.
        doc: What it makes, for its page.
        timeout: How long one try may take.
        experiment: Jinja expression; empty is the experiment of the environment.
        on_cluster: It runs on the cluster that the DAG run makes, where one is configured.
        told: Jinja expression by parameter of MLproject; what is empty is not handed over.
    """
    on_cluster = on_cluster and bool(_CLUSTER)
    told |= {
        "pipeline_id": told.get("pipeline_id", "run_id | cycle_id"),
        "spark_master": variable("spark_master", "yarn" if on_cluster else ""),
    }
    command = [
        _if_set(variable("bin"), 'export PATH={}:"$PATH"'),
        ': "${MLFLOW_TRACKING_URI:?must say where the MLflow server is}"\n',
        # Links after the line that has the id of the run would hide it from XCom.
        "export MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT=true\n",
        f"exec mlflow run {{{{ {variable('project', str(_ROOT))} | quote }}}}",
        _word("-v ", variable("version")),
        _word("--env-manager ", variable("env_manager", "uv")),
        _word("--experiment-name ", experiment),
        f" -e {entry_point}",
        *(_word(f"-P {name}=", expression) for name, expression in told.items()),
        # Airflow's socket on standard input would make bash read ~/.bashrc, and its PATH.
        " </dev/null",
    ]
    common: dict[str, Any] = {"task_id": entry_point, "doc_md": doc, "execution_timeout": timeout}
    if not _SSH:
        return BashOperator(
            bash_command=mlflow_server.UNSET_EMPTY + "".join(command),
            env=mlflow_server.environment(),
            append_env=True,
            output_processor=run_id,
            **common,
        )
    return RemoteStep(
        ssh_conn_id=_SSH,
        remote_host=f"{{{{ ti.xcom_pull('{FIND_MASTER}') }}}}" if on_cluster else None,
        # The shell of `mlflow run` would take itself for that of the login, as above.
        command="".join([_if_set(variable("profile"), ". {}"), "unset SSH_CLIENT\n", *command]),
        get_pty=True,  # so that the step ends when the connection does
        conn_timeout=30,
        cmd_timeout=int(timeout.total_seconds()),
        **common,
    )


def schedule(cron: str, *, every: timedelta) -> CronTriggerTimetable:
    """Runs at these times (UTC), each for the interval that ends then; none when unpaused."""
    none = timedelta(0)
    return CronTriggerTimetable(cron, timezone="UTC", interval=every, run_immediately=none)


def optional(kind: str, description: str, **schema: Any) -> Param:  # noqa: ANN401 (JSON schema)
    """A parameter of a DAG that may be left empty."""
    return Param(None, type=["null", kind], description=description, **schema)


def run_id(output: str) -> str:
    """The id of the run in the last line of `mlflow run`."""
    return str(re.findall(r"Run \(ID '(\w+)'\) succeeded", output)[-1])


def cycle_id(airflow_run_id: str) -> str:
    """The cycle of a DAG run, the same in every try: its id, spelled as a name."""
    return re.sub(r"[^\w.+-]|^\W", "_", airflow_run_id)


def model_of(triggers: Any) -> str:  # noqa: ANN401 (Airflow's accessor)
    """The model that has a new champion, where that has started the DAG run; else nothing."""
    events = triggers.get(CHAMPION, [])
    return str(events[-1].extra.get("model_name", "")) if events else ""


def tell_failure(context: Any) -> None:  # noqa: ANN401 (Airflow's Context)
    """Say in one line what failed and where to look."""
    ti = context["ti"]
    log.error(
        "%s.%s failed in try %s: see the line that begins with Error above, and the docs of the "
        "DAG for what to do. The MLflow runs of this cycle have the tag cycle_id=%s.",
        *(ti.dag_id, ti.task_id, ti.try_number, cycle_id(context["run_id"])),
    )


def _if_set(expression: str, line: str) -> str:
    return f"{{% if {expression} %}}{line.format(f'{{{{ {expression} | quote }}}}')}\n{{% endif %}}"


def _word(flag: str, expression: str) -> str:
    return f"{{{{ ({expression}) | word('{flag}') }}}}"


def _fill(value: object, flag: str) -> str:
    """A flag with its value, quoted for the shell; nothing where there is no value."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return "" if value in (None, "") else f" {flag}{shlex.quote(text)}"


# Of every DAG: what a task does that does not say otherwise, and what its templates may use.
DEFAULTS: dict[str, Any] = {
    "owner": "retraining",
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 4.0,  # the factor from try to try
    "max_retry_delay": timedelta(minutes=30),
    "execution_timeout": timedelta(minutes=10),
    "on_failure_callback": tell_failure,
    "max_active_tis_per_dag": 1,  # backfills do not heed max_active_runs
}
FILTERS = {"quote": shlex.quote, "word": _fill, "cycle_id": cycle_id, "model": model_of}
MODEL_NAME = optional(
    "string", "Registered model. Empty: the name of the data set.", pattern=r"^\w[\w .+-]*$"
)
