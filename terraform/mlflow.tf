# The MLflow server, on a machine without a public address. Its secrets are kept in memory.

locals {
  mlflow_host = "mlflow.ru-central1.internal"
  mlflow_user = "retraining"

  mlflow_files = {
    "/usr/local/lib/retraining/render_secrets.py"  = file("${path.module}/machines/render_secrets.py")
    "/usr/local/lib/retraining/make_user.py"       = file("${path.module}/machines/mlflow/make_user.py")
    "/usr/local/lib/retraining/requirements.txt"   = file("${path.module}/machines/requirements.txt")
    "/etc/systemd/system/mlflow-secrets.service"   = file("${path.module}/machines/mlflow/mlflow-secrets.service")
    "/etc/systemd/system/mlflow.service"           = file("${path.module}/machines/mlflow/mlflow.service")
    "/etc/systemd/system/mlflow-users.service"     = file("${path.module}/machines/mlflow/mlflow-users.service")
    "/usr/local/lib/retraining/nginx.conf"         = file("${path.module}/machines/mlflow/nginx.conf")
    "/etc/systemd/system/nginx.service.d/key.conf" = "[Unit]\nRequires=mlflow-secrets.service\nAfter=mlflow-secrets.service\n"
    "/etc/mlflow/tls.crt"                          = var.public_keys.tls_certificate
    "/etc/mlflow/templates.json"                   = jsonencode(local.mlflow_templates)

    "/etc/mlflow/environment" = <<-EOT
      MLFLOW_ARTIFACTS_DESTINATION=s3://${var.name}-artifacts/mlflow
      MLFLOW_SERVER_ALLOWED_HOSTS=${local.mlflow_host},localhost,127.0.0.1:*
      MLFLOW_SERVER_CORS_ALLOWED_ORIGINS=https://${local.mlflow_host},https://${local.mlflow_host}:8443,https://localhost:8443
      MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
      MLFLOW_DISABLE_TELEMETRY=true
      MLFLOW_AUTH_CONFIG_PATH=/run/mlflow/users.ini
      MLFLOW_S3_ENDPOINT_URL=https://storage.yandexcloud.net
      AWS_ENDPOINT_URL=https://storage.yandexcloud.net
      AWS_DEFAULT_REGION=ru-central1
      ${local.store_checksums}
    EOT
  }

  # render_secrets.py fills in the names with a dollar sign.
  mlflow_templates = [
    {
      path = "/run/mlflow/environment", owner = "root", mode = "0600"
      text = <<-EOT
        MLFLOW_BACKEND_STORE_URI=${local.mlflow_database}/mlflow?${local.mlflow_verify}
        MLFLOW_AUTH_ADMIN_PASSWORD=$mlflow_admin_password
        MLFLOW_FLASK_SERVER_SECRET_KEY=$mlflow_session_key
        RETRAINING_PASSWORD=$mlflow_password
        AWS_ACCESS_KEY_ID=$access_key
        AWS_SECRET_ACCESS_KEY=$secret_key
      EOT
    },
    {
      # Without a cache, each request checks its password for tenths of a second of CPU. A password
      # that is changed works for another minute.
      path = "/run/mlflow/users.ini", owner = "mlflow", mode = "0400"
      text = <<-EOT
        [mlflow]
        default_permission = NO_PERMISSIONS
        database_uri = ${local.mlflow_database}/mlflow_users?${local.mlflow_verify}
        admin_username = admin
        authorization_function = mlflow.server.auth:authenticate_request_basic_auth
        auth_cache_ttl_seconds = 60
      EOT
    },
    { path = "/run/mlflow/tls.key", owner = "root", mode = "0600", text = "$tls_private_key\n" },
  ]
  mlflow_database = "postgresql+psycopg2://mlflow:$postgresql_password@$postgresql_host:6432"
  mlflow_verify   = "sslmode=verify-full&sslrootcert=/etc/mlflow/yandex.pem"
}

module "mlflow" {
  source = "./modules/machine"

  name               = "${var.name}-mlflow"
  hostname           = local.mlflow_host
  zone               = var.zone
  labels             = var.labels
  size               = var.mlflow_size
  image_id           = data.yandex_compute_image.debian.id
  kms_key_id         = yandex_kms_symmetric_key.this.id
  service_account_id = yandex_iam_service_account.this["mlflow"].id
  subnet_id          = yandex_vpc_subnet.machines.id
  security_group_id  = yandex_vpc_security_group.this["mlflow"].id
  admin_key          = try(var.admin.ssh_public_key, null)

  users    = [{ name = "mlflow", system = true, shell = "/usr/sbin/nologin", homedir = "/var/lib/mlflow" }]
  packages = ["ca-certificates", "curl", "nginx-light", "python3-venv"]
  files    = local.mlflow_files
  commands = [
    "set -eu",
    "curl -fsS --retry 10 -o /etc/mlflow/yandex.pem https://storage.yandexcloud.net/cloud-certs/CA.pem",
    "python3 -m venv /opt/mlflow",
    "/opt/mlflow/bin/pip install --quiet --requirement /usr/local/lib/retraining/requirements.txt",
    "systemctl daemon-reload",
    "systemctl enable --now mlflow-secrets.service mlflow.service",
    # Not by write_files, because the package installs a file of this name.
    "install -m 0644 /usr/local/lib/retraining/nginx.conf /etc/nginx/sites-available/default",
    "systemctl restart nginx.service",
    # Last, because it waits until MLflow has created its tables. If it fails, the next boot tries again.
    "systemctl enable --now mlflow-users.service",
  ]
  settings = {
    secrets = [yandex_lockbox_secret.mlflow.id, yandex_lockbox_secret.storage["mlflow"].id]
    values  = { postgresql_host = "c-${yandex_mdb_postgresql_cluster_v2.this.id}.rw.mdb.yandexcloud.net" }
  }

  depends_on = [
    yandex_lockbox_secret_iam_member.this,
    yandex_kms_symmetric_key_iam_member.this,
    yandex_storage_bucket_iam_binding.this,
    yandex_iam_service_account_static_access_key.this,
    yandex_lockbox_secret_version_hashed.mlflow,
    yandex_mdb_postgresql_database.this,
    yandex_vpc_security_group_rule.in,
    yandex_vpc_security_group_rule.out,
  ]
}

moved {
  from = yandex_compute_instance.mlflow
  to   = module.mlflow.yandex_compute_instance.this
}
