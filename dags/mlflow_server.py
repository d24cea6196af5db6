"""The MLflow server and the object store: from Airflow connections, or from the environment.

The connections are set by the options `mlflow_conn_id` and `s3_conn_id` of the section
`[retraining]` of Airflow's configuration.
"""

from __future__ import annotations

import os
from tempfile import NamedTemporaryFile
from typing import Any

import requests
from airflow.sdk import BaseHook, conf

_MLFLOW = conf.get("retraining", "mlflow_conn_id", fallback="")
_STORE = conf.get("retraining", "s3_conn_id", fallback="")


def with_connections(environment: dict[str, str]) -> dict[str, str]:
    """An environment with the variables of the connections; variables they leave open are unset."""
    variables: dict[str, str] = {}
    if _MLFLOW:
        variables |= server(BaseHook.get_connection(_MLFLOW))
    if _STORE:
        store = BaseHook.get_connection(_STORE)
        region = store.extra_dejson.get("region_name", "")
        variables |= {
            "AWS_ACCESS_KEY_ID": store.login or "",
            "AWS_SECRET_ACCESS_KEY": store.password or "",
            "AWS_ENDPOINT_URL": store.extra_dejson.get("endpoint_url", ""),
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
        }
    return {
        name: value
        for name, value in (environment | variables).items()
        if value or name not in variables
    }


def server(connection: Any) -> dict[str, str]:  # noqa: ANN401 (Airflow's Connection)
    """The environment variables for the MLflow server of a connection; empty if left open."""
    address = connection.host
    if "://" not in address:
        port = f":{connection.port}" if connection.port else ""
        address = f"{connection.schema or connection.conn_type}://{address}{port}"
    return {
        "MLFLOW_TRACKING_URI": address,
        "MLFLOW_TRACKING_USERNAME": connection.login or "",
        "MLFLOW_TRACKING_PASSWORD": connection.password or "",
    }


def tags_of(run_id: str) -> dict[str, str]:
    """The tags of a run, read with the connection or with MLflow's own environment variables.

    A connection may hold the certificate authority of the server: PEM in its extra `ca`.

    Raises:
        requests.RequestException: If the server cannot be reached or refuses.
    """
    # Not by MLflow's client: mlflow-skinny 3.17 needs importlib-metadata < 10 and cachetools < 8,
    # older than Airflow's own pins (constraints.txt), and nine more packages on each worker.
    connection = BaseHook.get_connection(_MLFLOW) if _MLFLOW else None
    settings = os.environ | (server(connection) if connection else {})
    user, password, token, bundle = (
        settings.get(f"MLFLOW_TRACKING_{name}", "")
        for name in ("USERNAME", "PASSWORD", "TOKEN", "SERVER_CERT_PATH")
    )
    insecure = settings.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1")
    with NamedTemporaryFile("w", suffix=".pem") as authority:
        if connection and connection.extra_dejson.get("ca"):
            authority.write(connection.extra_dejson["ca"])
            authority.flush()
            bundle = authority.name
        answer = requests.get(
            f"{settings['MLFLOW_TRACKING_URI'].rstrip('/')}/api/2.0/mlflow/runs/get",
            params={"run_id": run_id},
            auth=(user, password) if user else None,
            headers={"Authorization": f"Bearer {token}"} if token and not user else {},
            verify=False if insecure else bundle or True,
            timeout=60,
        )
    answer.raise_for_status()
    return {tag["key"]: tag["value"] for tag in answer.json()["run"]["data"].get("tags", [])}
