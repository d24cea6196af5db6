locals {
  # Section [retraining] of Airflow's configuration, which decides the structure of the DAGs.
  airflow_settings = merge(
    {
      ssh_conn_id    = "retraining_ssh"
      mlflow_conn_id = "retraining_mlflow"
    },
    var.spark == "transient" ? {
      dataproc_conn_id = "yandexcloud_default" # created by Managed Airflow, for the account of the cluster
      dataproc_cluster = jsonencode(local.transient_cluster)
    } : {},
  )
}

resource "yandex_logging_group" "this" {
  name             = var.name
  retention_period = "336h"
  labels           = var.labels
}

resource "yandex_airflow_cluster" "this" {
  name                = var.name
  service_account_id  = yandex_iam_service_account.this["airflow"].id
  subnet_ids          = [yandex_vpc_subnet.airflow.id]
  security_group_ids  = [yandex_vpc_security_group.this["airflow"].id]
  airflow_version     = var.airflow.version
  python_version      = var.airflow.python
  admin_password      = var.secrets.airflow_admin_password
  deletion_protection = var.deletion_protection
  labels              = var.labels

  webserver     = { count = 1, resource_preset_id = var.airflow.preset }
  scheduler     = { count = 1, resource_preset_id = var.airflow.preset }
  dag_processor = { count = 1, resource_preset_id = var.airflow.preset }
  # No triggerer, because no task is deferrable. Workers only wait for steps that run elsewhere.
  worker = { min_count = 1, max_count = var.airflow.workers, resource_preset_id = var.airflow.preset }

  airflow_config = {
    retraining = local.airflow_settings
    core       = { load_examples = "False", dags_are_paused_at_creation = "True" }
  }
  pip_packages = ["apache-airflow-providers-ssh==7.0.1"] # as in dags/constraints.txt

  code_sync               = { s3 = { bucket = yandex_storage_bucket.this["dags"].bucket } }
  lockbox_secrets_backend = { enabled = true }
  logging                 = { enabled = true, log_group_id = yandex_logging_group.this.id, min_level = "INFO" }

  maintenance_window = { type = "WEEKLY", day = "SUN", hour = 21 }

  depends_on = [
    yandex_resourcemanager_folder_iam_member.this,
    yandex_storage_bucket_iam_binding.this,
    yandex_lockbox_secret_iam_member.this,
    yandex_kms_symmetric_key_iam_member.this,
    yandex_lockbox_secret_version_hashed.airflow,
    yandex_vpc_security_group_rule.out,
  ]
}
