# The permanent cluster, and the same arguments under the names of Airflow's operator for the transient cluster, which the
# DAG creates before a cycle and deletes after it.

locals {
  services = ["HDFS", "MAPREDUCE", "YARN", "SPARK"]

  transient_cluster = {
    folder_id                  = var.folder_id
    cluster_name               = "${var.name}-cycle"
    cluster_description        = "Of one run of the DAG retrain, which also deletes it"
    cluster_image_version      = var.dataproc.image
    environment                = "PRODUCTION"
    zone                       = var.zone
    subnet_id                  = yandex_vpc_subnet.machines.id
    security_group_ids         = [yandex_vpc_security_group.this["steps"].id]
    service_account_id         = try(yandex_iam_service_account.this["spark"].id, null)
    services                   = local.services
    s3_bucket                  = try(yandex_storage_bucket.this["logs"].bucket, null)
    log_group_id               = yandex_logging_group.this.id
    ssh_public_keys            = [try(var.admin.ssh_public_key, var.public_keys.ssh)] # its user may use sudo, so it is not Airflow's key
    masternode_resource_preset = var.dataproc.master_preset
    masternode_disk_type       = "network-ssd"
    masternode_disk_size       = var.dataproc.disk
    datanode_resource_preset   = var.dataproc.worker_preset
    datanode_disk_type         = "network-ssd"
    datanode_disk_size         = var.dataproc.disk
    datanode_count             = var.dataproc.workers
    initialization_actions     = [{ uri = local.prepare_uri, args = [jsonencode(local.steps_settings)], timeout = 1200 }]
    labels                     = var.labels
  }

  prepare_uri = "s3a://${var.name}-source/${local.prepare_key}"
  prepare_key = "prepare-steps.sh"
}

# A reminder instead of an error, because the first apply cannot know the name.
check "master_host" {
  assert {
    condition     = var.spark != "dataproc" || var.dataproc.master_host != ""
    error_message = "Steps run on the host until dataproc.master_host is set: yc dataproc cluster list-hosts ${var.name}"
  }
}

resource "yandex_storage_object" "prepare" {
  count = local.cluster ? 1 : 0

  bucket       = yandex_storage_bucket.this["source"].bucket
  key          = local.prepare_key
  content      = local.prepare_script
  content_type = "text/x-shellscript"
}

resource "yandex_dataproc_cluster" "this" {
  count = var.spark == "dataproc" ? 1 : 0

  name                = var.name
  description         = "Spark on YARN; steps run on its master"
  environment         = "PRODUCTION"
  zone_id             = var.zone
  service_account_id  = yandex_iam_service_account.this["spark"].id
  security_group_ids  = [yandex_vpc_security_group.this["steps"].id]
  bucket              = yandex_storage_bucket.this["logs"].bucket
  log_group_id        = yandex_logging_group.this.id
  deletion_protection = var.deletion_protection
  labels              = var.labels

  cluster_config {
    version_id = var.dataproc.image

    hadoop {
      services        = local.services
      ssh_public_keys = local.transient_cluster.ssh_public_keys

      initialization_action {
        uri     = local.prepare_uri
        args    = [jsonencode(local.steps_settings)]
        timeout = "1200"
      }
    }

    subcluster_spec {
      name             = "master"
      role             = "MASTERNODE"
      subnet_id        = yandex_vpc_subnet.machines.id
      hosts_count      = 1
      assign_public_ip = false

      resources {
        resource_preset_id = var.dataproc.master_preset
        disk_type_id       = "network-ssd"
        disk_size          = var.dataproc.disk
      }
    }

    subcluster_spec {
      name             = "workers"
      role             = "DATANODE"
      subnet_id        = yandex_vpc_subnet.machines.id
      hosts_count      = var.dataproc.workers
      assign_public_ip = false

      resources {
        resource_preset_id = var.dataproc.worker_preset
        disk_type_id       = "network-ssd"
        disk_size          = var.dataproc.disk
      }
    }
  }

  depends_on = [
    yandex_resourcemanager_folder_iam_member.this,
    yandex_storage_bucket_iam_binding.this,
    yandex_kms_symmetric_key_iam_member.this,
    yandex_lockbox_secret_iam_member.this,
    yandex_lockbox_secret_version_hashed.steps,
    yandex_iam_service_account_static_access_key.this,
    yandex_storage_object.prepare,
    yandex_vpc_security_group_rule.in,
    yandex_vpc_security_group_rule.out,
    yandex_vpc_security_group_rule.cluster,
  ]
}
