# One account per machine or service, with the fewest roles that work. All roles are given here and in storage.tf.

locals {
  cluster = contains(["dataproc", "transient"], var.spark)

  accounts = merge(
    {
      airflow = "Managed Airflow"
      mlflow  = "The MLflow server"
      steps   = "The steps, on their host"
    },
    var.spark == "host" ? {} : { spark = "The machines of a Spark cluster" },
  )

  # Roles for the whole folder: the services require them and offer nothing narrower.
  folder_roles = merge(
    {
      airflow_service = { account = "airflow", role = "managed-airflow.integrationProvider" }
      airflow_network = { account = "airflow", role = "vpc.user" }
    },
    var.spark == "transient" ? {
      airflow_dataproc = { account = "airflow", role = "dataproc.editor" }
    } : {},
    local.cluster ? { spark_dataproc = { account = "spark", role = "dataproc.agent" } } : {},
    var.spark == "managed" ? {
      spark_service = { account = "spark", role = "managed-spark.integrationProvider" }
      spark_network = { account = "spark", role = "vpc.user" }
    } : {},
  )

  # The secrets that each account may read.
  secret_readers = merge(
    {
      mlflow         = { account = "mlflow", secret = yandex_lockbox_secret.mlflow.id }
      mlflow_storage = { account = "mlflow", secret = yandex_lockbox_secret.storage["mlflow"].id }
      steps          = { account = "steps", secret = yandex_lockbox_secret.steps.id }
      steps_storage  = { account = "steps", secret = yandex_lockbox_secret.storage["steps"].id }
    },
    local.cluster ? { # steps run on the master of the cluster
      spark         = { account = "spark", secret = yandex_lockbox_secret.steps.id }
      spark_storage = { account = "spark", secret = yandex_lockbox_secret.storage["steps"].id }
    } : {},
    {
      for name, secret in yandex_lockbox_secret.airflow : name => { account = "airflow", secret = secret.id }
    },
  )

  # An account that reads a bucket or a secret also needs the key that encrypts it.
  key_users = merge(
    { airflow = "kms.keys.decrypter", mlflow = "kms.keys.encrypterDecrypter", steps = "kms.keys.encrypterDecrypter" },
    var.spark == "host" ? {} : { spark = "kms.keys.encrypterDecrypter" },
  )
}

resource "yandex_iam_service_account" "this" {
  for_each = local.accounts

  name        = "${var.name}-${each.key}"
  description = each.value
  labels      = var.labels
}

resource "yandex_resourcemanager_folder_iam_member" "this" {
  for_each = local.folder_roles

  folder_id = var.folder_id
  role      = each.value.role
  member    = "serviceAccount:${yandex_iam_service_account.this[each.value.account].id}"
}

# The cluster that Airflow creates runs as this account; Airflow may use no other.
resource "yandex_iam_service_account_iam_member" "airflow_uses_spark" {
  count = var.spark == "transient" ? 1 : 0

  service_account_id = yandex_iam_service_account.this["spark"].id
  role               = "iam.serviceAccounts.user"
  member             = "serviceAccount:${yandex_iam_service_account.this["airflow"].id}"
}

resource "yandex_lockbox_secret_iam_member" "this" {
  for_each = local.secret_readers

  secret_id = each.value.secret
  role      = "lockbox.payloadViewer"
  member    = "serviceAccount:${yandex_iam_service_account.this[each.value.account].id}"
}

resource "yandex_kms_symmetric_key_iam_member" "this" {
  for_each = local.key_users

  symmetric_key_id = yandex_kms_symmetric_key.this.id
  role             = each.value
  member           = "serviceAccount:${yandex_iam_service_account.this[each.key].id}"
}
