# All roles of all accounts, read back from the resources after an apply.

mock_provider "yandex" {}

run "host" {
  assert {
    condition = toset([
      for given in values(yandex_resourcemanager_folder_iam_member.this) :
      "${[for name, account in yandex_iam_service_account.this : name if given.member == "serviceAccount:${account.id}"][0]} ${given.role}"
    ]) == toset(["airflow managed-airflow.integrationProvider", "airflow vpc.user"])
    error_message = "Roles in the folder."
  }
  assert {
    condition = toset(flatten([
      for given in values(yandex_storage_bucket_iam_binding.this) : [
        for member in given.members :
        "${[for name, account in yandex_iam_service_account.this : name if member == "serviceAccount:${account.id}"][0]} ${given.role} ${trimprefix(given.bucket, "test-retraining-")}"
      ]
      ])) == toset([
      "steps storage.editor data",
      "mlflow storage.uploader artifacts",
      "airflow storage.viewer dags",
      "steps storage.viewer source",
    ])
    error_message = "Roles on buckets."
  }
  assert {
    condition = toset([
      for given in values(yandex_lockbox_secret_iam_member.this) :
      "${[for name, account in yandex_iam_service_account.this : name if given.member == "serviceAccount:${account.id}"][0]} ${given.role} ${[
        for name, id in merge(
          { mlflow = yandex_lockbox_secret.mlflow.id, steps = yandex_lockbox_secret.steps.id },
          { for name, secret in yandex_lockbox_secret.storage : "${name}-storage" => secret.id },
          { for name, secret in yandex_lockbox_secret.airflow : name => secret.id },
        ) : name if id == given.secret_id
      ][0]}"
      ]) == toset([
      "mlflow lockbox.payloadViewer mlflow",
      "mlflow lockbox.payloadViewer mlflow-storage",
      "steps lockbox.payloadViewer steps",
      "steps lockbox.payloadViewer steps-storage",
      "airflow lockbox.payloadViewer airflow/connections/retraining_mlflow",
      "airflow lockbox.payloadViewer airflow/connections/retraining_ssh",
      "airflow lockbox.payloadViewer airflow/variables/retraining_bin",
      "airflow lockbox.payloadViewer airflow/variables/retraining_data_root",
      "airflow lockbox.payloadViewer airflow/variables/retraining_env_manager",
      "airflow lockbox.payloadViewer airflow/variables/retraining_input",
      "airflow lockbox.payloadViewer airflow/variables/retraining_profile",
      "airflow lockbox.payloadViewer airflow/variables/retraining_project",
    ])
    error_message = "Secrets and their readers."
  }
  assert {
    condition = toset([
      for given in values(yandex_kms_symmetric_key_iam_member.this) :
      "${[for name, account in yandex_iam_service_account.this : name if given.member == "serviceAccount:${account.id}"][0]} ${given.role}"
      ]) == toset([
      "airflow kms.keys.decrypter",
      "mlflow kms.keys.encrypterDecrypter",
      "steps kms.keys.encrypterDecrypter",
    ])
    error_message = "Roles on the key."
  }
  assert {
    condition     = length(yandex_iam_service_account_iam_member.airflow_uses_spark) == 0
    error_message = "No account may use another."
  }
}

run "permanent_cluster" {
  variables {
    spark    = "dataproc"
    dataproc = { master_host = "master" }
  }

  assert {
    condition = toset([
      for given in values(yandex_resourcemanager_folder_iam_member.this) :
      "${[for name, account in yandex_iam_service_account.this : name if given.member == "serviceAccount:${account.id}"][0]} ${given.role}"
    ]) == toset(["airflow managed-airflow.integrationProvider", "airflow vpc.user", "spark dataproc.agent"])
    error_message = "Roles in the folder."
  }
  assert {
    condition = toset(flatten([
      for given in values(yandex_storage_bucket_iam_binding.this) : [
        for member in given.members :
        "${[for name, account in yandex_iam_service_account.this : name if member == "serviceAccount:${account.id}"][0]} ${given.role} ${trimprefix(given.bucket, "test-retraining-")}"
      ]
      ])) == toset([
      "steps storage.editor data",
      "mlflow storage.uploader artifacts",
      "airflow storage.viewer dags",
      "steps storage.viewer source",
      "spark storage.editor logs",
      "spark storage.viewer source",
    ])
    error_message = "Buckets of the cluster; data goes by the keys of the steps."
  }
  assert {
    condition = toset([
      for given in values(yandex_lockbox_secret_iam_member.this) : given.secret_id
      if given.member == "serviceAccount:${yandex_iam_service_account.this["spark"].id}"
    ]) == toset([yandex_lockbox_secret.steps.id, yandex_lockbox_secret.storage["steps"].id])
    error_message = "The master has the secrets of the steps."
  }
  assert {
    condition = toset([
      for given in values(yandex_kms_symmetric_key_iam_member.this) :
      "${[for name, account in yandex_iam_service_account.this : name if given.member == "serviceAccount:${account.id}"][0]} ${given.role}"
      ]) == toset([
      "airflow kms.keys.decrypter",
      "mlflow kms.keys.encrypterDecrypter",
      "steps kms.keys.encrypterDecrypter",
      "spark kms.keys.encrypterDecrypter",
    ])
    error_message = "Roles on the key."
  }
  assert {
    condition     = length(yandex_iam_service_account_iam_member.airflow_uses_spark) == 0
    error_message = "No account may use another."
  }
}

run "transient_cluster" {
  variables {
    spark = "transient"
  }

  assert {
    condition = toset([
      for given in values(yandex_resourcemanager_folder_iam_member.this) :
      "${[for name, account in yandex_iam_service_account.this : name if given.member == "serviceAccount:${account.id}"][0]} ${given.role}"
      ]) == toset([
      "airflow managed-airflow.integrationProvider", "airflow vpc.user", "airflow dataproc.editor", "spark dataproc.agent",
    ])
    error_message = "Roles in the folder."
  }
  assert {
    condition = (
      yandex_iam_service_account_iam_member.airflow_uses_spark[0].service_account_id == yandex_iam_service_account.this["spark"].id
      && yandex_iam_service_account_iam_member.airflow_uses_spark[0].member == "serviceAccount:${yandex_iam_service_account.this["airflow"].id}"
      && yandex_iam_service_account_iam_member.airflow_uses_spark[0].role == "iam.serviceAccounts.user"
    )
    error_message = "Airflow may use the account of the machines, and no other."
  }
  assert {
    condition = toset(flatten([
      for given in values(yandex_storage_bucket_iam_binding.this) : [
        for member in given.members :
        "${[for name, account in yandex_iam_service_account.this : name if member == "serviceAccount:${account.id}"][0]} ${given.role} ${trimprefix(given.bucket, "test-retraining-")}"
      ]
      ])) == toset([
      "steps storage.editor data",
      "mlflow storage.uploader artifacts",
      "airflow storage.viewer dags",
      "steps storage.viewer source",
      "spark storage.editor logs",
      "spark storage.viewer source",
    ])
    error_message = "Buckets of the cluster; data goes by the keys of the steps."
  }
  assert {
    condition = toset([
      for given in values(yandex_lockbox_secret_iam_member.this) : given.secret_id
      if given.member == "serviceAccount:${yandex_iam_service_account.this["spark"].id}"
    ]) == toset([yandex_lockbox_secret.steps.id, yandex_lockbox_secret.storage["steps"].id])
    error_message = "The master has the secrets of the steps."
  }
  assert {
    condition = toset([
      for given in values(yandex_kms_symmetric_key_iam_member.this) :
      "${[for name, account in yandex_iam_service_account.this : name if given.member == "serviceAccount:${account.id}"][0]} ${given.role}"
      ]) == toset([
      "airflow kms.keys.decrypter",
      "mlflow kms.keys.encrypterDecrypter",
      "steps kms.keys.encrypterDecrypter",
      "spark kms.keys.encrypterDecrypter",
    ])
    error_message = "Roles on the key."
  }
}

run "managed_spark" {
  variables {
    spark = "managed"
  }

  assert {
    condition = toset([
      for given in values(yandex_resourcemanager_folder_iam_member.this) :
      "${[for name, account in yandex_iam_service_account.this : name if given.member == "serviceAccount:${account.id}"][0]} ${given.role}"
      ]) == toset([
      "airflow managed-airflow.integrationProvider", "airflow vpc.user", "spark managed-spark.integrationProvider", "spark vpc.user",
    ])
    error_message = "Roles in the folder."
  }
  assert {
    condition = toset(flatten([
      for given in values(yandex_storage_bucket_iam_binding.this) : [
        for member in given.members :
        "${[for name, account in yandex_iam_service_account.this : name if member == "serviceAccount:${account.id}"][0]} ${given.role} ${trimprefix(given.bucket, "test-retraining-")}"
      ]
      ])) == toset([
      "steps storage.editor data",
      "mlflow storage.uploader artifacts",
      "airflow storage.viewer dags",
      "steps storage.viewer source",
      "spark storage.editor data",
      "spark storage.viewer source",
    ])
    error_message = "Jobs read and write data with the account of the cluster."
  }
  assert {
    condition = length([
      for given in values(yandex_lockbox_secret_iam_member.this) : given
      if given.member == "serviceAccount:${yandex_iam_service_account.this["spark"].id}"
    ]) == 0
    error_message = "Jobs read no secret."
  }
  assert {
    condition = toset([
      for given in values(yandex_kms_symmetric_key_iam_member.this) :
      "${[for name, account in yandex_iam_service_account.this : name if given.member == "serviceAccount:${account.id}"][0]} ${given.role}"
      ]) == toset([
      "airflow kms.keys.decrypter",
      "mlflow kms.keys.encrypterDecrypter",
      "steps kms.keys.encrypterDecrypter",
      "spark kms.keys.encrypterDecrypter",
    ])
    error_message = "Roles on the key."
  }
  assert {
    condition     = length(yandex_iam_service_account_iam_member.airflow_uses_spark) == 0
    error_message = "No account may use another."
  }
}
