locals {
  # Days for which old versions are kept: long enough to notice that something was deleted or overwritten by mistake.
  buckets = merge(
    {
      data      = 14 # raw files, and the data sets of the steps
      artifacts = 90 # models, reports and scores of MLflow
      dags      = 90 # the root of Airflow's DAG folder
      source    = 90 # the project, uploaded by sync.py
    },
    local.cluster ? { logs = 7 } : {}, # of Data Processing, which requires a bucket
  )

  bucket_members = merge(
    {
      data      = { "storage.editor" = concat(["steps"], var.spark == "managed" ? ["spark"] : []) }
      artifacts = { "storage.uploader" = ["mlflow"] } # reads and writes, but does not delete
      dags      = { "storage.viewer" = ["airflow"] }
      source    = { "storage.viewer" = concat(["steps"], var.spark == "host" ? [] : ["spark"]) }
    },
    local.cluster ? { logs = { "storage.editor" = ["spark"] } } : {},
  )

  bucket_roles = merge([
    for bucket, roles in local.bucket_members : {
      for role, accounts in roles : "${bucket}_${role}" => { bucket = bucket, role = role, accounts = accounts }
    }
  ]...)
}

resource "yandex_kms_symmetric_key" "this" {
  name                = var.name
  description         = "Encrypts buckets, secrets and disks"
  default_algorithm   = "AES_256"
  rotation_period     = "8760h"
  deletion_protection = var.deletion_protection
  labels              = var.labels
}

resource "yandex_storage_bucket" "this" {
  for_each = local.buckets

  bucket        = "${var.name}-${each.key}"
  folder_id     = var.folder_id
  force_destroy = !var.deletion_protection
  tags          = var.labels

  anonymous_access_flags {
    read        = false
    list        = false
    config_read = false
  }

  versioning {
    enabled = true
  }

  server_side_encryption_configuration {
    rule {
      apply_server_side_encryption_by_default {
        sse_algorithm     = "aws:kms"
        kms_master_key_id = yandex_kms_symmetric_key.this.id
      }
    }
  }

  lifecycle_rule {
    id                                     = "old-versions"
    enabled                                = true
    abort_incomplete_multipart_upload_days = 3

    noncurrent_version_expiration {
      days = each.value
    }
  }

  dynamic "lifecycle_rule" {
    for_each = each.key == "logs" ? [30] : []

    content {
      id      = "old-logs"
      enabled = true

      expiration {
        days = lifecycle_rule.value
      }
    }
  }
}

resource "yandex_storage_bucket_iam_binding" "this" {
  for_each = local.bucket_roles

  bucket  = yandex_storage_bucket.this[each.value.bucket].bucket
  role    = each.value.role
  members = [for account in each.value.accounts : "serviceAccount:${yandex_iam_service_account.this[account].id}"]
}

# The keys go straight into Lockbox and are not in the state.
resource "yandex_iam_service_account_static_access_key" "this" {
  for_each = yandex_lockbox_secret.storage

  service_account_id = yandex_iam_service_account.this[each.key].id
  description        = "S3 keys of the account ${each.key}"

  output_to_lockbox {
    secret_id            = each.value.id
    entry_for_access_key = "access_key"
    entry_for_secret_key = "secret_key"
  }
}
