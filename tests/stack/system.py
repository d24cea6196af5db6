"""The whole system: database, bucket, MLflow, cluster and Airflow, which know of each other."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.stack.cluster import open_cluster
from tests.stack.objects import open_objects
from tests.stack.postgres import open_postgres
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
_KEPT = ("PATH", "JAVA_HOME", "HOME", "LANG", "TMPDIR")


class System(NamedTuple):
    """All that runs, and what a client of it has in its environment."""

    postgres: Postgres
    objects: Objects
    tracking: Tracking
    cluster: Cluster
    airflow: Airflow
    environment: dict[str, str]

    @property
    def servers(self) -> tuple[Server, ...]:
        """All servers, those that others need first."""
        return (
            self.postgres.server,
            *self.objects.servers,
            self.tracking.server,
            *self.cluster.servers,
            *self.airflow.servers,
        )


@contextmanager
def open_system(folder: Path, say: Callable[[str], None]) -> Iterator[System]:
    """Run everything in a folder; `say` is told what comes up."""
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
        cluster = stack.enter_context(open_cluster(folder / "spark"))
        say("Airflow")
        environment = {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            **objects.environment,
            **tracking.environment,
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
    """Start again every server that has ended, as an init system would."""
    for server in system.servers:
        code = server.process.poll()
        if code is not None:
            say(f"{server.name} ended with {code}: started again")
            server.stop()
            server.start()
