output "mlflow_tracking_uri" {
  description = "MLFLOW_TRACKING_URI within the network."
  value       = "https://${local.mlflow_host}"
}

output "airflow_url" {
  description = "The UI of Airflow; user admin, and for the page itself the role managed-airflow.user."
  value       = "https://c-${yandex_airflow_cluster.this.id}.airflow.yandexcloud.net"
}

output "buckets" {
  description = "Names by purpose."
  value       = { for purpose, bucket in yandex_storage_bucket.this : purpose => bucket.bucket }
}

output "airflow_variables" {
  description = "What the DAGs read, as it stands in Lockbox."
  value       = local.airflow_variables
}

output "airflow_settings" {
  description = "Section [retraining] of Airflow's configuration."
  value       = local.airflow_settings
}

output "public_address" {
  description = "Of the host of the steps; empty if there is no administrator."
  value       = module.steps.public_address
}

output "ids" {
  description = "For yc: what stops, starts or shows something."
  value = {
    airflow    = yandex_airflow_cluster.this.id
    postgresql = yandex_mdb_postgresql_cluster_v2.this.id
    mlflow     = module.mlflow.id
    steps      = module.steps.id
    dataproc   = one(yandex_dataproc_cluster.this[*].id)
    spark      = one(yandex_spark_cluster.this[*].id)
    mlflow_key = yandex_lockbox_secret.mlflow.id
  }
}

output "next" {
  description = "What to type next."
  value       = <<-EOT
    # the DAGs and the project (again after every change)
    python sync.py --dags ${yandex_storage_bucket.this["dags"].bucket} --source ${yandex_storage_bucket.this["source"].bucket}
    # raw files
    yc storage s3 cp --recursive RAW_FILES s3://${yandex_storage_bucket.this["data"].bucket}/${var.raw_data}/
    # the MLflow UI: https://localhost:8443, user admin
    ssh -N -L 8443:${local.mlflow_host}:443 admin@${var.admin == null ? "STEPS_HOST" : module.steps.public_address}
    yc lockbox payload get ${yandex_lockbox_secret.mlflow.id} --key mlflow_admin_password
    # a step by hand, on the host of the steps
    sudo -iu retraining bash -c '. /etc/retraining/profile && mlflow run ${local.airflow_variables.retraining_project} -e preprocess -P input=${local.airflow_variables.retraining_input}'
  EOT
}
