"""The whole system: database, bucket, MLflow, cluster and Airflow, configured for each other."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.stack.cluster import open_cluster
from tests.stack.objects import open_objects
from tests.stack.postgres import open_postgres
from tests.stack.process import SHORT_LIVED
from tests.stack.scheduler import open_airflow
from tests.stack.tracking import open_tracking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stack.cluster import Cluster
    from tests.stack.objects import Objects
    from tests.stack.postgres import Postgres
    from tests.stack.process import Server
    from tests.stack.scheduler import Airflow
    from tests.stack.tracking import Tracking

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "retraining"
_KEPT = ("PATH", "JAVA_HOME", "HOME", "LANG")
# Where MLflow passes models between driver and workers unless it is configured otherwise.
_MLFLOW_FOLDER = Path("/tmp/mlflow")  # noqa: S108


class System(NamedTuple):
    """All servers, and the environment variables that a client needs."""

    postgres: Postgres
    objects: Objects
    tracking: Tracking
    cluster: Cluster
    airflow: Airflow
    environment: dict[str, str]

    @property
    def servers(self) -> tuple[Server, ...]:
        """All servers, in the order in which they depend on each other."""
        return (
            self.postgres.server,
            *self.objects.servers,
            self.tracking.server,
            *self.cluster.servers,
            *self.airflow.servers,
        )


@contextmanager
def open_system(folder: Path, say: Callable[[str], None], *, hide: bool) -> Iterator[System]:
    """Run everything.

    Args:
        folder: Of all files that the servers write.
        say: Called with the name of each part before it starts.
        hide: Whether Spark's workers see neither the project nor the temporary files of the steps,
            as on other machines; only root can do that.
    """
    temporary = folder / "temporary"
    temporary.mkdir()
    hidden = (ROOT / "steps", temporary, _MLFLOW_FOLDER) if hide else ()
    for path in hidden:
        path.mkdir(exist_ok=True)
    with ExitStack() as stack:
        say("PostgreSQL")
        postgres = stack.enter_context(open_postgres(folder / "postgres"))
        say("S3 server")
        objects = stack.enter_context(open_objects(folder / "objects", BUCKET))
        say("MLflow server")
        tracking = stack.enter_context(
            open_tracking(
                folder / "mlflow",
                backend_uri=postgres.uri("mlflow"),
                artifacts=f"s3://{BUCKET}/artifacts",
                environment=objects.environment,
                users=postgres.uri("users"),
            )
        )
        say("Spark cluster")
        cluster = stack.enter_context(open_cluster(folder / "spark", hidden=hidden))
        say("Airflow")
        environment = {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            **SHORT_LIVED,
            **objects.environment,
            **tracking.environment,
            "TMPDIR": str(temporary),
        }
        values = {
            "project": str(ROOT),
            "bin": str(Path(sys.executable).parent),
            "env_manager": "local",
            "input": f"s3a://{BUCKET}/raw/fraud",
            "data_root": f"s3a://{BUCKET}/data",
            "spark_master": cluster.master,
        }
        airflow = stack.enter_context(
            open_airflow(
                folder / "airflow",
                dags=ROOT / "dags",
                database_uri=postgres.uri("airflow"),
                environment=environment
                | {f"AIRFLOW_VAR_RETRAINING_{key.upper()}": text for key, text in values.items()},
            )
        )
        yield System(postgres, objects, tracking, cluster, airflow, environment)


def revive(system: System, say: Callable[[str], None]) -> None:
    """Restart every server that has ended, as an init system would."""
    for server in system.servers:
        code = server.process.poll()
        if code is not None:
            say(f"{server.name} ended with {code}: restarting it")
            server.stop()
            server.start()
