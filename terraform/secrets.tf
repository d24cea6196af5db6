# Passwords and keys are in Lockbox, and the state contains only their hashes. The exception is the password of Airflow's
# administrator, which is in the state in plain text.

locals {
  # Connections of the DAGs, by the names that Airflow's Lockbox backend looks up.
  airflow_secrets = {
    "airflow/connections/retraining_mlflow" = jsonencode({
      conn_type = "http"
      schema    = "https"
      host      = local.mlflow_host
      port      = 443
      login     = local.mlflow_user
      password  = var.secrets.mlflow_password
      extra     = { ca = var.public_keys.tls_authority }
    })
    "airflow/connections/retraining_ssh" = jsonencode({
      conn_type = "ssh"
      host      = local.steps_host
      port      = 22
      login     = "retraining"
      extra     = { private_key = var.secrets.ssh_private_key, host_key = var.public_keys.ssh_host }
    })
  }

  airflow_variables = merge(
    {
      retraining_project     = try(var.project.url, "/srv/retraining/project")
      retraining_bin         = "/opt/retraining/bin"
      retraining_profile     = "/etc/retraining/profile"
      retraining_env_manager = "uv"
      retraining_input       = "s3a://${yandex_storage_bucket.this["data"].bucket}/${var.raw_data}"
      retraining_data_root   = "s3a://${yandex_storage_bucket.this["data"].bucket}/data"
    },
    # On a transient cluster, the DAG sets it itself.
    local.steps_host == local.host_name ? {} : { retraining_spark_master = "yarn" },
    try(var.project.commit, "") == "" ? {} : { retraining_version = var.project.commit },
  )

  airflow_entries = merge(
    local.airflow_secrets,
    { for name, value in local.airflow_variables : "airflow/variables/${name}" => value },
  )

  # Names are not secret, and for_each accepts no sensitive keys.
  airflow_names = toset(nonsensitive(keys(local.airflow_entries)))
}

resource "yandex_lockbox_secret" "mlflow" {
  name                = "${var.name}-mlflow"
  description         = "For the MLflow server and its administrator"
  kms_key_id          = yandex_kms_symmetric_key.this.id
  deletion_protection = var.deletion_protection
  labels              = var.labels
}

resource "yandex_lockbox_secret_version_hashed" "mlflow" {
  secret_id = yandex_lockbox_secret.mlflow.id

  key_1        = "postgresql_password"
  text_value_1 = var.secrets.postgresql_password
  key_2        = "mlflow_admin_password"
  text_value_2 = var.secrets.mlflow_admin_password
  key_3        = "mlflow_password"
  text_value_3 = var.secrets.mlflow_password
  key_4        = "mlflow_session_key"
  text_value_4 = var.secrets.mlflow_session_key
  key_5        = "tls_private_key"
  text_value_5 = var.secrets.tls_private_key
}

resource "yandex_lockbox_secret" "steps" {
  name                = "${var.name}-steps"
  description         = "For the machine where steps run"
  kms_key_id          = yandex_kms_symmetric_key.this.id
  deletion_protection = var.deletion_protection
  labels              = var.labels
}

resource "yandex_lockbox_secret_version_hashed" "steps" {
  secret_id = yandex_lockbox_secret.steps.id

  key_1        = "mlflow_password"
  text_value_1 = var.secrets.mlflow_password
  key_2        = "ssh_host_private_key"
  text_value_2 = var.secrets.ssh_host_private_key
}

# The static access keys in storage.tf fill them.
resource "yandex_lockbox_secret" "storage" {
  for_each = toset(["mlflow", "steps"])

  name                = "${var.name}-${each.key}-storage"
  description         = "S3 keys of the account ${each.key}"
  kms_key_id          = yandex_kms_symmetric_key.this.id
  deletion_protection = var.deletion_protection
  labels              = var.labels
}

resource "yandex_lockbox_secret" "airflow" {
  for_each = local.airflow_names

  name                = each.key
  kms_key_id          = yandex_kms_symmetric_key.this.id
  deletion_protection = var.deletion_protection
  labels              = var.labels
}

resource "yandex_lockbox_secret_version_hashed" "airflow" {
  for_each = local.airflow_names

  secret_id    = yandex_lockbox_secret.airflow[each.key].id
  key_1        = each.key # the backend expects the name of the secret
  text_value_1 = local.airflow_entries[each.key]
}
