"""A Data Proc cluster for one DAG run, if `dataproc_conn_id` is set in the section `[retraining]`.

The steps then run over SSH on the master of the cluster, with the login of `ssh_conn_id`. The
option `dataproc_cluster` is a JSON object with the arguments of DataprocCreateClusterOperator.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import conf, task

from mlflow_step import FIND_MASTER

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONNECTION = conf.get("retraining", "dataproc_conn_id", fallback="")


@contextmanager
def transient_cluster() -> Iterator[list[Any]]:
    """Add tasks that create a cluster before the tasks of the block and delete it in any case.

    Yields the tasks that come before the first step: none if no cluster is configured.
    """
    if not _CONNECTION:
        yield []
        return
    from airflow.providers.yandex.operators.dataproc import (
        DataprocCreateClusterOperator,
        DataprocDeleteClusterOperator,
    )
    from yandexcloud._wrappers.dataproc import InitializationAction

    arguments = conf.getjson("retraining", "dataproc_cluster", fallback={})
    actions = [InitializationAction(**each) for each in arguments.pop("initialization_actions", ())]
    create = DataprocCreateClusterOperator(
        task_id="create_cluster",
        connection_id=_CONNECTION,
        retries=0,  # a second cluster would hide the first one, if that was created after all
        execution_timeout=timedelta(hours=1),
        doc_md="Creates the cluster. Red: if the cloud's console shows a cluster, delete it there; "
        "then clear this task.",
        initialization_actions=actions,
        **arguments,
    ).as_setup()
    delete = DataprocDeleteClusterOperator(
        task_id="delete_cluster",
        connection_id=_CONNECTION,
        cluster_id=create.output,
        retries=5,
        execution_timeout=timedelta(hours=1),
        doc_md="Deletes the cluster, also after a failed step. Red: it costs money until you "
        "delete it in the cloud's console.",
    ).as_teardown(setups=create)
    with delete:
        yield [_find_master(create.output)]


@task(task_id=FIND_MASTER, doc_md="Looks up the host name of the cluster's master.")
def _find_master(cluster_id: str) -> str:
    from airflow.providers.yandex.hooks.dataproc import DataprocHook
    from yandex.cloud.dataproc.v1.cluster_service_pb2 import ListClusterHostsRequest
    from yandex.cloud.dataproc.v1.cluster_service_pb2_grpc import ClusterServiceStub
    from yandex.cloud.dataproc.v1.subcluster_pb2 import Role

    clusters = DataprocHook(yandex_conn_id=_CONNECTION).sdk.client(ClusterServiceStub)
    hosts = clusters.ListHosts(ListClusterHostsRequest(cluster_id=cluster_id)).hosts
    return next(str(host.name) for host in hosts if host.role == Role.MASTERNODE)
