resource "yandex_mdb_postgresql_cluster_v2" "this" {
  name                   = var.name
  description            = "Runs, models and users of MLflow"
  environment            = "PRODUCTION"
  network_id             = yandex_vpc_network.this.id
  security_group_ids     = [yandex_vpc_security_group.this["database"].id]
  disk_encryption_key_id = yandex_kms_symmetric_key.this.id
  deletion_protection    = var.deletion_protection
  labels                 = var.labels

  config {
    version                   = var.postgresql.version
    backup_retain_period_days = var.postgresql.backups

    resources {
      resource_preset_id = var.postgresql.preset
      disk_type_id       = "network-ssd"
      disk_size          = var.postgresql.disk
    }
  }

  hosts = {
    for number in range(var.postgresql.hosts) : "host-${number + 1}" => {
      zone             = var.zone
      subnet_id        = yandex_vpc_subnet.machines.id
      assign_public_ip = false
    }
  }

  # A time without DAG runs: retrain starts on Mondays at 3, predict every day at 6 (UTC).
  maintenance_window = {
    type = "WEEKLY"
    day  = "SUN"
    hour = 21
  }
}

resource "yandex_mdb_postgresql_user" "mlflow" {
  cluster_id          = yandex_mdb_postgresql_cluster_v2.this.id
  name                = "mlflow"
  password_wo         = var.secrets.postgresql_password
  password_wo_version = parseint(substr(sha256(var.secrets.postgresql_password), 0, 7), 16) # changes with the password
  conn_limit          = 60
  deletion_protection = tostring(var.deletion_protection)
}

# One for runs and models, one for the users of MLflow.
resource "yandex_mdb_postgresql_database" "this" {
  for_each = toset(["mlflow", "mlflow_users"])

  cluster_id          = yandex_mdb_postgresql_cluster_v2.this.id
  name                = each.key
  owner               = yandex_mdb_postgresql_user.mlflow.name
  deletion_protection = tostring(var.deletion_protection)
}
