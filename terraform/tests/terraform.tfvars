cloud_id  = "cloud"
folder_id = "folder"
name      = "test-retraining"
secrets = {
  postgresql_password    = "aaaaaaaaaaaaaaaaaaaaaaaa"
  mlflow_admin_password  = "bbbbbbbbbbbbbbbbbbbbbbbb"
  mlflow_password        = "cccccccccccccccccccccccc"
  mlflow_session_key     = "dddddddddddddddddddddddd"
  airflow_admin_password = "Eeeeeeeeeeee-1"
  ssh_private_key        = "f"
  ssh_host_private_key   = "g"
  tls_private_key        = "h"
}
public_keys = {
  ssh             = "ssh-ed25519 AAAA airflow"
  ssh_host        = "ssh-ed25519 BBBB steps"
  tls_certificate = "c"
  tls_authority   = "a"
}
