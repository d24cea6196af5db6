# Values of variables that a plan refuses.

mock_provider "yandex" {}

run "open_to_the_world" {
  command = plan
  variables {
    admin = { cidr = "0.0.0.0/0", ssh_public_key = "ssh-ed25519 AAAAC3Nz me" }
  }
  expect_failures = [var.admin]
}

run "open_to_half_the_world" {
  command = plan
  variables {
    admin = { cidr = "128.0.0.0/1", ssh_public_key = "ssh-ed25519 AAAAC3Nz me" }
  }
  expect_failures = [var.admin]
}

run "no_network" {
  command = plan
  variables {
    admin = { cidr = "home", ssh_public_key = "ssh-ed25519 AAAAC3Nz me" }
  }
  expect_failures = [var.admin]
}

run "network_of_the_administrator_in_ipv6" {
  command = plan
  variables {
    admin = { cidr = "2001:db8::/32", ssh_public_key = "ssh-ed25519 AAAAC3Nz me" }
  }
  expect_failures = [var.admin]
}

run "private_key_of_the_administrator" {
  command = plan
  variables {
    admin = { cidr = "203.0.113.7/32", ssh_public_key = "-----BEGIN OPENSSH PRIVATE KEY-----" }
  }
  expect_failures = [var.admin]
}

run "network_of_managed_airflow" {
  command = plan
  variables {
    network_cidr = "10.250.0.0/16"
  }
  expect_failures = [var.network_cidr]
}

run "small_network" {
  command = plan
  variables {
    network_cidr = "10.10.0.0/24"
  }
  expect_failures = [var.network_cidr]
}

run "name_that_no_bucket_may_have" {
  command = plan
  variables {
    name = "Re_training"
  }
  expect_failures = [var.name]
}

run "unknown_zone" {
  command = plan
  variables {
    zone = "ru-central1-c"
  }
  expect_failures = [var.zone]
}

run "unknown_place_for_spark" {
  command = plan
  variables {
    spark = "kubernetes"
  }
  expect_failures = [var.spark]
}

run "short_commit" {
  command = plan
  variables {
    project = { url = "https://example.org/retraining.git", commit = "018e0fa" }
  }
  expect_failures = [var.project]
}

run "project_over_ssh" {
  command = plan
  variables {
    project = { url = "git@example.org:retraining.git" }
  }
  expect_failures = [var.project]
}

run "raw_data_with_a_bucket" {
  command = plan
  variables {
    raw_data = "s3://test-retraining-data/raw/fraud"
  }
  expect_failures = [var.raw_data]
}

run "old_airflow" {
  command = plan
  variables {
    airflow = { version = "2.10" }
  }
  expect_failures = [var.airflow]
}

run "airflow_that_the_dags_do_not_know" {
  command = plan
  variables {
    airflow = { version = "3.1" }
  }
  expect_failures = [var.airflow]
}

run "airflow_of_unknown_size" {
  command = plan
  variables {
    airflow = { preset = "large" }
  }
  expect_failures = [var.airflow]
}

run "old_postgresql" {
  command = plan
  variables {
    postgresql = { version = "12" }
  }
  expect_failures = [var.postgresql]
}

run "too_many_databases" {
  command = plan
  variables {
    postgresql = { hosts = 4 }
  }
  expect_failures = [var.postgresql]
}

run "workers_of_unknown_size" {
  command = plan
  variables {
    dataproc = { worker_preset = "large" }
  }
  expect_failures = [var.dataproc]
}

run "tiny_machines" {
  command = plan
  variables {
    host_size     = { memory = 1 }
    mlflow_size   = { cores = 1 }
    dataproc      = { workers = 0 }
    managed_spark = { max_executors = 0 }
  }
  expect_failures = [var.host_size, var.mlflow_size, var.dataproc, var.managed_spark]
}

run "weak_password" {
  command = plan
  variables {
    secrets = {
      postgresql_password    = "short"
      mlflow_admin_password  = "bbbbbbbbbbbbbbbbbbbbbbbb"
      mlflow_password        = "cccccccccccccccccccccccc"
      mlflow_session_key     = "dddddddddddddddddddddddd"
      airflow_admin_password = "Eeeeeeeeeeee-1"
      ssh_private_key        = "f"
      ssh_host_private_key   = "g"
      tls_private_key        = "h"
    }
  }
  expect_failures = [var.secrets]
}

run "weak_password_of_airflow" {
  command = plan
  variables {
    secrets = {
      postgresql_password    = "aaaaaaaaaaaaaaaaaaaaaaaa"
      mlflow_admin_password  = "bbbbbbbbbbbbbbbbbbbbbbbb"
      mlflow_password        = "cccccccccccccccccccccccc"
      mlflow_session_key     = "dddddddddddddddddddddddd"
      airflow_admin_password = "eeeeeeeeeeeeeeee"
      ssh_private_key        = "f"
      ssh_host_private_key   = "g"
      tls_private_key        = "h"
    }
  }
  expect_failures = [var.secrets]
}

# A plan with the secrets of terraform.tfvars.example is fine, an apply is not.
run "secrets_of_the_example" {
  command = apply
  variables {
    secrets = {
      postgresql_password    = "example-of-a-long-password"
      mlflow_admin_password  = "example-of-a-long-password"
      mlflow_password        = "example-of-a-long-password"
      mlflow_session_key     = "example-of-a-long-password"
      airflow_admin_password = "Example-of-airflow-1"
      ssh_private_key        = "example"
      ssh_host_private_key   = "example"
      tls_private_key        = "example"
    }
  }
  expect_failures = [var.secrets]
}
