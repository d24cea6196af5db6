# Plans for each place where Spark may run.

mock_provider "yandex" {}

run "host" {
  command = plan

  assert {
    condition     = length(yandex_dataproc_cluster.this) == 0 && length(yandex_spark_cluster.this) == 0 && length(yandex_storage_object.prepare) == 0
    error_message = "Without a cluster there is nothing of a cluster."
  }
  assert {
    condition     = toset(keys(yandex_iam_service_account.this)) == toset(["airflow", "mlflow", "steps"])
    error_message = "Three accounts are enough for it."
  }
  assert {
    condition     = !contains(keys(local.ingress), "steps_from_admin") && !contains(keys(local.ingress), "mlflow_ssh_from_steps")
    error_message = "Without an administrator nobody but Airflow may log in."
  }
  assert {
    condition     = keys(local.airflow_settings) == ["mlflow_conn_id", "ssh_conn_id"]
    error_message = "Airflow makes no cluster."
  }
}

run "administrator" {
  command = plan
  variables {
    admin = { cidr = "203.0.113.0/24", ssh_public_key = "ssh-ed25519 AAAAC3Nz me" }
  }

  assert {
    condition     = yandex_vpc_security_group_rule.in["steps_from_admin"].v4_cidr_blocks == tolist(["203.0.113.0/24"])
    error_message = "It is open to the administrator's network."
  }
}

run "permanent_cluster" {
  command = plan
  variables {
    spark    = "dataproc"
    dataproc = { master_host = "rc1a-dataproc-m-abc.mdb.yandexcloud.net" }
  }

  assert {
    condition     = length(yandex_dataproc_cluster.this) == 1 && length(yandex_storage_object.prepare) == 1
    error_message = "The cluster, and what prepares its machines."
  }
  assert {
    condition     = alltrue([for cluster in yandex_dataproc_cluster.this[0].cluster_config[0].subcluster_spec : !cluster.assign_public_ip])
    error_message = "No machine of it has a public address."
  }
  assert {
    condition     = jsondecode(local.airflow_secrets["airflow/connections/retraining_ssh"]).host == "rc1a-dataproc-m-abc.mdb.yandexcloud.net"
    error_message = "Steps run on its master."
  }
  assert {
    condition     = local.airflow_variables.retraining_spark_master == "yarn"
    error_message = "They use its YARN."
  }
  assert {
    condition     = !contains(values(local.folder_roles)[*].role, "dataproc.editor")
    error_message = "Airflow may not make clusters."
  }
}

run "permanent_cluster_without_the_name_of_its_master" {
  command = plan
  variables {
    spark = "dataproc"
  }
  expect_failures = [check.master_host]
}

run "transient_cluster" {
  command = plan
  variables {
    spark = "transient"
  }

  assert {
    condition     = length(yandex_dataproc_cluster.this) == 0
    error_message = "The DAG makes the cluster."
  }
  assert {
    condition     = length(yandex_iam_service_account_iam_member.airflow_uses_spark) == 1
    error_message = "Airflow may use the account of the machines."
  }
}

run "managed_spark" {
  command = plan
  variables {
    spark = "managed"
  }

  assert {
    condition     = length(yandex_spark_cluster.this) == 1 && length(yandex_dataproc_cluster.this) == 0
    error_message = "Managed Spark instead of Data Processing."
  }
}

run "three_databases" {
  command = plan
  variables {
    postgresql = { hosts = 3 }
  }

  assert {
    condition     = length(yandex_mdb_postgresql_cluster_v2.this.hosts) == 3
    error_message = "Three hosts."
  }
}

run "applied" {
  command = apply
  variables {
    spark = "transient"
  }

  assert {
    condition     = output.airflow_settings.dataproc_conn_id == "yandexcloud_default"
    error_message = "The connection that Managed Airflow makes."
  }
  assert {
    condition     = jsondecode(output.airflow_settings.dataproc_cluster).service_account_id == yandex_iam_service_account.this["spark"].id
    error_message = "The cluster of a DAG run has the account of the machines."
  }
  assert {
    condition = (
      yandex_vpc_security_group_rule.in["database_from_mlflow"].security_group_id == yandex_vpc_security_group.this["mlflow"].id
      && yandex_vpc_security_group_rule.in["mlflow_from_steps"].security_group_id == yandex_vpc_security_group.this["steps"].id
    )
    error_message = "The database is open to MLflow alone, MLflow to the steps (and to the subnet of Airflow)."
  }
}
