# The state holds the password of Airflow's administrator: keep it in a private, versioned, encrypted bucket that is not
# among those made here. Its name and keys are yours: backend.tfbackend.example.
terraform {
  backend "s3" {
    endpoints    = { s3 = "https://storage.yandexcloud.net" }
    region       = "ru-central1"
    use_lockfile = true

    # Object Storage is not AWS.
    skip_region_validation      = true
    skip_credentials_validation = true
    skip_requesting_account_id  = true
    skip_metadata_api_check     = true
    skip_s3_checksum            = true
  }
}
