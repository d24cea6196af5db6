# The host of the steps, where Airflow runs `mlflow run` over SSH. One script prepares it and the machines of a Data
# Processing cluster; the script contains no secrets and no ids.

locals {
  uv_version = "0.13.9" # as in the README of the project
  java_home  = "/usr/lib/jvm/java-17-openjdk-amd64"

  # PySpark of conda.yaml; on a cluster, its jars are in HDFS.
  spark_version = "4.2.0"
  spark_archive = "hdfs:///user/retraining/spark-${local.spark_version}.zip"

  host_name  = "steps.ru-central1.internal"
  steps_host = var.spark == "dataproc" && var.dataproc.master_host != "" ? var.dataproc.master_host : local.host_name

  steps_files = {
    "/usr/local/lib/retraining/render_secrets.py"    = file("${path.module}/machines/render_secrets.py")
    "/usr/local/lib/retraining/fetch_project.py"     = file("${path.module}/machines/steps/fetch_project.py")
    "/usr/local/lib/retraining/prepare_hdfs.sh"      = file("${path.module}/machines/steps/prepare_hdfs.sh")
    "/usr/local/lib/retraining/requirements.txt"     = file("${path.module}/machines/requirements.txt")
    "/etc/systemd/system/retraining-secrets.service" = file("${path.module}/machines/steps/retraining-secrets.service")
    "/etc/systemd/system/retraining-project.service" = file("${path.module}/machines/steps/retraining-project.service")
    "/etc/systemd/system/retraining-project.timer"   = file("${path.module}/machines/steps/retraining-project.timer")
    "/etc/retraining/profile"                        = file("${path.module}/machines/steps/profile")
    "/etc/retraining/mlflow.pem"                     = var.public_keys.tls_authority
    "/etc/retraining/templates.json"                 = jsonencode(local.steps_templates)

    "/etc/retraining/cluster" = "HADOOP_CONF_DIR=/etc/hadoop/conf\nPYSPARK_SUBMIT_ARGS='${local.yarn_arguments}'\n"

    "/etc/retraining/environment" = <<-EOT
      SOURCE_BUCKET=${var.name}-source
      JAVA_HOME=${local.java_home}
      MLFLOW_TRACKING_URI=https://${local.mlflow_host}
      MLFLOW_TRACKING_USERNAME=${local.mlflow_user}
      MLFLOW_TRACKING_SERVER_CERT_PATH=/etc/retraining/mlflow.pem
      MLFLOW_EXPERIMENT_NAME=retraining
      AWS_ENDPOINT_URL=https://storage.yandexcloud.net
      AWS_REGION=ru-central1
      AWS_DEFAULT_REGION=ru-central1
      ${local.store_checksums}
    EOT
  }

  # render_secrets.py fills in the names with a dollar sign.
  steps_templates = [
    {
      path = "/run/retraining/environment", owner = "retraining", mode = "0400"
      text = <<-EOT
        MLFLOW_TRACKING_PASSWORD=$mlflow_password
        AWS_ACCESS_KEY_ID=$access_key
        AWS_SECRET_ACCESS_KEY=$secret_key
      EOT
    },
    { path = "/etc/ssh/ssh_host_ed25519_key", owner = "root", mode = "0600", text = "$ssh_host_private_key\n" },
  ]

  # Used only on the master of a cluster. Executors get two thirds of a worker's memory and all its cores but one.
  worker_preset = regex("-c(?P<cores>[0-9]+)-m(?P<memory>[0-9]+)$", var.dataproc.worker_preset)
  yarn_arguments = join(" ", concat([
    for key, value in {
      "spark.executor.instances"          = var.dataproc.workers
      "spark.executor.cores"              = max(1, local.worker_preset.cores - 1)
      "spark.executor.memory"             = "${floor(local.worker_preset.memory * 0.65)}g"
      "spark.yarn.archive"                = local.spark_archive
      "spark.executorEnv.JAVA_HOME"       = local.java_home
      "spark.yarn.appMasterEnv.JAVA_HOME" = local.java_home
    } : "--conf ${key}=${value}"
  ], ["pyspark-shell"]))

  prepare_script = templatefile("${path.module}/machines/steps/prepare.sh.tftpl", {
    files          = local.steps_files
    authorized_key = var.public_keys.ssh
    uv_version     = local.uv_version
    spark_version  = local.spark_version
    spark_archive  = local.spark_archive
  })

  # Ids of the secrets; the machines of a Data Processing cluster get the same.
  steps_settings = {
    secrets = [yandex_lockbox_secret.steps.id, yandex_lockbox_secret.storage["steps"].id]
    values  = {}
  }
}

module "steps" {
  source = "./modules/machine"

  name               = "${var.name}-steps"
  hostname           = local.host_name
  zone               = var.zone
  labels             = var.labels
  size               = var.host_size
  image_id           = data.yandex_compute_image.debian.id
  kms_key_id         = yandex_kms_symmetric_key.this.id
  service_account_id = yandex_iam_service_account.this["steps"].id
  subnet_id          = yandex_vpc_subnet.machines.id
  security_group_id  = yandex_vpc_security_group.this["steps"].id
  public_address     = var.admin != null # the only one; SSH is open only to the administrator's network
  admin_key          = try(var.admin.ssh_public_key, null)

  files    = { "/usr/local/sbin/prepare-steps" = local.prepare_script }
  commands = ["/usr/local/sbin/prepare-steps"]
  settings = local.steps_settings

  depends_on = [
    yandex_lockbox_secret_iam_member.this,
    yandex_kms_symmetric_key_iam_member.this,
    yandex_storage_bucket_iam_binding.this,
    yandex_iam_service_account_static_access_key.this,
    yandex_lockbox_secret_version_hashed.steps,
    yandex_vpc_security_group_rule.in,
    yandex_vpc_security_group_rule.out,
  ]
}

moved {
  from = yandex_compute_instance.steps
  to   = module.steps.yandex_compute_instance.this
}
