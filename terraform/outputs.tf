output "mlflow_tracking_uri" {
  description = "MLFLOW_TRACKING_URI inside the network."
  value       = "https://${local.mlflow_host}"
}

output "airflow_url" {
  description = "Airflow's UI: user admin; the page also requires the role managed-airflow.user."
  value       = "https://c-${yandex_airflow_cluster.this.id}.airflow.yandexcloud.net"
}

output "buckets" {
  description = "Names of the buckets by purpose."
  value       = { for purpose, bucket in yandex_storage_bucket.this : purpose => bucket.bucket }
}

output "airflow_variables" {
  description = "Airflow Variables of the DAGs, as stored in Lockbox."
  value       = local.airflow_variables
}

output "airflow_settings" {
  description = "Section [retraining] of Airflow's configuration."
  value       = local.airflow_settings
}

output "public_address" {
  description = "Public address of the host of the steps; empty without an administrator."
  value       = module.steps.public_address
}

output "ids" {
  description = "Ids for commands of yc."
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
  description = "The next commands."
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
