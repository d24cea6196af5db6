# Managed Spark takes jobs and has no machine for `mlflow run`. The DAGs do not use it; README.md shows how to submit a
# step to it.

locals {
  # Packages of conda.yaml, except Spark.
  job_packages = [
    "mlflow==3.17.2",
    "hyperopt==0.3.0",
    "numpy==2.4.6",
    "scipy==1.17.1",
    "numba==0.68.1",
    "pandas==2.3.3",
    "pyarrow==25.0.1",
    "pydantic==2.14.3",
    "pyyaml==6.0.3",
    "boto3==1.44.5",
    "click==8.5.1",
    "jinja2==3.1.6",
    "matplotlib==3.11.2",
    "tqdm==4.70.1",
    "gitpython==3.2.1",
  ]
}

resource "yandex_spark_cluster" "this" {
  count = var.spark == "managed" ? 1 : 0

  name                = var.name
  service_account_id  = yandex_iam_service_account.this["spark"].id
  deletion_protection = var.deletion_protection
  labels              = var.labels

  config = {
    spark_version  = var.managed_spark.version
    history_server = { enabled = true }
    dependencies   = { pip_packages = local.job_packages }

    resource_pools = {
      driver   = { resource_preset_id = var.managed_spark.preset, size = 1 }
      executor = { resource_preset_id = var.managed_spark.preset, min_size = 1, max_size = var.managed_spark.max_executors }
    }
  }

  network = {
    subnet_ids         = [yandex_vpc_subnet.machines.id]
    security_group_ids = [yandex_vpc_security_group.this["steps"].id]
  }

  logging = { enabled = true, log_group_id = yandex_logging_group.this.id }

  depends_on = [
    yandex_resourcemanager_folder_iam_member.this,
    yandex_storage_bucket_iam_binding.this,
    yandex_kms_symmetric_key_iam_member.this,
    yandex_vpc_security_group_rule.in,
    yandex_vpc_security_group_rule.out,
    yandex_vpc_security_group_rule.cluster,
  ]
}
